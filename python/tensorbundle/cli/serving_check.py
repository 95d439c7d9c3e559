"""``tensorbundle serving check``: what a model server would mind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tensorbundle.cli import completing, output, schema
from tensorbundle.saved_model import serving

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorbundle.saved_model.serving import CheckReport, Finding

_EXAMPLES = """\b
Examples:
  tensorbundle serving check models/my_model && start_server
  tensorbundle serving check models/my_model --json
"""

_FINDING = schema.record(
    "One finding.",
    {
        "version": schema.or_null(schema.integer("The version that it is about; null: the base directory.")),
        "path": schema.text("The directory or file."),
        "severity": schema.text(
            "error: a server refuses it; damage: a file is damaged; warning: nobody may have meant it.",
            ("error", "damage", "warning"),
        ),
        "text": schema.text("What it is."),
    },
)
JSON_SCHEMA = schema.document(
    "What a model server would mind.",
    {
        "path": schema.text("BASE, or the model that was checked."),
        "sound": schema.flag("True if there is no finding."),
        "versions": schema.list_of(schema.integer("A version."), "The versions, ascending."),
        "findings": schema.list_of(_FINDING, "The findings."),
    },
)


@click.command("check", short_help="Say what a model server would mind.", epilog=_EXAMPLES)
@completing.path_argument("base")
@output.json_option
@click.pass_context
def command(ctx: click.Context, base: str, as_json: bool) -> None:
    """Say what a model server would mind about the versions in BASE, one line for each finding.

    A version is checked for its files, the tags {serve}, assets, variables (their index, and that their files are
    there: "tensorbundle verify" compares the checksums), signatures and what runs after loading. "error" means that
    a server refuses it, "damage" that a file is damaged; "warning" is something else that nobody may have meant.

    Exit codes: 0 sound, 1 findings, 2 wrong path, 3 damaged.
    """
    report = serving.check(base)
    if as_json:
        output.print_json(described(report))
    else:
        print_findings(report.findings)
        click.echo(_summary(report))
    ctx.exit(exit_code(report))


def print_findings(findings: Iterable[Finding], *, err: bool = False) -> None:
    """A line for each."""
    for finding in findings:
        click.echo(f"{finding.severity}: {output.printable(finding.path)} {output.printable(finding.text)}", err=err)


def _summary(report: CheckReport) -> str:
    outcome = output.count(len(report.findings), "finding") if report.findings else "sound"
    return f"{output.printable(report.path)}: {output.count(len(report.versions), 'version')}, {outcome}"


def exit_code(report: CheckReport) -> int:
    """What a check of that outcome exits with."""
    if any(finding.severity == "damage" for finding in report.findings):
        return 3
    return 1 if report.findings else 0


def described(report: CheckReport) -> dict[str, Any]:
    """The JSON of a report."""
    findings = [
        {"version": each.version, "path": each.path, "severity": each.severity, "text": each.text}
        for each in report.findings
    ]
    return {"path": report.path, "sound": bool(report), "versions": list(report.versions), "findings": findings}
