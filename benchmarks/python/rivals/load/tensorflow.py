"""``load_checkpoint``, and ``get_tensor`` for every name in the order of the file; it checks every checksum."""

import tensorflow as tf


def prepare(job):
    return job


def run(job, _turn):
    return load(job.prefix)


def load(prefix):
    reader = tf.train.load_checkpoint(prefix)
    # In any other order its reader would look for its place in index and data each time, at several times the cost.
    return {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}


def answer(tensors):
    return {"tensors": tensors}
