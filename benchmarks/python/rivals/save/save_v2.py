"""TensorFlow's ``SaveV2`` from TensorFlow's tensors, names too, made before; it brings nothing to the disk."""

import tensorflow as tf

import tensorbundle as tb
from benchmarks.python.rivals.save import folder


def prepare(job):
    return job, inputs(job)


def run(state, turn):
    job, tensors = state
    return save(folder.fresh(job, turn), tensors)


def answer(prefix):
    return {"tensors": tb.load(prefix)}


def discard(prefix):
    folder.remove(prefix)


def inputs(job):
    """All that ``SaveV2`` wants beside the prefix."""
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    arrays = folder.arrays(job)
    names = sorted(arrays)
    return {
        "tensor_names": tf.constant(names),
        "shape_and_slices": tf.constant([""] * len(names)),
        "tensors": [tf.constant(arrays.pop(name)) for name in names],
    }


def save(prefix, tensors):
    tf.raw_ops.SaveV2(prefix=prefix, **tensors)
    return prefix
