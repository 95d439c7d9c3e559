"""``tensorbundle average``: the mean of several checkpoints."""

from __future__ import annotations

import click

import tensorbundle
from tensorbundle.cli import completing, output, schema, selecting

_EXAMPLES = """\b
Examples:
  tensorbundle average run/ckpt-80 run/ckpt-90 run/ckpt-100 run/averaged
  tensorbundle average run/ckpt-90 run/ckpt-100 run/averaged --weights 1,3
  tensorbundle average run/ckpt-90 run/ckpt-100 run/averaged --exclude OPTIMIZER_SLOT
"""

JSON_SCHEMA = schema.document(
    "What a checkpoint that is the mean of others has in it.",
    {
        "path": schema.text("The new checkpoint."),
        "averaged": schema.list_of(schema.text("A name."), "Tensors that are means."),
        "copied": schema.list_of(schema.text("A name."), "Those that have no mean: integers, bools, strings."),
        "differing": schema.list_of(schema.text("A name."), "Of these, those that are the last checkpoint's alone."),
    },
)


def _parse_weights(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> list[float] | None:
    if value is None:
        return None
    try:
        return [float(weight) for weight in value.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 1,1,2") from error


@click.command("average", short_help="Make a checkpoint of the means of several.", epilog=_EXAMPLES)
@completing.path_argument("sources", nargs=-1, required=True, metavar="SRC...")
@completing.path_argument("dst")
@click.option(
    "--weights", callback=_parse_weights, metavar="W,W,...", help="One for each SRC; by default all count alike."
)
@selecting.regex_options
@click.option("--shards", type=click.IntRange(min=1), default=1, show_default=True, help="Number of data files.")
@output.force_option
@output.threads_option
@output.json_option
def command(  # noqa: PLR0917 - an argument for each option
    sources: tuple[str, ...],
    dst: str,
    weights: list[float] | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    shards: int,
    force: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Make a checkpoint at DST of the means of the checkpoints at SRC, which have the same tensors.

    Floating-point and complex tensors are averaged. Integers, bools and strings are those of the last SRC; if they are
    not the same in all, that is said.
    """
    output.check_free(dst, force)
    with output.quietly():
        report = tensorbundle.average(
            sources,
            dst,
            weights=weights,
            include=include or None,
            exclude=exclude or None,
            shards=shards,
            threads=threads,
            progress=True,
        )
    if as_json:
        names = {key: list(getattr(report, key)) for key in ("averaged", "copied", "differing")}
        output.print_json({"path": report.path, **names})
    else:
        _print(report)


def _print(report: tensorbundle.AverageReport) -> None:
    for name in report.differing:
        output.write(f"of the last checkpoint: {output.printable(name)}\n")
    averaged = f"{output.count(len(report.averaged), 'tensor')} averaged"
    output.write(f"{output.printable(report.path)}: {averaged}, {len(report.copied)} copied\n")
