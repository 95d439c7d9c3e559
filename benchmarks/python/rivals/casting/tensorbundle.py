"""The cast of ``tb.convert``, block by block."""

import ml_dtypes
import numpy as np

from benchmarks.python.rivals.casting import elements
from tensorbundle.conversion.casting import Cast

prepare, answer = elements.prepare, elements.answer


def run(state, _turn):
    array, expected = state
    out = np.empty(array.size, ml_dtypes.bfloat16)
    Cast("float32", "bfloat16", "elements").into(out, array)
    return expected, out
