"""TensorFlow as the judge of what a checkpoint means, where it is installed.

Tests that need it are skipped without it; with ``TENSORBUNDLE_REQUIRE_TENSORFLOW`` set that is an error instead, so
that the job that has TensorFlow cannot pass by skipping.
"""

from __future__ import annotations

import functools
import math
import os
import warnings
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from . import dtypes
from .hashing import as_array, canonical_bytes
from .wire import read_varint


@functools.cache
def load() -> ModuleType:
    """The module ``tensorflow``, quiet and on the CPU. For scripts and for ``require``."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    return tf


def require() -> ModuleType:
    """``load`` for tests: skips where TensorFlow is not installed, unless it must be."""
    try:
        return load()
    except ModuleNotFoundError as error:
        if error.name != "tensorflow" or os.environ.get("TENSORBUNDLE_REQUIRE_TENSORFLOW"):
            raise
        pytest.skip("TensorFlow is not installed")


def names(prefix: str | os.PathLike[str]) -> dict[str, str]:
    """Name -> dtype of every tensor, partitioned ones once. Names must be UTF-8."""
    reader = load().train.load_checkpoint(os.fspath(prefix))
    return {name: dtype.name for name, dtype in reader.get_variable_to_dtype_map().items()}


def read(prefix: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Every tensor as an array. Names must be UTF-8."""
    return {name: restore(prefix, name, dtype) for name, dtype in names(prefix).items()}


def restore(prefix: str | os.PathLike[str], name: str | bytes, dtype: str, spec: str = "") -> np.ndarray:
    """One tensor, or the part of it that ``spec`` (``"4 3 0,2:-"``) asks for, of the dtype it is stored in."""
    return to_array(restore_tensor(prefix, name, dtype, spec))


def restore_tensor(prefix: str | os.PathLike[str], name: str | bytes, dtype: str, spec: str = "") -> Any:
    """``restore`` without the conversion: a ``tf.Tensor``, also for variants."""
    tf = load()
    (tensor,) = tf.raw_ops.RestoreV2(
        prefix=os.fspath(prefix), tensor_names=[name], shape_and_slices=[spec], dtypes=[tf.dtypes.as_dtype(dtype)]
    )
    return tensor


def save(
    prefix: str | os.PathLike[str], tensors: Iterable[tuple[str | bytes, Any] | tuple[str | bytes, Any, str]]
) -> None:
    """Writes a checkpoint of one shard.

    Args:
        tensors: (name, value) or (name, piece, spec), in file order. A value is an array, bytes, a list of bytes,
            ``tensors.Typed`` or a ``tf.Tensor``.
    """
    rows = [row if len(row) == 3 else (*row, "") for row in tensors]
    load().raw_ops.SaveV2(
        prefix=os.fspath(prefix),
        tensor_names=[name for name, _, _ in rows],
        shape_and_slices=[spec for _, _, spec in rows],
        tensors=[to_tensor(value) for _, value, _ in rows],
    )


def merge(prefixes: Sequence[str | os.PathLike[str]], destination: str | os.PathLike[str]) -> None:
    """One checkpoint of several; their files are consumed."""
    load().raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[os.fspath(prefix) for prefix in prefixes], destination_prefix=os.fspath(destination)
    )


def to_tensor(value: Any) -> Any:
    """A ``tf.Tensor`` with exactly the bits of an array; quantized types by ``tensors.Typed``."""
    tf = load()
    if isinstance(value, tf.Tensor):
        return value
    typed = hasattr(value, "dtype") and hasattr(value, "array")
    array = as_array(value.array if typed else value)
    if array.dtype.kind == "O":
        return tf.constant(array.tolist(), tf.string, array.shape)
    dtype = tf.dtypes.as_dtype(value.dtype if typed else dtypes.of_array(array).name)
    shape = tf.TensorShape(array.shape).as_proto()
    # Through the proto: conversion from NumPy knows neither quantized types nor, for some, the small floats.
    proto = tf.make_tensor_proto(0.0)
    proto.Clear()
    proto.dtype = dtype.as_datatype_enum
    proto.tensor_shape.CopyFrom(shape)
    proto.tensor_content = canonical_bytes(array)
    return tf.io.parse_tensor(proto.SerializeToString(), dtype)


def to_array(tensor: Any) -> np.ndarray:
    """A ``tf.Tensor`` as an array: strings as an object array of bytes, scalars as 0-d arrays.

    A variant becomes an object array too, of its serialized elements.
    """
    tf = load()
    if tensor.dtype != tf.variant:
        return as_array(tensor.numpy())
    proto = tf.make_tensor_proto(0.0)
    proto.ParseFromString(tf.io.serialize_tensor(tensor).numpy())
    return _variant_elements(proto.tensor_content, tuple(tensor.shape))


def _variant_elements(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """All lengths, then all elements: not as in a data file."""
    elements = np.empty(math.prod(shape), object)
    at = 0
    lengths = []
    for _ in elements:
        length, at = read_varint(content, at)
        lengths.append(length)
    for position, length in enumerate(lengths):
        elements[position] = content[at : at + length]
        at += length
    return elements.reshape(shape)
