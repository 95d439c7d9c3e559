"""Bytes below the table: varints, protobuf fields, fixed integers and masked CRC-32C, encoded by hand."""

from __future__ import annotations

import struct

import crc32c as _crc32c

VARINT, LEN, I32 = 0, 2, 5

_SMALL = [bytes([i]) for i in range(128)]
_U32 = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8


def varint(value: int) -> bytes:
    """A protobuf varint; a negative value takes ten bytes, as an int32, int64 or enum does."""
    if 0 <= value < 128:
        return _SMALL[value]
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def long_varint(value: int, length: int) -> bytes:
    """``value`` spread over ``length`` bytes: legal, but longer than it needs to be."""
    return bytes([value >> 7 * i & 127 | 128 for i in range(length - 1)]) + bytes([value >> 7 * (length - 1) & 127])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at ``at`` and the position after it. For sound files only."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        shift += 7
        if byte < 128:
            return value, at


def tag(field: int, wire_type: int) -> bytes:
    return varint(field << 3 | wire_type)


def int_field(field: int, value: int) -> bytes:
    """A varint field, left out when it holds the default, as proto3 does."""
    return tag(field, VARINT) + varint(value) if value else b""


def bytes_field(field: int, value: bytes) -> bytes:
    """A length-delimited field, written even when empty."""
    return tag(field, LEN) + varint(len(value)) + value


def fixed32(value: int) -> bytes:
    return struct.pack("<I", value & _U32)


def fixed64(value: int) -> bytes:
    return struct.pack("<Q", value)


def crc32c(data: bytes, crc: int = 0) -> int:
    """CRC-32C of ``data``, continuing from ``crc``."""
    return _crc32c.crc32c(data, crc)


def mask(crc: int) -> int:
    """What is stored for ``crc``."""
    return ((crc >> 15 | crc << 17 & _U32) + _MASK_DELTA) & _U32


def unmask(stored: int) -> int:
    rotated = (stored - _MASK_DELTA) & _U32
    return rotated >> 17 | rotated << 15 & _U32


def parse_fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of one sound protobuf message in wire order; values are ints or bytes."""
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = read_varint(data, at)
            fields.append((number, value))
        elif wire_type == LEN:
            size, at = read_varint(data, at)
            fields.append((number, data[at : at + size]))
            at += size
        elif wire_type == I32:
            fields.append((number, struct.unpack_from("<I", data, at)[0]))
            at += 4
        else:
            raise ValueError(f"wire type {wire_type} does not occur in an index")
    return fields
