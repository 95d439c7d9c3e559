"""``tensorbundle salvage``: what is intact of a damaged checkpoint, as a new one."""

from __future__ import annotations

from typing import Any

import click

import tensorbundle
from tensorbundle.cli import completing, output, schema

_EXAMPLES = """\b
Examples:
  tensorbundle salvage run/model.ckpt-100 run/salvaged
  tensorbundle salvage run/model.ckpt-100 run/salvaged --shards 4 --json
"""

_LOSS = schema.record(
    "A tensor that could not be saved.",
    {
        "name": schema.text("Its name."),
        "shard": schema.or_null(schema.integer("Number of the data file; null: the damage has no one place.")),
        "offset": schema.or_null(schema.integer("Where in that file its bytes begin.")),
        "cause": schema.text("The error that reading it gives."),
    },
)
JSON_SCHEMA = schema.document(
    "What was saved of a damaged checkpoint, and what was lost.",
    {
        "path": schema.text("The new checkpoint."),
        "complete": schema.flag("True if nothing was lost."),
        "saved": schema.list_of(schema.text("A name."), "The tensors in it, in key order."),
        "nbytes": schema.integer("Their bytes."),
        "lost": schema.list_of(_LOSS, "Those that are not."),
        "missing_shards": schema.list_of(schema.text("A file."), "Missing files of a V1 checkpoint."),
        "object_graph": schema.or_null(
            schema.text("What became of the objects' graph; null: there was none.", ("kept", "edited", "lost"))
        ),
    },
)


@click.command("salvage", short_help="Make a sound checkpoint of what is intact of another.", epilog=_EXAMPLES)
@completing.path_argument("src")
@completing.path_argument("dst")
@click.option("--shards", type=click.IntRange(min=1), default=1, show_default=True, help="Number of data files.")
@output.threads_option
@output.json_option
@click.pass_context
def command(  # noqa: PLR0917 - an argument for each option
    ctx: click.Context, src: str, dst: str, shards: int, threads: int | None, as_json: bool
) -> None:
    """Make a new checkpoint at DST of every tensor of the checkpoint at SRC that is intact, and say what is lost.

    SRC stays as it is. Where tf.train.Checkpoint saved it, objects lose the values that are lost, so that the others
    can be restored.

    The exit code is 0 if everything was saved, 1 if something is lost, and 3 if nothing is intact: then nothing is
    written.
    """
    report = tensorbundle.salvage(src, dst, shards=shards, threads=threads, progress=True)
    if as_json:
        output.print_json(_described(report))
    else:
        _print(report)
    ctx.exit(0 if report else 1)


def _print(report: tensorbundle.SalvageReport) -> None:
    for damage in report.lost:
        output.write(f"lost: {output.about(damage.name, damage.cause)}\n")
    output.print_missing(report.missing_shards)
    saved = f"{output.count(len(report.saved), 'tensor')} saved, {output.human_size(report.nbytes)}"
    lost = f", {len(report.lost)} lost" if report.lost else ""
    graph = f", object graph {report.object_graph}" if report.object_graph else ""
    output.write(f"{output.printable(report.path)}: {saved}{lost}{graph}\n")


def _described(report: tensorbundle.SalvageReport) -> dict[str, Any]:
    lost = [
        {"name": damage.name, "shard": damage.shard, "offset": damage.offset, "cause": str(damage.cause)}
        for damage in report.lost
    ]
    return {
        "path": report.path,
        "complete": bool(report),
        "saved": list(report.saved),
        "nbytes": report.nbytes,
        "lost": lost,
        "missing_shards": list(report.missing_shards),
        "object_graph": report.object_graph,
    }
