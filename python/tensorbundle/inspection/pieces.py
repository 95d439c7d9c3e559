"""Tensors as runs of elements that fit a cache, of one file or of several side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

# What is asked for at a time: enough that asking costs nothing, and little enough to be in a cache when it comes.
CHUNK_BYTES = 1 << 20


class Readable(Protocol):
    """A checkpoint, or any other source of tensors."""

    def read(self, name: str, /) -> NDArray[Any]:
        """The whole tensor."""

    def chunks(self, name: str, max_bytes: int, /) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
        """The tensor piece by piece, in row-major order."""


class Listed(Protocol):
    """What an index says of a tensor."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def nbytes(self) -> int:
        """What its elements take."""


def runs(source: Readable, tensor: Listed) -> Iterator[NDArray[Any]]:
    """The elements of a tensor in row-major order, as rank-1 arrays of bounded size; those of strings may be large."""
    if tensor.nbytes <= CHUNK_BYTES:  # Which takes less than half the time where there are many small ones.
        yield source.read(tensor.name).reshape(-1)
        return
    for _, array in source.chunks(tensor.name, CHUNK_BYTES):
        yield array.reshape(-1)


def blocks(run: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    """A run in parts of at most ``size`` elements."""
    for begin in range(0, run.size, size):
        yield run[begin : begin + size]


def side_by_side(all_runs: Iterable[Iterator[NDArray[Any]]]) -> Iterator[tuple[NDArray[Any], ...]]:
    """Parts of equal length of several tensors of the same size, however long the runs are that each comes in.

    Every iterator is driven to its end, which is where the last damage is told.
    """
    iterators = list(all_runs)
    parts = [next(iterator, None) for iterator in iterators]
    while True:
        parts = [_filled(part, iterator) for part, iterator in zip(parts, iterators, strict=True)]
        present = [part for part in parts if part is not None]
        if len(present) < len(parts):
            return
        size = min(part.size for part in present)
        yield tuple(part[:size] for part in present)
        parts = [part[size:] for part in present]


def _filled(part: NDArray[Any] | None, iterator: Iterator[NDArray[Any]]) -> NDArray[Any] | None:
    """A part with elements in it, or None after the last."""
    while part is not None and part.size == 0:
        part = next(iterator, None)
    return part


def index_of(position: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The index of the element that comes at ``position`` in row-major order."""
    index: list[int] = []
    for size in reversed(shape):
        position, last = divmod(position, size)
        index.append(last)
    return tuple(reversed(index))
