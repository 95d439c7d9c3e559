"""Raw Snappy blocks, encoded so that a decoder meets every kind of element."""

from __future__ import annotations

from .wire import read_varint, varint


def literal_only(data: bytes) -> bytes:
    """A block without copies."""
    return varint(len(data)) + literal(data)


def with_copies(data: bytes) -> bytes:
    """A block with copies wherever four bytes repeat.

    The three copy elements take turns where the distance and length allow more than one. Runs become copies that
    overlap their own output.
    """
    out = [varint(len(data))]
    seen: dict[bytes, int] = {}
    at = start = turn = 0
    while at + 4 <= len(data):
        source = seen.get(data[at : at + 4])
        seen[data[at : at + 4]] = at
        if source is None:
            at += 1
            continue
        length = _match_length(data, source, at)
        out.append(literal(data[start:at]))
        out.append(copy(at - source, length, turn))
        turn += 1
        at += length
        start = at
    out.append(literal(data[start:]))
    return b"".join(out)


def literal(data: bytes) -> bytes:
    """One literal element; nothing for no bytes."""
    if not data:
        return b""
    last = len(data) - 1
    if last < 60:
        return bytes([last << 2]) + data
    width = (last.bit_length() + 7) // 8
    return bytes([59 + width << 2]) + last.to_bytes(width, "little") + data


def copy(distance: int, length: int, turn: int = 0) -> bytes:
    """One copy element of 1 to 64 bytes; ``turn`` picks among the kinds that can say it."""
    kinds = []
    if distance < 2048 and 4 <= length <= 11:
        kinds.append(1)
    if distance < 65536:
        kinds.append(2)
    kinds.append(3)
    kind = kinds[turn % len(kinds)]
    if kind == 1:
        return bytes([distance >> 8 << 5 | length - 4 << 2 | 1, distance & 255])
    return bytes([length - 1 << 2 | kind]) + distance.to_bytes(2 if kind == 2 else 4, "little")


def _match_length(data: bytes, source: int, at: int) -> int:
    length = 4
    while length < 64 and at + length < len(data) and data[source + length] == data[at + length]:
        length += 1
    return length


def decode(block: bytes) -> bytes:
    """The contents of a sound block."""
    size, at = read_varint(block, 0)
    out = bytearray()
    while at < len(block):
        kind, upper = block[at] & 3, block[at] >> 2
        at += 1
        if kind == 0:
            width = max(upper - 59, 0)
            length = (int.from_bytes(block[at : at + width], "little") if width else upper) + 1
            out += block[at + width : at + width + length]
            at += width + length
            continue
        width = (1, 2, 4)[kind - 1]
        distance = int.from_bytes(block[at : at + width], "little")
        length = upper + 1
        if kind == 1:
            distance, length = upper >> 3 << 8 | distance, (upper & 7) + 4
        at += width
        # Byte by byte: a copy may read what it has just written.
        for _ in range(length):
            out.append(out[-distance])
    if len(out) != size:
        raise ValueError(f"{len(out)} bytes in a block of {size}")
    return bytes(out)
