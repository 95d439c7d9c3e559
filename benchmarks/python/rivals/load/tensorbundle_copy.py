"""Arrays that can be written to, every checksum checked."""

import tensorbundle as tb


def prepare(job):
    return job


def run(job, _turn):
    return tb.load(job.prefix, copy=True, threads=job.threads)


def answer(tensors):
    return {"tensors": tensors}
