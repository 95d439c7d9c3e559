"""One ``.npz`` file, from the tensors of a task."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

from tensorbundle.conversion import damage
from tensorbundle.conversion.elements import elements
from tensorbundle.formats import npz

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from tensorbundle.conversion.plan import PlannedTensor
    from tensorbundle.conversion.tasks import Task
    from tensorbundle.conversion.watching import Watch


_READ_BYTES = 1 << 20


def write(task: Task, watch: Watch) -> None:
    """Writes the file of a task; see :func:`tensorbundle.conversion.tasks.run`.

    Its members have checksums of their own, so every byte goes through them, and reading it back compares those.
    """
    with open(task.path, "x+b") as file:
        with npz.Writer(file) as writer:
            for tensor in task.tensors:
                writer.add(tensor.name, tensor.dtype, tensor.shape, _watched(task, tensor, watch))
        file.flush()
        if task.settings.durable:
            os.fsync(file.fileno())
    if task.settings.verify:
        _read_back(task, watch)


def _watched(task: Task, tensor: PlannedTensor, watch: Watch) -> Iterator[NDArray[Any]]:
    for part in elements(task.source, tensor, task.workspace):
        yield part
        watch.advance(part.nbytes, tensor.source)


def _read_back(task: Task, watch: Watch) -> None:
    """Compares the checksums of all members with their bytes."""
    with zipfile.ZipFile(task.path) as archive:
        for info in archive.infolist():
            if not _is_sound(archive, info, watch):
                raise damage.of_target(task.final, info.header_offset, info.file_size)


def _is_sound(archive: zipfile.ZipFile, info: zipfile.ZipInfo, watch: Watch) -> bool:
    try:
        with archive.open(info) as member:
            while member.read(_READ_BYTES):
                watch.advance(0, info.filename)
    except zipfile.BadZipFile:
        return False
    return True
