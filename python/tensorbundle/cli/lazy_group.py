"""Groups of commands that are imported when they are called: some import much."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEBUG = "tensorbundle.debug"


def _remember(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    ctx.meta[_DEBUG] = wanted or ctx.meta.get(_DEBUG, False)


def debug_option(*, hidden: bool) -> click.Option:
    """``--debug``, which :func:`wants_traceback` tells of."""
    return click.Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        hidden=hidden,
        callback=_remember,
        help="Show a traceback when something fails.",
    )


def wants_traceback(ctx: click.Context) -> bool:
    """True if ``--debug`` was given, wherever it stood."""
    return bool(ctx.meta.get(_DEBUG))


class LazyGroup(click.Group):
    """A group whose commands are the ``command`` of modules.

    Args:
        modules: Modules of ``tensorbundle.cli`` by the names of their commands.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._modules = modules

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As a group's; without arguments the help, and that this is wrong use, which not all versions of click say."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, sorted."""
        return sorted({*super().list_commands(ctx), *self._modules})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None. All take ``--debug`` where the program itself does not get it."""
        if cmd_name not in self._modules:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"tensorbundle.cli.{self._modules[cmd_name]}")
        command: click.Command = module.command
        if all("--debug" not in parameter.opts for parameter in command.params):
            command.params.append(debug_option(hidden=True))
        return command
