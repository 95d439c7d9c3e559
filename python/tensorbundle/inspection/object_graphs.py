"""The object graph of a checkpoint that loses some of its tensors."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import _core
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.writer import save

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

#: The key that ``tf.train.Checkpoint`` stores the graph under.
GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


def without(checkpoint: Checkpoint, dropped: Collection[str]) -> NDArray[Any]:
    """The graph's record, as a tensor of one string, without the values of tensors that are dropped.

    Editing a checkpoint is what knows how. So a small one is edited: the same names, without the elements.

    Raises:
        DataLossError: The graph is damaged.
        ValueError: One tensor of several that are one value of an object would be parted from the others.
    """
    lost = set(dropped)
    with tempfile.TemporaryDirectory(prefix="tensorbundle-") as directory:
        prefix = os.path.join(directory, "names")
        nothing = np.empty(0, np.uint8)
        save(prefix, {**dict.fromkeys(checkpoint, nothing), GRAPH_KEY: checkpoint.read(GRAPH_KEY)}, durable=False)
        _core.edit(prefix, None, lambda names: [None if name in lost else name for name in names], durable=False)
        with Checkpoint(prefix) as edited:
            return edited.read(GRAPH_KEY, copy=True)
