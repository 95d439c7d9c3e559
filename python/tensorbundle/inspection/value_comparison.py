"""Two tensors compared element by element, in pieces."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle.inspection import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# Elements: a block and what is computed of it stay in a cache.
_BLOCK_SIZE = 32 << 10


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """What may lie between two elements: ``atol + rtol * abs(b)``, as for ``numpy.allclose``."""

    rtol: float
    atol: float


@dataclasses.dataclass
class Tally:
    """What has been found so far.

    Attributes:
        count: Number of elements that differ.
        position: In row-major order, of the one that differs most; of strings, of the first.
        max_abs, max_rel: The largest difference, and the largest beside the element of the second tensor.
        element_a, element_b: The elements at ``position``.
    """

    count: int = 0
    position: int = 0
    max_abs: int | float | None = None
    max_rel: float | None = None
    element_a: Any = None
    element_b: Any = None


def compare(
    runs_a: Iterator[NDArray[Any]],
    runs_b: Iterator[NDArray[Any]],
    tolerance: Tolerance,
    tell: Callable[[int], None] = lambda _: None,
) -> Tally:
    """Compares two tensors with the same number of elements; ``tell`` is called with the bytes of the first done."""
    tally = Tally()
    begin = 0
    with np.errstate(all="ignore"):
        for run_a, run_b in pieces.side_by_side((runs_a, runs_b)):
            for a, b in zip(pieces.blocks(run_a, _BLOCK_SIZE), pieces.blocks(run_b, _BLOCK_SIZE), strict=True):
                if not _same_bits(a, b):
                    _count(tally, a, b, begin, tolerance)
                begin += a.size
            tell(run_a.nbytes)
    return tally


def _same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and not a.dtype.hasobject and np.array_equal(a.view(np.uint8), b.view(np.uint8))


def _count(tally: Tally, a: NDArray[Any], b: NDArray[Any], begin: int, tolerance: Tolerance) -> None:
    """Adds what differs between two blocks that begin at an element of their tensors."""
    if a.dtype.hasobject:
        differing = np.flatnonzero(a != b)
        distances = None
    else:
        wide_a, wide_b = _widened(a, b)
        distances = _distances(wide_a, wide_b)
        differing = np.flatnonzero(_is_beyond(distances, wide_b, tolerance))
    if differing.size == 0:
        return
    largest = 0
    if distances is not None:
        found = distances[differing]
        largest = int(np.argmax(found))
        tally.max_rel = max(tally.max_rel or 0.0, _largest_ratio(found, wide_b[differing]))
    at = differing[largest]
    if tally.count == 0 or (distances is not None and distances[at].item() > tally.max_abs):
        tally.position = begin + int(at)
        tally.max_abs = None if distances is None else distances[at].item()
        tally.element_a, tally.element_b = _element(a[at]), _element(b[at])
    tally.count += int(differing.size)


def _widened(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both in one dtype that holds the elements of either, or else comes nearest."""
    kinds = {_kind(a.dtype), _kind(b.dtype)}
    if "c" in kinds:
        dtype = "complex128"
    elif len(kinds) > 1:
        dtype = "float64"
    else:
        dtype = {"i": "int64", "u": "uint64", "f": "float64"}[kinds.pop()]
    return a.astype(dtype), b.astype(dtype)


def _kind(dtype: np.dtype[Any]) -> str:
    """``"i"`` for what int64 holds, ``"u"`` for uint64, ``"c"`` for complex numbers, else ``"f"``."""
    if dtype == np.uint64:
        return "u"
    is_integer = dtype.kind in "biu" or "int" in dtype.name  # Those of ml_dtypes have a kind of their own.
    return "i" if is_integer else "c" if dtype.kind == "c" else "f"


def _distances(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Absolute differences: 0 also of two NaN, infinite of a NaN and a number."""
    if a.dtype.kind in "iu":  # Those of int64 are numbers of uint64, if they are wrapped.
        return np.where(a > b, a.view(np.uint64) - b.view(np.uint64), b.view(np.uint64) - a.view(np.uint64))
    distances: NDArray[Any] = np.abs(a - b)
    distances[np.isnan(distances)] = np.inf
    distances[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
    return distances


def _is_beyond(distances: NDArray[Any], b: NDArray[Any], tolerance: Tolerance) -> NDArray[np.bool_]:
    """Which distances are more than may be; infinite ones always are."""
    if tolerance.rtol == tolerance.atol == 0:
        return np.asarray(distances != 0)
    allowed = tolerance.atol + tolerance.rtol * _magnitudes(b)
    return np.asarray((distances != 0) & ~((distances <= allowed) & np.isfinite(distances)))


def _largest_ratio(distances: NDArray[Any], b: NDArray[Any]) -> float:
    ratios = distances.astype(np.float64) / _magnitudes(b)
    ratios[~np.isfinite(distances)] = np.inf  # Also beside a NaN or an infinity.
    return float(np.max(ratios))


def _magnitudes(b: NDArray[Any]) -> NDArray[Any]:
    """Absolute values, as floats: that of the least integer is none."""
    magnitudes: NDArray[Any] = np.abs(b if b.dtype.kind == "c" else b.astype(np.float64))
    return magnitudes


def _element(element: Any) -> Any:
    """An element as Python's own number, or ``bytes``."""
    if isinstance(element, bytes):
        return element
    value = element.item()
    if isinstance(value, (bool, int, float, complex)):
        return value
    return int(value) if "int" in type(value).__name__ else float(value)
