"""NumPy's basic indexing, worked out before anything is read.

An index becomes a box of elements with a positive step in each dimension, which is what can be read from a file, and a
second index that turns this box into what the user asked for.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import EllipsisType

    IndexItem = int | slice | None | EllipsisType


class Region(NamedTuple):
    """Which elements an index selects from an array, and how they are arranged.

    ``array[index]`` equals ``box[arrange]``, where ``box`` holds the elements ``start[d] + i * step[d]`` for
    ``0 <= i < shape[d]`` of each dimension ``d``.

    Attributes:
        start: First element in each dimension.
        shape: Number of elements in each dimension.
        step: Distance between them, at least 1.
        arrange: Index into the box: drops the dimensions that were given as integers, adds new ones, turns round those
            that run backwards. Ends with an ellipsis, so that it gives an array also where a single element is meant.
        select: The same selection as an index into the whole array; ends with an ellipsis, too.
        result_shape: Shape of the outcome.
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]
    step: tuple[int, ...]
    arrange: tuple[IndexItem, ...]
    select: tuple[IndexItem, ...]
    result_shape: tuple[int, ...]

    @property
    def reverses(self) -> bool:
        """True if the box doesn't lie in memory as the outcome does: it must be turned round in some dimension."""
        return any(isinstance(item, slice) and item.step == -1 for item in self.arrange)


def parse(index: Any, shape: Sequence[int]) -> Region:
    """Works out a basic index for an array of ``shape``.

    Args:
        index: Integers, slices with any step, ``...``, ``None`` (a new dimension), or a tuple of these.
        shape: Shape of the array to be indexed.

    Raises:
        IndexError: As NumPy's: out of bounds, too many indices, two ellipses; or something that isn't a basic index.
        TypeError: A slice's bounds aren't integers.
        ValueError: A slice's step is 0.
    """
    start: list[int] = []
    lengths: list[int] = []
    steps: list[int] = []
    arrange: list[IndexItem] = []
    select: list[IndexItem] = []
    result_shape: list[int] = []
    for item in _expand(index, len(shape)):
        if item is None:
            arrange.append(None)
            select.append(None)
            result_shape.append(1)
            continue
        axis = len(start)
        select.append(item)
        if isinstance(item, slice):
            first, length, step, backwards = _forwards(item, shape[axis])
            arrange.append(slice(None, None, -1) if backwards else slice(None))
            result_shape.append(length)
        else:
            first, length, step = _position(item, axis, shape[axis]), 1, 1
            arrange.append(0)
        start.append(first)
        lengths.append(length)
        steps.append(step)
    return Region(tuple(start), tuple(lengths), tuple(steps), (*arrange, ...), (*select, ...), tuple(result_shape))


def _expand(index: Any, ndim: int) -> list[int | slice | None]:
    """The index as one item for each dimension, and a None for each new one."""
    items = [_check(item) for item in (index if isinstance(index, tuple) else (index,))]
    ellipses = sum(item is Ellipsis for item in items)
    if ellipses > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    given = sum(item is not None and item is not Ellipsis for item in items)
    if given > ndim:
        raise IndexError(f"too many indices for array: array is {ndim}-dimensional, but {given} were indexed")
    if not ellipses:
        items.append(Ellipsis)
    expanded: list[int | slice | None] = []
    for item in items:
        if item is Ellipsis:
            expanded += [slice(None)] * (ndim - given)
        else:
            expanded.append(item)
    return expanded


def _check(item: Any) -> IndexItem:
    """One item of an index, integers as plain ints; refuses what isn't basic indexing."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if not isinstance(item, bool):
        try:
            return operator.index(item)
        except TypeError:
            pass
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`) and numpy.newaxis (`None`) are valid indices of a tensor in a"
        f" checkpoint, not {type(item).__name__}; read it whole to index it by arrays, lists or booleans"
    )


def _position(index: int, axis: int, size: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {size}")
    return index + size if index < 0 else index


def _forwards(item: slice, size: int) -> tuple[int, int, int, bool]:
    """First element, number of elements and positive step of a slice, and whether it runs backwards."""
    elements = range(*item.indices(size))
    if not elements:
        return 0, 0, 1, False
    if len(elements) == 1:
        return elements[0], 1, 1, False
    if elements.step < 0:
        return elements[-1], len(elements), -elements.step, True
    return elements[0], len(elements), elements.step, False
