"""The elements of tensors as runs of bytes in files, cut into pieces that threads deal with one at a time."""

from __future__ import annotations

import array
import dataclasses
from typing import TYPE_CHECKING

from tensorbundle import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tensorbundle.conversion.casting import Cast
    from tensorbundle.formats import RawBytes

#: What is moved, converted and read back at a time: it stays in a core's cache.
PIECE_BYTES = 1 << 20
# Tensors below this are written many at a time, with one system call.
_SMALL_BYTES = 64 << 10


@dataclasses.dataclass(frozen=True)
class Run:
    """The elements of one tensor: where they lie, where they go, and what they become on the way.

    Attributes:
        name: Of the tensor in the source, for messages.
        raw: Where they lie.
        offset: Where they begin in the target's file.
        nbytes: What they take there.
        cast: What they become, or None if they stay as they are.
    """

    name: str
    raw: RawBytes
    offset: int
    nbytes: int
    cast: Cast | None = None

    @property
    def is_small(self) -> bool:
        """True if it isn't worth a piece of its own."""
        return max(self.raw.nbytes, self.nbytes) < _SMALL_BYTES


class Sums:
    """The checksums of a run's pieces, as far as they are computed; of the source's bytes, and of the target's."""

    def __init__(self, run: Run) -> None:
        count = -(-run.raw.nbytes // PIECE_BYTES)
        self.run = run
        self.of_source = array.array("I", bytes(4 * count))
        self.of_target = array.array("I", bytes(4 * count))

    def combined(self, sums: array.array[int]) -> int:
        """The checksum of the whole run, from those of all its pieces."""
        whole = sums[0]
        for number in range(1, len(sums)):
            nbytes = min(PIECE_BYTES, self.run.raw.nbytes - number * PIECE_BYTES)
            whole = _core.crc32c_combine(whole, sums[number], nbytes)
        return whole


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of one tensor.

    Attributes:
        run: The tensor.
        number: Which of its parts, from 0.
        sums: Where its checksums go.
    """

    run: Run
    number: int
    sums: Sums

    @property
    def name(self) -> str:
        """The tensor's."""
        return self.run.name

    @property
    def begin(self) -> int:
        """Where it begins in the tensor's bytes in the source."""
        return self.number * PIECE_BYTES

    @property
    def end(self) -> int:
        """Where it ends there."""
        return min(self.begin + PIECE_BYTES, self.run.raw.nbytes)

    @property
    def offset(self) -> int:
        """Where it begins in the target's file."""
        return self.run.offset + self._in_target(self.begin)

    @property
    def nbytes(self) -> int:
        """What it takes there."""
        return self._in_target(self.end) - self._in_target(self.begin)

    def _in_target(self, nbytes: int) -> int:
        cast = self.run.cast
        return nbytes if cast is None else nbytes // cast.source.itemsize * cast.target.itemsize


@dataclasses.dataclass(frozen=True)
class Group:
    """Several small tensors that lie one after the other in the target."""

    runs: Sequence[Run]

    @property
    def name(self) -> str:
        """The first one's."""
        return self.runs[0].name

    @property
    def offset(self) -> int:
        """Where the first one begins in the target's file."""
        return self.runs[0].offset

    @property
    def nbytes(self) -> int:
        """What they take there."""
        return self.runs[-1].offset + self.runs[-1].nbytes - self.offset


def pieces(runs: Iterable[Run], sums: list[Sums]) -> Iterator[Part | Group]:
    """Cuts runs into pieces, one by one as they are asked for.

    Args:
        runs: In the order of their places in the target.
        sums: Gets what each tensor's parts put their checksums in.
    """
    group: list[Run] = []
    for run in runs:
        if group and not (run.is_small and _follows(group, run)):
            yield Group(group)
            group = []
        if run.is_small:
            group.append(run)
            continue
        sums.append(Sums(run))
        for number in range(len(sums[-1].of_source)):
            yield Part(run, number, sums[-1])
    if group:
        yield Group(group)


def _follows(group: list[Run], run: Run) -> bool:
    end = group[-1].offset + group[-1].nbytes
    return run.offset == end and end - group[0].offset < PIECE_BYTES
