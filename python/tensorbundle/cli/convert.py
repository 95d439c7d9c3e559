"""``tensorbundle convert``: between checkpoints, safetensors and ``.npz``."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import click

import tensorbundle
from tensorbundle.cli import completing, convert_rules, output, schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

_EXAMPLES = """\b
Examples:
  tensorbundle convert run/model.ckpt-100 model.safetensors --exclude '/Adam' --cast bfloat16
  tensorbundle convert export/1 weights.npz --names path --include '^model/' --dry-run
  tensorbundle convert model.safetensors run/ckpt --rename '^layers\\.([0-9]+)\\.=>layer_\\1/' --transpose 'kernel$'
  tensorbundle convert run/model.ckpt-100 big/ --max-shard-size 5GB --workers 4
"""
_COLUMNS = [("tensor", "left"), ("dtype", "left"), ("shape", "left"), ("size", "right"), ("file", "right")]

_TENSOR = schema.record(
    "What becomes of a tensor.",
    {
        "source": schema.text("Its name in the source."),
        "name": schema.text("Its new name."),
        "source_dtype": schema.text("TensorFlow's name of its element type in the source."),
        "dtype": schema.text("The same in the target."),
        "source_shape": schema.list_of(schema.integer("A size."), "Its shape in the source."),
        "shape": schema.list_of(schema.integer("A size."), "Its shape in the target."),
        "nbytes": schema.integer("Bytes of its elements in the target."),
        "file": schema.integer("Number of the file that it goes to, from 0."),
    },
)
_LEFT_OUT = schema.record(
    "A tensor that the target doesn't get.", {"name": schema.text("Its name."), "reason": schema.text("Why not.")}
)
JSON_SCHEMA = schema.document(
    "What was converted, or would be.",
    {
        "source": schema.text("What was read."),
        "path": schema.text("The target: a prefix, a file, or the index of several."),
        "to": schema.text("The target's kind.", ("checkpoint", "safetensors", "npz")),
        "dry_run": schema.flag("True if nothing was written."),
        "files": schema.list_of(schema.text("A path."), "What was written; of a checkpoint its prefix."),
        "num_files": schema.integer("Number of files that hold tensors."),
        "nbytes": schema.integer("Bytes of all elements in the target."),
        "tensors": schema.list_of(_TENSOR, "What becomes of each tensor."),
        "left_out": schema.list_of(_LEFT_OUT, "What the target doesn't get."),
        "notes": schema.list_of(schema.text("A sentence."), "What else there is to know."),
        "seconds": schema.number("How long it took; 0 if nothing was written."),
        "durable": schema.flag("True if it would survive a power cut."),
    },
)


def _parse_size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    return None if value is None else output.parse_size(ctx, parameter, value)


def _parse_metadata(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not equals:
            raise click.BadParameter(f"{key!r} is not KEY=TEXT")
    return {key: text for key, _, text in pairs} or None


@click.command("convert", short_help="Convert to a checkpoint, safetensors or .npz.", epilog=_EXAMPLES)
@completing.path_argument("src")
@completing.path_argument("dst")
@click.option(
    "--to", type=click.Choice(["checkpoint", "safetensors", "npz"]), help="The kind of DST, whatever its name."
)
@click.option("--include", multiple=True, metavar="REGEX", help="Take tensors in whose name REGEX is found.")
@click.option("--exclude", multiple=True, metavar="REGEX", help="Leave out those in whose name REGEX is found.")
@click.option(
    "--rename",
    multiple=True,
    metavar="REGEX=>TEXT",
    help="In each name, replace what REGEX finds by TEXT, in which \\1 is a group; several apply in order.",
)
@click.option(
    "--rules", "rules_file", type=click.Path(), metavar="FILE", help="More rules, in TOML; docs/conversion.md has them."
)
@click.option(
    "--cast",
    multiple=True,
    metavar="[REGEX=]DTYPE",
    help="Give tensors in whose name REGEX is found another element type; without REGEX all that are floating.",
)
@click.option(
    "--transpose", multiple=True, metavar="REGEX[=AXES]", help="Reverse axes, or put them in an order such as 1,0."
)
@click.option(
    "--names",
    type=click.Choice(["key", "path", "full_name"]),
    default="key",
    show_default=True,
    help="What tensors of an object-based checkpoint are called.",
)
@click.option("--shards", type=click.IntRange(min=1), metavar="N", help="Write N files, about as large as each other.")
@click.option(
    "--max-shard-size", callback=_parse_size, metavar="SIZE", help="Write files of at most SIZE, such as 5GB."
)
@click.option(
    "--alignment",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Of tensors in a checkpoint, in bytes.",
)
@click.option(
    "--metadata", multiple=True, callback=_parse_metadata, metavar="KEY=TEXT", help="Text for safetensors' metadata."
)
@click.option("--skip-unsupported", is_flag=True, help="Leave out what DST can't hold, and say so.")
@click.option("--link", is_flag=True, help="Only names change: data files become further names of the old ones.")
@click.option("--verify/--no-verify", default=True, help="Compare all checksums, and read back what was written.")
@click.option("--durable/--no-durable", default=None, help="Be on the disk in the end. By default if DST is replaced.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Write files in N processes.")
@click.option("--dask", metavar="ADDRESS", help="Write files by the workers of the Dask scheduler at ADDRESS.")
@output.threads_option
@click.option("--dry-run", is_flag=True, help="Show what would become of each tensor, and write nothing.")
@output.json_option
def command(  # noqa: PLR0917 - an argument for each option
    src: str,
    dst: str,
    rename: tuple[str, ...],
    rules_file: str | None,
    cast: tuple[str, ...],
    transpose: tuple[str, ...],
    max_shard_size: int | None,
    workers: int | None,
    dask: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert SRC to DST: from and to checkpoints, safetensors and .npz.

    SRC may also be a SavedModel, a checkpoint of the V1 format, or safetensors in several files. The name of DST says
    what it becomes: one that ends in .safetensors, .safetensors.index.json or .npz; a directory, for safetensors in
    several files; anything else is the prefix of a checkpoint. REGEX is looked for in the names that tensors have in
    SRC. What is at DST stays until the new one is whole and verified; any error leaves it as it was. A rule that
    applies to no tensor is an error, as are two tensors with one name, and tensors that DST can't hold.
    """
    rules = convert_rules.gather(rules_file, rename, cast, transpose)
    choice = {key: options.pop(key) or None for key in ("include", "exclude")}
    arguments: dict[str, Any] = {**choice, **rules, **options, "max_shard_bytes": max_shard_size}
    made: tensorbundle.ConversionReport | tensorbundle.ConversionPlan
    if workers is not None and dask is not None:
        raise click.UsageError("--workers and --dask exclude each other")
    with _without_warnings():
        if dry_run:
            made = tensorbundle.convert(src, dst, dry_run=True, **arguments)
        else:
            with _executor(workers, dask) as executor:
                made = tensorbundle.convert(src, dst, executor=executor, progress=True, **arguments)
    if as_json:
        output.print_json(_described(made))
    else:
        _print(made)


@contextlib.contextmanager
def _executor(workers: int | None, dask: str | None) -> Iterator[Executor | None]:
    """What runs the tasks, for as long as the context lasts."""
    if workers is not None:
        from tensorbundle.cli.worker_pool import WorkerPool

        with WorkerPool(workers) as pool:
            yield pool
    elif dask is not None:
        with _dask_client(dask) as client:
            yield client.get_executor()
    else:
        yield None


def _dask_client(address: str) -> Any:
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise click.UsageError('--dask needs Dask: pip install "tensorbundle[dask]"') from error
    client: Any = distributed.Client  # Which has no types.
    return client(address)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """A context in which what is worth noting is not a warning: the command says it."""
    with output.quietly(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _print(made: tensorbundle.ConversionReport | tensorbundle.ConversionPlan) -> None:
    plan, report = _parts(made)
    if report is None:
        output.print_table(_COLUMNS, [_row(tensor) for tensor in plan.tensors])
    for left in plan.left_out:
        if report is None or left.reason != "not chosen":
            output.write(f"left out: {output.printable(left.name)}: {left.reason}\n", err=report is not None)
    for note in plan.notes:
        output.write(f"note: {output.printable(note)}\n", err=True)
    counts = f"{output.count(len(plan.tensors), 'tensor')}, {output.human_size(plan.nbytes)}"
    files = output.count(plan.num_files, "file")
    would = " would be" if report is None else ""
    output.write(f"{output.printable(plan.destination)}:{would} {counts}, {plan.to}, {files}\n")


def _row(tensor: Any) -> list[str]:
    return [output.printable(cell) for cell in tensor.cells()] + [output.human_size(tensor.nbytes), str(tensor.file)]


def _parts(
    made: tensorbundle.ConversionReport | tensorbundle.ConversionPlan,
) -> tuple[tensorbundle.ConversionPlan, tensorbundle.ConversionReport | None]:
    return (made.plan, made) if isinstance(made, tensorbundle.ConversionReport) else (made, None)


def _described(made: tensorbundle.ConversionReport | tensorbundle.ConversionPlan) -> dict[str, Any]:
    plan, report = _parts(made)
    return {
        "source": plan.source,
        "path": plan.destination,
        "to": plan.to,
        "dry_run": report is None,
        "files": [] if report is None else list(report.files),
        "num_files": plan.num_files,
        "nbytes": plan.nbytes,
        "tensors": [_described_tensor(tensor) for tensor in plan.tensors],
        "left_out": [{"name": left.name, "reason": left.reason} for left in plan.left_out],
        "notes": list(plan.notes),
        "seconds": 0 if report is None else report.seconds,
        "durable": report is not None and report.durable,
    }


def _described_tensor(tensor: Any) -> dict[str, Any]:
    return {
        "source": tensor.source,
        "name": tensor.name,
        "source_dtype": tensor.source_dtype,
        "dtype": tensor.dtype,
        "source_shape": list(tensor.source_shape),
        "shape": list(tensor.shape),
        "nbytes": tensor.nbytes,
        "file": tensor.file,
    }
