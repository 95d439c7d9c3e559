"""Tensors to stored bytes: what a data file holds for one tensor and the checksum that goes with it."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np

from . import dtypes
from .hashing import as_array, canonical_bytes
from .wire import crc32c, mask, read_varint, varint


@dataclasses.dataclass(frozen=True)
class Typed:
    """An array with the dtype it shall have in the file, for those that NumPy does not tell apart (``qint8``)."""

    array: np.ndarray
    dtype: str


@dataclasses.dataclass(frozen=True)
class Variant:
    """A variant tensor; ``elements`` are serialized ``VariantTensorDataProto`` in C order."""

    elements: list[bytes]
    shape: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Raw:
    """Stored bytes under any dtype number and shape; the checksum defaults to that of the bytes."""

    dtype: int
    shape: tuple[int, ...]
    data: bytes
    crc: int | None = None


@dataclasses.dataclass(frozen=True)
class Stored:
    """One tensor ready to be written; ``crc`` is masked."""

    dtype: int
    shape: tuple[int, ...]
    data: bytes
    crc: int


def encode_tensor(value: object, endianness: str = "little") -> Stored:
    """What is stored for an array, bytes (a scalar string), a list of bytes, ``Typed``, ``Variant`` or ``Raw``."""
    if isinstance(value, Raw):
        return Stored(
            value.dtype, value.shape, value.data, mask(crc32c(value.data)) if value.crc is None else value.crc
        )
    if isinstance(value, Variant):
        return Stored(dtypes.VARIANT.number, value.shape, *encode_variants(value.elements))
    if isinstance(value, Typed):
        dtype, array = dtypes.BY_NAME[value.dtype], value.array
    else:
        array = as_array(value)
        dtype = dtypes.of_array(array)
    if dtype.numpy is None:
        return Stored(dtype.number, array.shape, *encode_strings(array.ravel().tolist(), endianness))
    data = canonical_bytes(array)
    if endianness == "big" and dtype.swap > 1:
        data = np.frombuffer(data, f"u{dtype.swap}").byteswap().tobytes()
    return Stored(dtype.number, array.shape, data, mask(crc32c(data)))


def encode_strings(elements: list[bytes], endianness: str = "little") -> tuple[bytes, int]:
    """Lengths, their checksum, the strings; and the masked checksum of it all."""
    order = ">" if endianness == "big" else "<"
    lengths = [len(element) for element in elements]
    # The checksum covers the lengths as integers, not as the varints that are stored.
    numbers = b"".join(struct.pack(order + ("I" if length <= 0xFFFFFFFF else "Q"), length) for length in lengths)
    crc = crc32c(numbers)
    length_checksum = struct.pack(order + "I", mask(crc))
    strings = b"".join(elements)
    crc = crc32c(strings, crc32c(length_checksum, crc))
    return b"".join(map(varint, lengths)) + length_checksum + strings, mask(crc)


def encode_variants(elements: list[bytes]) -> tuple[bytes, int]:
    """Each element with its length before and the running checksum after; and the masked checksum of it all."""
    parts = []
    crc = 0
    for element in elements:
        crc = crc32c(element, crc32c(struct.pack("<Q", len(element)), crc))
        checksum = struct.pack("<I", mask(crc))
        crc = crc32c(checksum, crc)
        parts += (varint(len(element)), element, checksum)
    return b"".join(parts), mask(crc)


def decode_variants(data: bytes, count: int) -> list[bytes]:
    """The elements of a sound stored variant tensor."""
    elements = []
    at = 0
    for _ in range(count):
        size, at = read_varint(data, at)
        elements.append(data[at : at + size])
        at += size + 4
    return elements
