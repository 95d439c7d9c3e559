"""``save`` from NumPy arrays as it is by default: data, index and their names are on the disk when it returns."""

import tensorbundle as tb
from benchmarks.python.rivals.save import folder


def prepare(job):
    return job, folder.arrays(job)


def run(state, turn):
    job, arrays = state
    return tb.save(folder.fresh(job, turn), arrays, threads=job.threads)


def answer(prefix):
    return {"saved": prefix}


def discard(prefix):
    folder.remove(prefix)
