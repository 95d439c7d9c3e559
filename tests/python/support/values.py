"""Values at which a reader or writer may go wrong, for every dtype."""

from __future__ import annotations

import functools

import numpy as np

from . import dtypes

# Stored exponent and mantissa bits.
_FLOATS = {"float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23), "float64": (11, 52)}
_COMPLEX = {"complex64": "float32", "complex128": "float64"}


@functools.cache
def interesting(dtype: str) -> np.ndarray:
    """A rank-1 array: extremes of integers; of floats both zeros, subnormals, infinities, several not-a-numbers with
    payloads; every code of the types of one byte and less; strings around the lengths where their encoding changes.
    """
    if dtype == "string":
        return _strings()
    described = dtypes.BY_NAME[dtype]
    if dtype in _FLOATS:
        values = _float_values(*_FLOATS[dtype], described.numpy)
    elif dtype in _COMPLEX:
        parts = interesting(_COMPLEX[dtype])
        values = np.stack([parts, np.roll(parts, 1)], axis=1).reshape(-1).view(described.numpy)
    elif described.size == 1:
        codes = 2 if dtype == "bool" else 1 << (described.bits or 8)
        values = np.arange(codes, dtype=np.uint8).view(described.numpy)
    else:
        limits = np.iinfo(described.numpy)
        few = [
            0,
            1,
            limits.max,
            limits.min,
            limits.max - 1,
            limits.min + 1,
            0x0102030405060708 % limits.max,
            127,
            128,
            255,
        ]
        values = np.array([*few, *([-1, -128, -129] if limits.min else [256])], described.numpy)
    values.setflags(write=False)
    return values


def filled(dtype: str, shape: tuple[int, ...], start: int = 0) -> np.ndarray:
    """An array of interesting values, taken in turn from position ``start`` on."""
    values = interesting(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    return values[np.arange(start, start + count) % len(values)].reshape(shape)


def _float_values(exponent_bits: int, mantissa_bits: int, dtype: np.dtype) -> np.ndarray:
    sign = 1 << exponent_bits + mantissa_bits
    infinity = (1 << exponent_bits) - 1 << mantissa_bits
    one = (1 << exponent_bits - 1) - 1 << mantissa_bits
    quiet = 1 << mantissa_bits - 1
    codes = [
        *(0, sign, one, sign | one),
        # The smallest and the largest subnormal, the smallest normal, the largest number.
        *(1, (1 << mantissa_bits) - 1, 1 << mantissa_bits, infinity - 1),
        *(infinity, sign | infinity),
        # Quiet, quiet with payload, negative with payload, signalling, signalling with every payload bit but one.
        *(infinity | quiet, infinity | quiet | 5, sign | infinity | quiet | 3, infinity | 1, infinity | quiet - 2),
        # All mantissa bits differ from their neighbours'.
        one | 0x5555555555555555 & (1 << mantissa_bits) - 1,
    ]
    return np.array(codes, f"u{dtype.itemsize}").view(dtype)


def _strings() -> np.ndarray:
    values = np.empty(10, object)
    values[:] = [
        b"",
        b"a",
        b"\0",
        b"nul\0inside",
        "gr\u00fc\u00df \u4f60\u597d \U0001f600".encode(),
        b"\xff\xfe not UTF-8",
        b"line\nbreak",
        b"x" * 127,
        b"y" * 128,
        b"z" * 300,
    ]
    return values
