"""What the commands of ``tensorbundle saved-model`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tensorbundle.cli import output

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from tensorbundle.saved_model import SavedModel

    _F = TypeVar("_F", bound=Callable[..., Any])


def tag_set(function: _F) -> _F:
    """``--tag-set``, as the argument ``tags``: a list, or None."""
    option = click.option(
        "--tag-set",
        "tags",
        metavar="TAGS",
        callback=_parse_tags,
        help="Only the meta graph with these tags, joined with commas; '' is the one without.",
    )
    return option(function)


def _parse_tags(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [tag.strip() for tag in value.split(",") if tag.strip()]


def opened(directory: str, tags: list[str] | None) -> list[SavedModel]:
    """The meta graphs that are meant, at least one."""
    from tensorbundle import saved_model
    from tensorbundle.saved_model import loader

    with output.quietly():
        return (loader.load_all(directory) if tags is None else []) or [saved_model.load(directory, tags)]
