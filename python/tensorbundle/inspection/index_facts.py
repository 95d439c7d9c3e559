"""Two checkpoints compared by what their indexes say: no tensor is read, and NumPy is not needed.

There may be hundreds of thousands of tensors, so what is asked of each is asked by loops in C.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter, ne
from typing import TYPE_CHECKING, Any

from tensorbundle import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tensorbundle.checkpoint import Checkpoint

_TYPE: tuple[Callable[[Any], Any], ...] = tuple(map(attrgetter, ("tf_dtype", "shape")))


@dataclasses.dataclass
class Pairs:
    """The tensors of two files, by name.

    Attributes:
        only_a, only_b: Names that the other lacks.
        names: Those that both have, in the order of the first.
        of_a, of_b: What the files say of them, in the same order.
        num_equal: Number of tensors that both have and that are left out, for being equal.
    """

    only_a: list[str]
    only_b: list[str]
    names: list[str]
    of_a: list[Any]
    of_b: list[Any]
    num_equal: int = 0


def undecided(a: Checkpoint, b: Checkpoint) -> Pairs:
    """The tensors of two checkpoints, but for the number of those that both indexes prove to be equal.

    Raises:
        DataLossError: A record in an index can't be understood.
    """
    natives = a._opened(), b._opened()  # noqa: SLF001 - a method of both
    only_a, only_b, pairs, num_equal = _core.compare_indexes(*natives)
    of_a, of_b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return Pairs(only_a, only_b, [entry.name for entry in of_a], of_a, of_b, num_equal)


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


def retyped(pairs: Pairs) -> list[int]:
    """Positions of the tensors of two checkpoints that have another dtype or shape."""
    positions: set[int] = set()
    for fact in _TYPE:
        of_a, of_b = list(map(fact, pairs.of_a)), list(map(fact, pairs.of_b))
        if of_a != of_b:
            positions.update(position for position, differs in enumerate(map(ne, of_a, of_b)) if differs)
    return sorted(positions)
