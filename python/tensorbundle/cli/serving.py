"""``tensorbundle serving``: the numbered directories that TensorFlow's model server watches."""

from __future__ import annotations

import functools
import os
import shutil
from typing import TYPE_CHECKING, Any, Literal

import click

from tensorbundle.cli import output
from tensorbundle.saved_model import serving

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorbundle.saved_model.serving import CheckReport, Finding

_EXAMPLES = """\b
Examples:
  tensorbundle serving publish export/my_model models/my_model --keep 3
  tensorbundle serving check models/my_model && start_server
  tensorbundle serving list models/my_model --json
"""
_PUBLISH_EXAMPLES = """\b
Examples:
  tensorbundle serving publish export/my_model models/my_model
  tensorbundle serving publish export/my_model models/my_model --keep 3 --move
  tensorbundle serving publish export/my_model models/my_model --version timestamp
"""
_COLUMNS = [("version", "right"), ("folder", "left"), ("size", "right")]


@click.group("serving", short_help="Check, list and publish what a model server loads.", epilog=_EXAMPLES)
def command() -> None:
    """The base directory of a model, from which TensorFlow Serving loads its versions: BASE/1, BASE/2 ..."""


@command.command("check", short_help="Say what a model server would mind.", epilog=_EXAMPLES)
@click.argument("base")
@output.json_option
@click.pass_context
def check(ctx: click.Context, base: str, as_json: bool) -> None:
    """Say what a model server would mind about the versions in BASE, one line for each finding.

    A version is checked for its files, the tags {serve}, assets, variables (their index, and that their files are
    there: "tensorbundle verify" compares the checksums), signatures and what runs after loading. "error" means that
    a server refuses it, "damage" that a file is damaged; "warning" is something else that nobody may have meant.

    Exit codes: 0 sound, 1 findings, 2 wrong path, 3 damaged.
    """
    report = serving.check(base)
    if as_json:
        output.print_json(_described(report))
    else:
        _print_findings(report.findings)
        click.echo(_summary(report))
    ctx.exit(_exit_code(report))


@command.command("list", short_help="List the versions.", epilog=_EXAMPLES)
@click.argument("base")
@output.json_option
def list_versions(base: str, as_json: bool) -> None:
    """List the versions in BASE, ascending: a server loads the last one."""
    os.listdir(base)  # To say so if there is no such directory.
    sizes = {path: _size(path) for path in serving.paths(base)}
    if as_json:
        versions = [{"version": _version(path), "path": path, "nbytes": size} for path, size in sizes.items()]
        output.print_json({"path": base, "latest": serving.latest(base), "versions": versions})
        return
    if sizes:
        output.print_table(_COLUMNS, [_row(path, size) for path, size in sizes.items()])
    click.echo(f"{output.count(len(sizes), 'version')}, {output.human_size(sum(sizes.values()))}: {_shown(base)}")


def _parse_version(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "timestamp":
        return value
    if not (value.isascii() and value.isdigit()) or int(value) >= 2**63:
        raise click.BadParameter(f"{value!r} is neither a number from 0 to 2**63-1 nor 'timestamp'")
    return int(value)


@command.command("publish", short_help="Add a SavedModel as the next version.", epilog=_PUBLISH_EXAMPLES)
@click.argument("model")
@click.argument("base")
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
def publish(
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
        ctx.exit(_exit_code(report))
    _print_findings(report.findings, err=True)  # Beside the path, which is for scripts.
    path = serving.publish(base, functools.partial(_fill, model, move), keep, version=version)
    if move:
        shutil.rmtree(os.path.realpath(model))
    if as_json:
        output.print_json({"path": path, "version": _version(path)})
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
        output.print_json(_described(report))
        return
    _print_findings(report.findings)
    click.echo(f"{_shown(report.path)}: not published")


def _print_findings(findings: Iterable[Finding], *, err: bool = False) -> None:
    for finding in findings:
        click.echo(f"{finding.severity}: {_shown(finding.path)} {output.printable(finding.text)}", err=err)


def _summary(report: CheckReport) -> str:
    outcome = output.count(len(report.findings), "finding") if report.findings else "sound"
    return f"{_shown(report.path)}: {output.count(len(report.versions), 'version')}, {outcome}"


def _exit_code(report: CheckReport) -> int:
    if any(finding.severity == "damage" for finding in report.findings):
        return 3
    return 1 if report.findings else 0


def _described(report: CheckReport) -> dict[str, Any]:
    findings = [
        {"version": each.version, "path": each.path, "severity": each.severity, "text": each.text}
        for each in report.findings
    ]
    return {"path": report.path, "sound": bool(report), "versions": list(report.versions), "findings": findings}


def _row(path: str, size: int) -> list[str]:
    return [str(_version(path)), output.printable(os.path.basename(path)), output.human_size(size)]


def _version(path: str) -> int:
    return int(os.path.basename(path))


def _size(directory: str) -> int:
    """Bytes of all files; of what goes while we look, none."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            total += os.lstat(path).st_size if os.path.lexists(path) else 0
    return total


def _shown(path: str) -> str:
    return output.printable(path)
