"""New names by rules: pairs of a regular expression and a replacement."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tensorbundle import selection

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Rename: TypeAlias = Iterable[tuple[selection.Pattern, str]]

#: The tensor that holds an object graph. TensorFlow looks for it by this name, so it is never renamed.
GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


class RenameRules:
    """``(pattern, replacement)`` pairs, applied to each name as ``re.sub`` does, in order, each to what came before.

    Raises:
        TypeError: What is given is no list of such pairs.
        ValueError: A pattern is no regular expression.
    """

    def __init__(self, rename: Rename | None) -> None:
        self._rules = [] if rename is None else [_rule(pair) for pair in _pairs(rename)]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def apply(self, names: list[str]) -> list[str]:
        """The new name of each; none of them is the object graph.

        Raises:
            ValueError: A rule applies to no name, or its replacement refers to a group that there isn't.
        """
        for pattern, replacement in self._rules:
            names = _renamed(names, pattern, replacement)
        return names


def _renamed(names: list[str], pattern: re.Pattern[str], replacement: str) -> list[str]:
    try:
        results = [pattern.subn(replacement, name) for name in names]
    except (re.error, IndexError) as error:
        raise ValueError(f"rename: the replacement {replacement!r} for {pattern.pattern!r}: {error}") from error
    if not any(count for _, count in results):
        raise ValueError(f"rename: {pattern.pattern!r} is found in no name of the {len(names)} tensors it comes to")
    return [name for name, _ in results]


def _pairs(rename: Any) -> list[Any]:
    if isinstance(rename, (str, bytes, dict)) or not hasattr(rename, "__iter__"):
        raise TypeError(f"rename takes a list of (pattern, replacement) pairs, not {rename!r}")
    return list(rename)


def _rule(pair: Any) -> tuple[re.Pattern[str], str]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"rename takes (pattern, replacement) pairs, not {pair!r}")
    pattern, replacement = pair
    if not isinstance(replacement, str):
        raise TypeError(f"rename: a replacement is a str, not {replacement!r}")
    return selection.compiled_one(pattern, "rename"), replacement
