"""``get_variable_to_dtype_map``, the reader open."""

import tensorflow as tf


def prepare(job):
    return tf.train.load_checkpoint(job.prefix)


def run(reader, _turn):
    return reader, reader.get_variable_to_dtype_map()


def answer(result):
    reader, dtypes = result
    shapes = reader.get_variable_to_shape_map()
    return {"listing": [(name, dtype.name, shapes[name]) for name, dtype in dtypes.items()]}
