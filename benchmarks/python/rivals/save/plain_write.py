"""``write()`` of the same arrays into one new file, at most 1 MiB at a time, one thread; nothing is summed."""

import os

from benchmarks.python.rivals.load_cold import sequential
from benchmarks.python.rivals.save import folder


def prepare(job):
    return job, views(job)


def run(state, turn):
    job, arrays = state
    return write(folder.fresh(job, turn), arrays, synced=False)


def answer(path):
    return {"size": os.path.getsize(path), "words": sequential.sum_words(path, sequential.MIB)}


def discard(path):
    folder.remove(path)


def views(job):
    """The arrays' bytes, in the order in which TensorFlow's data file has them: the new file is that file."""
    arrays = folder.arrays(job)
    return [memoryview(arrays[name].reshape(-1)).cast("B") for name in sorted(arrays)]


def write(path, arrays, *, synced):
    os.makedirs(os.path.dirname(path))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for array in arrays:
            for start in range(0, len(array), sequential.MIB):
                _write_fully(file, array[start : start + sequential.MIB])
        if synced:
            os.fsync(file)
    finally:
        os.close(file)
    return path


def _write_fully(file, rest):
    while rest:
        rest = rest[os.write(file, rest) :]
