"""``tensorbundle inspect-checkpoint``: what TensorFlow's tool of that name prints, with its flags."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import click

from tensorbundle import errors
from tensorbundle.cli import completing, output

if TYPE_CHECKING:
    from collections.abc import Callable

_EXAMPLES = """\b
Examples:
  tensorbundle inspect-checkpoint --file_name run/model.ckpt-100
  tensorbundle inspect-checkpoint --file_name run/model.ckpt-100 --tensor_name dense/kernel
  tensorbundle inspect-checkpoint --file_name run/model.ckpt-100 --all_tensors --printoptions precision=3
"""


def _switch(name: str, help_text: str) -> Callable[[Any], Any]:
    """A flag as TensorFlow takes it: alone, or with a truth value."""
    return click.option(
        f"--{name}", type=bool, is_flag=False, flag_value=True, default=False, metavar="[BOOL]", help=help_text
    )


@click.command(
    "inspect-checkpoint", short_help="Print tensors as TensorFlow's inspect_checkpoint does.", epilog=_EXAMPLES
)
@click.option("--file_name", required=True, metavar="PATH", shell_complete=completing.files, help="The checkpoint.")
@click.option("--tensor_name", default="", metavar="NAME", help="Print this tensor.")
@_switch("all_tensors", "Print all tensors with their elements.")
@_switch("all_tensor_names", "Print name, type and shape of all tensors.")
@click.option("--count_exclude_pattern", default="", metavar="REGEX", help="Don't count tensors of such names.")
@click.option(
    "--printoptions", multiple=True, metavar="OPTION=VALUE", help="Print options of NumPy; several may follow."
)
@click.argument("more_printoptions", nargs=-1, metavar="")
def command(  # noqa: PLR0917 - an argument for each option
    file_name: str,
    tensor_name: str,
    all_tensors: bool,
    all_tensor_names: bool,
    count_exclude_pattern: str,
    printoptions: tuple[str, ...],
    more_printoptions: tuple[str, ...],
) -> None:
    """Print the tensors of a checkpoint, and how many elements they have together.

    Flags and output are those of TensorFlow's inspect_checkpoint. Without --tensor_name, --all_tensors and
    --all_tensor_names it prints a list. PATH may be any that the other commands take.
    """
    from tensorbundle.train import inspect_checkpoint

    if more_printoptions and not printoptions:
        raise click.UsageError(
            f"unexpected argument {more_printoptions[0]!r}: the checkpoint is given with --file_name"
        )
    try:
        for option in (*printoptions, *more_printoptions):
            inspect_checkpoint.parse_numpy_printoption(option)
    except argparse.ArgumentTypeError as error:
        raise click.BadParameter(str(error), param_hint="--printoptions") from None
    texts = inspect_checkpoint.described(
        file_name,
        tensor_name,
        all_tensors=all_tensors,
        all_tensor_names=all_tensor_names,
        count_exclude_pattern=count_exclude_pattern,
    )
    try:
        with output.quietly():
            for text in texts:
                click.echo("\n".join(map(output.printable, text.split("\n"))))
    except errors.OpError:
        raise
    except ValueError as error:  # A directory without a checkpoint.
        raise click.BadParameter(str(error), param_hint="--file_name") from None
