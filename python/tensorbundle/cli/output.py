"""What the commands share: options, and how things are written."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

import tensorbundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO, TypeVar

    import click

    _F = TypeVar("_F", bound=Callable[..., Any])

STDOUT = "standard output"

# In tables, columns wider than the one are folded, to no less than the other; there is a gap between columns.
_MOST_WHOLE = 20
_LEAST_FOLDED = 16
_GAP = 3

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]?)(i?)b?\s*\Z", re.IGNORECASE)


def json_option(function: _F) -> _F:
    """``--json``, as the argument ``as_json``, and ``--json-schema``; failures are then described on stdout too.

    The schema is ``JSON_SCHEMA`` of the command's module.
    """
    import click

    def remember(ctx: click.Context, _parameter: click.Parameter, value: bool) -> bool:
        ctx.meta["tensorbundle.json"] = value
        return value

    def show_schema(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        if wanted and not ctx.resilient_parsing:
            print_json(sys.modules[function.__module__].JSON_SCHEMA)
            ctx.exit()

    as_json = click.option("--json", "as_json", is_flag=True, is_eager=True, callback=remember, help="Print JSON.")
    as_schema = click.option(
        "--json-schema",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show_schema,
        help="Print the JSON Schema of that, and exit.",
    )
    return as_json(as_schema(function))


def threads_option(function: _F) -> _F:
    """``--threads``."""
    import click

    option = click.option(
        "--threads", type=click.IntRange(min=1), metavar="N", help="Use at most N threads. By default all cores."
    )
    return option(function)


def force_option(function: _F) -> _F:
    """``--force``; see :func:`check_free`."""
    import click

    return click.option("--force", is_flag=True, help="Replace a checkpoint at DST.")(function)


def check_free(dst: str, force: bool) -> None:
    """Refuses to replace a checkpoint unasked: after several sources, a forgotten DST would cost the last of them."""
    import click

    if not force and os.path.exists(f"{dst}.index"):
        raise click.UsageError(f"there is a checkpoint at {dst!r}: give --force to replace it")


def parse_size(_ctx: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Callback of an option: the number of bytes that ``400MB``, ``1.5 GiB`` or ``1000`` means."""
    import click

    match = _SIZE.match(value)
    if match is None or (match[3] and not match[2]):
        raise click.BadParameter(f"{value!r} is not a size such as 400MB or 1.5GiB")
    unit = (_BINARY_UNITS if match[3] else _UNITS)[match[2].lower()]
    return int(float(match[1]) * unit)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """A context in which opening a damaged checkpoint gives no warning: the command tells what it meets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tensorbundle.errors.DamageWarning)
        yield


@contextlib.contextmanager
def opened(path: str, threads: int | None = None) -> Iterator[tensorbundle.Checkpoint]:
    """The checkpoint; what opening finds is for the command to tell, not for a warning."""
    with quietly():
        checkpoint = tensorbundle.open(path, threads=threads)
    with checkpoint:
        yield checkpoint


def human_size(nbytes: int) -> str:
    """A number of bytes with three digits and a decimal unit."""
    value = float(nbytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if round(value, 0) < 1000 or unit == "TB":
            break
        value /= 1000
    if unit == "B":
        return f"{nbytes} B"
    digits = max(0, 3 - len(str(int(value))))
    return f"{value:.{digits}f} {unit}"


def count(number: int, noun: str) -> str:
    """``1 tensor``, ``2 tensors``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """``text`` with what a terminal might act upon, or can't show, escaped. Names come from files."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def reason(error: BaseException) -> str:
    """What an error says; of the system's, without its number, and with the path once."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    path = "" if error.filename is None else os.fsdecode(error.filename)
    return error.strerror if not path or f"{path}: " in error.strerror else f"{path}: {error.strerror}"


def about(name: str, problem: Exception) -> str:
    """What is wrong with a tensor, with its name once."""
    text = reason(problem)
    return printable(text if name in text else f"{name}: {text}")


def write(text: str, *, err: bool = False) -> None:
    """Writes text as it is; nowhere, where the stream was closed before the program began."""
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return
    with writing():
        stream.write(text)
        if err:
            stream.flush()


@contextlib.contextmanager
def binary() -> Iterator[BinaryIO]:
    """Where bytes are written to stdout; nowhere, where it was closed before the program began."""
    with writing(), contextlib.ExitStack() as stack:
        yield sys.stdout.buffer if sys.stdout is not None else stack.enter_context(open(os.devnull, "wb"))


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """What the system says in this block is about the output, and has :data:`STDOUT` for a path."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or STDOUT
        raise


def print_missing(shards: Sequence[str], *, err: bool = False) -> None:
    """A line for each missing shard of a V1 checkpoint, of whose tensors nothing is known."""
    for path in shards:
        write(f"missing, with whatever it alone holds: {printable(path)}\n", err=err)


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout: a line for each property, and for each object or list in one that is a list."""
    write("{\n" + ",\n".join(_json_properties(document)) + "\n}\n")


def _json_properties(document: dict[str, Any]) -> Iterator[str]:
    import json

    # Not dumps(indent=...): that is done in Python, and takes seconds for a large checkpoint.
    encode = json.JSONEncoder(allow_nan=False).encode
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
            yield f" {encode(key)}: [\n  " + ",\n  ".join(map(encode, value)) + "\n ]"
        else:
            yield f" {encode(key)}: {encode(value)}"


def is_terminal() -> bool:
    """Whether stdout is one."""
    return sys.stdout is not None and sys.stdout.isatty()


def print_table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> None:
    """A table: with lines and colours on a terminal that has ``rich`` and is wide enough, else aligned text.

    Args:
        columns: Title and alignment (``"left"`` or ``"right"``) of each.
        rows: Cells, already printable.
    """
    cells = list(zip([title for title, _ in columns], *rows, strict=True))
    widths = [max(map(len, column)) for column in cells]
    if is_terminal():
        with contextlib.suppress(ImportError):
            if _print_rich_table(columns, rows, widths):
                return
    alignments = [alignment for _, alignment in columns]
    aligned = [_aligned(*column) for column in zip(cells, alignments, widths, strict=True)]
    lines = ("  ".join(line).rstrip() for line in zip(*aligned, strict=True))
    write("\n".join(lines) + "\n")


def _aligned(cells: Sequence[str], alignment: str, width: int) -> list[str]:
    return [cell.rjust(width) if alignment == "right" else cell.ljust(width) for cell in cells]


def _least(width: int) -> int:
    """What a column of that width can be narrowed to."""
    return width if width <= _MOST_WHOLE else _LEAST_FOLDED


def _print_rich_table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> bool:
    """False, and nothing is printed, on a terminal so narrow that numbers would be cut into pieces."""
    from rich import box, console, table, text

    screen = console.Console()
    if sum(_least(width) + _GAP for width in widths) > screen.width:
        return False
    view = table.Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for (title, alignment), width in zip(columns, widths, strict=True):
        justify: Any = "right" if alignment == "right" else "left"
        view.add_column(title, justify=justify, overflow="fold", no_wrap=width <= _MOST_WHOLE)
    for row in rows:
        view.add_row(*(text.Text(cell) for cell in row))
    screen.print(view)
    return True
