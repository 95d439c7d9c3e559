"""Bytes from files to a file: moved by the kernel where they stay as they are, and read back and summed.

One pass over what was written does two jobs: its checksum is compared with the one that the source's file has, so it
tells whether the source was sound as well as whether the target is.
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from typing import TYPE_CHECKING

import numpy as np

from tensorbundle import _core
from tensorbundle.conversion import damage, parallel
from tensorbundle.conversion.file_bytes import open_raw, read_into, sum_of, write_all
from tensorbundle.conversion.runs import PIECE_BYTES, Group, Part, Run, Sums, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorbundle.conversion.casting import Cast
    from tensorbundle.conversion.watching import Watch
    from tensorbundle.formats import RawBytes

# What the kernel answers that can't move bytes between these files by itself.
_CANT_MOVE = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM, errno.ETXTBSY}
)
# By a thread at a time: a checkpoint may have thousands of files.
_MAX_OPENED = 16


class SourceDamagedError(Exception):
    """The bytes of a tensor in the source don't have the checksum that they should have."""

    def __init__(self, run: Run, found: int) -> None:
        super().__init__(run.name)
        self.run = run
        self.found = found


def move(runs: Sequence[Run], out: int, path: str, *, threads: int, verify: bool, watch: Watch) -> None:
    """Writes the elements of tensors to a file.

    Args:
        runs: The tensors, in the order of their places in the target.
        out: Descriptor of the target's file, open for reading and writing.
        path: Its path, for messages.
        threads: How many may work.
        verify: Read back what was written and compare checksums.
        watch: What is told of the progress.

    Raises:
        SourceDamagedError: A tensor of the source is damaged.
        DataLossError: A source's file ends too early, or what was written reads back as something else.
        ValueError: An element can't be converted.
        OSError: The system refuses.
    """
    sums: list[Sums] = []
    job = _Job(out, path, verify=verify)
    parallel.for_each(pieces(runs, sums), job.do, threads=threads, watch=watch)
    for each in sums if verify else ():
        job.compare(each)


class _Files(threading.local):
    """The files that bytes come from: of each thread, so that it may close those that it needs no more."""

    def __init__(self) -> None:
        self._opened: dict[str, _OpenedFile] = {}

    def read(self, run: Run, begin: int, end: int, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bytes of a tensor, in a buffer that is at least as large."""
        content = buffer[: end - begin]
        if read_into(self.of(run), content, run.raw.offset + begin) < content.size:
            raise damage.too_short(run.name, run.raw)
        return content

    def of(self, run: Run) -> int:
        """The descriptor of the file that a tensor lies in."""
        file = self._opened.pop(run.raw.path, None) or _OpenedFile(run.raw)
        if len(self._opened) >= _MAX_OPENED:
            del self._opened[next(iter(self._opened))]
        self._opened[run.raw.path] = file  # The last, of those that were used.
        return file.descriptor


class _OpenedFile:
    """A file, until nobody refers to it."""

    def __init__(self, raw: RawBytes) -> None:
        self.descriptor = open_raw(raw)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class _Job:
    """What is done with each piece, by any thread."""

    def __init__(self, out: int, path: str, *, verify: bool) -> None:
        self._files = _Files()
        self._out = out
        self._path = path
        self._verify = verify
        self._buffers = _Buffers()
        self._kernel_moves = hasattr(os, "copy_file_range")

    def do(self, piece: Part | Group) -> None:
        """Writes a piece."""
        if isinstance(piece, Group):
            self._write_group(piece)
        elif piece.run.cast is None:
            self._copy(piece)
        else:
            self._convert(piece, piece.run.cast)

    def _write_group(self, group: Group) -> None:
        """Small tensors: each read, summed and converted, all written at once."""
        parts = []
        for run in group.runs:
            content = self._files.read(run, 0, run.raw.nbytes, np.empty(run.raw.nbytes, np.uint8))
            if self._verify and run.raw.crc32c is not None and _core.crc32c(content) != run.raw.crc32c:
                raise SourceDamagedError(run, _core.crc32c(content))
            parts.append(content if run.cast is None else _converted(run.cast, content))
        self._write(np.concatenate(parts), group.offset)

    def _convert(self, part: Part, cast: Cast) -> None:
        content = self._files.read(part.run, part.begin, part.end, self._buffers.read)
        if self._verify and part.run.raw.crc32c is not None:
            part.sums.of_source[part.number] = _core.crc32c(content)
        self._write(_converted(cast, content), part.offset)

    def _write(self, content: NDArray[np.uint8], offset: int) -> None:
        write_all(self._out, content, offset)
        if self._verify and self._sum_of(self._out, offset, content.size) != _core.crc32c(content):
            raise damage.of_target(self._path, offset, content.size)

    def _copy(self, part: Part) -> None:
        self._move(part)
        if not self._verify:
            return
        part.sums.of_target[part.number] = self._sum_of(self._out, part.offset, part.nbytes)
        raw = part.run.raw
        if raw.crc32c is None:
            found = self._sum_of(self._files.of(part.run), raw.offset + part.begin, part.nbytes)
            part.sums.of_source[part.number] = found

    def _move(self, part: Part) -> None:
        """Copies bytes of a file to another.

        The kernel does it by itself where they lie alike in their pages, and can then share the blocks on some file
        systems. Where they lie otherwise, that takes twice as long as reading and writing them.
        """
        done = 0
        if (part.run.raw.offset - part.run.offset) % mmap.PAGESIZE == 0:
            done = self._moved_by_kernel(part)
        if done < part.nbytes:
            content = self._files.read(part.run, part.begin + done, part.end, self._buffers.read)
            write_all(self._out, content, part.offset + done)

    def _moved_by_kernel(self, part: Part) -> int:
        """How many bytes of a part the kernel has moved: all, unless it can't."""
        source, begin = self._files.of(part.run), part.run.raw.offset + part.begin
        done = 0
        while done < part.nbytes and self._kernel_moves:
            try:
                moved = os.copy_file_range(source, self._out, part.nbytes - done, begin + done, part.offset + done)
            except OSError as error:
                if error.errno not in _CANT_MOVE:
                    raise
                self._kernel_moves = False
                break
            if moved == 0:
                raise damage.too_short(part.name, part.run.raw)
            done += moved
        return done

    def compare(self, sums: Sums) -> None:
        """Compares the checksums of a tensor that came in parts."""
        run, stored = sums.run, sums.run.raw.crc32c
        if run.cast is not None:
            found = sums.combined(sums.of_source)
            if stored is not None and found != stored:
                raise SourceDamagedError(run, found)
            return
        if sums.combined(sums.of_target) == (sums.combined(sums.of_source) if stored is None else stored):
            return
        found = self._sum_of(self._files.of(run), run.raw.offset, run.raw.nbytes)
        if stored is not None and found != stored:
            raise SourceDamagedError(run, found)
        raise damage.of_target(self._path, run.offset, run.nbytes)

    def _sum_of(self, descriptor: int, offset: int, nbytes: int) -> int:
        return sum_of(descriptor, offset, nbytes, self._buffers.read_back)


class _Buffers(threading.local):
    """Those of each thread."""

    def __init__(self) -> None:
        self.read = np.empty(PIECE_BYTES, np.uint8)
        self.read_back = np.empty(PIECE_BYTES, np.uint8)


def _converted(cast: Cast, content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    elements = content.view(cast.source)
    out = np.empty(elements.size, cast.target)
    cast.into(out, elements)
    return out.view(np.uint8)
