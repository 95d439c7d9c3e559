"""One part of a checkpoint, with a single data file, from the tensors of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import dtypes
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.conversion import damage
from tensorbundle.conversion.elements import elements
from tensorbundle.conversion.file_bytes import mapped, open_raw
from tensorbundle.formats.mapping import populate
from tensorbundle.writer import CheckpointWriter

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorbundle.conversion.plan import PlannedTensor
    from tensorbundle.conversion.tasks import Task
    from tensorbundle.conversion.watching import Watch
    from tensorbundle.formats import RawBytes

_OBJECTS = ("string", "variant")
# What is written together: enough for all threads, and soon after it was seen to be there.
_BATCH_BYTES = 32 << 20
_BATCH_FILES = 64
# What of a larger tensor is written at a time.
_PART_BYTES = 8 << 20


def write(task: Task, watch: Watch) -> None:
    """Writes the part of a task; see :func:`tensorbundle.conversion.tasks.run`.

    Elements that lie in a file as they are go from there by many threads, many tensors at a time. Their checksums are
    computed on the way, and are then compared with those that the source has.
    """
    batches = _Batches(watch)
    raws: dict[str, RawBytes] = {}
    with CheckpointWriter(
        task.path,
        alignment=task.settings.alignment,
        durable=False,  # Whoever gives it its name in the end brings it to the disk.
        threads=task.settings.threads,
        progress=batches.report,
    ) as writer:
        for tensor in task.tensors:
            raw = _plain_raw(task, tensor)
            if raw is not None:
                raws[tensor.name] = raw
            if raw is not None and raw.nbytes <= _BATCH_BYTES:
                batches.put(tensor, raw)
                if not batches.is_full:
                    continue
            batches.write(writer)
            if raw is None:
                _add(writer, task, tensor, watch)
            elif raw.nbytes > _BATCH_BYTES:
                parts = _watched(batches.parts(tensor, raw, _PART_BYTES), tensor, watch)
                writer.add_chunks(tensor.name, tensor.dtype, tensor.shape, parts)
        batches.write(writer)
    if task.settings.verify:
        _verify(task, raws, watch)


def _plain_raw(task: Task, tensor: PlannedTensor) -> RawBytes | None:
    """Where the elements of a tensor lie, if they are written as they are and their array tells their type."""
    if tensor.name in task.records or not tensor.keeps_bytes or tensor.dtype in _OBJECTS:
        return None
    if dtypes.tf_name(dtypes.numpy_dtype(tensor.dtype)) != tensor.dtype:
        return None
    return task.source.raw(tensor.source)


class _Batches:
    """Tensors that are written together, from where they lie."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._mapped: dict[str, mmap.mmap] = {}
        self._waiting: dict[str, NDArray[Any]] = {}
        self._waiting_bytes = 0
        self._told = 0
        self._is_writing = False

    def put(self, tensor: PlannedTensor, raw: RawBytes) -> None:
        """One more for the next batch."""
        (part,) = self.parts(tensor, raw, raw.nbytes)
        self._waiting[tensor.name] = part.reshape(tensor.shape)
        self._waiting_bytes += raw.nbytes

    def parts(self, tensor: PlannedTensor, raw: RawBytes, max_bytes: int) -> Iterator[NDArray[Any]]:
        """The elements where they lie, in parts of which each was seen to be there; one at least."""
        dtype = dtypes.numpy_dtype(tensor.dtype)
        if not raw.nbytes:
            yield np.empty(0, dtype)
            return
        file = self._file(raw)
        end = raw.offset + raw.nbytes
        if end > len(file):
            raise damage.too_short(tensor.source, raw)
        for begin in range(raw.offset, end, max_bytes):
            nbytes = min(max_bytes, end - begin)
            populate(file, begin, begin + nbytes, raw.path)
            yield np.frombuffer(file, np.uint8, nbytes, begin).view(dtype)

    def _file(self, raw: RawBytes) -> mmap.mmap:
        if raw.path not in self._mapped:
            self._mapped[raw.path] = mapped(open_raw(raw))
        return self._mapped[raw.path]

    @property
    def is_full(self) -> bool:
        """True if they had better be written now: before much can happen to the files, and before too many are open."""
        return self._waiting_bytes >= _BATCH_BYTES or len(self._mapped) >= _BATCH_FILES

    def write(self, writer: CheckpointWriter) -> None:
        """Writes all that wait."""
        if self._waiting:
            self._told, self._is_writing = 0, True
            writer.add_many(self._waiting)
            self._is_writing = False
            self._watch.advance(sum(array.nbytes for array in self._waiting.values()) - self._told, "")
            self._waiting, self._waiting_bytes = {}, 0
        if len(self._mapped) >= _BATCH_FILES:
            self._mapped = {}

    def report(self, done: int, _total: int, name: str) -> None:
        """What the writer calls, with what it has done of a batch; of other tensors the loop over their parts tells."""
        told, self._told = self._told, done if self._is_writing else self._told
        self._watch.advance(self._told - told, name)


def _add(writer: CheckpointWriter, task: Task, tensor: PlannedTensor, watch: Watch) -> None:
    """Writes one tensor that must be made, decoded or converted."""
    if tensor.name in task.records:
        writer.add(tensor.name, np.array(task.records[tensor.name], object), dtype=tensor.dtype)
    elif tensor.dtype in _OBJECTS:
        array = task.source.read(tensor.source)
        writer.add(tensor.name, array if tensor.axes is None else array.transpose(tensor.axes), dtype=tensor.dtype)
        watch.advance(tensor.nbytes, tensor.source)
    else:
        parts = _watched(elements(task.source, tensor, task.workspace), tensor, watch)
        writer.add_chunks(tensor.name, tensor.dtype, tensor.shape, parts)


def _watched(parts: Iterator[NDArray[Any]], tensor: PlannedTensor, watch: Watch) -> Iterator[NDArray[Any]]:
    for part in parts:
        yield part
        watch.advance(part.nbytes, tensor.source)


def _verify(task: Task, raws: dict[str, RawBytes], watch: Watch) -> None:
    """Compares the checksums of what was read with those of the source, and reads back what was written."""
    with Checkpoint(task.path, threads=task.settings.threads) as part:
        for tensor in task.tensors:
            raw = raws.get(tensor.name)
            found = part.entry(tensor.name).crc32c if raw is not None else None
            if raw is not None and found is not None and raw.crc32c not in (None, found):
                raise damage.of_source(tensor.source, raw, found, task.source)
        report = part.verify(progress=lambda _done, _total, name: watch.advance(0, name))
        for each in report.damaged:
            raise damage.of_target(task.final, each.offset or 0, part.entry(each.name).nbytes)
