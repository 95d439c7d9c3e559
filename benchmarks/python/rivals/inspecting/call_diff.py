"""``tb.diff`` of two checkpoints, of which it reads the indexes and no tensor."""

import tensorbundle as tb
from benchmarks.python.rivals.inspecting import twin


def prepare(job):
    return job, twin.save(job, "another")


def run(state, _turn):
    job, (other, *expected) = state
    return expected, tb.diff(job.prefix, other, threads=job.threads)


def answer(result):
    (differing, num_equal), found = result
    elsewhere = [*found.only_a, *found.only_b, *found.changed]
    names = sorted(difference.name for difference in found.different)
    return {"same": (names, found.equal, elsewhere) == (differing, num_equal, [])}
