"""``read`` with an index: other rows each time, and every byte of them touched."""

import numpy as np

import tensorbundle as tb
from benchmarks.python import answers


def prepare(job):
    return tb.open(job.prefix, threads=job.threads), job.starts


def run(state, turn):
    checkpoint, starts = state
    start = starts[turn % len(starts)]
    rows = checkpoint.read("variable", index=np.s_[start : start + answers.ROWS])
    return start, rows, answers.sum_array(rows)


def answer(result):
    start, rows, _ = result
    return {"rows": {start: rows}}


def check(state):
    return {"rows": {start: run(state, turn)[1] for turn, start in enumerate(state[1])}}
