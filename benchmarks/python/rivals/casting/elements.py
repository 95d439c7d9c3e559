"""What the rivals of this folder cast, and how the outcome is compared."""

import ml_dtypes
import numpy as np

import tensorbundle as tb


def prepare(job):
    """The elements of the job's one tensor, and the bits that they become."""
    (array,) = tb.load(job.prefix, copy=True).values()
    elements = array.reshape(-1)
    return elements, elements.astype(ml_dtypes.bfloat16).view(np.uint16)


def answer(result):
    expected, found = result
    return {"same": np.array_equal(found.view(np.uint16), expected)}
