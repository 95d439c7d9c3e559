"""Reading in bounded memory: one tensor chunk by chunk, many tensors batch by batch."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from tensorbundle import _core

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tensorbundle.progress import ProgressFunction

    Chunk = tuple[tuple[slice, ...], NDArray[Any]]


def byte_count(max_bytes: Any) -> int:
    """A bound on memory, checked.

    Raises:
        TypeError: It is no integer.
        ValueError: It is below 1.
    """
    if isinstance(max_bytes, bool) or not hasattr(max_bytes, "__index__"):
        raise TypeError(f"max_bytes must be an integer, not {max_bytes!r}")
    count: int = max_bytes.__index__()
    if count < 1:
        raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
    return count


def chunks(native: _core.Checkpoint, name: str, max_bytes: int, *, verify: bool, threads: int) -> Iterator[Chunk]:
    """The chunks of one tensor in row-major order, its checksum compared on the way."""
    entry = native.entry(name)
    if entry.tf_dtype in ("string", "variant"):
        whole = native.read([name], None, None, verify, threads)[0]
        for index in _boxes(entry.shape, max_bytes, max(1, -(-entry.nbytes // max(1, whole.size)))):
            yield index, whole[(*index, ...)].copy()
        return
    view = native.view(name)
    if verify and (view is None or entry.crc32c is None):
        _raise_damage(native, name, threads)
    crc = 0
    for index in _boxes(entry.shape, max_bytes, entry.dtype.itemsize):
        if view is not None:
            array = view[(*index, ...)]
            crc = _core.crc32c(array.view("u1") if array.ndim else array, crc) if verify else crc
        else:
            start, shape = [item.start for item in index], [item.stop - item.start for item in index]
            array = native.read_region(name, start, shape, [1] * len(index))
        yield index, array
    if view is not None and verify and crc != entry.crc32c:
        _raise_damage(native, name, threads)


def _raise_damage(native: _core.Checkpoint, name: str, threads: int) -> None:
    for *_, cause in native.verify([name], threads)[2]:
        raise cause


def _boxes(shape: Sequence[int], max_bytes: int, element_bytes: int) -> Iterator[tuple[slice, ...]]:
    """Boxes of at most so many bytes, but at least an element, in row-major order and each contiguous there."""
    if 0 in shape or not shape:
        yield tuple(slice(0, size) for size in shape)
        return
    most = max(1, max_bytes // element_bytes)
    axis = next(d for d in range(len(shape)) if math.prod(shape[d + 1 :]) <= most)
    step = most // math.prod(shape[axis + 1 :])
    inner = tuple(slice(0, size) for size in shape[axis + 1 :])
    for outer in itertools.product(*map(range, shape[:axis])):
        fixed = tuple(slice(i, i + 1) for i in outer)
        for begin in range(0, shape[axis], step):
            yield (*fixed, slice(begin, min(begin + step, shape[axis])), *inner)


def stream(
    native: _core.Checkpoint,
    names: Sequence[str],
    max_bytes: int,
    *,
    verify: bool,
    threads: int,
    report: ProgressFunction | None,
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Whole tensors in file order, read batch by batch."""
    entries = sorted((native.entry(name) for name in names), key=lambda entry: (entry.shard or 0, entry.offset or 0))
    for batch in _batches([(entry.name, entry.nbytes) for entry in entries], max_bytes):
        arrays = native.read(batch, None, True, verify, threads, report)
        for name in batch:
            yield name, arrays.pop(0)


def _batches(sizes: Sequence[tuple[str, int]], max_bytes: int) -> Iterator[list[str]]:
    """Runs of names of at most so many bytes together; a larger one alone."""
    batch: list[str] = []
    total = 0
    for name, nbytes in sizes:
        if batch and total + nbytes > max_bytes:
            yield batch
            batch, total = [], 0
        batch.append(name)
        total += nbytes
    if batch:
        yield batch
