"""The command's root: its commands, and how failures end."""

from __future__ import annotations

import json
from typing import Any

import click

import tensorbundle
from tensorbundle.cli.lazy_group import LazyGroup
from tensorbundle.cli.output import printable

# Command -> the module that has it.
_COMMANDS = {
    "demo": "demo",
    "inspect-checkpoint": "inspect_checkpoint",
    "ls": "ls",
    "saved-model": "saved_model",
    "serving": "serving",
    "verify": "verify",
}


class _Commands(LazyGroup):
    """Turns the library's errors into one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            click.echo("tensorbundle: interrupted", err=True)
            ctx.exit(130)  # As shells say it, 128 and the signal's number.
        except tensorbundle.errors.DataLossError as error:
            _fail(ctx, error, 3)
        except (tensorbundle.errors.TensorBundleError, OSError) as error:
            _fail(ctx, error, 2)


def _fail(ctx: click.Context, error: Exception, code: int) -> None:
    path = error.filename if isinstance(error, OSError) else getattr(error, "path", None)
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    click.echo(f"tensorbundle: {printable(text)}", err=True)
    if ctx.meta.get("tensorbundle.json"):
        click.echo(json.dumps({"error": text, "kind": type(error).__name__, "path": path}))
    ctx.exit(code)


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"tensorbundle {tensorbundle.__version__}")
        ctx.exit()


@click.group(cls=_Commands, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def app() -> None:
    """TensorFlow checkpoints without TensorFlow.

    PATH is a checkpoint's prefix, one of its files, a directory with a "checkpoint" state file, or a SavedModel.

    Exit codes: 0 sound, 1 findings, 2 wrong use or wrong path, 3 damaged, 130 interrupted.
    """
