"""``tensorbundle diff``: which tensors two files have, and how these differ."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import click

import tensorbundle
from tensorbundle.cli import array_json, completing, output, schema, selecting

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXAMPLES = """\b
Examples:
  tensorbundle diff run/model.ckpt-100 run/model.ckpt-101
  tensorbundle diff run/model.ckpt-100 model.safetensors --rtol 1e-3
  tensorbundle diff run/ckpt-1 run/ckpt-2 --values --exclude OPTIMIZER_SLOT --json
"""

_SHAPE = schema.integer("A size.")
_CHANGE = schema.record(
    "A tensor with another dtype or shape.",
    {
        "name": schema.text("Its name."),
        "dtype_a": schema.text("Its type in A."),
        "dtype_b": schema.text("Its type in B."),
        "shape_a": schema.list_of(_SHAPE, "Its shape in A."),
        "shape_b": schema.list_of(_SHAPE, "Its shape in B."),
    },
)
_DIFFERENCE = schema.record(
    "A tensor with other elements. What was not read is null.",
    {
        "name": schema.text("Its name."),
        "size": schema.integer("Number of its elements."),
        "count": schema.or_null(schema.integer("Number of those that differ.")),
        "max_abs": array_json.figure_schema("The largest absolute difference; null of strings."),
        "max_rel": array_json.figure_schema("The largest difference as a part of B's element; null of strings."),
        "index": schema.or_null(schema.list_of(schema.integer("An index."), "Of the element that differs most.")),
        "a": array_json.element_schema("That element in A."),
        "b": array_json.element_schema("That element in B."),
    },
)
JSON_SCHEMA = schema.document(
    "How two files of tensors differ.",
    {
        "path_a": schema.text("What was opened as A."),
        "path_b": schema.text("What was opened as B."),
        "same": schema.flag("True if there is no difference."),
        "equal": schema.integer("Number of tensors that are equal."),
        "only_a": schema.list_of(schema.text("A name."), "Tensors that B lacks."),
        "only_b": schema.list_of(schema.text("A name."), "Tensors that A lacks."),
        "changed": schema.list_of(_CHANGE, "Tensors with another dtype or shape."),
        "different": schema.list_of(_DIFFERENCE, "Tensors with other elements, the largest differences first."),
    },
)


@click.command("diff", short_help="Compare the tensors of two files.", epilog=_EXAMPLES)
@completing.path_argument("a")
@completing.path_argument("b")
@click.option("--values", is_flag=True, help="Read both and compare every element.")
@click.option("--rtol", type=click.FloatRange(min=0), default=0.0, help="Allow RTOL * abs(b); implies --values.")
@click.option("--atol", type=click.FloatRange(min=0), default=0.0, help="Allow ATOL; implies --values.")
@selecting.regex_options
@output.threads_option
@output.json_option
@click.pass_context
def command(  # noqa: PLR0917 - an argument for each option
    ctx: click.Context,
    a: str,
    b: str,
    values: bool,
    rtol: float,
    atol: float,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare the tensors of A and B by name: checkpoints, safetensors or .npz files.

    Of two checkpoints only the indexes are compared: tensors of the same dtype, shape, size and checksum count as
    equal, and those with other checksums as different. Other files are read. NaN equals NaN in the same place.

    The exit code is 0 if there is no difference, and 1 if there is one. Where tensors of a checkpoint can't be read,
    because a data file is missing for instance, that is said on stderr, and the exit code is 3.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", tensorbundle.errors.DamageWarning)
        report = tensorbundle.diff(
            a,
            b,
            include=include or None,
            exclude=exclude or None,
            values=values or rtol > 0 or atol > 0,
            rtol=rtol,
            atol=atol,
            threads=threads,
            progress=True,
        )
    if as_json:
        output.print_json(_described(report))
    else:
        _print(report)
    kind = tensorbundle.errors.DamageWarning
    damage = dict.fromkeys(str(each.message) for each in caught if issubclass(each.category, kind))
    for text in damage:
        output.write(f"tensorbundle: {output.printable(text)}\n", err=True)
    ctx.exit(3 if damage else 0 if report else 1)


def _print(report: tensorbundle.Difference) -> None:
    rows = [list(map(output.printable, row)) for row in _rows(report)]
    if rows:
        output.print_table([("tensor", "left"), ("is", "left"), ("how", "left")], rows)
    output.write(f"{report.summary()}\n")


def _rows(report: tensorbundle.Difference) -> Iterator[tuple[str, str, str]]:
    for name in report.only_a:
        yield name, "only in A", ""
    for name in report.only_b:
        yield name, "only in B", ""
    for change in report.changed:
        yield change.name, "changed", change.how()
    for difference in report.different:
        yield difference.name, "different", difference.how()


def _described(report: tensorbundle.Difference) -> dict[str, Any]:
    return {
        "path_a": report.path_a,
        "path_b": report.path_b,
        "same": bool(report),
        "equal": report.equal,
        "only_a": list(report.only_a),
        "only_b": list(report.only_b),
        "changed": [
            {**dataclasses.asdict(change), "shape_a": list(change.shape_a), "shape_b": list(change.shape_b)}
            for change in report.changed
        ],
        "different": [_described_difference(difference) for difference in report.different],
    }


def _described_difference(difference: tensorbundle.TensorDifference) -> dict[str, Any]:
    return {
        "name": difference.name,
        "size": difference.size,
        "count": difference.count,
        "max_abs": array_json.element(difference.max_abs),
        "max_rel": array_json.element(difference.max_rel),
        "index": None if difference.index is None else list(difference.index),
        "a": array_json.element(difference.a),
        "b": array_json.element(difference.b),
    }
