"""Tensors written to a checkpoint in the order in which they lie in another, in bounded memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tensorbundle.inspection.crew import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from tensorbundle import _core
    from tensorbundle.writer import CheckpointWriter

# Small tensors are written together up to this many bytes, larger ones in chunks.
BATCH_BYTES = 16 << 20
CHUNK_BYTES = 8 << 20
_STRINGS = frozenset({"string", "variant"})


def in_file_order(entries: Iterable[_core.Entry]) -> list[_core.Entry]:
    """Entries as their bytes lie; what has no one place comes first."""
    return sorted(entries, key=lambda entry: (entry.shard or 0, entry.offset or 0))


def write(
    writer: CheckpointWriter,
    entries: Iterable[_core.Entry],
    read: Callable[[_core.Entry], NDArray[Any]],
    chunks: Callable[[_core.Entry], Iterator[NDArray[Any]]],
    tell: Callable[[int, str], None],
) -> None:
    """Writes tensors of the types and shapes of ``entries``.

    Args:
        writer: Where to.
        entries: Which, in this order.
        read: Gives all elements of a small tensor, or of one of strings.
        chunks: Gives those of a large one, in row-major order.
        tell: Called with the bytes that are done and a name.
    """
    for batch in batches(entries, lambda entry: entry.nbytes, BATCH_BYTES):
        first = batch[0]
        if first.nbytes > CHUNK_BYTES and first.tf_dtype not in _STRINGS and len(batch) == 1:
            writer.add_chunks(first.name, first.tf_dtype, first.shape, _told(first.name, chunks(first), tell))
            continue
        for entry in batch:
            if not _tells_type(entry):
                writer.add(entry.name, read(entry), dtype=entry.tf_dtype)
        writer.add_many((entry.name, read(entry)) for entry in batch if _tells_type(entry))
        tell(sum(entry.nbytes for entry in batch), batch[-1].name)


def _tells_type(entry: _core.Entry) -> bool:
    """Whether the dtype of the tensor's array is that of no other type of tensors."""
    return not entry.tf_dtype.startswith(("qint", "quint", "variant"))


def _told(name: str, arrays: Iterator[NDArray[Any]], tell: Callable[[int, str], None]) -> Iterator[NDArray[Any]]:
    for array in arrays:
        yield array
        tell(array.nbytes, name)


def is_same_checkpoint(path: str, prefix: str) -> bool:
    """Whether a checkpoint of this prefix would take the place of the one that was opened at ``path``."""
    if os.path.realpath(path) == os.path.realpath(prefix):
        return True
    try:
        return os.path.samefile(f"{path}.index", f"{prefix}.index")
    except OSError:
        return False
