"""``read()`` of the data file, 1 MiB at a time."""

from benchmarks.python.rivals.load_cold import sequential

SIZE = 1 * sequential.MIB


def prepare(job):
    return job.data


def run(path, _turn):
    return sequential.read(path, SIZE)


def answer(count):
    return {"size": count}


def check(path):
    return {"words": sequential.sum_words(path, SIZE)}
