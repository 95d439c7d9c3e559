"""Which pages of a file are in the page cache. Linux only."""

from __future__ import annotations

import ctypes
import mmap as mmap_module
import os
from pathlib import Path

import numpy as np
import pytest

PAGE = mmap_module.PAGESIZE


class Pages:
    """Which pages of a file are in the page cache."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.libc = ctypes.CDLL(None, use_errno=True)

    def drop(self) -> None:
        """Makes the file cold; skips the test where that can't be had."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        if self.resident():
            pytest.skip("this file system keeps the pages of its files in memory")

    def read_ahead(self) -> int:
        """How many bytes the kernel reads around a page that was touched through a mapping."""
        device = self.path.stat().st_dev
        setting = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
        return int(setting.read_text()) << 10 if setting.exists() else 0

    def resident(self, begin: int = 0, end: int | None = None) -> int:
        """How many bytes, of the pages that lie from ``begin`` to ``end``."""
        with self.path.open("rb") as file, mmap_module.mmap(file.fileno(), 0, prot=mmap_module.PROT_READ) as mapped:
            count = -(-self.size // PAGE)
            flags = (ctypes.c_ubyte * count)()
            array = np.frombuffer(mapped, np.uint8)
            address = ctypes.c_void_p(array.ctypes.data)
            result = self.libc.mincore(address, ctypes.c_size_t(self.size), flags)
            del array
            assert result == 0, os.strerror(ctypes.get_errno())
            inside = slice(-(-begin // PAGE), count if end is None else end // PAGE)
            return PAGE * int((np.frombuffer(flags, np.uint8)[inside] & 1).sum())
