"""Where each field of an existing table lies, and how to overwrite one.

For sound, uncompressed tables, TensorFlow's or the encoder's. It serves to damage a file that TensorFlow wrote at a
chosen field, and to say where two files differ.
"""

from __future__ import annotations

import dataclasses
import struct

from .wire import crc32c, fixed32, mask, read_varint

FOOTER_SIZE = 48
TRAILER_SIZE = 5


@dataclasses.dataclass(frozen=True)
class Field:
    """One field: ``value`` is a number for numbers and bytes for keys, values and padding."""

    path: str
    offset: int
    size: int
    value: int | bytes


def table_fields(data: bytes) -> dict[str, Field]:
    """Every field by path, in file order.

    Paths: ``footer.{metaindex,index}.{offset,size}``, ``footer.padding``, ``footer.magic``; for the blocks ``data[i]``,
    ``metaindex`` and ``index``: ``<block>.entry[j].{shared,non_shared,value_len,suffix,value}``,
    ``<block>.restart[j]``, ``<block>.num_restarts``, ``<block>.trailer.{kind,checksum}``; in index entries also
    ``index.entry[j].handle.{offset,size}``.
    """
    found: dict[str, Field] = {}
    _footer_fields(data, found)
    _block_fields(data, "index", _handle(found, "footer.index"), found)
    _block_fields(data, "metaindex", _handle(found, "footer.metaindex"), found)
    for number in range(_count_entries(found, "index")):
        entry = f"index.entry[{number}]"
        at = found[f"{entry}.value"].offset
        for name in ("offset", "size"):
            at = _varint_field(data, at, f"{entry}.handle.{name}", found)
        _block_fields(data, f"data[{number}]", _handle(found, f"{entry}.handle"), found)
    return dict(sorted(found.items(), key=lambda item: (item[1].offset, -item[1].size)))


def overwrite(data: bytes, path: str, new: bytes, *, repair: bool = True) -> bytes:
    """``data`` with the bytes of one field replaced by as many others.

    ``repair`` makes the checksum of the block right again, so that the field itself is what a reader meets.
    """
    fields = table_fields(data)
    field = fields[path]
    if len(new) != field.size:
        raise ValueError(f"{path} has {field.size} bytes, got {len(new)}")
    changed = bytearray(data)
    changed[field.offset : field.offset + field.size] = new
    block = path.partition(".")[0]
    if repair and block != "footer" and not path.endswith("trailer.checksum"):
        offset, size = _block_handle(fields, block)
        covered = bytes(changed[offset : offset + size + 1])
        changed[offset + size + 1 : offset + size + TRAILER_SIZE] = fixed32(mask(crc32c(covered)))
    return bytes(changed)


def _footer_fields(data: bytes, found: dict[str, Field]) -> None:
    start = len(data) - FOOTER_SIZE
    at = start
    for block in ("metaindex", "index"):
        for name in ("offset", "size"):
            at = _varint_field(data, at, f"footer.{block}.{name}", found)
    end = start + FOOTER_SIZE - 8
    found["footer.padding"] = Field("footer.padding", at, end - at, data[at:end])
    found["footer.magic"] = Field("footer.magic", end, 8, struct.unpack_from("<Q", data, end)[0])


def _block_fields(data: bytes, block: str, handle: tuple[int, int], found: dict[str, Field]) -> None:
    offset, size = handle
    end = offset + size
    if data[end] != 0:
        raise ValueError(f"block {block} is compressed")
    count = struct.unpack_from("<I", data, end - 4)[0]
    restarts = end - 4 - 4 * count
    position, at = 0, offset
    while at < restarts:
        at = _entry_fields(data, at, f"{block}.entry[{position}]", found)
        position += 1
    for number in range(count):
        _fixed32_field(data, restarts + 4 * number, f"{block}.restart[{number}]", found)
    _fixed32_field(data, end - 4, f"{block}.num_restarts", found)
    found[f"{block}.trailer.kind"] = Field(f"{block}.trailer.kind", end, 1, data[end])
    _fixed32_field(data, end + 1, f"{block}.trailer.checksum", found)


def _entry_fields(data: bytes, at: int, entry: str, found: dict[str, Field]) -> int:
    for name in ("shared", "non_shared", "value_len"):
        at = _varint_field(data, at, f"{entry}.{name}", found)
    for name, length in (("suffix", "non_shared"), ("value", "value_len")):
        size = found[f"{entry}.{length}"].value
        found[f"{entry}.{name}"] = Field(f"{entry}.{name}", at, size, data[at : at + size])
        at += size
    return at


def _varint_field(data: bytes, at: int, path: str, found: dict[str, Field]) -> int:
    value, end = read_varint(data, at)
    found[path] = Field(path, at, end - at, value)
    return end


def _fixed32_field(data: bytes, at: int, path: str, found: dict[str, Field]) -> None:
    found[path] = Field(path, at, 4, struct.unpack_from("<I", data, at)[0])


def _handle(found: dict[str, Field], path: str) -> tuple[int, int]:
    return found[f"{path}.offset"].value, found[f"{path}.size"].value


def _block_handle(found: dict[str, Field], block: str) -> tuple[int, int]:
    if block.startswith("data["):
        return _handle(found, f"index.entry[{block[5:-1]}].handle")
    return _handle(found, f"footer.{block}")


def _count_entries(found: dict[str, Field], block: str) -> int:
    count = 0
    while f"{block}.entry[{count}].shared" in found:
        count += 1
    return count
