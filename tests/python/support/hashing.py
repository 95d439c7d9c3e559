"""One number for the contents of a tensor, and equality down to the bit.

The rule is the one of the corpus' manifest: sha256 over the little-endian bytes in C order; for strings over each
element's length (8 bytes, little-endian) and its bytes. Types narrower than a byte count one byte an element, the
unused upper bits zero; a bool counts as 0 or 1. Variants are hashed as strings, of each element's serialized record.
"""

from __future__ import annotations

import hashlib

import numpy as np

from . import dtypes


def tensor_hash(value: object) -> str:
    """The hash of an array (object arrays hold bytes), a NumPy scalar, or bytes."""
    array = as_array(value)
    if array.dtype.kind == "O":
        digest = hashlib.sha256()
        for element in array.ravel(order="C").tolist():
            digest.update(len(element).to_bytes(8, "little") + element)
        return digest.hexdigest()
    return hashlib.sha256(canonical_bytes(array)).hexdigest()


def canonical_bytes(array: np.ndarray) -> bytes:
    """What a little-endian bundle stores for an array of a fixed-width dtype."""
    dtype = dtypes.of_array(array)
    if dtype.name == "bool":
        return (array.view(np.uint8) != 0).tobytes()
    if dtype.bits:
        return (np.ascontiguousarray(array).view(np.uint8) & (1 << dtype.bits) - 1).tobytes()
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.tobytes()


def as_array(value: object) -> np.ndarray:
    """``value`` as an array; anything made of bytes or text becomes an object array of bytes."""
    if isinstance(value, (bytes, str)):
        return _object_array([value], ())
    if isinstance(value, (list, tuple)) and all(isinstance(element, (bytes, str)) for element in value):
        return _object_array(list(value), (len(value),))
    array = np.asarray(value)
    if array.dtype.kind in "SUO":
        return _object_array(array.ravel().tolist(), array.shape)
    return array


def same_bits(a: object, b: object) -> bool:
    """Whether two tensors have one dtype, one shape and the same bits: NaN payloads and the sign of zero count."""
    first, second = as_array(a), as_array(b)
    if first.shape != second.shape or dtypes.of_array(first) != dtypes.of_array(second):
        return False
    return tensor_hash(first) == tensor_hash(second)


def assert_same_bits(actual: object, expected: object, what: object = "") -> None:
    """``same_bits`` as an assertion that says what differs."""
    first, second = as_array(actual), as_array(expected)
    assert first.shape == second.shape, f"{what}: shape {first.shape}, expected {second.shape}"
    names = dtypes.of_array(first).name, dtypes.of_array(second).name
    assert names[0] == names[1], f"{what}: dtype {names[0]}, expected {names[1]}"
    assert tensor_hash(first) == tensor_hash(second), f"{what}: {first!r}, expected {second!r}"


def _object_array(elements: list, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(len(elements), object)
    array[:] = [element.encode() if isinstance(element, str) else element for element in elements]
    return array.reshape(shape)
