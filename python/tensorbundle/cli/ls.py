"""``tensorbundle ls``: the tensors of a checkpoint, from its index alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tensorbundle.cli import output

if TYPE_CHECKING:
    import tensorbundle

_COLUMNS = [("name", "left"), ("dtype", "left"), ("shape", "left"), ("size", "right"), ("shard", "right")]


@click.command("ls", short_help="List the tensors of a checkpoint.")
@click.argument("path")
@output.json_option
@click.pass_context
def command(ctx: click.Context, path: str, as_json: bool) -> None:
    """List the tensors of the checkpoint at PATH: name, dtype, shape, size in bytes and data file.

    Only the index is read. Tensors that can't be read, because a data file is missing for instance, are listed on
    stderr, as are missing shards of a V1 checkpoint, and the exit code is then 3.
    """
    with output.opened(path) as checkpoint:
        entries = checkpoint.entries()
        problems = checkpoint.problems()
        if as_json:
            output.print_json(_described(checkpoint, entries, problems))
        else:
            output.print_table(_COLUMNS, [_row(entry) for entry in entries])
            click.echo(_totals(checkpoint, entries))
        missing = checkpoint.missing_shards
    for name, problem in problems.items():
        click.echo(f"can't be read: {output.about(name, problem)}", err=True)
    output.print_missing(missing, err=True)
    ctx.exit(3 if problems or missing else 0)


def _row(entry: tensorbundle.Entry) -> list[str]:
    where = output.count(len(entry.slices), "slice") if entry.slices else _shard(entry)
    shape = str(list(entry.shape))
    return [output.printable(entry.name), entry.tf_dtype, shape, output.human_size(entry.nbytes), where]


def _shard(entry: tensorbundle.Entry) -> str:
    return "-" if entry.shard is None else str(entry.shard)  # "-": of the V1 format.


def _totals(checkpoint: tensorbundle.Checkpoint, entries: list[tensorbundle.Entry]) -> str:
    size = output.human_size(sum(entry.nbytes for entry in entries))
    files = output.count(checkpoint.num_shards, "data file")
    if checkpoint.missing_shards:
        files += f", {len(checkpoint.missing_shards)} of them missing"
    return f"{output.count(len(checkpoint), 'tensor')}, {size}, {files}: {output.printable(checkpoint.path)}"


def _described(
    checkpoint: tensorbundle.Checkpoint, entries: list[tensorbundle.Entry], problems: dict[str, Exception]
) -> dict[str, Any]:
    return {
        "path": checkpoint.path,
        "num_tensors": len(checkpoint),
        "num_shards": checkpoint.num_shards,
        "nbytes": sum(entry.nbytes for entry in entries),
        "tensors": [_described_entry(entry) for entry in entries],
        "problems": {name: str(problem) for name, problem in problems.items()},
        "missing_shards": list(checkpoint.missing_shards),
    }


def _described_entry(entry: tensorbundle.Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "dtype": entry.tf_dtype,
        "shape": list(entry.shape),
        "nbytes": entry.nbytes,
        "shard": entry.shard,
        "offset": entry.offset,
        "crc32c": entry.crc32c,
        "slices": [[[part.start, part.stop] for part in piece] for piece in entry.slices],
    }
