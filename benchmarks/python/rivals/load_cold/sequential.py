"""What the plain readers of this folder share: one file from its first byte to its last, through one buffer."""

import mmap
import os
import sys

MIB = 1 << 20


def blocks(path, size, flags=0):
    """Views of what was read, each valid until the next one is asked for."""
    buffer = memoryview(mmap.mmap(-1, size))  # On a page, which O_DIRECT wants.
    file = os.open(path, os.O_RDONLY | flags)
    try:
        offset, end = 0, os.fstat(file).st_size
        while offset < end:  # O_DIRECT may refuse to be asked for the end of the file, where nothing is aligned.
            count = os.preadv(file, [buffer], offset)
            yield buffer[:count]
            offset += count
    finally:
        os.close(file)


def read(path, size, flags=0):
    """Number of bytes read."""
    return sum(len(block) for block in blocks(path, size, flags))


def sum_words(path, size, flags=0):
    """The file's little-endian 64-bit words added up, the last one padded with zeros."""
    import numpy as np

    total = 0
    for block in blocks(path, size, flags):
        whole = len(block) // 8 * 8
        total += int(np.frombuffer(block[:whole], np.uint64).sum(dtype=np.uint64))
        total += int.from_bytes(bytes(block[whole:]), sys.byteorder)
    return total % 2**64


def functions_of_rival(size):
    """``prepare``, ``run``, ``answer`` and ``check`` of the rival that reads so many bytes at a time."""

    def prepare(job):
        return job.data

    def run(path, _turn):
        return read(path, size)

    def answer(count):
        return {"size": count}

    def check(path):
        return {"words": sum_words(path, size)}

    return prepare, run, answer, check
