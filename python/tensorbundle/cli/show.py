"""``tensorbundle show``: a checkpoint as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tensorbundle import errors
from tensorbundle.cli import completing, listing, ls, output, schema, selecting, tree

if TYPE_CHECKING:
    import tensorbundle

_EXAMPLES = """\b
Examples:
  tensorbundle show run/model.ckpt-100
  tensorbundle show run/model.ckpt-100 encoder --depth 2
  tensorbundle show export/1 --names path --exclude OPTIMIZER_SLOT
  tensorbundle show export/1 --objects
"""
_COLUMNS = [("name", "left"), ("tensors", "right"), ("size", "right"), ("dtype", "left"), ("shape", "left")]

_NODE = schema.record(
    "A name that tensors have in common, up to a slash or to its end.",
    {
        "name": schema.text("What the node above does not have of it."),
        "num_tensors": schema.integer("Number of tensors below, and of that name."),
        "nbytes": schema.integer("Their bytes."),
        "tensor": schema.or_null(ls.TENSOR),
        "children": schema.list_of(schema.reference("node", "A node."), "What is below, as deep as --depth allows."),
    },
)
_VALUE = schema.record(
    "A value of an object.",
    {
        "name": schema.text("Its name; VARIABLE_VALUE is that of a variable."),
        "full_name": schema.text("The name of TensorFlow 1; may be empty."),
        "key": schema.text("The key of its tensor, or the beginning of several."),
    },
)
_OBJECT = schema.record(
    "An object.",
    {
        "id": schema.integer("Its number."),
        "path": schema.or_null(schema.text("Names from the root to it; null: nothing leads to it.")),
        "children": schema.map_of(schema.integer("The number of an object."), "What it calls others."),
        "values": schema.list_of(_VALUE, "Its values."),
    },
)
JSON_SCHEMA = schema.document(
    "The tensors as a tree. With --objects, there are objects instead of the root.",
    {
        "path": schema.text("The checkpoint."),
        "root": schema.or_null(schema.reference("node", "The root, whose name is empty; null with --objects.")),
        "objects": schema.or_null(schema.list_of(_OBJECT, "The objects, the root first; null without --objects.")),
        "problems": schema.map_of(schema.text("Why."), "Tensors that can't be read, by name."),
        "missing_shards": schema.list_of(schema.text("A file."), "Missing files of a V1 checkpoint."),
    },
    defs={"node": _NODE},
)


@click.command("show", short_help="Show a checkpoint as a tree.", epilog=_EXAMPLES)
@completing.path_argument()
@selecting.options
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Show N levels; sizes are of all that is below.")
@click.option("--bytes", "exact", is_flag=True, help="Sizes in bytes.")
@click.option("--objects", is_flag=True, help="Show the objects that were saved instead of the names.")
@output.json_option
@click.pass_context
def command(  # noqa: PLR0917 - an argument for each option
    ctx: click.Context,
    path: str,
    patterns: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    by: Any,
    depth: int | None,
    exact: bool,
    objects: bool,
    as_json: bool,
) -> None:
    """Show the checkpoint at PATH as a tree of names, with the number and size of the tensors below each.

    Names are cut at each "/". PATTERNs are those of "tensorbundle ls". With --objects it is the tree of the objects
    that tf.train.Checkpoint or a SavedModel saved.

    Only the index is read, and the object graph where it is asked for. Exit codes are those of "tensorbundle ls".
    """
    if objects and (patterns or include or exclude or depth):
        raise click.UsageError("--objects shows all objects: it goes without patterns and --depth")
    with output.opened(path) as opened:
        checkpoint = opened.named(by)
        if objects:
            root, graph = None, _graph(checkpoint)
        else:
            root, graph = tree.grown(selecting.entries(checkpoint, patterns, include, exclude)), None
        if as_json:
            output.print_json(_described(checkpoint, root, graph, depth))
        elif root is None:
            output.write(f"{graph.tree(max_lines=None) if graph else ''}\n")
        else:
            _print(checkpoint, root, depth, exact)
        problems, missing = checkpoint.problems(), checkpoint.missing_shards
    listing.print_problems(problems, missing)
    ctx.exit(3 if problems or missing else 0)


def _graph(checkpoint: tensorbundle.Checkpoint) -> tensorbundle.ObjectGraph:
    graph = checkpoint.object_graph
    if graph is None:
        message = f"no objects are stored in {checkpoint.path!r}: its tensors were saved by name"
        raise errors.NotFoundError(message, path=checkpoint.path)
    return graph


def _print(checkpoint: tensorbundle.Checkpoint, root: tree.Node, depth: int | None, exact: bool) -> None:
    size = listing.exact_size if exact else output.human_size
    rows = [_row(level, node, size(node.nbytes)) for level, node in tree.walked(root, depth)]
    output.print_table(_COLUMNS, rows)
    output.write(
        f"{output.count(root.num_tensors, 'tensor')}, {size(root.nbytes)}: {output.printable(checkpoint.path)}\n"
    )


def _row(level: int, node: tree.Node, size: str) -> list[str]:
    entry = node.entry
    name = "  " * level + output.printable(node.name) + ("/" if node.children else "")
    dtype, shape = ("", "") if entry is None else (entry.tf_dtype, str(list(entry.shape)))
    return [name, str(node.num_tensors) if node.children else "", size, dtype, shape]


def _described(
    checkpoint: tensorbundle.Checkpoint,
    root: tree.Node | None,
    graph: tensorbundle.ObjectGraph | None,
    depth: int | None,
) -> dict[str, Any]:
    return {
        "path": checkpoint.path,
        "root": None if root is None else _described_node(checkpoint, root, depth),
        "objects": None if graph is None else [_described_object(node) for node in graph.nodes],
        "problems": {name: str(problem) for name, problem in checkpoint.problems().items()},
        "missing_shards": list(checkpoint.missing_shards),
    }


def _described_node(checkpoint: tensorbundle.Checkpoint, node: tree.Node, depth: int | None) -> dict[str, Any]:
    """A node and what is below: no tree is deeper than Python's recursion may be."""
    below = None if depth is None else depth - 1
    children = node.children.values() if depth != 0 else ()
    return {
        "name": node.name,
        "num_tensors": node.num_tensors,
        "nbytes": node.nbytes,
        "tensor": None if node.entry is None else listing.described_entry(checkpoint, node.entry),
        "children": [_described_node(checkpoint, child, below) for child in children],
    }


def _described_object(node: tensorbundle.ObjectNode) -> dict[str, Any]:
    return {
        "id": node.id,
        "path": node.path,
        "children": {name: child.id for name, child in node.children.items()},
        "values": [value._asdict() for value in node.attributes],
    }
