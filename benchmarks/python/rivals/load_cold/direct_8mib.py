"""``read()`` of the data file with ``O_DIRECT``, past the page cache, 8 MiB at a time."""

import os

from benchmarks.python.rivals import Unavailable
from benchmarks.python.rivals.load_cold import sequential

SIZE = 8 * sequential.MIB


def prepare(job):
    try:
        os.close(os.open(job.data, os.O_RDONLY | os.O_DIRECT))
    except OSError as error:
        raise Unavailable(f"no O_DIRECT: {error.strerror}") from error
    return job.data


def run(path, _turn):
    return sequential.read(path, SIZE, os.O_DIRECT)


def answer(count):
    return {"size": count}


def check(path):
    return {"words": sequential.sum_words(path, SIZE, os.O_DIRECT)}
