"""Integers of the wire format: seven bits a byte, the lowest first."""

from __future__ import annotations

_MOST_BYTES = 10


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int] | None:
    """The varint at a position and where it ends; None if it doesn't end within ten bytes, or before ``end``."""
    value = 0
    for count, byte in enumerate(data[position : min(end, position + _MOST_BYTES)]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position + count + 1
    return None


def encode_varint(value: int) -> bytes:
    """The bytes of a varint.

    Args:
        value: 0 to 2**64 - 1.
    """
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
