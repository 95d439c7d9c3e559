"""The dtypes of the format as the tests know them: number, TensorFlow's name, NumPy dtype, width, swap unit."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np


@dataclasses.dataclass(frozen=True)
class DType:
    """One dtype.

    Attributes:
        name: As ``tf.DType.name`` spells it.
        numpy: The dtype of arrays, or None for strings and variants.
        size: Stored bytes per element; 0 for strings and variants.
        swap: Bytes that are reversed as one in a big-endian bundle; 1 for none.
        bits: Used bits per element of the types narrower than a byte, otherwise 0.
        assembles: Whether TensorFlow puts several slices of this type together.
    """

    number: int
    name: str
    numpy: np.dtype | None
    size: int
    swap: int
    bits: int = 0
    assembles: bool = False


def _dtype(number: int, name: str, numpy: object = None, swap: int = 0, bits: int = 0, assembles: bool = True) -> DType:
    dtype = None if numpy is None else np.dtype(numpy)
    size = dtype.itemsize if dtype else 0
    return DType(number, name, dtype, size, swap or size, bits, assembles)


DTYPES = (
    _dtype(1, "float32", "<f4"),
    _dtype(2, "float64", "<f8"),
    _dtype(3, "int32", "<i4"),
    _dtype(4, "uint8", "u1"),
    _dtype(5, "int16", "<i2"),
    _dtype(6, "int8", "i1"),
    _dtype(7, "string", assembles=False),
    _dtype(8, "complex64", "<c8", swap=4),
    _dtype(9, "int64", "<i8"),
    _dtype(10, "bool", "?"),
    _dtype(11, "qint8", "i1"),
    _dtype(12, "quint8", "u1"),
    _dtype(13, "qint32", "<i4"),
    _dtype(14, "bfloat16", ml_dtypes.bfloat16),
    _dtype(15, "qint16", "<i2", assembles=False),
    _dtype(16, "quint16", "<u2", assembles=False),
    _dtype(17, "uint16", "<u2", assembles=False),
    _dtype(18, "complex128", "<c16", swap=8),
    _dtype(19, "float16", "<f2", assembles=False),
    _dtype(21, "variant", assembles=False),
    _dtype(22, "uint32", "<u4", assembles=False),
    _dtype(23, "uint64", "<u8", assembles=False),
    _dtype(24, "float8_e5m2", ml_dtypes.float8_e5m2, assembles=False),
    _dtype(25, "float8_e4m3fn", ml_dtypes.float8_e4m3fn, assembles=False),
    _dtype(26, "float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, assembles=False),
    _dtype(27, "float8_e4m3b11fnuz", ml_dtypes.float8_e4m3b11fnuz, assembles=False),
    _dtype(28, "float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, assembles=False),
    _dtype(29, "int4", ml_dtypes.int4, bits=4),
    _dtype(30, "uint4", ml_dtypes.uint4, bits=4),
    _dtype(31, "int2", ml_dtypes.int2, bits=2, assembles=False),
    _dtype(32, "uint2", ml_dtypes.uint2, bits=2, assembles=False),
    _dtype(33, "float4_e2m1fn", ml_dtypes.float4_e2m1fn, bits=4, assembles=False),
)

BY_NAME = {dtype.name: dtype for dtype in DTYPES}
BY_NUMBER = {dtype.number: dtype for dtype in DTYPES}
FIXED = tuple(dtype for dtype in DTYPES if dtype.numpy is not None)
STRING, VARIANT = BY_NAME["string"], BY_NAME["variant"]

# The quantized types share their NumPy dtypes with the plain ones, which come first.
_BY_NUMPY: dict[np.dtype, DType] = {}
for _entry in FIXED:
    if not _entry.name.startswith(("qint", "quint")):
        _BY_NUMPY[_entry.numpy] = _entry


def of_array(array: np.ndarray) -> DType:
    """The dtype that an array is stored as when nobody says otherwise; either byte order."""
    if array.dtype.kind in "OSU":
        return STRING
    return _BY_NUMPY[array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype]


def name_of(array: np.ndarray, like: str = "") -> str:
    """TensorFlow's name for an array's dtype; ``like`` itself if that has the same NumPy dtype (``qint8`` for int8)."""
    if like in BY_NAME and BY_NAME[like].numpy == array.dtype:
        return like
    return of_array(array).name
