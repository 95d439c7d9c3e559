"""Rounding in two steps that gives what one step would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_odd(values: NDArray[Any]) -> NDArray[np.float32]:
    """Float32 such that rounding them to a type of fewer bits gives what rounding the values at once would.

    What float32 can't hold is cut off rather than rounded, and the last bit set: it is then on the right side of every
    boundary between narrower numbers.

    Args:
        values: Of any shape; float64, or narrower.
    """
    rounded = values.astype(np.float32)
    back = rounded.astype(values.dtype)
    bits = rounded.view(np.uint32)
    bits -= np.abs(back) > np.abs(values)
    bits |= (back != values) & ~np.isnan(values)
    return rounded
