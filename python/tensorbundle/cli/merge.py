"""``tensorbundle merge``: one checkpoint of several, without copying data."""

from __future__ import annotations

import click

import tensorbundle
from tensorbundle.cli import completing, output, schema

_EXAMPLES = """\b
Examples:
  tensorbundle merge run/part-0 run/part-1 run/model
  tensorbundle merge run/model_temp/part-* run/model
  tensorbundle merge encoder/ckpt-9 decoder/ckpt-4 joined/model --keep-sources
"""

JSON_SCHEMA = schema.document(
    "The merged checkpoint.",
    {
        "path": schema.text("Its prefix."),
        "sources": schema.list_of(schema.text("A prefix."), "What it was made of."),
        "kept_sources": schema.flag("True if the sources are still there."),
        "num_tensors": schema.integer("Number of its tensors."),
        "num_shards": schema.integer("Number of its data files."),
        "nbytes": schema.integer("Bytes of its tensors."),
    },
)


@click.command("merge", short_help="Make one checkpoint of several, without copying data.", epilog=_EXAMPLES)
@completing.path_argument("prefixes", nargs=-1, required=True, metavar="PREFIX...")
@completing.path_argument("dst")
@click.option("--keep-sources", is_flag=True, help="Leave the sources; their files are then further names of the new.")
@output.force_option
@output.json_option
def command(prefixes: tuple[str, ...], dst: str, keep_sources: bool, force: bool, as_json: bool) -> None:
    """Make the checkpoint DST of the checkpoints PREFIX...: one index over the data files of all.

    Data files are linked and not copied, where links can be. Then the sources are removed. Slices of one tensor that
    are spread over several checkpoints become one tensor; a tensor that two of them have is an error. Any error leaves
    all as it was. A PREFIX may also be any file of its checkpoint, so that a shell's pattern serves: files of one
    checkpoint stand for it once.
    """
    output.check_free(dst, force)
    with output.quietly():
        sources = _distinct(prefixes)
        tensorbundle.merge(sources, dst, keep_sources=keep_sources)
    with output.opened(dst) as checkpoint:
        nbytes = sum(entry.nbytes for entry in checkpoint.entries())
        if as_json:
            facts = {"num_tensors": len(checkpoint), "num_shards": checkpoint.num_shards, "nbytes": nbytes}
            output.print_json({"path": checkpoint.path, "sources": sources, "kept_sources": keep_sources, **facts})
            return
        made = f"{output.count(len(checkpoint), 'tensor')}, {output.human_size(nbytes)}"
        files = output.count(checkpoint.num_shards, "data file")
        output.write(
            f"{output.printable(checkpoint.path)}: {made}, {files}, of {output.count(len(sources), 'checkpoint')}\n"
        )


def _distinct(prefixes: tuple[str, ...]) -> list[str]:
    """The checkpoints that these paths mean, each once."""
    found: list[str] = []
    for prefix in prefixes:
        with output.opened(prefix) as checkpoint:
            found.append(checkpoint.path)
    return list(dict.fromkeys(found))
