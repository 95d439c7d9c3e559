"""``tensorbundle verify``: every byte read, every checksum compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tensorbundle.cli import output

if TYPE_CHECKING:
    import tensorbundle


@click.command("verify", short_help="Compare every checksum of a checkpoint.")
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
