"""``tensorbundle ls``: the tensors of a checkpoint, from its index alone."""

from __future__ import annotations

import click

from tensorbundle.cli import completing, listing, output, schema, selecting

_EXAMPLES = """\b
Examples:
  tensorbundle ls run/model.ckpt-100
  tensorbundle ls run/model.ckpt-100 encoder/layer_0 'decoder/*/kernel'
  tensorbundle ls run/model.ckpt-100 --sort size | head
  tensorbundle ls export/1 --names path --exclude 'OPTIMIZER_SLOT' --json
"""

TENSOR = schema.record(
    "What the index says of a tensor.",
    {
        "name": schema.text("Its name, as --names has it."),
        "key": schema.text("The key that it is stored under."),
        "dtype": schema.text("TensorFlow's name of its element type."),
        "shape": schema.list_of(schema.integer("A size."), "Its shape."),
        "nbytes": schema.integer("Bytes of the array; of strings, as they are stored."),
        "shard": schema.or_null(schema.integer("Number of its data file; null: it is in pieces, or V1.")),
        "offset": schema.or_null(schema.integer("Where in that file it begins.")),
        "crc32c": schema.or_null(schema.integer("Its checksum, unmasked; null: there is none of the whole.")),
        "slices": schema.list_of(
            schema.list_of(
                schema.list_of(schema.integer("Start, then stop."), "What the piece spans of a dimension."), "A piece."
            ),
            "The pieces that it is stored in; empty if it is whole.",
        ),
    },
)
JSON_SCHEMA = schema.document(
    "The tensors of a checkpoint.",
    {
        "path": schema.text("The checkpoint."),
        "num_tensors": schema.integer("Number of all its tensors, listed or not."),
        "num_shards": schema.integer("Number of its data files, missing ones too."),
        "nbytes": schema.integer("Bytes of all its tensors."),
        "num_listed": schema.integer("Number of the tensors that are listed."),
        "nbytes_listed": schema.integer("Their bytes."),
        "tensors": schema.list_of(TENSOR, "The tensors, in the order asked for."),
        "problems": schema.map_of(schema.text("Why."), "Tensors that can't be read, by name."),
        "missing_shards": schema.list_of(schema.text("A file."), "Missing files of a V1 checkpoint."),
    },
)


@click.command("ls", short_help="List the tensors of a checkpoint.", epilog=_EXAMPLES)
@completing.path_argument()
@selecting.options
@click.option(
    "--sort",
    type=click.Choice(["name", "size", "shard"]),
    default="name",
    show_default=True,
    help="By name, by size (the largest first), or as they lie in the data files.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--bytes", "exact", is_flag=True, help="Sizes in bytes.")
@output.json_option
@click.pass_context
def command(  # noqa: PLR0917 - an argument for each option
    ctx: click.Context,
    path: str,
    patterns: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    by: str,
    sort: str,
    reverse: bool,
    exact: bool,
    as_json: bool,
) -> None:
    """List the tensors of the checkpoint at PATH: name, dtype, shape, size and data file.

    A PATTERN is a glob, whose * stands for any characters, "/" too; or a name; or the beginning of names, up to a "/".
    One that fits no tensor is an error.

    Only the index is read. Tensors that can't be read, because a data file is missing for instance, are listed on
    stderr, as are missing shards of a V1 checkpoint, and the exit code is then 3.
    """
    code = listing.run(
        path, patterns, include, exclude, by=by, sort=sort, reverse=reverse, exact=exact, as_json=as_json
    )
    ctx.exit(code)
