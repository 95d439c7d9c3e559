"""``tensorbundle convert``: every checksum compared, every byte written compared, whole or not there."""

from benchmarks.python.rivals import program
from benchmarks.python.rivals.converting import output

answer, discard = output.answer, output.discard


def prepare(job):
    return job


def run(job, turn):
    path = output.fresh(job, turn)
    program.run_module("tensorbundle.cli", "convert", job.prefix, path, "--threads", str(job.threads))
    return path
