"""Bytes of opened files, where system calls may do less than they are asked for."""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING

import numpy as np

from tensorbundle import _core, errors
from tensorbundle.formats.source import identity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorbundle.formats import RawBytes

_WRITTEN_BYTES = 4 << 20
# What file systems answer that can't reserve space.
_CANT_RESERVE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENODEV})


def open_raw(raw: RawBytes) -> int:
    """A descriptor of the file that bytes of a source lie in.

    Raises:
        DataLossError: Another file has taken its name, and no checksum would tell.
        OSError: It can't be opened.
    """
    descriptor = os.open(raw.path, os.O_RDONLY | os.O_CLOEXEC)
    if raw.identity is None or raw.identity == identity(os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    raise errors.DataLossError(f"another file is at {raw.path!r} now than the one that was opened", path=raw.path)


def mapped(descriptor: int) -> mmap.mmap:
    """A file that isn't empty, mapped for as long as there is a view of it. Closes the descriptor."""
    try:
        return mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)


def reserve(descriptor: int, nbytes: int) -> None:
    """Reserves space for a new file, where the file system can: a full disk then says so before anything is written.

    A file whose space is there is also written in half the time, on ext4.

    Raises:
        OSError: There is not so much space.
    """
    if nbytes == 0 or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, nbytes)
    except OSError as error:
        if error.errno not in _CANT_RESERVE:
            raise


def read_into(descriptor: int, buffer: NDArray[np.uint8], offset: int) -> int:
    """Fills a buffer from a file; returns how many bytes there were."""
    done = 0
    while done < buffer.size:
        count = os.preadv(descriptor, [buffer[done:].data], offset + done)
        if count == 0:
            break
        done += count
    return done


def write_all(descriptor: int, content: NDArray[np.uint8], offset: int) -> None:
    """Writes all bytes to a place in a file, by parts, so that Ctrl-C need not wait for long."""
    done = 0
    while done < content.size:
        done += os.pwrite(descriptor, content[done : done + _WRITTEN_BYTES].data, offset + done)


def sum_of(descriptor: int, offset: int, nbytes: int, buffer: NDArray[np.uint8]) -> int:
    """The CRC-32C of a part of a file, as far as the file goes."""
    checksum = 0
    for begin in range(0, nbytes, buffer.size):
        part = buffer[: min(buffer.size, nbytes - begin)]
        count = read_into(descriptor, part, offset + begin)
        checksum = _core.crc32c(part[:count], checksum)
    return checksum
