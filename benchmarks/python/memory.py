"""What the kernel says of memory: a file's pages in its cache, and what of a process is not page cache. Linux only."""

import ctypes
import mmap
import os

_libc = ctypes.CDLL(None, use_errno=True)


def resident_pages(path):
    """Number of the file's pages that are in the page cache; looking brings in none."""
    with open(path, "rb") as file:
        # A private mapping is one that ctypes takes the address of; nothing is written to it.
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    pages = -(-len(mapping) // mmap.PAGESIZE)
    states = (ctypes.c_ubyte * pages)()
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    if _libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(len(mapping)), states):
        raise OSError(ctypes.get_errno(), "mincore failed", path)
    return sum(state & 1 for state in bytes(states))


def drop_page_cache(path):
    """Puts the file out of the page cache. Returns whether it is out: file systems in memory can't, and a mapping that
    somebody else has holds its pages."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)
    return resident_pages(path) == 0


def fill_page_cache(path, size):
    """Writes a file of that size and removes it: as much memory is then free, and really there.

    The host of a virtual machine may take memory that nobody has used for seconds, and who needs it next waits for it
    longer than for anything that is measured here.
    """
    block = memoryview(bytes(1 << 20))
    with open(path, "wb", buffering=0) as file:
        rest = size
        while rest:
            rest -= file.write(block[: min(rest, len(block))])
    os.unlink(path)


def usage(pid="self"):
    """Bytes of a process that are no file's pages: ``anonymous`` (``RssAnon``) and ``page_tables`` (``VmPTE``)."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {
        name: int(fields[key].split()[0]) * 1024 for name, key in (("anonymous", "RssAnon"), ("page_tables", "VmPTE"))
    }
