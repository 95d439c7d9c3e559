"""``min``, ``max``, ``mean`` and ``std`` of NumPy, of an array in memory; it looks at each element four times."""

import numpy as np

import tensorbundle as tb


def prepare(job):
    (array,) = tb.load(job.prefix, copy=True).values()
    return array


def run(array, _turn):
    return array, (array.min(), array.max(), array.mean(), array.std())


def answer(result):
    array, (least, greatest, mean, spread) = result
    inside = bool(np.all((least <= array[:16]) & (array[:16] <= greatest)))
    return {"same": inside and least < mean < greatest and 0 < spread < greatest - least}
