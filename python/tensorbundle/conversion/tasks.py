"""One file of the target: a task that stands for itself.

A task pickles, so any executor may run it, in another process or on another machine that sees the same files: the
source is opened there anew, and refused if it isn't the one that was planned for. What a task writes lies in the
conversion's workspace, under a name of its own; the same task writes the same bytes wherever it runs.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from tensorbundle import errors
from tensorbundle.conversion.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tensorbundle.conversion.plan import PlannedTensor
    from tensorbundle.conversion.targets import Kind
    from tensorbundle.formats import Source
    from tensorbundle.progress import ProgressFunction


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the files of a target are written.

    Attributes:
        kind: The target's kind.
        alignment: Of tensors in a checkpoint, in bytes.
        metadata: What a safetensors file says besides, or None.
        verify: Compare the source's checksums, and read back what was written.
        durable: Bring files to the disk.
        threads: How many a task may use.
    """

    kind: Kind
    alignment: int
    metadata: Mapping[str, str] | None
    verify: bool
    durable: bool
    threads: int


@dataclasses.dataclass(frozen=True)
class Task:
    """One file of the target, or one part of a checkpoint.

    Attributes:
        number: Of the file, from 0.
        count: How many files there are.
        source: What has the tensors.
        tensors: What becomes of each.
        records: Tensors that are made and not read, by their names in the target: scalar strings.
        workspace: The directory to write to.
        name: Of the file there; of a checkpoint, its prefix.
        final: Path that the file will have in the end, for messages.
        settings: How to write it.
    """

    number: int
    count: int
    source: Source
    tensors: tuple[PlannedTensor, ...]
    records: Mapping[str, bytes]
    workspace: str
    name: str
    final: str
    settings: Settings

    @property
    def path(self) -> str:
        """What it writes."""
        return os.path.join(self.workspace, self.name)

    @property
    def nbytes(self) -> int:
        """What the elements of its tensors take."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def __str__(self) -> str:
        return f"shard {self.number + 1} of {self.count} of {self.final!r}"


def run(task: Task, report: ProgressFunction | None = None, done: int = 0, total: int = 0) -> int:
    """Writes the file of a task, and verifies it.

    Args:
        task: Which.
        report: What to tell how far it has come, or None; the calling thread does.
        done: Bytes of the tasks before it.
        total: Bytes of all tasks.

    Returns:
        How many bytes the elements of its tensors take.

    Raises:
        CancelledError: The conversion has ended; nothing is left of the file.
        DataLossError: A tensor of the source is damaged, or what was written reads back as something else.
        ValueError: An element can't be converted.
        OSError: The system refuses; the error has the name that the file would have had.
    """
    watch = Watch(task.workspace, report, done, total)
    watch.check()
    try:
        _writer(task.settings.kind)(task, watch)
    except OSError as error:
        watch.check()  # What is no longer wanted fails in many ways, for want of its directory.
        if isinstance(error, errors.TensorBundleError) or not _is_inside(error.filename, task.workspace):
            raise
        raise OSError(error.errno, error.strerror, task.final) from error
    return task.nbytes


def _writer(kind: Kind) -> Callable[[Task, Watch], None]:
    """What writes files of a kind."""
    if kind == "safetensors":
        from tensorbundle.conversion.safetensors_target import write
    elif kind == "npz":
        from tensorbundle.conversion.npz_target import write
    else:
        from tensorbundle.conversion.checkpoint_target import write
    return write


def _is_inside(path: object, workspace: str) -> bool:
    return path is None or os.fsdecode(str(path)).startswith(workspace)
