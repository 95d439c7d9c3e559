"""``tensorbundle serving``: the numbered directories that TensorFlow's model server watches."""

from __future__ import annotations

import click

from tensorbundle.cli.lazy_group import LazyGroup

_COMMANDS = {"check": "serving_check", "list": "serving_list", "publish": "serving_publish"}
_EXAMPLES = """\b
Examples:
  tensorbundle serving publish export/my_model models/my_model --keep 3
  tensorbundle serving check models/my_model && start_server
  tensorbundle serving list models/my_model --json
"""


@click.group(
    "serving",
    cls=LazyGroup,
    modules=_COMMANDS,
    short_help="Check, list and publish what a model server loads.",
    epilog=_EXAMPLES,
)
def command() -> None:
    """The base directory of a model, from which TensorFlow Serving loads its versions: BASE/1, BASE/2 ..."""
