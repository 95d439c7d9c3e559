"""The reading half of ``tf.train``, with TensorFlow's signatures and return types, and without TensorFlow.

    from tensorbundle import train

    reader = train.load_checkpoint("run/model.ckpt-100")
    kernel = reader.get_tensor("dense/kernel")

Programs that call TensorFlow's functions can call these instead, or run unchanged inside :func:`as_tensorflow`. Where
they differ on purpose is said in :mod:`tensorbundle.train.differences`.
"""

from tensorbundle.train.dtypes import DType
from tensorbundle.train.reader import CheckpointReader, NewCheckpointReader
from tensorbundle.train.stand_in import as_tensorflow
from tensorbundle.train.states import (
    checkpoint_exists,
    generate_checkpoint_state_proto,
    get_checkpoint_mtimes,
    get_checkpoint_state,
    latest_checkpoint,
    remove_checkpoint,
    update_checkpoint_state,
)
from tensorbundle.train.variables import list_variables, load_checkpoint, load_variable
from tensorbundle.train.waiting import checkpoints_iterator

__all__ = [
    "CheckpointReader",
    "DType",
    "NewCheckpointReader",
    "as_tensorflow",
    "checkpoint_exists",
    "checkpoints_iterator",
    "generate_checkpoint_state_proto",
    "get_checkpoint_mtimes",
    "get_checkpoint_state",
    "latest_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "remove_checkpoint",
    "update_checkpoint_state",
]

#: Names of TensorFlow's that are here.
TF_NAMES = tuple(name for name in __all__ if name not in {"DType", "as_tensorflow"})
