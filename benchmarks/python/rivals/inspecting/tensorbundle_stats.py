"""``tb.stats`` by one thread, the checksum compared: extremes, mean, deviation, norm, zeros, NaN and infinities."""

import math

import numpy as np

import tensorbundle as tb


def prepare(job):
    (name,) = tb.open(job.prefix)
    array = tb.load(job.prefix)[name]
    spread = float(np.std(array, dtype=np.float64))
    return job.prefix, name, (float(array.min()), float(array.max()), float(np.mean(array, dtype=np.float64)), spread)


def run(state, _turn):
    prefix, name, expected = state
    return expected, tb.stats(prefix, threads=1)[name]


def answer(result):
    (least, greatest, mean, spread), found = result
    exact = (found.min, found.max, found.nan, found.posinf, found.neginf)
    close = math.isclose(found.mean, mean, abs_tol=1e-9) and math.isclose(found.std, spread, rel_tol=1e-9)
    return {"same": close and exact == (least, greatest, 0, 0, 0)}
