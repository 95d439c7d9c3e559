"""Reading in bounded memory: one tensor chunk by chunk, many tensors batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorbundle.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tensorbundle import _core
    from tensorbundle.progress import ProgressFunction


def byte_count(max_bytes: Any) -> int:
    """``max_bytes`` as the native module takes it.

    Raises:
        TypeError: It is no integer.
        ValueError: It is below 1.
    """
    if isinstance(max_bytes, bool) or not hasattr(max_bytes, "__index__"):
        raise TypeError(f"max_bytes must be an integer, not {max_bytes!r}")
    count: int = max_bytes.__index__()
    if count < 1:
        raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
    return min(count, 2**63 - 1)


def chunks(reader: _core.ChunkReader, *, drop_cache: bool) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
    """What the reader reads; with ``drop_cache`` the pages of each chunk go as soon as the next one is asked for."""
    while reader.has_next():
        try:
            yield reader.next()  # Not by a name, which would keep the array.
        finally:
            if drop_cache:
                reader.drop_cache()


def stream(
    native: _core.Checkpoint,
    sized_names: Sequence[tuple[str, int]],
    max_bytes: int,
    *,
    drop_cache: bool,
    verify: bool,
    threads: int,
    progress: bool | ProgressFunction | None,
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors, in the order given, read batch by batch; ``sized_names`` says how much memory each takes."""
    total = sum(size for _, size in sized_names)
    done = 0
    with reporting(progress, "streaming") as report:
        for names, size in _batches(sized_names, max_bytes):
            part = None if report is None else _part(report, done, size, total)
            arrays = native.read(names, None, True, verify, threads, part)
            if drop_cache:
                native.drop_cache(names)
            done += size
            arrays.reverse()  # Whoever drops an array frees it: none is kept here that was given away.
            for name in names:
                yield name, arrays.pop()


def _batches(sized_names: Sequence[tuple[str, int]], max_bytes: int) -> Iterator[tuple[list[str], int]]:
    """Names that follow one another, as many as fit but at least one, and their size."""
    batch: list[str] = []
    total = 0
    for name, size in sized_names:
        if batch and total + size > max_bytes:
            yield batch, total
            batch, total = [], 0
        batch.append(name)
        total += size
    if batch:
        yield batch, total


def _part(report: ProgressFunction, done: int, size: int, total: int) -> ProgressFunction:
    """Reports a batch of ``size`` bytes as a part of the whole, whatever it counts itself in."""

    def update(part_done: int, part_total: int, name: str) -> None:
        report(done + (size * part_done // part_total if part_total else size), total, name)

    return update
