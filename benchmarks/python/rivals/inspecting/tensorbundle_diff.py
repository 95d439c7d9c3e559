"""``tensorbundle diff``, from the start of the process to its end; it reads both indexes and no tensor."""

from benchmarks.python.rivals import program
from benchmarks.python.rivals.inspecting import twin


def prepare(job):
    other, differing, num_equal = twin.save(job, "other")
    return job.prefix, other, f"{len(differing)} different, {num_equal} equal"


def run(state, _turn):
    prefix, other, summary = state
    return summary, program.run_module("tensorbundle.cli", "diff", prefix, other, status=1)


def answer(result):
    summary, output = result
    return {"same": output.splitlines()[-1] == summary}
