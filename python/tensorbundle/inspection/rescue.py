"""What is intact of a damaged checkpoint, as a checkpoint that is sound."""

from __future__ import annotations

import dataclasses
import os
import warnings
from typing import TYPE_CHECKING, Any

from tensorbundle import errors
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.inspection import copying
from tensorbundle.inspection.object_graphs import GRAPH_KEY, without
from tensorbundle.progress import reporting
from tensorbundle.verification import Damage
from tensorbundle.writer import CheckpointWriter

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import NDArray

    from tensorbundle import _core
    from tensorbundle.progress import ProgressFunction

    GraphState = Literal["kept", "edited", "lost"]


@dataclasses.dataclass(frozen=True, repr=False)
class SalvageReport:
    """The outcome of :func:`tensorbundle.salvage`; true if nothing was lost.

    Attributes:
        path: Prefix of the new checkpoint.
        saved: Names of the tensors in it, in key order.
        lost: What could not be saved, and why; each tensor once.
        missing_shards: Shards of a V1 checkpoint that are missing. What they alone held is lost, and not even its name
            is known.
        nbytes: Bytes of the tensors that were saved.
        object_graph: ``"edited"``: objects have lost the values that are lost; ``"kept"`` as it was: none was lost, or
            one of the several tensors that are one value, such as the keys of a hash table; ``"lost"``: it was damaged,
            and what is left is a checkpoint of names alone; None: there was none.
    """

    path: str
    saved: tuple[str, ...]
    lost: tuple[Damage, ...]
    missing_shards: tuple[str, ...]
    nbytes: int
    object_graph: GraphState | None

    def __bool__(self) -> bool:
        return not self.lost and not self.missing_shards

    def __repr__(self) -> str:
        return f"<SalvageReport: {self.summary()}>"

    def __str__(self) -> str:
        missing = (f"missing, with whatever it alone held: {path!r}" for path in self.missing_shards)
        return "\n".join([*(f"lost: {damage}" for damage in self.lost), *missing, self.summary()])

    def summary(self) -> str:
        """Numbers of tensors, in one line."""
        missing = f", {len(self.missing_shards)} shards missing" if self.missing_shards else ""
        graph = f", object graph {self.object_graph}" if self.object_graph else ""
        return f"{len(self.saved)} tensors saved, {len(self.lost)} lost{missing}{graph} ({self.nbytes} bytes)"


def salvage(
    path: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    shards: int = 1,
    durable: bool = True,
    threads: int | None = None,
    progress: bool | ProgressFunction | None = None,
) -> SalvageReport:
    """Makes a new checkpoint of every tensor that is intact.

    Every checksum is compared, and then once more while what has passed is copied, in bounded memory. Lost is a tensor
    whose bytes don't have their checksum, whose data file is missing or too short, or whose record in the index can't
    be understood; one that is stored in slices is lost if one of these is. Objects of ``tf.train.Checkpoint`` lose the
    values that are lost, so that the others are restored.

    Args:
        path: The damaged checkpoint, in any form that :func:`open` takes. It stays as it is.
        dst: What the new one is named by; not the damaged one itself.
        shards: Number of its data files.
        durable: As for :func:`save`.
        threads: How many may work; None: as many as this process may run on.
        progress: True for a bar on a terminal, or a function ``(done_bytes, total_bytes, name)``.

    Returns:
        A :class:`SalvageReport`, which is true if nothing was lost.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        DataLossError: Nothing is intact, the index itself is damaged, or something was damaged while it was copied.
            Nothing has been written then.
        ValueError: ``dst`` is the damaged checkpoint.
        OSError: The system refuses. Nothing is left behind.

    Example:
        >>> print(tb.salvage("run/model.ckpt-100", "run/salvaged"))
    """
    destination = os.fsdecode(dst)
    with _opened(path, threads) as checkpoint, reporting(progress, "Salvaging") as report:
        if copying.is_same_checkpoint(checkpoint.path, destination):
            raise ValueError(f"{destination!r} is the damaged checkpoint itself: name another, and it stays as it is")
        rescue = _Rescue(checkpoint, report)
        rescue.look()
        with CheckpointWriter(destination, shards=shards, durable=durable, threads=threads) as writer:
            rescue.copy(writer)
        return rescue.outcome(destination)


def _opened(path: str | os.PathLike[str], threads: int | None) -> Checkpoint:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.DamageWarning)  # What is damaged stands in the report.
        return Checkpoint(path, threads=threads)


class _Rescue:
    """One checkpoint, what of it is intact, and how far saving that has come."""

    def __init__(self, checkpoint: Checkpoint, report: ProgressFunction | None) -> None:
        self._checkpoint = checkpoint
        self._report = report
        self._damaged: dict[str, Damage] = {}
        self._intact: list[_core.Entry] = []
        self._graph: GraphState | None = None
        self._graph_record: NDArray[Any] | None = None
        # Everything is read twice.
        self._done = self._nbytes = sum(entry.nbytes for entry in checkpoint.entries())

    def look(self) -> None:
        """Finds out what is intact; an error if nothing is."""
        found = self._checkpoint.verify(progress=self._report and self._tell_verified)
        for damage in found.damaged:
            self._damaged.setdefault(damage.name, damage)
        self._look_at_graph()
        self._intact = [entry for entry in self._checkpoint.entries() if entry.name not in self._damaged]
        if not any(entry.name != GRAPH_KEY for entry in self._intact):
            first = next((f": {damage}" for damage in self._damaged.values()), "")
            path = self._checkpoint.path
            raise errors.DataLossError(f"nothing of {path!r} is intact, so nothing was saved{first}", path=path)

    def copy(self, writer: CheckpointWriter) -> None:
        """Writes what is intact."""
        copying.write(writer, copying.in_file_order(self._intact), self._read, self._chunks, self._tell_copied)

    def outcome(self, path: str) -> SalvageReport:
        """The report, once all is written."""
        return SalvageReport(
            path,
            tuple(entry.name for entry in self._intact),
            tuple(self._damaged.values()),
            self._checkpoint.missing_shards,
            sum(entry.nbytes for entry in self._intact),
            self._graph,
        )

    def _look_at_graph(self) -> None:
        if GRAPH_KEY not in self._checkpoint:
            return
        self._graph = "lost"
        if GRAPH_KEY in self._damaged:
            return
        stored = self._checkpoint.read(GRAPH_KEY)
        try:
            _ = self._checkpoint.object_graph
            self._graph_record = without(self._checkpoint, self._damaged) if self._damaged else stored
        except errors.DataLossError as error:  # Its bytes are those that were written, and no graph.
            self._damaged[GRAPH_KEY] = Damage(GRAPH_KEY, None, None, None, None, error)
            return
        except ValueError:  # One of several tensors that are one value is lost: the graph has no words for the others.
            self._graph_record = stored
        self._graph = "kept" if self._graph_record.item() == stored.item() else "edited"

    def _read(self, entry: _core.Entry) -> NDArray[Any]:
        if entry.name == GRAPH_KEY and self._graph_record is not None:
            return self._graph_record
        return self._checkpoint.read(entry.name, verify=True)

    def _chunks(self, entry: _core.Entry) -> Any:
        return (array for _, array in self._checkpoint.chunks(entry.name, copying.CHUNK_BYTES, verify=True))

    def _tell_verified(self, done: int, _total: int, name: str) -> None:
        if self._report is not None:
            self._report(done, 2 * self._nbytes, name)

    def _tell_copied(self, nbytes: int, name: str) -> None:
        self._done += nbytes
        if self._report is not None:
            self._report(self._done, 2 * self._nbytes, name)


SalvageReport.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
