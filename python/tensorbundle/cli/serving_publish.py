"""``tensorbundle serving publish``: a SavedModel as the next version."""

from __future__ import annotations

import functools
import os
import shutil
from typing import TYPE_CHECKING, Literal

import click

from tensorbundle.cli import completing, output, schema, serving_check
from tensorbundle.saved_model import serving

if TYPE_CHECKING:
    from tensorbundle.saved_model.serving import CheckReport

_EXAMPLES = """\b
Examples:
  tensorbundle serving publish export/my_model models/my_model
  tensorbundle serving publish export/my_model models/my_model --keep 3 --move
  tensorbundle serving publish export/my_model models/my_model --version timestamp
"""

JSON_SCHEMA = schema.one_of(
    "The new version; or, where the model is not published, what is wrong with it.",
    schema.document(
        "Published.",
        {"path": schema.text("The directory of the new version."), "version": schema.integer("Its number.")},
    ),
    serving_check.JSON_SCHEMA,
)


def _parse_version(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "timestamp":
        return value
    if not (value.isascii() and value.isdigit()) or int(value) >= 2**63:
        raise click.BadParameter(f"{value!r} is neither a number from 0 to 2**63-1 nor 'timestamp'")
    return int(value)


@click.command("publish", short_help="Add a SavedModel as the next version.", epilog=_EXAMPLES)
@completing.path_argument("model")
@completing.path_argument("base")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Keep the N newest versions, and remove others.")
@click.option(
    "--version",
    callback=_parse_version,
    metavar="N|timestamp",
    help="Its number; by default one more than the highest. timestamp: seconds since 1970, as Estimator's exports.",
)
@click.option("--move", is_flag=True, help="Remove MODEL once it is published.")
@output.json_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    base: str,
    *,
    keep: int | None,
    version: int | Literal["timestamp"] | None,
    move: bool,
    as_json: bool,
) -> None:
    """Copy the SavedModel in directory MODEL into BASE, as its next version, and print the new path.

    The copy appears all at once, when it is complete, checked, and on the disk: a server never sees half of it. What
    "tensorbundle serving check" calls an error or damage is not published. Symbolic links are copied as links.

    Exit codes: 0 published, 1 findings, 2 wrong use or wrong path, 3 damaged.
    """
    _require_apart(model, base)
    report = serving.check_model(model)
    if any(finding.severity != "warning" for finding in report.findings):
        _refuse(report, as_json)
        ctx.exit(serving_check.exit_code(report))
    serving_check.print_findings(report.findings, err=True)  # Beside the path, which is for scripts.
    path = serving.publish(base, functools.partial(_fill, model, move), keep, version=version)
    if move:
        shutil.rmtree(os.path.realpath(model))
    if as_json:
        output.print_json({"path": path, "version": int(os.path.basename(path))})
    else:
        click.echo(output.printable(path))


def _require_apart(model: str, base: str) -> None:
    """Refuses to copy a directory into itself."""
    inside = os.path.join(os.path.realpath(base), "").startswith(os.path.join(os.path.realpath(model), ""))
    if inside:
        raise click.BadParameter(f"{base!r} is inside the model {model!r}", param_hint="BASE")


def _fill(model: str, move: bool, directory: str) -> None:
    # With links nothing need be copied, and the model is whole until the version is.
    copy = _link_or_copy if move else shutil.copy2
    shutil.copytree(model, directory, symlinks=True, dirs_exist_ok=True, copy_function=copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another file system, or one without links.
        shutil.copy2(source, target)


def _refuse(report: CheckReport, as_json: bool) -> None:
    if as_json:
        output.print_json(serving_check.described(report))
        return
    serving_check.print_findings(report.findings)
    click.echo(f"{output.printable(report.path)}: not published")
