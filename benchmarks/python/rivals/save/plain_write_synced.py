"""``write()`` of the same arrays into one new file, at most 1 MiB at a time, one thread, and its ``fsync()``."""

from benchmarks.python.rivals.save import folder, plain_write
from benchmarks.python.rivals.save.plain_write import answer, discard  # noqa: F401 - the same


def prepare(job):
    return job, plain_write.views(job)


def run(state, turn):
    job, arrays = state
    return plain_write.write(folder.fresh(job, turn), arrays, synced=True)
