"""``tensorbundle serving list``: the versions that a model server would find."""

from __future__ import annotations

import os

import click

from tensorbundle.cli import completing, output, schema
from tensorbundle.saved_model import serving

_EXAMPLES = """\b
Examples:
  tensorbundle serving list models/my_model
  tensorbundle serving list models/my_model --json
"""
_COLUMNS = [("version", "right"), ("folder", "left"), ("size", "right")]

_VERSION = schema.record(
    "One version.",
    {
        "version": schema.integer("Its number."),
        "path": schema.text("Its directory."),
        "nbytes": schema.integer("Bytes of all its files."),
    },
)
JSON_SCHEMA = schema.document(
    "The versions of a model.",
    {
        "path": schema.text("BASE."),
        "latest": schema.or_null(schema.text("The directory of the highest version, which a server loads.")),
        "versions": schema.list_of(_VERSION, "The versions, ascending."),
    },
)


@click.command("list", short_help="List the versions.", epilog=_EXAMPLES)
@completing.path_argument("base")
@output.json_option
def command(base: str, as_json: bool) -> None:
    """List the versions in BASE, ascending: a server loads the last one."""
    os.listdir(base)  # To say so if there is no such directory.
    sizes = {path: _size(path) for path in serving.paths(base)}
    if as_json:
        versions = [{"version": _version(path), "path": path, "nbytes": size} for path, size in sizes.items()]
        output.print_json({"path": base, "latest": serving.latest(base), "versions": versions})
        return
    if sizes:
        output.print_table(_COLUMNS, [_row(path, size) for path, size in sizes.items()])
    click.echo(
        f"{output.count(len(sizes), 'version')}, {output.human_size(sum(sizes.values()))}: {output.printable(base)}"
    )


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
