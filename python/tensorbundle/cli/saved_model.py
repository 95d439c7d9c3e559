"""``tensorbundle saved-model``: what a SavedModel is, what it could do, and what it gives."""

from __future__ import annotations

import click

from tensorbundle.cli.lazy_group import LazyGroup

_COMMANDS = {"run": "saved_model_run", "scan": "saved_model_scan", "show": "saved_model_show"}
_EXAMPLES = """\b
Examples:
  tensorbundle saved-model show export/1
  tensorbundle saved-model scan export/1
  tensorbundle saved-model run export/1 --input-exprs 'x=[[1.0, 2.0]]'
"""


@click.group(
    "saved-model", cls=LazyGroup, modules=_COMMANDS, short_help="Show, scan or run a SavedModel.", epilog=_EXAMPLES
)
def command() -> None:
    """Look into a SavedModel, or hand it to TensorFlow."""
