"""``tensorbundle edit``: other names, and fewer tensors, without touching data."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import click

import tensorbundle
from tensorbundle import edits
from tensorbundle.cli import completing, output, schema

_EXAMPLES = """\b
Examples:
  tensorbundle edit run/model.ckpt-100 --rename '^model/=>' --rename '/gamma$=>/scale' --dry-run
  tensorbundle edit run/model.ckpt-100 --drop '/Adam(_1)?$'
  tensorbundle edit run/model.ckpt-100 export/weights --drop Adam --link
  tensorbundle edit run/model.ckpt-100 --rename '^layer_([0-9]+)/=>block/\\1/'
"""
_ARROW = "=>"
_COLUMNS = [("old name", "left"), ("new name", "left")]

_CHANGE = schema.record(
    "A tensor.",
    {
        "name": schema.text("Its old name."),
        "new_name": schema.or_null(schema.text("Its new name; null: it is dropped.")),
    },
)
JSON_SCHEMA = schema.document(
    "What was changed, or would be.",
    {
        "path": schema.text("The checkpoint with the new names."),
        "dry_run": schema.flag("True if nothing was written."),
        "num_tensors": schema.integer("Number of tensors that it has."),
        "changes": schema.list_of(_CHANGE, "Renamed and dropped tensors, in the order of their old names."),
    },
)


def _parse_rules(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    return [_parse_rule(value) for value in values]


def _parse_rule(value: str) -> tuple[str, str]:
    pattern, arrow, replacement = value.partition(_ARROW)
    if not arrow:
        raise click.BadParameter(f"{value!r} is not REGEX{_ARROW}REPLACEMENT")
    return pattern, replacement


@click.command("edit", short_help="Rename and drop tensors; only the index is rewritten.", epilog=_EXAMPLES)
@completing.path_argument("prefix")
@completing.path_argument("dst", required=False)
@click.option(
    "--rename",
    multiple=True,
    metavar="REGEX=>TEXT",
    callback=_parse_rules,
    help="In each name, replace what REGEX finds by TEXT, in which \\1 is a group; several apply in order.",
)
@click.option("--drop", multiple=True, metavar="REGEX", help="Drop tensors in whose old name REGEX is found.")
@click.option("--link", is_flag=True, help="With DST: data files become further names of the old ones, not copies.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@output.json_option
def command(  # noqa: PLR0917 - an argument for each option
    prefix: str,
    dst: str | None,
    rename: list[tuple[str, str]],
    drop: tuple[str, ...],
    link: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Rename and drop tensors of the checkpoint PREFIX where it is, or make another of it at DST.

    Only the index is rewritten, and the object graph where there is one. Data files are not touched, and what they hold
    of dropped tensors stays; with DST they are copied, sharing their blocks where the file system can. Any error leaves
    everything as it was. A rule that applies to no tensor is an error, as are two tensors with one name.
    """
    if not rename and not drop:
        raise click.UsageError("nothing to do: give --rename or --drop")
    rules: dict[str, Any] = {"rename": rename or None, "drop": drop or None}
    with output.quietly():
        changes = _Changes(prefix, rules)
        path = changes.path if dst is None else dst
        if dry_run:
            changes.rehearse()
        else:
            path = tensorbundle.edit(prefix, dst, link=link, **rules)
    if as_json:
        output.print_json({"path": path, "dry_run": dry_run, **changes.described()})
    else:
        changes.print(path, dry_run)


class _Changes:
    """What an edit does to names."""

    def __init__(self, prefix: str, rules: dict[str, Any]) -> None:
        self._rules = rules
        with output.opened(prefix) as checkpoint:
            self.path = checkpoint.path
            self._num_shards = checkpoint.num_shards
            self._new_names = edits.new_names(checkpoint, **rules)
        self._changed = {name: new for name, new in self._new_names.items() if name != new}

    def rehearse(self) -> None:
        """Edits a copy of the index beside links to the data files, so that what would be refused is refused."""
        with tempfile.TemporaryDirectory(prefix="tensorbundle-") as folder:
            twin = os.path.join(folder, "rehearsal")
            shutil.copyfile(f"{self.path}.index", f"{twin}.index")
            for shard in range(self._num_shards):
                ending = f".data-{shard:05d}-of-{self._num_shards:05d}"
                os.symlink(self.path + ending, twin + ending)
            tensorbundle.edit(twin, durable=False, **self._rules)

    def described(self) -> dict[str, Any]:
        return {
            "num_tensors": self._num_left(),
            "changes": [{"name": name, "new_name": new} for name, new in self._changed.items()],
        }

    def print(self, path: str, dry_run: bool) -> None:
        if dry_run and self._changed:
            rows = [[output.printable(old), output.printable(new or "(dropped)")] for old, new in self._changed.items()]
            output.print_table(_COLUMNS, rows)
        dropped = sum(new is None for new in self._changed.values())
        would = " would be" if dry_run else ""
        counts = f"{len(self._changed) - dropped} renamed, {dropped} dropped, {self._num_left()} left"
        output.write(f"{output.printable(path)}:{would} {counts}\n")

    def _num_left(self) -> int:
        return sum(new is not None for new in self._new_names.values())
