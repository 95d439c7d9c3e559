"""``SaveV2`` from TensorFlow's tensors, in place of a checkpoint, whose data file goes first."""

import tensorbundle as tb
from benchmarks.python.rivals.save import folder, save_v2


def prepare(job):
    state = job, save_v2.inputs(job)
    run(state, 0)
    return state


def run(state, _turn):
    job, tensors = state
    return save_v2.save(folder.kept(job), tensors)


def answer(prefix):
    return {"tensors": tb.load(prefix)}
