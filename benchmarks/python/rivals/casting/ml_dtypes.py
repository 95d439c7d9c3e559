"""``astype`` of ``ml_dtypes``."""

import ml_dtypes

from benchmarks.python.rivals.casting import elements

prepare, answer = elements.prepare, elements.answer


def run(state, _turn):
    array, expected = state
    return expected, array.astype(ml_dtypes.bfloat16)
