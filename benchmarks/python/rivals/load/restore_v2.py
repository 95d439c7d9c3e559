"""TensorFlow's ``RestoreV2``, names and dtypes known, in one call; its tensors stay TensorFlow's."""

import tensorflow as tf


def prepare(job):
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    dtypes = tf.train.load_checkpoint(job.prefix).get_variable_to_dtype_map()
    return job.prefix, list(dtypes), list(dtypes.values())


def run(state, _turn):
    prefix, names, dtypes = state
    tensors = tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), dtypes=dtypes)
    return dict(zip(names, tensors, strict=True))


def answer(tensors):
    return {"tensors": {name: tensor.numpy() for name, tensor in tensors.items()}}
