"""Small checkpoints that several test modules are about."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .hashing import assert_same_bits

# A model as users have it, in another order than that of its names.
MODEL = {
    "dense/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "dense/bias": np.arange(4, dtype=np.float32),
    "step": np.array(7, np.int64),
    "names": [b"one", b"two"],
}
MODEL_ORDER = ["dense/bias", "dense/kernel", "names", "step"]

# One tensor of each kind that is handed out in its own way: converted, empty, viewed, made of objects, without
# dimensions. In the order of their names; kept as MIXED_OPTIONS says.
MIXED = {
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3), "<f4"),
    "kernel": np.arange(60_000, dtype="<f4").reshape(300, 200),
    "names": np.array([b"a", b"", b"long" * 100], object),
    "step": np.array(7, "<i8"),
}
MIXED_OPTIONS = {"alignment": 64, "shards": 2}


def assert_mixed(arrays: Mapping[str, np.ndarray]) -> None:
    """All of MIXED, in order, bit by bit."""
    assert list(arrays) == list(MIXED)
    for name, value in MIXED.items():
        assert_same_bits(arrays[name], value, name)
