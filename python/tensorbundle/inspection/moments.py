"""Sums over the elements of a tensor, piece by piece: extremes, mean, spread, and what is no number."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Squares of numbers that are smaller lose digits.
_LEAST_SQUARE = 1e-280


@dataclasses.dataclass
class Moments:
    """What is known of the elements so far. Only finite ones count for ``finite`` and what follows.

    Attributes:
        exponent: Elements are divided by two to this power before they are added up, so that the squares of very large
            and very small ones are numbers of double precision, too. Extremes are as they are, and so are
            counts.
        nans: NaN, in either part of a complex number.
        above, below: Positive and negative infinities; of complex numbers all are ``above``.
        zeros: Elements equal to zero.
        finite: Number of finite elements.
        least, most: Extremes, None without a finite element; of complex numbers those of their magnitudes.
        mean: Divided by that power of two; of complex numbers of their magnitudes, as is all that follows.
        spread: Sum of the squares of the distances from the mean, so divided.
    """

    exponent: int = 0
    nans: int = 0
    above: int = 0
    below: int = 0
    zeros: int = 0
    finite: int = 0
    least: float | None = None
    most: float | None = None
    mean: float = 0.0
    spread: float = 0.0

    def add(self, run: NDArray[Any]) -> None:
        """Adds the elements of a rank-1 array of any numeric dtype."""
        elements = _plain(run)
        scaled = elements if self.exponent == 0 else np.ldexp(elements, -self.exponent)
        *counts, finite, least, most, mean, spread = _core.moments(scaled)
        if self.exponent == 0:
            self._count(*counts)
        if finite:
            self._widen(least, most)
            self._merge(finite, mean, spread)

    def scaled_anew(self) -> Moments:
        """Moments to add the same elements to once more where squares have left the range of double precision."""
        exponent = math.frexp(self._size())[1] - 1
        return dataclasses.replace(self, exponent=exponent, finite=0, mean=0.0, spread=0.0)

    @property
    def lost_digits(self) -> bool:
        """Whether squares have left the range of double precision."""
        if self.exponent or self._size() == 0:
            return False
        smallest = self.square if self.least == self.most else min(self.square, self.spread)
        return not (smallest > _LEAST_SQUARE and self.square < math.inf)

    @property
    def square(self) -> float:
        """Sum of the squares of the finite elements."""
        return self.spread + self.mean * self.mean * self.finite

    def unscaled(self, value: float) -> float:
        """What a mean, or the root of a sum of squares, is in truth; infinite beyond double precision."""
        return value * 2.0**self.exponent

    def _size(self) -> float:
        return max(abs(self.least or 0), abs(self.most or 0))

    def _count(self, nans: int, above: int, below: int, zeros: int) -> None:
        self.nans += nans
        self.above += above
        self.below += below
        self.zeros += zeros

    def _widen(self, least: float, most: float) -> None:
        if self.exponent:  # These are divided, and known.
            return
        self.least = least if self.least is None else min(self.least, least)
        self.most = most if self.most is None else max(self.most, most)

    def _merge(self, finite: int, mean: float, spread: float) -> None:
        """As Chan, Golub and LeVeque do: no square is larger than it need be."""
        share = finite / (self.finite + finite)
        distance = mean - self.mean
        self.mean += distance * share
        self.spread += spread + distance * distance * self.finite * share
        self.finite += finite


def _plain(run: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in a dtype that the native module adds up; magnitudes of complex ones."""
    if run.dtype.kind == "c":
        return _magnitudes(run)
    if run.dtype.kind in "fV" and run.dtype.itemsize < 4:  # Those of ml_dtypes have either kind.
        return run.astype(np.int8 if "int" in run.dtype.name else np.float32)
    return run


def _magnitudes(run: NDArray[Any]) -> NDArray[Any]:
    """NaN wherever a part is, though the distance of an infinity with a NaN from zero would be infinite."""
    with np.errstate(all="ignore"):  # What is no number is counted.
        magnitudes: NDArray[Any] = np.abs(run.astype(np.complex128))
    magnitudes[np.isnan(run)] = np.nan
    return magnitudes
