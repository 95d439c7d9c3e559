"""``open`` and ``entries``: name, dtype and shape of each."""

import tensorbundle as tb


def prepare(job):
    return job.prefix


def run(prefix, _turn):
    return [(entry.name, entry.dtype, entry.shape) for entry in tb.open(prefix).entries()]


def answer(entries):
    return {"listing": [(name, str(dtype), shape) for name, dtype, shape in entries]}
