"""``save`` from NumPy arrays, ``durable=False``, in place of a checkpoint, which goes before it returns."""

import tensorbundle as tb
from benchmarks.python.rivals.save import folder


def prepare(job):
    state = job, folder.arrays(job)
    run(state, 0)
    return state


def run(state, _turn):
    job, arrays = state
    return tb.save(folder.kept(job), arrays, durable=False, threads=job.threads)


def answer(prefix):
    return {"saved": prefix}
