"""The command's root: its commands, and how failures end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

import tensorbundle
from tensorbundle.cli import failures, schema
from tensorbundle.cli.lazy_group import LazyGroup, debug_option, wants_traceback

if TYPE_CHECKING:
    from collections.abc import Iterator

# Command -> the module that has it.
_COMMANDS = {
    "average": "average",
    "cat": "cat",
    "completion": "completion",
    "convert": "convert",
    "demo": "demo",
    "diff": "diff",
    "edit": "edit",
    "inspect-checkpoint": "inspect_checkpoint",
    "ls": "ls",
    "merge": "merge",
    "salvage": "salvage",
    "saved-model": "saved_model",
    "serving": "serving",
    "show": "show",
    "stats": "stats",
    "verify": "verify",
}

JSON_SCHEMA = schema.document(
    "What a command with --json prints when it fails: exit codes 2, 3 and 70.",
    {
        "error": schema.text("What happened, as on stderr."),
        "kind": schema.text("The class of the error, such as FileNotFoundError or DataLossError."),
        "path": schema.or_null(schema.text("The file concerned, where there is one.")),
    },
)


class _Commands(LazyGroup):
    """Turns errors into one line on stderr and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _failing_well(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _failing_well(ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _failing_well(ctx: click.Context) -> Iterator[None]:
    try:
        with failures.flushed():
            yield
    except (click.exceptions.Exit, SystemExit):
        raise
    except click.ClickException as error:
        ctx.exit(_wrong_use(ctx, error))
    except BaseException as error:  # noqa: BLE001 - whatever it is, users get one line
        ctx.exit(failures.end(error, debug=wants_traceback(ctx), as_json=_wants_json(ctx)))


def _wrong_use(ctx: click.Context, error: click.ClickException) -> int:
    text = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError):
        text = f"{text.rstrip('.')} (see {(error.ctx or ctx).command_path} --help)"
    outcome = (error.exit_code, text)
    return failures.end(error, outcome, debug=wants_traceback(ctx), as_json=_wants_json(ctx))


def _wants_json(ctx: click.Context) -> bool:
    return bool(ctx.meta.get("tensorbundle.json"))


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"tensorbundle {tensorbundle.__version__}")
        ctx.exit()


_EXAMPLES = """\b
Examples:
  tensorbundle ls run/model.ckpt-100
  tensorbundle verify export/1 --json
  tensorbundle saved-model show export/1
"""


@click.group(
    cls=_Commands, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES
)
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

    Exit codes: 0 sound, 1 findings, 2 wrong use, wrong path or a refusal of the system, 3 damaged, 70 internal error,
    130 interrupted, 141 the reader of the output is gone.
    """


app.params.append(debug_option(hidden=False))
