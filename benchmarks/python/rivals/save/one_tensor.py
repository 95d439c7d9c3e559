"""``save`` of one tensor of as many bytes, ``durable=False``."""

import os

import numpy as np

import tensorbundle as tb
from benchmarks.python.rivals import Unavailable
from benchmarks.python.rivals.save import folder


def prepare(job):
    size = job.large_bytes or job.bytes
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 2 * size > memory:
        raise Unavailable(
            f"the machine has {memory / 1e9:.1f} GB of memory, and array and page cache take {2 * size / 1e9:.1f}"
        )
    return job, np.random.default_rng(6).random(size // 4, np.float32)


def run(state, turn):
    job, array = state
    return tb.save(folder.fresh(job, turn), {"tensor": array}, durable=False, threads=job.threads), array


def answer(result):
    prefix, array = result
    saved = tb.load(prefix)
    return {"same": saved.keys() == {"tensor"} and np.array_equal(saved["tensor"], array)}


def discard(result):
    folder.remove(result[0])
