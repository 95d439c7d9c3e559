"""Two checkpoints compared by what their indexes say: no tensor is read, and NumPy is not needed.

There may be hundreds of thousands of tensors, so what is asked of each is asked by loops in C.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter, ne
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# All that makes two tensors equal as far as an index knows.
_CHECKSUM: Callable[[Any], Any] = attrgetter("crc32c")
_FACTS: tuple[Callable[[Any], Any], ...] = (*map(attrgetter, ("tf_dtype", "shape", "nbytes")), _CHECKSUM)


@dataclasses.dataclass
class Pairs:
    """The tensors of two files, by name.

    Attributes:
        only_a, only_b: Names that the other lacks.
        names: Those that both have, in the order of the first.
        of_a, of_b: What the files say of them, in the same order.
    """

    only_a: list[str]
    only_b: list[str]
    names: list[str]
    of_a: list[Any]
    of_b: list[Any]


def paired(of_a: Sequence[Any], of_b: Sequence[Any]) -> Pairs:
    """The tensors of two lists, each with names of its own, by their names."""
    names_a, names_b = (list(map(attrgetter("name"), listed)) for listed in (of_a, of_b))
    if names_a == names_b:
        return Pairs([], [], names_a, list(of_a), list(of_b))
    in_a, in_b = dict(zip(names_a, of_a, strict=True)), dict(zip(names_b, of_b, strict=True))
    both = [name for name in names_a if name in in_b]
    return Pairs(
        [name for name in names_a if name not in in_b],
        [name for name in names_b if name not in in_a],
        both,
        [in_a[name] for name in both],
        [in_b[name] for name in both],
    )


def differing(pairs: Pairs) -> list[int]:
    """Positions of the tensors of two checkpoints that their indexes do not prove to be equal."""
    positions = _where_facts_differ(pairs, _FACTS)
    checksums = list(map(_CHECKSUM, pairs.of_a))
    if None not in checksums:
        return positions
    # Of pieces, and of the V1 format, there is none, and that both have none proves nothing.
    unknown = {position for position, checksum in enumerate(checksums) if checksum is None}
    return sorted(unknown.union(positions))


def retyped(pairs: Pairs) -> list[int]:
    """Positions of the tensors of two checkpoints that have another dtype or shape."""
    return _where_facts_differ(pairs, _FACTS[:2])


def _where_facts_differ(pairs: Pairs, facts: Sequence[Callable[[Any], Any]]) -> list[int]:
    positions: set[int] = set()
    for fact in facts:
        of_a, of_b = list(map(fact, pairs.of_a)), list(map(fact, pairs.of_b))
        if of_a != of_b:
            positions.update(position for position, differs in enumerate(map(ne, of_a, of_b)) if differs)
    return sorted(positions)
