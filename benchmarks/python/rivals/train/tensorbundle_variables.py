"""``load_variable`` for every name, one after the other."""

import tensorbundle as tb


def prepare(job):
    return job.prefix, [name for name, _ in tb.train.list_variables(job.prefix)]


def run(state, _turn):
    prefix, names = state
    return {name: tb.train.load_variable(prefix, name) for name in names}


def answer(arrays):
    return {"tensors": arrays}
