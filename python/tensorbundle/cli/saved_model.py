"""``tensorbundle saved-model``: what a SavedModel is, what it could do, and what it gives."""

from __future__ import annotations

import click

from tensorbundle.cli.lazy_group import LazyGroup

_COMMANDS = {"run": "saved_model_run", "scan": "saved_model_scan", "show": "saved_model_show"}


@click.group("saved-model", cls=LazyGroup, modules=_COMMANDS, short_help="Show, scan or run a SavedModel.")
def command() -> None:
    """Look into a SavedModel, or hand it to TensorFlow."""
