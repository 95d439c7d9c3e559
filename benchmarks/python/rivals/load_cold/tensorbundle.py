"""Views of the mapped file, every checksum checked, then every byte touched."""

import tensorbundle as tb
from benchmarks.python import answers


def prepare(job):
    return job


def run(job, _turn):
    tensors = tb.load(job.prefix, threads=job.threads)
    return tensors, answers.touch(tensors, job.threads)


def answer(result):
    return {"touched": result[1]}


def check(job):
    return {"tensors": tb.load(job.prefix, threads=job.threads)}
