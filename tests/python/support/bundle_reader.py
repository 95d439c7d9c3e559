"""The records and entries of a sound ``.index``, decoded independently of the library under test.

It trusts its input: for golden files, for files of the encoder, and for re-encoding what TensorFlow wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from . import snappy
from .bundle_writer import Entry
from .slices import Slice
from .table import Record
from .wire import parse_fields, read_varint


def table_records(data: bytes) -> list[Record]:
    """The records of all data blocks, in file order."""
    at = len(data) - 48
    for _ in range(2):
        _, at = read_varint(data, at)
    index = _block(data, data[at : len(data) - 8])
    return [record for _, handle in _block_records(index) for record in _block_records(_block(data, handle))]


def index_header(data: bytes) -> dict[str, int]:
    """``num_shards``, ``endianness`` (0 little, 1 big), ``producer`` and ``min_consumer``."""
    key, value = table_records(data)[0]
    if key:
        raise ValueError("no header")
    fields = dict(parse_fields(value))
    version = dict(parse_fields(fields.get(3, b"")))
    return {
        "num_shards": fields.get(1, 0),
        "endianness": fields.get(2, 0),
        "producer": version.get(1, 0),
        "min_consumer": version.get(2, 0),
    }


def index_entries(data: bytes) -> dict[bytes, Entry]:
    """Every entry by key, those of pieces included."""
    return {key: decode_entry(value) for key, value in table_records(data) if key}


def decode_entry(value: bytes) -> Entry:
    """A ``BundleEntryProto``; fields that the format does not have are skipped."""
    entry = Entry(0, ())
    names = {1: "dtype", 3: "shard", 4: "offset", 5: "size", 6: "crc"}
    slices: list[Slice] = []
    for number, field in parse_fields(value):
        if number in names:
            setattr(entry, names[number], field)
        elif number == 2:
            entry.shape = tuple(dict(parse_fields(dim)).get(1, 0) for number, dim in parse_fields(field) if number == 2)
        elif number == 7:
            slices.append(tuple(_extent(extent) for _, extent in parse_fields(field)))
    entry.slices = slices
    return entry


def _extent(data: bytes) -> tuple[int, int] | None:
    fields = dict(parse_fields(data))
    return (fields.get(1, 0), fields[2]) if 2 in fields else None


def _block(data: bytes, handle: bytes) -> bytes:
    offset, at = read_varint(handle, 0)
    size, _ = read_varint(handle, at)
    stored = data[offset : offset + size]
    return snappy.decode(stored) if data[offset + size] == 1 else stored


def _block_records(block: bytes) -> Iterator[Record]:
    (count,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 - 4 * count
    at, key = 0, b""
    while at < end:
        shared, at = read_varint(block, at)
        non_shared, at = read_varint(block, at)
        value_len, at = read_varint(block, at)
        key = key[:shared] + block[at : at + non_shared]
        at += non_shared
        yield key, block[at : at + value_len]
        at += value_len
