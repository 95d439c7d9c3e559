"""Pieces of partitioned tensors: their spelling in text, in entries and in keys."""

from __future__ import annotations

import itertools

from .wire import bytes_field, int_field, tag, varint

# Per dimension (start, length), or None for the whole dimension: the two spellings give different keys.
Slice = tuple[tuple[int, int] | None, ...]

_ESCAPES = {0x00: b"\x00\xff", 0xFF: b"\xff\x00"}


def parse_slice(spec: str | Slice) -> Slice:
    """``"0,30:-"`` to ``((0, 30), None)``; a parsed slice comes back as it is."""
    if not isinstance(spec, str):
        return tuple(spec)
    extents = []
    for item in spec.split(":"):
        start, _, length = item.partition(",")
        extents.append(None if item == "-" else (int(start), int(length)))
    return tuple(extents)


def format_slice(piece: Slice) -> str:
    return ":".join("-" if extent is None else f"{extent[0]},{extent[1]}" for extent in parse_slice(piece))


def save_spec(shape: tuple[int, ...], piece: str | Slice) -> str:
    """What TensorFlow's ops call ``shape_and_slice``."""
    return " ".join([*map(str, shape), format_slice(parse_slice(piece))])


def indices(piece: Slice) -> tuple[slice, ...]:
    """The NumPy index that cuts the piece out of the whole."""
    return tuple(slice(None) if extent is None else slice(extent[0], sum(extent)) for extent in parse_slice(piece))


def covers_all(shape: tuple[int, ...], piece: Slice) -> bool:
    return all(extent is None or extent == (0, dim) for dim, extent in zip(shape, piece))


def tile(shape: tuple[int, ...], *cuts: tuple[int, ...]) -> list[Slice]:
    """The pieces between cut positions, one tuple of positions per dimension; an uncut dimension is whole."""
    pieces: list[Slice] = [()]
    for dim, positions in zip(shape, cuts):
        if positions:
            edges = [0, *positions, dim]
            extents = [(start, end - start) for start, end in itertools.pairwise(edges)]
        else:
            extents = [None]
        pieces = [(*piece, extent) for piece in pieces for extent in extents]
    return pieces


def encode_slice(piece: str | Slice) -> bytes:
    """A ``TensorSliceProto``."""
    return b"".join(bytes_field(1, _encode_extent(extent)) for extent in parse_slice(piece))


def slice_key(name: bytes, piece: str | Slice) -> bytes:
    """The key under which a piece is stored."""
    extents = parse_slice(piece)
    parts = [b"\x00", ordered_string(name), ordered_number(len(extents))]
    for start, length in (extent or (0, -1) for extent in extents):
        parts += (ordered_signed(start), ordered_signed(length))
    return b"".join(parts)


def ordered_number(value: int) -> bytes:
    """Length byte and big-endian value: sorts as the number does."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def ordered_string(value: bytes) -> bytes:
    """Escaped and terminated: sorts as the string does, whatever follows."""
    return b"".join(_ESCAPES.get(byte, bytes([byte])) for byte in value) + b"\x00\x01"


def ordered_signed(value: int) -> bytes:
    """Big-endian two's complement whose top bits tell the length: sorts as the number does."""
    magnitude = ~value if value < 0 else value
    size = 1
    while magnitude >= 1 << 7 * size - 1:
        size += 1
    # The header: ``size`` one bits from the top of two bytes.
    header = (0xFFFF << 16 - size & 0xFFFF).to_bytes(2, "big")
    out = bytearray(value.to_bytes(size, "big", signed=True))
    for at in range(min(size, 2)):
        out[at] ^= header[at]
    return bytes(out)


def _encode_extent(extent: tuple[int, int] | None) -> bytes:
    if extent is None:
        return b""
    start, length = extent
    # Length is in a oneof: written even when it is zero.
    return int_field(1, start) + tag(2, 0) + varint(length)
