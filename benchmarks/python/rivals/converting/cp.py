"""``cp --reflink=never`` of the data file, which writes as many bytes and looks at none."""

import os
import subprocess

from benchmarks.python.rivals.converting import output
from benchmarks.python.rivals.load_cold import sequential

discard = output.discard


def prepare(job):
    return job


def run(job, turn):
    path = output.fresh(job, turn)
    subprocess.run(["cp", "--reflink=never", job.data, path], check=True)
    return path


def answer(path):
    return {"size": os.path.getsize(path), "words": sequential.sum_words(path, sequential.MIB)}
