"""Which tensors of a checkpoint are meant: lists of names, patterns, and what to say of a name that isn't there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tensorbundle import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    Pattern: TypeAlias = str | re.Pattern[str]
    Patterns: TypeAlias = Pattern | Iterable[Pattern]

_MAX_OFFERED = 5
# difflib takes some 50 microseconds a pair: this many keep a message within a tenth of a second.
_MAX_COMPARED = 1000


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names of an iterable, each once.

    Raises:
        TypeError: ``names`` is a single string, which would pass for an iterable of characters, or has something else
            than strings in it.
    """
    if isinstance(names, (str, bytes)):
        raise TypeError(f"names must be an iterable of names, not a single one: give [{names!r}]")
    distinct = list(dict.fromkeys(names))
    for name in distinct:
        if not isinstance(name, str):
            raise TypeError(f"names of tensors are str, not {type(name).__name__}: {name!r}")
    return distinct


def in_key_order(names: Iterable[str]) -> list[str]:
    """Names of a checkpoint in its own order, which is that of their bytes."""
    return sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))


def matching(names: Sequence[str], include: Patterns | None, exclude: Patterns | None) -> list[str]:
    """Those names in which a pattern of ``include`` is found (by default all), and none of ``exclude``."""
    wanted = None if include is None else compiled(include, "include")
    unwanted = [] if exclude is None else compiled(exclude, "exclude")
    return [
        name
        for name in names
        if (wanted is None or any(pattern.search(name) for pattern in wanted))
        and not any(pattern.search(name) for pattern in unwanted)
    ]


def compiled(patterns: Any, argument: str) -> list[re.Pattern[str]]:
    """A pattern, or several, as a list.

    Raises:
        TypeError: It is something else.
        ValueError: One is no regular expression.
    """
    if isinstance(patterns, (str, re.Pattern)):
        patterns = [patterns]
    elif isinstance(patterns, bytes) or not hasattr(patterns, "__iter__"):  # Bytes pass for an iterable of numbers.
        raise TypeError(f"{argument} takes regular expressions over str, not {patterns!r}")
    return [compiled_one(pattern, argument) for pattern in patterns]


def compiled_one(pattern: Pattern, argument: str) -> re.Pattern[str]:
    """One pattern; fails as :func:`compiled` does."""
    text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    if not isinstance(text, str):
        raise TypeError(f"{argument} takes regular expressions over str, not {text!r}")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{argument}: {pattern!r}: {error}") from error


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """Names that somebody who asked for ``name`` may have meant, the likeliest first."""
    bare = name.removesuffix(":0")  # TensorFlow's tensors have such names, its variables' keys don't.
    inside, tail = bare + "/", "/" + bare
    found = [other for other in names if other == bare]
    found += [other for other in names if other.startswith(inside)][:_MAX_OFFERED]
    found += [other for other in names if other.endswith(tail)][:_MAX_OFFERED]
    if len(found) < _MAX_OFFERED:
        import difflib

        compared = _alike(bare, names) if len(names) > _MAX_COMPARED else names
        found += difflib.get_close_matches(bare, compared, n=_MAX_OFFERED, cutoff=0.6)
    return list(dict.fromkeys(found))[:_MAX_OFFERED]


def _alike(name: str, names: Sequence[str]) -> list[str]:
    """Names that share their first, middle or last third with ``name``: a slip of the pen spares two of the three."""
    third = max(len(name) // 3, 1)
    head, middle, tail = name[:third], name[third : 2 * third], name[-third:]
    longest = 2 * len(name) + 8
    alike = [
        other
        for other in names
        if len(other) <= longest and (other.startswith(head) + other.endswith(tail) + (middle in other)) >= 2
    ]
    return alike[:_MAX_COMPARED]


def not_found_message(name: object, names: Sequence[str], where: str, missing_shards: Sequence[str] = ()) -> str:
    """The message for a name that isn't in the checkpoint at ``where``; has TensorFlow's phrase in it."""
    if not isinstance(name, str):
        return f"Key {name!r} not found in checkpoint {where!r}: names of tensors are str, not {type(name).__name__}"
    offered = ", ".join(repr(other) for other in nearest(name, names))
    hint = f"; the nearest names are {offered}" if offered else f"; it has {len(names)} tensors, none of a like name"
    if missing_shards:
        hint += f"; it may be in a missing shard: {files.listed(missing_shards)}"
    return f"Key {_shortened(name)} not found in checkpoint {where!r}{hint}"


def _shortened(name: str) -> str:
    return repr(name) if len(name) <= 200 else f"{name[:200]!r}... ({len(name)} characters)"
