"""Mapped files whose bytes are about to be touched."""

from __future__ import annotations

import errno
import mmap
import sys

# Of Linux 5.14, and of no Python's mmap so far.
_MADV_POPULATE_READ = 22


def populate(mapped: mmap.mmap, begin: int, end: int, path: str) -> None:
    """Brings pages of a file to memory in one call, and raises ``OSError`` where touching them would be a signal."""
    begin -= begin % mmap.PAGESIZE
    if sys.platform != "linux" or begin >= end:
        return
    try:
        mapped.madvise(_MADV_POPULATE_READ, begin, end - begin)
    except OSError as error:
        if error.errno != errno.EINVAL:  # As an old system says.
            what = "it can't be read to its end any more"
            raise OSError(errno.EIO, f"{what}: {error.strerror}", path) from error
