"""``get_tensor`` of the whole variable: this reader has nothing smaller."""

import tensorflow as tf


def prepare(job):
    return tf.train.load_checkpoint(job.prefix)


def run(reader, _turn):
    return reader.get_tensor("variable")


def answer(variable):
    return {"tensors": {"variable": variable}}
