"""``save`` from NumPy arrays, ``durable=False``: when it returns the page cache has it all, as with the others."""

import tensorbundle as tb
from benchmarks.python.rivals.save import folder


def prepare(job):
    return job, folder.arrays(job)


def run(state, turn):
    job, arrays = state
    return tb.save(folder.fresh(job, turn), arrays, durable=False, threads=job.threads)


def answer(prefix):
    return {"saved": prefix}


def discard(prefix):
    folder.remove(prefix)
