"""What comparing checksums found."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Damage:
    """One tensor that is not as it was saved.

    Attributes:
        name: Its name.
        shard: Number of the data file concerned, or None where the damage has no one place.
        offset: Byte offset in that file, or None; of the V1 format, of the table block that the tensor is in.
        expected: Checksum that the index has (CRC-32C, unmasked), or None if something else than a checksum is wrong.
            Of the V1 format that of the block, as it is stored: masked.
        found: Checksum of the bytes that are there, or None likewise.
        cause: The error that reading the tensor raises.
    """

    name: str
    shard: int | None
    offset: int | None
    expected: int | None
    found: int | None
    cause: Exception

    def __str__(self) -> str:
        return f"{self.name!r}: {self.cause}"


@dataclasses.dataclass(frozen=True, repr=False)
class VerifyReport:
    """The outcome of :meth:`tensorbundle.Checkpoint.verify`; true if everything is sound.

    Attributes:
        checked: Number of tensors that were looked at, the damaged ones included.
        nbytes: Bytes that were read.
        damaged: What is wrong, in key order; empty if nothing is.
        missing_shards: Files of a V1 checkpoint that were not there when it was opened, unless it was asked for certain
            tensors. Which others they hold is not known.
    """

    checked: int
    nbytes: int
    damaged: tuple[Damage, ...]
    missing_shards: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.damaged and not self.missing_shards

    def __repr__(self) -> str:
        damaged = [f"{self._count()} damaged"] if self.damaged else []
        missing = [f"{len(self.missing_shards)} of the shards missing"] if self.missing_shards else []
        outcome = ", ".join(damaged + missing) or "sound"
        return f"<VerifyReport: {self.checked} tensors, {self.nbytes} bytes, {outcome}>"

    def __str__(self) -> str:
        missing = (f"  {path!r}: the shard is missing, with whatever it alone holds" for path in self.missing_shards)
        return "\n".join([self._head(), *(f"  {damage}" for damage in self.damaged), *missing])

    def _head(self) -> str:
        if self.damaged:
            return f"{self._count()} of {self.checked} tensors are damaged ({self.nbytes} bytes)"
        listed = " that could be listed" if self.missing_shards else ""
        return f"all {self.checked} tensors{listed} are sound ({self.nbytes} bytes)"

    def _count(self) -> int:
        """Number of damaged tensors: one in pieces may be damaged in several places."""
        return len({damage.name for damage in self.damaged})


for _class in (Damage, VerifyReport):
    _class.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
