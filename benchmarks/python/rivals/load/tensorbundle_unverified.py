"""Views of the mapped file, no checksum checked."""

import tensorbundle as tb


def prepare(job):
    return job


def run(job, _turn):
    return tb.load(job.prefix, verify=False, threads=job.threads)


def answer(tensors):
    return {"tensors": tensors}
