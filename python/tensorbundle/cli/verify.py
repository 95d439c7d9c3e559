"""``tensorbundle verify``: every byte read, every checksum compared."""

from __future__ import annotations

from typing import Any

import click

import tensorbundle
from tensorbundle.cli import completing, output, schema

_EXAMPLES = """\b
Examples:
  tensorbundle verify run/model.ckpt-100
  tensorbundle verify run/model.ckpt-100 dense/kernel dense/bias
  tensorbundle verify export/1 --json
"""

CAUSES = (
    "missing",
    "unreadable",
    "placeholder",
    "truncated",
    "swapped",
    "mixed",
    "foreign",
    "zeroed",
    "flipped",
    "record",
)
_DAMAGE = schema.record(
    "One place that is not as it was saved. A tensor in pieces may have several.",
    {
        "name": schema.text("The tensor."),
        "shard": schema.or_null(schema.integer("Number of the data file; null: the damage has no one place.")),
        "offset": schema.or_null(schema.integer("Where in that file the bytes begin.")),
        "expected": schema.or_null(schema.integer("The checksum that the index has; null: something else is wrong.")),
        "found": schema.or_null(schema.integer("The checksum of the bytes that are there.")),
        "cause": schema.text("The error that reading the tensor gives."),
        "kind": schema.text("What happened to the file: cause of its entry in files.", CAUSES),
    },
)
_FILE = schema.record(
    "A file that is not as it was saved.",
    {
        "path": schema.text("The file."),
        "cause": schema.text("What happened to it.", CAUSES),
        "num_tensors": schema.integer("Number of its tensors that were looked at."),
        "damaged": schema.list_of(schema.text("A name."), "Those that are damaged."),
        "evidence": schema.text("What it was told by."),
        "advice": schema.text("What to do."),
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
        "files": schema.list_of(_FILE, "What happened to the files."),
        "missing_shards": schema.list_of(schema.text("A file."), "Missing files of a V1 checkpoint."),
    },
)


@click.command("verify", short_help="Compare every checksum of a checkpoint, and say what happened.", epilog=_EXAMPLES)
@completing.path_argument()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.names)
@output.threads_option
@output.json_option
@click.pass_context
def command(ctx: click.Context, path: str, names: tuple[str, ...], threads: int | None, as_json: bool) -> None:
    r"""Read every byte of the checkpoint at PATH, or of the tensors called NAME, and compare every checksum.

    Each damaged tensor is reported with its data file, the offset in it, and both checksums. Then there is a line for
    each file, with what happened to it, what that was told by, and what to do:

    \b
    missing      it is not there
    unreadable   the system refuses to read it
    placeholder  it is a Git LFS pointer
    truncated    it ends too early
    swapped      its tensors are in the data file of another number
    mixed        no data file is of the save that the index is of
    foreign      this data file is not of that save, others are
    zeroed       all bytes of what is damaged are zero
    flipped      some bytes changed
    record       the index does not say how to read these tensors

    The exit code is 0 if all is sound and 3 if not. "tensorbundle salvage" saves what is intact.
    """
    with output.opened(path, threads) as checkpoint:
        found = tensorbundle.diagnose(checkpoint, names or None, threads=threads, progress=True)
        if as_json:
            output.print_json(_described(checkpoint, found))
        else:
            _print_report(checkpoint, found)
    ctx.exit(0 if found else 3)


def _print_report(checkpoint: tensorbundle.Checkpoint, found: tensorbundle.Diagnosis) -> None:
    report = found.report
    for damage in report.damaged:
        output.write(f"damaged: {output.about(damage.name, damage.cause)}\n")
    output.print_missing(report.missing_shards)
    for file in found.files:
        output.write(output.printable(str(file)) + "\n")
    # A tensor in pieces may be damaged in several places.
    tensors = len({damage.name for damage in report.damaged})
    damaged = [f"{tensors} damaged"] if report.damaged else []
    missing = len(report.missing_shards)
    gone = [f"{missing} of {output.count(checkpoint.num_shards, 'shard')} missing"] if missing else []
    outcome = ", ".join(damaged + gone) or "sound"
    read = f"{output.count(report.checked, 'tensor')}, {output.human_size(report.nbytes)}"
    output.write(f"{output.printable(checkpoint.path)}: {read}, {outcome}\n")


def _described(checkpoint: tensorbundle.Checkpoint, found: tensorbundle.Diagnosis) -> dict[str, Any]:
    report = found.report
    damaged = [
        {
            "name": damage.name,
            "shard": damage.shard,
            "offset": damage.offset,
            "expected": damage.expected,
            "found": damage.found,
            "cause": str(damage.cause),
            "kind": found.cause(damage),
        }
        for damage in report.damaged
    ]
    return {
        "path": checkpoint.path,
        "sound": bool(report),
        "checked": report.checked,
        "nbytes": report.nbytes,
        "damaged": damaged,
        "files": [_described_file(file) for file in found.files],
        "missing_shards": list(report.missing_shards),
    }


def _described_file(file: tensorbundle.FileDiagnosis) -> dict[str, Any]:
    return {
        "path": file.path,
        "cause": file.cause,
        "num_tensors": file.tensors,
        "damaged": list(file.damaged),
        "evidence": file.evidence,
        "advice": file.advice,
    }
