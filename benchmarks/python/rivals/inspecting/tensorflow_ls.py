"""A program that prints ``tf.train.list_variables``, from the start of the process to its end."""

import json

from benchmarks.python import contents
from benchmarks.python.rivals import program

_CODE = """
import json, sys
import tensorflow as tf
print(json.dumps(tf.train.list_variables(sys.argv[1])))
"""


def prepare(job):
    tensors = contents.CONTENTS[job.file](contents.SIZES[job.sizes])
    # Which that function does not tell.
    return job.prefix, {name: str(array.dtype) for name, array in tensors.items()}


def run(state, _turn):
    prefix, dtypes = state
    return dtypes, program.run_code(_CODE, prefix)


def answer(result):
    dtypes, output = result
    return {"listing": [(name, dtypes[name], shape) for name, shape in json.loads(output)]}
