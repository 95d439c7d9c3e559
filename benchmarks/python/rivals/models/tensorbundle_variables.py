"""``tb.saved_model.load(d, ["serve"]).variables.load()``."""

from pathlib import Path

import tensorbundle as tb


def prepare(job):
    return Path(job.prefix).parents[1], job.threads


def run(state, _turn):
    directory, threads = state
    return tb.saved_model.load(directory, ["serve"]).variables.load(threads=threads)


def answer(arrays):
    return {"tensors": arrays}
