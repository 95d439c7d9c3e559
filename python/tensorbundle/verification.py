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
    """

    checked: int
    nbytes: int
    damaged: tuple[Damage, ...]

    def __bool__(self) -> bool:
        return not self.damaged

    def __repr__(self) -> str:
        outcome = f"{self._count()} damaged" if self.damaged else "sound"
        return f"<VerifyReport: {self.checked} tensors, {self.nbytes} bytes, {outcome}>"

    def __str__(self) -> str:
        if not self.damaged:
            return f"all {self.checked} tensors are sound ({self.nbytes} bytes)"
        head = f"{self._count()} of {self.checked} tensors are damaged ({self.nbytes} bytes)"
        return "\n".join([head, *(f"  {damage}" for damage in self.damaged)])

    def _count(self) -> int:
        """Number of damaged tensors: one in pieces may be damaged in several places."""
        return len({damage.name for damage in self.damaged})


for _class in (Damage, VerifyReport):
    _class.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
