"""``tensorbundle verify``: every byte read, every checksum compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tensorbundle.cli import output, schema

if TYPE_CHECKING:
    import tensorbundle

_EXAMPLES = """\b
Examples:
  tensorbundle verify run/model.ckpt-100
  tensorbundle verify export/1 --json
"""

_DAMAGE = schema.record(
    "One place that is not as it was saved. A tensor in pieces may have several.",
    {
        "name": schema.text("The tensor."),
        "shard": schema.or_null(schema.integer("Number of the data file; null: the damage has no one place.")),
        "offset": schema.or_null(schema.integer("Where in that file the bytes begin.")),
        "expected": schema.or_null(schema.integer("The checksum that the index has; null: something else is wrong.")),
        "found": schema.or_null(schema.integer("The checksum of the bytes that are there.")),
        "cause": schema.text("The error that reading the tensor gives."),
    },
)
JSON_SCHEMA = schema.document(
    "What comparing every checksum found.",
    {
        "path": schema.text("The checkpoint."),
        "sound": schema.flag("True if nothing is damaged or missing."),
        "checked": schema.integer("Number of tensors that were looked at."),
        "nbytes": schema.integer("Bytes that were read."),
        "damaged": schema.list_of(_DAMAGE, "What is damaged, in key order."),
        "missing_shards": schema.list_of(schema.text("A file."), "Missing files of a V1 checkpoint."),
    },
)


@click.command("verify", short_help="Compare every checksum of a checkpoint.", epilog=_EXAMPLES)
@click.argument("path")
@output.threads_option
@output.json_option
@click.pass_context
def command(ctx: click.Context, path: str, threads: int | None, as_json: bool) -> None:
    """Read every byte of the checkpoint at PATH and compare every checksum.

    Each damaged tensor is reported with its data file, the offset in it, and both checksums. The exit code is 0 if all
    is sound and 3 if not. Missing shards of a V1 checkpoint are reported too.
    """
    with output.opened(path, threads) as checkpoint:
        report = checkpoint.verify(progress=True)
        if as_json:
            output.print_json(_described(checkpoint, report))
        else:
            _print_report(checkpoint, report)
    ctx.exit(0 if report else 3)


def _print_report(checkpoint: tensorbundle.Checkpoint, report: tensorbundle.VerifyReport) -> None:
    for damage in report.damaged:
        click.echo(f"damaged: {output.about(damage.name, damage.cause)}")
    output.print_missing(report.missing_shards)
    # A tensor in pieces may be damaged in several places.
    tensors = len({damage.name for damage in report.damaged})
    damaged = [f"{tensors} damaged"] if report.damaged else []
    missing = len(report.missing_shards)
    gone = [f"{missing} of {output.count(checkpoint.num_shards, 'shard')} missing"] if missing else []
    outcome = ", ".join(damaged + gone) or "sound"
    read = f"{output.count(report.checked, 'tensor')}, {output.human_size(report.nbytes)}"
    click.echo(f"{output.printable(checkpoint.path)}: {read}, {outcome}")


def _described(checkpoint: tensorbundle.Checkpoint, report: tensorbundle.VerifyReport) -> dict[str, Any]:
    damaged = [
        {
            "name": damage.name,
            "shard": damage.shard,
            "offset": damage.offset,
            "expected": damage.expected,
            "found": damage.found,
            "cause": str(damage.cause),
        }
        for damage in report.damaged
    ]
    return {
        "path": checkpoint.path,
        "sound": bool(report),
        "checked": report.checked,
        "nbytes": report.nbytes,
        "damaged": damaged,
        "missing_shards": list(report.missing_shards),
    }
