"""``tensorbundle demo``: what restoring and saving a model costs on this machine, in each way, beside TensorFlow."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import statistics
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tensorbundle.cli import output, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME = "bert.ckpt"


class _Way(NamedTuple):
    """One way to restore or save a checkpoint, a row of the table.

    Attributes:
        beside: The mode of TensorFlow that does the same; None: there is none.
    """

    mode: str
    title: str
    checksums: str | None
    cold: bool = False
    beside: str | None = "tensorflow"


_WAYS = (
    _Way("views", "views of the file", "compared"),
    _Way("unverified", "views, verify=False", None),
    _Way("copies", "copies, copy=True", "compared"),
    _Way("out", "into arrays that exist, out=", "compared"),
    _Way("pread", "read, mmap=False", "compared"),
    _Way("rows", "one row in a hundred, index=", None, beside=None),
    _Way("views", "views, nothing in the page cache", "compared", cold=True),
    _Way("file", "for comparison: read() of the data file", None),
    _Way("tensorflow", "TensorFlow, load_checkpoint", "compared"),
    _Way("tensorflow", "TensorFlow, nothing in the page cache", "compared", cold=True),
    _Way("save", "saving, durable=False", "stored", beside="save_tensorflow"),
    _Way("save_durable", "saving, durable=True", "stored", beside=None),
    _Way("save_tensorflow", "TensorFlow, saving with SaveV2", "stored", beside="save_tensorflow"),
)

_EXAMPLES = """\b
Examples:
  tensorbundle demo
  tensorbundle demo --size 1.3GB --rounds 5 --threads 2
  tensorbundle demo --keep /tmp/model --json
"""

_RESULT = schema.record(
    "One way to restore or save the model.",
    {
        "mode": schema.text("Its name."),
        "title": schema.text("What it is."),
        "cold": schema.flag("True if nothing of the file was in the page cache."),
        "checksums": schema.or_null(schema.text("What happens to checksums.", ("compared", "stored"))),
        "seconds": schema.number("Opening, loading and reading every byte, or saving; the median."),
        "loading": schema.or_null(schema.number("The seconds of it until the arrays were there.")),
        "importing": schema.or_null(schema.number("Seconds that TensorFlow's import took, which are not counted.")),
        "nbytes": schema.integer("Bytes of the arrays."),
        "memory": schema.number("Bytes of memory that the process took, page cache aside where that can be told."),
        "correct": schema.flag("True if the arrays are those that were written."),
        "ratio": schema.or_null(schema.number("How many times as fast as TensorFlow it is.")),
    },
)
JSON_SCHEMA = schema.document(
    "What was measured.",
    {
        "tensors": schema.integer("Number of tensors of the model."),
        "nbytes": schema.integer("Bytes of its data file."),
        "path": schema.text("Its prefix."),
        "python": schema.text("Version of Python."),
        "machine": schema.text("System and processor."),
        "cores": schema.integer("Cores that the process may use."),
        "crc32c": schema.text("How checksums are computed."),
        "rounds": schema.integer("Rounds that medians are of."),
        "threads": schema.or_null(schema.integer("Threads that a call may use; null: all cores.")),
        "results": schema.list_of(_RESULT, "The ways, in the order of the table."),
    },
)


@click.command("demo", short_help="Measure restoring and saving a model, beside TensorFlow.", epilog=_EXAMPLES)
@click.option(
    "--size", callback=output.parse_size, default="400MB", show_default=True, metavar="SIZE", help="Size of the model."
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Rounds to take medians of.")
@output.threads_option
@click.option(
    "--keep", type=click.Path(file_okay=False), metavar="DIR", help="Write the model into DIR and leave it there."
)
@output.json_option
@click.pass_context
def command(
    ctx: click.Context, *, size: int, rounds: int, threads: int | None, keep: str | None, as_json: bool
) -> None:
    """Write a model shaped like BERT-large into a temporary folder, restore it in every way that there is, and save it.

    Each measurement is a fresh process, which opens the checkpoint, loads it and then reads every byte of the arrays;
    or loads it, saves the arrays again, and reads that. The arrays are compared with what was written. TensorFlow is
    measured beside it if it is installed.
    """
    from tensorbundle.cli import demo_writer

    if size < demo_writer.MIN_SIZE_BYTES:
        raise click.UsageError(f"--size must be at least {output.human_size(demo_writer.MIN_SIZE_BYTES)}")
    with _folder(keep) as folder, _status() as say:
        prefix = os.path.join(folder, _NAME)
        if os.path.exists(prefix + ".index"):
            raise click.UsageError(f"{folder} has a model already; choose another folder")
        facts = _write(prefix, size, say)
        results = _measure_all(prefix, rounds, threads, say)
        say("")
        if as_json:
            output.print_json({**facts, "rounds": rounds, "threads": threads, "results": results})
        else:
            _print_report(facts, results, rounds, prefix if keep else None)
    ctx.exit(0 if all(result["correct"] for result in results) else 1)


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[str]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tensorbundle-demo-") as folder:
            yield folder
    else:
        os.makedirs(keep, exist_ok=True)
        yield os.path.abspath(keep)


@contextlib.contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """Says what is being done, in one line of a terminal that is written over; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return

    shown = 0

    def say(text: str) -> None:
        nonlocal shown
        text = text[: shutil.get_terminal_size().columns - 1]
        click.echo(f"\r{text:<{shown}}\r", nl=False, err=True)
        shown = len(text)

    try:
        yield say
    finally:
        say("")


def _write(prefix: str, size: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Writes the model; returns what it is and where."""
    from tensorbundle import _core
    from tensorbundle.cli import demo_writer

    free = shutil.disk_usage(os.path.dirname(prefix)).free
    needed = 2 * size  # It is saved once more.
    if free < needed * 1.05:
        takes, there = output.human_size(needed), output.human_size(free)
        raise click.UsageError(f"{os.path.dirname(prefix)} has {there} left, and the demo takes {takes}: see --size")
    shapes = demo_writer.bert_shapes(size)
    demo_writer.write(prefix, shapes, lambda done: say(f"writing {output.human_size(done)}"))
    return {
        "tensors": len(shapes),
        "nbytes": os.path.getsize(f"{prefix}.data-00000-of-00001"),
        "path": prefix,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "crc32c": _core.crc32c_backend(),
    }


def _measure_all(prefix: str, rounds: int, threads: int | None, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every way in turn, as many times as there are rounds; the medians."""
    from tensorbundle.cli import demo_process

    has_tensorflow = importlib.util.find_spec("tensorflow") is not None
    ways = [way for way in _WAYS if has_tensorflow or "tensorflow" not in way.mode]
    if not demo_process.drop_cache(prefix):
        ways = [way for way in ways if not way.cold]
    runs: dict[_Way, list[dict[str, Any]]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            say(f"round {number + 1} of {rounds}: {way.title}")
            if way.cold:
                demo_process.drop_cache(prefix)
            else:
                demo_process.fill_cache(prefix)
            runs[way].append(demo_process.run(way.mode, prefix, threads))
    results = {way: _result(way, done) for way, done in runs.items()}
    return [{**result, "ratio": _ratio(way, results)} for way, result in results.items()]


def _result(way: _Way, runs: list[dict[str, Any]]) -> dict[str, Any]:
    def median(key: str) -> Any:
        values = [run[key] for run in runs if run[key] is not None]
        return statistics.median(values) if values else None

    return {
        "mode": way.mode,
        "title": way.title,
        "cold": way.cold,
        "checksums": way.checksums,
        "seconds": median("seconds"),
        "loading": median("loading"),
        "importing": median("importing"),
        "nbytes": runs[0]["nbytes"],
        "memory": median("memory"),
        "correct": all(run["correct"] for run in runs),
    }


def _ratio(way: _Way, results: dict[_Way, dict[str, Any]]) -> float | None:
    """How many times as fast as TensorFlow, under the same conditions; None where there is nothing to compare."""
    for other, measured in results.items():
        if other.mode == way.beside and other.cold == way.cold:
            return float(measured["seconds"] / results[way]["seconds"])
    return None


_COLUMNS = [
    ("way", "left"),
    ("seconds", "right"),
    ("loading", "right"),
    ("GB/s", "right"),
    ("memory", "right"),
    ("checksums", "left"),
]


def _print_report(facts: dict[str, Any], results: list[dict[str, Any]], rounds: int, kept: str | None) -> None:
    size = output.human_size(facts["nbytes"])
    click.echo(f"A model shaped like BERT-large: {facts['tensors']} tensors, float32, {size}, in one data file.")
    click.echo(
        f"{facts['machine']}, {output.count(facts['cores'], 'core')}, Python {facts['python']}, checksums by"
        f" {facts['crc32c']}.\n"
    )
    with_tensorflow = any(result["ratio"] is not None for result in results)
    columns = [*_COLUMNS, ("TensorFlow = 1", "right")] if with_tensorflow else _COLUMNS
    output.print_table(columns, [_row(result, with_tensorflow) for result in results])
    click.echo(f"\n{_notes(results, rounds)}\n")
    _print_where_to_go(kept, with_tensorflow)


def _row(result: dict[str, Any], with_tensorflow: bool) -> list[str]:
    row = [
        result["title"],
        f"{result['seconds']:.3f}",
        "-" if result["loading"] is None else f"{result['loading']:.3f}",
        "-" if result["mode"] == "rows" else f"{result['nbytes'] / result['seconds'] / 1e9:.2f}",
        output.human_size(max(0, int(result["memory"]))),
        result["checksums"] or "-",
    ]
    if with_tensorflow:
        row.append("-" if result["ratio"] is None else f"{result['ratio']:.1f}x as fast")
    return row


def _notes(results: list[dict[str, Any]], rounds: int) -> str:
    linux = os.path.exists("/proc/self/status")
    memory = "that is not page cache" if linux else "at most (ru_maxrss, page cache included)"
    median = f"median of {output.count(rounds, 'round')}, each a fresh process"
    lines = [
        f"seconds    {median}: opening, loading, and reading every byte of the arrays once,",
        "           or saving the arrays; what durable=False and TensorFlow save reaches the disk later",
        "loading    the part of it until the arrays were there; a view that isn't verified reads nothing yet",
        f"memory     what the process took {memory}",
    ]
    importing = [result["importing"] for result in results if result["importing"] is not None]
    if importing:
        lines.append(f"           TensorFlow's import, {importing[0]:.1f} seconds more, is not counted")
    if all(result["correct"] for result in results):
        lines.append("Every array was compared with what was written: all are right.")
    else:
        wrong = ", ".join(result["title"] for result in results if not result["correct"])
        lines.append(f"WRONG ARRAYS came from: {wrong}. Please report this.")
    return "\n".join(lines)


def _print_where_to_go(kept: str | None, with_tensorflow: bool) -> None:
    path = kept or "path/to/your/checkpoint"
    click.echo("Where to go next:")
    click.echo(f"  tensorbundle ls {path}")
    click.echo(f"  tensorbundle verify {path}")
    click.echo(f"  python -c 'import tensorbundle as tb; arrays = tb.load(\"{path}\")'")
    if not kept:
        click.echo("  tensorbundle demo --keep DIR    leaves the model in DIR")
    if not with_tensorflow:
        click.echo('  pip install "tensorbundle[tensorflow]"    adds TensorFlow to the table')
