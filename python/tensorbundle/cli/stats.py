"""``tensorbundle stats``: the numbers in tensors, summed up."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import click

import tensorbundle
from tensorbundle.cli import array_json, completing, output, schema, selecting

_EXAMPLES = """\b
Examples:
  tensorbundle stats run/model.ckpt-100
  tensorbundle stats run/model.ckpt-100 dense/kernel dense/bias
  tensorbundle stats model.safetensors --sort nan | head
  tensorbundle stats export/1 --exclude OPTIMIZER_SLOT --json
"""

_COLUMNS = ("min", "max", "mean", "std", "norm", "zeros", "nan", "inf")
_TENSOR = schema.record(
    "The elements of one tensor, summed up: of those that are finite, all but the counts.",
    {
        "name": schema.text("Its name."),
        "dtype": schema.text("TensorFlow's name of its element type."),
        "shape": schema.list_of(schema.integer("A size."), "Its shape."),
        "count": schema.integer("Number of its elements."),
        "min": schema.or_null(schema.number("The least; null: there is none, as of strings.")),
        "max": schema.or_null(schema.number("The greatest.")),
        "mean": schema.or_null(schema.number("The mean; of complex numbers, like the other three, of magnitudes.")),
        "std": schema.or_null(schema.number("The standard deviation.")),
        "norm": array_json.figure_schema("The root of the sum of squares."),
        "nan": schema.integer("Number of NaN."),
        "posinf": schema.integer("Number of infinities."),
        "neginf": schema.integer("Number of negative infinities."),
        "zeros": schema.integer("Number of zeros."),
        "string_bytes": schema.or_null(schema.integer("Of strings: their lengths together.")),
        "shortest": schema.or_null(schema.integer("Of strings: the least length.")),
        "longest": schema.or_null(schema.integer("Of strings: the greatest length.")),
    },
)
JSON_SCHEMA = schema.document(
    "The numbers in the tensors of a file, summed up.",
    {
        "path": schema.text("The file, as it was given."),
        "tensors": schema.list_of(_TENSOR, "The tensors, in the order asked for."),
    },
)


@click.command("stats", short_help="Sum up the numbers in tensors.", epilog=_EXAMPLES)
@completing.path_argument()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.names)
@selecting.regex_options
@click.option("--sort", type=click.Choice(["name", *_COLUMNS]), help="By a column, the largest first; or by name.")
@output.threads_option
@output.json_option
def command(  # noqa: PLR0917 - an argument for each option
    path: str,
    names: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    sort: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print least, greatest, mean, standard deviation and norm of the tensors at PATH, or of those called NAME.

    PATH is a checkpoint, a safetensors file or an .npz file; it is read in small pieces, and every checksum compared.
    NaN and infinities are counted, and left out of the other figures. Those of complex numbers are of magnitudes.
    """
    with output.quietly():
        found = tensorbundle.stats(
            path,
            names or None,
            include=include or None,
            exclude=exclude or None,
            threads=threads,
            progress=True,
        )
    if sort is not None:
        found = dict(sorted(found.items(), key=lambda item: _sort_key(sort, *item)))
    if as_json:
        tensors = [_described(name, stats) for name, stats in found.items()]
        output.print_json({"path": path, "tensors": tensors})
    else:
        _print(found)


def _print(found: dict[str, tensorbundle.TensorStats]) -> None:
    columns = [("name", "left"), ("dtype", "left"), ("shape", "left"), *((column, "right") for column in _COLUMNS)]
    rows = [
        [output.printable(name), stats.dtype, str(list(stats.shape)), *(_cell(stats, column) for column in _COLUMNS)]
        for name, stats in found.items()
    ]
    output.print_table(columns, rows)
    elements = sum(stats.count for stats in found.values())
    output.write(f"{output.count(len(found), 'tensor')}, {output.count(elements, 'element')}\n")


def _value(stats: tensorbundle.TensorStats, column: str) -> Any:
    if stats.string_bytes is not None:
        return None
    return stats.posinf + stats.neginf if column == "inf" else getattr(stats, column)


def _cell(stats: tensorbundle.TensorStats, column: str) -> str:
    value = _value(stats, column)
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.5g}"


def _sort_key(column: str, name: str, stats: tensorbundle.TensorStats) -> tuple[float, str]:
    value = None if column == "name" else _value(stats, column)
    return math.inf if value is None else -value, name


def _described(name: str, stats: tensorbundle.TensorStats) -> dict[str, Any]:
    figures = {"shape": list(stats.shape), "norm": array_json.element(stats.norm)}
    return {"name": name, **dataclasses.asdict(stats), **figures}
