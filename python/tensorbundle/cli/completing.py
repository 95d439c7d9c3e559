"""What a shell offers while a command is typed: files, and names of tensors from a checkpoint's index."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from click.shell_completion import CompletionItem

    _F = TypeVar("_F", bound=Callable[..., Any])

_MAX_OFFERED = 1000


def path_argument(name: str = "path", **options: Any) -> Callable[[_F], _F]:
    """An argument that is a path, as the library takes it: whether it is there is for the library to say."""
    return click.argument(name, shell_complete=files, **options)


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leaves it to the shell, which knows best."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of tensors that begin like that, of the checkpoint that the command has as ``path``."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in _names(ctx, incomplete)][:_MAX_OFFERED]


def _names(ctx: click.Context, incomplete: str) -> Iterator[str]:
    from tensorbundle.cli import output

    # A shell has no use for what may be wrong.
    with contextlib.suppress(Exception), output.opened(ctx.params["path"]) as checkpoint:
        named = checkpoint.named(ctx.params.get("by") or "key")
        yield from (name for name in named if name.startswith(incomplete) and name.isprintable())
