"""``tensorbundle saved-model scan``: operations that reach beyond the tensors a model is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tensorbundle.cli import completing, output, saved_model_options, schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorbundle.saved_model import SavedModel
    from tensorbundle.saved_model.operations import Use

_EXAMPLES = """\b
Examples:
  tensorbundle saved-model scan export/1
  tensorbundle saved-model scan export/1 --tag-set serve --json
  tensorbundle saved-model scan export/1 --op MatMul --op Conv2D
"""

_USE = schema.record(
    "One node.",
    {
        "tags": schema.list_of(schema.text("A tag."), "The tags of its meta graph."),
        "op": schema.text("Its operation."),
        "does": schema.text("What that operation does; empty if it was named with --op and is not known."),
        "node": schema.text("Its name."),
        "function": schema.or_null(schema.text("The function of the library that it is in; null: the graph itself.")),
        "calls": schema.list_of(schema.text("A function."), "How that function is reached; empty if nothing calls it."),
    },
)
JSON_SCHEMA = schema.document(
    "Operations that reach beyond the tensors a model is given.",
    {
        "path": schema.text("The model's directory."),
        "looked_for": schema.list_of(schema.text("An operation."), "What was looked for."),
        "found": schema.list_of(_USE, "Where it is."),
    },
)


@click.command("scan", short_help="Look for operations that touch files, the network or Python.", epilog=_EXAMPLES)
@completing.path_argument("directory")
@saved_model_options.tag_set
@click.option("--op", "ops", multiple=True, metavar="NAME", help="Look for this operation instead; may be repeated.")
@output.json_option
@click.pass_context
def command(ctx: click.Context, directory: str, tags: list[str] | None, ops: tuple[str, ...], as_json: bool) -> None:
    """Look for operations of the SavedModel in DIRECTORY that touch files, the network or Python.

    The graph is searched and every function of its library, also those that nothing calls: a file may be written in one
    branch of a conditional. The exit code is 1 if there is such an operation. A model without any may still do harm.
    """
    wanted = _wanted(ops)
    models = saved_model_options.opened(directory, tags)
    found = [(model, uses(model, wanted)) for model in models]
    if as_json:
        output.print_json(_described(models[0].path, found, wanted))
    else:
        _print_found(models[0].path, found, wanted)
    ctx.exit(1 if any(each for _, each in found) else 0)


def uses(model: SavedModel, wanted: dict[str, str]) -> list[Use]:
    """Where a meta graph uses operations."""
    from tensorbundle.saved_model import operations

    return operations.find(model.meta_graph, wanted.__contains__)


def _wanted(ops: Iterable[str]) -> dict[str, str]:
    """Operations to look for, and what they do."""
    from tensorbundle.saved_model.denied import DENIED

    chosen = [name.strip() for each in ops for name in each.split(",") if name.strip()]
    return {name: DENIED.get(name, "") for name in chosen} if ops else DENIED


def _print_found(path: str, found: list[tuple[SavedModel, list[Use]]], wanted: dict[str, str]) -> None:
    for model, each in found:
        tags = output.printable(", ".join(sorted(model.tags))) or "(none)"
        for use in each:
            click.echo(f"tags {tags}: {output.printable(_text(use, wanted[use.op]))}")
    total = sum(len(each) for _, each in found)
    outcome = output.count(total, "operation") if total else "no operation"
    click.echo(f"{output.printable(path)}: {outcome} of the {len(wanted)} looked for")


def _text(use: Use, does: str) -> str:
    where = f" of {use.function!r}" if use.function else ""
    reason = f" ({does})" if does else ""
    if not use.function:
        reached = ""
    elif use.calls:
        reached = f", called by {', then '.join(use.calls)}"
    else:
        reached = ", which nothing calls"
    return f"{use.op}{reason}: node {use.node!r}{where}{reached}"


def _described(path: str, found: list[tuple[SavedModel, list[Use]]], wanted: dict[str, str]) -> dict[str, Any]:
    uses = [
        {
            "tags": sorted(model.tags),
            "op": use.op,
            "does": wanted[use.op],
            "node": use.node,
            "function": use.function or None,
            "calls": list(use.calls),
        }
        for model, each in found
        for use in each
    ]
    return {"path": path, "looked_for": sorted(wanted), "found": uses}
