"""``load_checkpoint`` and its maps from names to shapes and to dtypes."""

import tensorflow as tf


def prepare(job):
    return job.prefix


def run(prefix, _turn):
    reader = tf.train.load_checkpoint(prefix)
    return reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()


def answer(maps):
    shapes, dtypes = maps
    return {"listing": [(name, dtypes[name].name, shape) for name, shape in shapes.items()]}
