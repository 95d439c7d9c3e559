"""``save`` from NumPy arrays into eight data files, ``shards=8, durable=False``."""

import tensorbundle as tb
from benchmarks.python.rivals.save import folder


def prepare(job):
    return job, folder.arrays(job)


def run(state, turn):
    job, arrays = state
    return tb.save(folder.fresh(job, turn), arrays, shards=8, durable=False, threads=job.threads)


def answer(prefix):
    return {"saved": prefix}


def discard(prefix):
    folder.remove(prefix)
