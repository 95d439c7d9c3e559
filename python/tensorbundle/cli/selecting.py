"""Which tensors of a checkpoint a command is about: globs, beginnings of names, regular expressions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tensorbundle import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    import tensorbundle

    _F = TypeVar("_F", bound=Callable[..., Any])

_WILD = frozenset("*?[")


def options(function: _F) -> _F:
    """``PATTERN...``, ``--include``, ``--exclude`` and ``--names``: arguments of :func:`entries`."""
    import click

    from tensorbundle.cli import completing

    patterns = click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=completing.names)
    return patterns(regex_options(names_option(function)))


def regex_options(function: _F) -> _F:
    """``--include`` and ``--exclude``."""
    import click

    include = click.option("--include", multiple=True, metavar="REGEX", help="Only names in which it is found.")
    exclude = click.option("--exclude", multiple=True, metavar="REGEX", help="No names in which it is found.")
    return include(exclude(function))


def names_option(function: _F) -> _F:
    """``--names``: what to call the tensors."""
    import click

    option = click.option(
        "--names",
        "by",
        type=click.Choice(["key", "path", "full_name"]),
        default="key",
        show_default=True,
        help="Name tensors by the keys they are stored under, their paths through the objects, or as TensorFlow 1.",
    )
    return option(function)


def entries(
    checkpoint: tensorbundle.Checkpoint,
    patterns: Iterable[str] = (),
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> list[tensorbundle.Entry]:
    """The entries of a checkpoint that are meant, in its own order.

    Args:
        checkpoint: The checkpoint.
        patterns: Globs, whose ``*`` stands for any characters, ``/`` too; without wildcards a name, or what comes
            before a ``/`` in names. By default everything.
        include: Regular expressions, one of which must be found in a name.
        exclude: Those of which none may be.

    Raises:
        NotFoundError: A pattern fits no tensor.
        ValueError: What should be a regular expression is none.
    """
    chosen = checkpoint.entries()
    if patterns:
        chosen = _fitting(checkpoint, chosen, patterns)
    if include:
        wanted = [_compiled(pattern, "--include") for pattern in include]
        chosen = [entry for entry in chosen if any(pattern.search(entry.name) for pattern in wanted)]
    if exclude:
        unwanted = [_compiled(pattern, "--exclude") for pattern in exclude]
        chosen = [entry for entry in chosen if not any(pattern.search(entry.name) for pattern in unwanted)]
    return chosen


def _fitting(
    checkpoint: tensorbundle.Checkpoint, listed: list[tensorbundle.Entry], patterns: Iterable[str]
) -> list[tensorbundle.Entry]:
    fitting: set[str] = set()
    for pattern in patterns:
        fits = _fit(pattern)
        found = {entry.name for entry in listed if fits(entry.name)}
        if not found:
            _refuse(checkpoint, pattern)
        fitting |= found
    return [entry for entry in listed if entry.name in fitting]


def _fit(pattern: str) -> Callable[[str], object]:
    if _WILD.isdisjoint(pattern):
        inside = pattern.rstrip("/") + "/"
        return lambda name: name == pattern or name.startswith(inside)
    import fnmatch

    return re.compile(fnmatch.translate(pattern)).match


def _refuse(checkpoint: tensorbundle.Checkpoint, pattern: str) -> None:
    if _WILD.isdisjoint(pattern):
        checkpoint.entry(pattern)  # Which says what the nearest names are; or has a record that can't be understood.
    message = f"no tensor of {checkpoint.path!r} fits {pattern!r}: it has {len(checkpoint)}"
    raise errors.NotFoundError(message, path=checkpoint.path)


def _compiled(pattern: str, option: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{option}: {pattern!r} is no regular expression: {error}") from error
