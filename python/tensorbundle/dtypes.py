"""TensorFlow's element types as NumPy dtypes.

``ml_dtypes``, which supplies those that NumPy lacks, is imported when the first of them is met.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tensorbundle import errors

# Quantized numbers are stored as plain integers; no scale is stored with them. Strings are arrays of `bytes`, variants
# arrays of their serialized bytes.
_NUMPY_NAMES = {
    "float32": "float32",
    "float64": "float64",
    "int32": "int32",
    "uint8": "uint8",
    "int16": "int16",
    "int8": "int8",
    "string": "object",
    "complex64": "complex64",
    "int64": "int64",
    "bool": "bool",
    "qint8": "int8",
    "quint8": "uint8",
    "qint32": "int32",
    "qint16": "int16",
    "quint16": "uint16",
    "uint16": "uint16",
    "complex128": "complex128",
    "float16": "float16",
    "variant": "object",
    "uint32": "uint32",
    "uint64": "uint64",
}

_ML_DTYPES_NAMES = frozenset(
    {
        "bfloat16",
        "float8_e5m2",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e4m3b11fnuz",
        "float8_e5m2fnuz",
        "int4",
        "uint4",
        "int2",
        "uint2",
        "float4_e2m1fn",
    }
)

#: Every element type that a checkpoint can hold, as TensorFlow spells it.
TF_NAMES = frozenset(_NUMPY_NAMES) | _ML_DTYPES_NAMES


@functools.cache
def numpy_dtype(tf_name: str) -> np.dtype[Any]:
    """The dtype of arrays that hold a tensor of type ``tf_name``.

    Args:
        tf_name: TensorFlow's name, such as ``"float32"``, ``"qint8"`` or ``"bfloat16"``.

    Returns:
        The dtype, in the host's byte order; ``object`` for ``"string"`` and ``"variant"``.

    Raises:
        UnimplementedError: The name is none of :data:`TF_NAMES`, or the installed ``ml_dtypes`` doesn't know it.
    """
    if tf_name in _NUMPY_NAMES:
        return np.dtype(_NUMPY_NAMES[tf_name])
    if tf_name not in _ML_DTYPES_NAMES:
        raise errors.UnimplementedError(f"there is no NumPy dtype for tensors of type {tf_name!r}")
    import ml_dtypes

    scalar_type = getattr(ml_dtypes, tf_name, None)
    if scalar_type is None:
        raise errors.UnimplementedError(
            f"tensors of type {tf_name} need a newer ml_dtypes than the installed {ml_dtypes.__version__}"
        )
    dtype: np.dtype[Any] = np.dtype(scalar_type)
    return dtype


@functools.cache
def tf_name(dtype: np.dtype[Any]) -> str | None:
    """TensorFlow's name of the tensors that arrays of ``dtype`` become, in whatever byte order.

    Returns:
        A name such as ``"float32"``; ``"string"`` for ``object``; None if a checkpoint has no such type. Quantized
        types have none of their own: their arrays are plain integers.
    """
    if dtype.hasobject:
        return "string" if dtype == np.dtype(object) else None
    name = dtype.newbyteorder("=").name if dtype.kind != "V" else dtype.name
    return name if name in TF_NAMES and numpy_dtype(name) == dtype.newbyteorder("=") else None


def kind(tf_name: str) -> str:
    """``"float"``, ``"complex"`` or ``"integer"`` for the types that one calculates with, else ``"other"``.

    Quantized numbers, of which the file doesn't have the scale, are others.
    """
    return _KINDS.get(tf_name, "other")


def integer_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The lowest and the highest number that an integer type holds, those of ``ml_dtypes`` included."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return int(limits.min), int(limits.max)
    import ml_dtypes

    small: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return int(small.min), int(small.max)


def _kind(tf_name: str) -> str:
    bare = tf_name.removeprefix("b")
    if bare.startswith("float"):
        return "float"
    if tf_name.startswith("complex"):
        return "complex"
    return "integer" if tf_name.startswith(("int", "uint")) else "other"


_KINDS = {name: _kind(name) for name in TF_NAMES}
