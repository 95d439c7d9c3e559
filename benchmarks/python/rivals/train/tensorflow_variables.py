"""``load_variable`` for every name, one after the other."""

import tensorflow as tf


def prepare(job):
    return job.prefix, [name for name, _ in tf.train.list_variables(job.prefix)]


def run(state, _turn):
    prefix, names = state
    return {name: tf.train.load_variable(prefix, name) for name in names}


def answer(arrays):
    return {"tensors": arrays}
