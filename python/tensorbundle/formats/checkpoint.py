"""Checkpoints as a source of tensors: of either format, object-based ones under any of their names."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from tensorbundle.checkpoint import Checkpoint
from tensorbundle.formats.source import DEFAULT_MAX_BYTES, RawBytes, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from tensorbundle import _core
    from tensorbundle.formats.source import Chunk

    Naming = Literal["key", "path", "full_name"]

# Of these, not every bit of a byte counts: readers settle the others.
_LOOSE = frozenset({"bool", "int4", "uint4", "int2", "uint2", "float4_e2m1fn"})


def all_entries(checkpoint: Checkpoint) -> list[_core.Entry]:
    """All entries of a checkpoint; ``DataLossError`` if there is a record that can't be understood."""
    entries = checkpoint.entries()
    if len(entries) < len(checkpoint):
        understood = {entry.name for entry in entries}
        checkpoint.entry(next(name for name in checkpoint if name not in understood))  # Which raises.
    return entries


def check_shards(checkpoint: Checkpoint) -> None:
    """Raises ``FileNotFoundError`` if there may be tensors of which nothing is known, in a missing shard of V1."""
    for path in checkpoint.missing_shards[:1]:
        reason = f"what this shard alone holds can't be listed: {os.strerror(errno.ENOENT)}"
        raise FileNotFoundError(errno.ENOENT, reason, path)


class CheckpointSource:
    """The tensors of a checkpoint, in key order; see :class:`tensorbundle.formats.Source`."""

    kind = "checkpoint"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.path = checkpoint.path
        self.metadata: dict[str, str] = {}

    @classmethod
    def open(cls, path: str, *, verify: bool, threads: int | None, names: Naming) -> CheckpointSource:
        """Opens the checkpoint that ``path`` means, as :func:`tensorbundle.open` does."""
        checkpoint = Checkpoint(path, verify=verify, threads=threads)
        return cls(checkpoint if names == "key" else checkpoint.named(names))

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint itself, for what only checkpoints have."""
        return self._checkpoint

    def tensors(self) -> list[TensorSpec]:
        """What is in the checkpoint; see :meth:`tensorbundle.formats.Source.tensors`.

        Raises:
            DataLossError: A record of the index can't be understood, so that the list would not be whole.
            FileNotFoundError: Nor would it for want of a shard, of the V1 format.
        """
        check_shards(self._checkpoint)
        entries = all_entries(self._checkpoint)
        return [TensorSpec(entry.name, entry.tf_dtype, entry.shape, entry.nbytes) for entry in entries]

    def chunks(self, name: str, max_bytes: int = DEFAULT_MAX_BYTES) -> Iterator[Chunk]:
        """The tensor piece by piece; see :meth:`tensorbundle.formats.Source.chunks`."""
        return self._checkpoint.chunks(name, max_bytes)

    def read(self, name: str) -> NDArray[Any]:
        """The whole tensor; see :meth:`tensorbundle.formats.Source.read`."""
        return self._checkpoint.read(name)

    def raw(self, name: str) -> RawBytes | None:
        """The elements in their data file; see :meth:`tensorbundle.formats.Source.raw`."""
        entry = self._checkpoint.entry(name)
        if entry.shard is None or entry.offset is None or entry.tf_dtype in _LOOSE or sys.byteorder != "little":
            return None
        try:
            self._checkpoint.read(name, copy=False, verify=False)  # A view, if and only if they lie so.
        except (OSError, ValueError):
            return None
        path = f"{self.path}.data-{entry.shard:05d}-of-{self._checkpoint.num_shards:05d}"
        return RawBytes(path, entry.offset, entry.nbytes, entry.crc32c)

    def close(self) -> None:
        """Ends reading; see :meth:`tensorbundle.formats.Source.close`."""
        self._checkpoint.close()

    def __enter__(self) -> Self:
        self._checkpoint.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return CheckpointSource, (self._checkpoint,)

    def __repr__(self) -> str:
        return f"<tensorbundle.formats.CheckpointSource of {self._checkpoint!r}>"
