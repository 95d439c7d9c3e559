"""``tensorbundle completion``: what makes a shell complete commands, options, paths and names of tensors."""

from __future__ import annotations

import click
from click import shell_completion

from tensorbundle.cli import output

_EXAMPLES = """\b
Examples:
  eval "$(tensorbundle completion bash)"    # in ~/.bashrc
  eval "$(tensorbundle completion zsh)"     # in ~/.zshrc
  tensorbundle completion fish > ~/.config/fish/completions/tensorbundle.fish
"""
_PROGRAM = "tensorbundle"
_VARIABLE = "_TENSORBUNDLE_COMPLETE"  # Click looks for this one.


@click.command("completion", short_help="Print a script that completes commands in a shell.", epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete tensorbundle's commands, options, paths and names of tensors.

    Names of tensors are read from the index of the checkpoint that the command line already has.
    """
    kind = shell_completion.get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click has no completion for {shell}")
    completer = kind(ctx.find_root().command, {}, _PROGRAM, _VARIABLE)
    # Not the method of the class itself: that of bash starts one, to look at its version.
    output.write(shell_completion.ShellComplete.source(completer) + "\n")
