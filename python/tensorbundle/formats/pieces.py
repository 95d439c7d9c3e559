"""A tensor as pieces of bounded size, and stored bytes as elements."""

from __future__ import annotations

import itertools
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import dtypes, errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


def boxes(shape: Sequence[int], max_bytes: int, element_bytes: int) -> Iterator[tuple[slice, ...]]:
    """Boxes of at most so many bytes, but at least an element, in row-major order and each contiguous there.

    They are those of :meth:`tensorbundle.Checkpoint.chunks`, so that two sources can be read side by side.
    """
    if 0 in shape or not shape:
        yield tuple(slice(0, size, 1) for size in shape)
        return
    most = max(1, max_bytes // element_bytes)
    axis = next(d for d in range(len(shape)) if math.prod(shape[d + 1 :]) <= most)
    step = most // math.prod(shape[axis + 1 :])
    inner = tuple(slice(0, size, 1) for size in shape[axis + 1 :])
    for outer in itertools.product(*map(range, shape[:axis])):
        fixed = tuple(slice(i, i + 1, 1) for i in outer)
        for begin in range(0, shape[axis], step):
            yield (*fixed, slice(begin, min(begin + step, shape[axis]), 1), *inner)


def extent(box: Sequence[slice]) -> tuple[int, ...]:
    """The shape of a box."""
    return tuple(side.stop - side.start for side in box)


def elements(stored: NDArray[np.uint8], tf_name: str, byte_order: str = "<") -> NDArray[Any]:
    """Stored bytes as elements, where they lie if they lie well.

    Args:
        stored: The bytes, contiguous.
        tf_name: TensorFlow's name of the elements' type, one of fixed width.
        byte_order: ``"<"`` or ``">"``.

    Returns:
        A rank-1 array, aligned and in the host's order: a view of ``stored`` if that is so there. A bool byte other
        than 0 or 1 is read as true, through a copy.
    """
    dtype = dtypes.numpy_dtype(tf_name)
    if dtype == np.bool_:
        return stored.view(dtype) if stored.size == 0 or int(stored.max()) <= 1 else stored != 0
    if byte_order != _HOST_ORDER:
        unit = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
        stored = stored.view(f"{byte_order}u{unit}").astype(f"=u{unit}").view(np.uint8)
    array = stored.view(dtype)
    return array if array.flags.aligned else array.copy()


_HOST_ORDER = "<" if sys.byteorder == "little" else ">"


def shaped(array: NDArray[Any], name: str, shape: tuple[int, ...], path: str) -> NDArray[Any]:
    """The elements in their shape, which NumPy may have no arrays of, for its rank or for an empty one's length."""
    try:
        return array.reshape(shape)
    except (OverflowError, ValueError) as error:
        raise errors.UnimplementedError(
            f"NumPy has no array of shape {list(shape)} for {name!r} in {path!r}: {error}", path=path, tensor=name
        ) from error
