"""``list_variables``."""

import tensorflow as tf


def prepare(job):
    return job.prefix


def run(prefix, _turn):
    return prefix, tf.train.list_variables(prefix)


def answer(result):
    prefix, listed = result
    dtypes = tf.train.load_checkpoint(prefix).get_variable_to_dtype_map()
    return {"listing": [(name, dtypes[name].name, shape) for name, shape in listed]}
