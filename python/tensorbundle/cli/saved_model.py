"""``tensorbundle saved-model``: what a SavedModel is, what it could do, and what it gives."""

from __future__ import annotations

import click

from tensorbundle.cli import saved_model_run, saved_model_scan, saved_model_show


@click.group("saved-model", short_help="Show, scan or run a SavedModel.")
def command() -> None:
    """Look into a SavedModel, or hand it to TensorFlow."""


command.add_command(saved_model_show.command)
command.add_command(saved_model_scan.command)
command.add_command(saved_model_run.command)
