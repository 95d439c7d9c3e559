"""Elements of one type as elements of another, each rounded once, to the nearest, ties to even.

What is too large becomes what ``ml_dtypes`` and NumPy make of it: infinity where the type has one, else NaN
(float8_e4m3fn and its kin), or the largest number (float4_e2m1fn). An integer that doesn't fit an integer type is an
error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import dtypes, rounding

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Elements that are converted at a time: what they take, before and after, stays in a core's cache.
BLOCK_ELEMENTS = 1 << 16
# The bits of an int64 that a float64 can't hold.
_LOST_BITS = np.int64(0x7FF)


class Cast:
    """A conversion from one element type to another, by their names in TensorFlow. Threads may share it.

    Args:
        source: Of the elements that are there.
        target: Of those that they become.
        name: Of the tensor, for messages.
    """

    def __init__(self, source: str, target: str, name: str) -> None:
        self._name = name
        self.source = dtypes.numpy_dtype(source)
        self.target = dtypes.numpy_dtype(target)
        self._target_name = target
        kinds = dtypes.kind(source), dtypes.kind(target)
        self._checks_range = kinds == ("integer", "integer")
        # ml_dtypes rounds a float64 to float32 first, and NumPy an integer on its way to float16: twice, that is.
        is_narrow = kinds[1] == "float" and target not in ("float64", "float32")
        self._through_double = kinds[0] == "integer" and is_narrow
        self._rounds_to_odd = is_narrow and target != "float16" and (source == "float64" or self._through_double)

    def into(self, out: NDArray[Any], elements: NDArray[Any]) -> None:
        """Converts the elements of one array into another of the same size, block by block.

        Args:
            out: Rank 1, of the target's type.
            elements: Rank 1, of the source's type.

        Raises:
            ValueError: An integer doesn't fit.
        """
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for begin in range(0, elements.size, BLOCK_ELEMENTS):
                block = slice(begin, begin + BLOCK_ELEMENTS)
                self._convert(out[block], elements[block])

    def _convert(self, out: NDArray[Any], elements: NDArray[Any]) -> None:
        if self._checks_range:
            self._check_range(elements)
        if self._through_double:
            elements = _as_double(elements)
        if self._rounds_to_odd:
            elements = rounding.to_odd(elements)
        np.copyto(out, elements, casting="unsafe")

    def _check_range(self, elements: NDArray[Any]) -> None:
        lowest, highest = dtypes.integer_range(self.target)
        wide = elements if elements.dtype.kind in "iu" else elements.astype(np.int8)
        if wide.size and (int(wide.min()) < lowest or int(wide.max()) > highest):
            found = int(wide.min()) if int(wide.min()) < lowest else int(wide.max())
            limits = f"{self._target_name} holds {lowest} to {highest}"
            raise ValueError(f"cast: tensor {self._name!r} has {found}, and {limits}")


def _as_double(elements: NDArray[Any]) -> NDArray[np.float64]:
    """Integers as float64, exactly, or such that rounding them further gives what rounding them once would.

    Of 64 bits the last eleven may be too many: they become one that says whether there were any.
    """
    if elements.dtype.itemsize == 8 and elements.dtype.kind in "iu":
        lost = elements.dtype.type(_LOST_BITS)
        is_large = np.abs(elements.astype(np.float64)) >= 2.0**53
        sticky = np.where(elements & lost, lost + elements.dtype.type(1), elements.dtype.type(0))
        elements = np.where(is_large, (elements & ~lost) | sticky, elements)
    return elements.astype(np.float64)
