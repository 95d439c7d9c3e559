"""Views of the mapped file, every checksum checked."""

import tensorbundle as tb


def prepare(job):
    return job


def run(job, _turn):
    return tb.load(job.prefix, threads=job.threads)


def answer(tensors):
    return {"tensors": tensors}
