"""Whole checkpoints: tensors to an ``.index`` and its data files, sound or damaged at a named place.

``build_bundle`` makes the bytes, ``write_bundle`` also puts them on disk. Without options the bytes are those that
TensorFlow writes for the same tensors in the same order.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import publish
from .hashing import as_array
from .slices import Slice, covers_all, encode_slice, indices, parse_slice, slice_key
from .table import BLOCK_SIZE, RESTART_INTERVAL, Record, TablePatch, build_table
from .tensors import Raw, Stored, Typed, Variant, encode_tensor
from .wire import bytes_field, fixed32, int_field, tag, varint

__all__ = ["Bundle", "Entry", "Image", "Mutations", "Raw", "Typed", "Variant", "build_bundle", "write_bundle"]

Name = str | bytes


@dataclasses.dataclass
class Entry:
    """What an index says of one tensor or piece; ``crc`` is masked, as stored."""

    dtype: int
    shape: Sequence[int]
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    slices: Sequence[Slice] = ()


@dataclasses.dataclass
class Mutations:
    """Damage, layer by layer. What lies above a mutated layer is built from the mutated bytes.

    Attributes:
        header: Fields of the header: ``num_shards``, ``endianness``, ``producer``, ``min_consumer``,
            ``bad_consumers`` (list), ``append`` (more proto bytes), ``raw`` (the whole proto), ``key`` (instead of the
            empty one), ``drop`` (no header at all).
        entries: Index key (a tensor's name, or ``slices.slice_key``) -> fields to change: those of ``Entry``,
            ``unknown_rank``, ``without`` (a set of field names to leave out), ``append``, ``raw``, ``key``, ``drop``.
            A function as the value of an ``Entry`` field gets the true value.
        records: From the sorted key-value records to those that are written.
        table: Fields of the table.
        index: From the bytes of the index file to those that are written.
        data: Called with the shard number and its bytes as a bytearray, to change in place.
    """

    header: dict[str, Any] = dataclasses.field(default_factory=dict)
    entries: dict[Name, dict[str, Any]] = dataclasses.field(default_factory=dict)
    records: Callable[[list[Record]], list[Record]] | None = None
    table: TablePatch | None = None
    index: Callable[[bytes], bytes] | None = None
    data: Callable[[int, bytearray], None] | None = None


@dataclasses.dataclass
class Image:
    """A checkpoint in memory; ``entries`` by index key, before mutations."""

    index: bytes
    shards: list[bytes]
    entries: dict[bytes, Entry]

    def files(self, name: str) -> dict[str, bytes]:
        """File name -> bytes for a prefix whose last component is ``name``."""
        files = {publish.data_name(name, i, len(self.shards)): data for i, data in enumerate(self.shards)}
        return {**files, f"{name}.index": self.index}


@dataclasses.dataclass
class Bundle:
    """A checkpoint on disk."""

    prefix: Path
    image: Image

    @property
    def index_path(self) -> Path:
        return publish.index_path(self.prefix)

    def data_path(self, shard: int = 0) -> Path:
        return publish.data_path(self.prefix, shard, len(self.image.shards))


def write_bundle(
    prefix: str | os.PathLike[str],
    tensors: Mapping[Name, Any],
    *,
    shards: int = 1,
    commit: str = "protocol",
    **options: Any,
) -> Bundle:
    """Writes a checkpoint; ``options`` are those of ``build_bundle``, ``commit`` is explained in ``publish``.

    With ``commit="protocol"`` and another checkpoint at ``prefix``, there may be more shards than asked for.
    """
    prefix = Path(prefix)
    if commit == "protocol":
        shards = publish.free_shard_count(prefix, shards)
    image = build_bundle(tensors, shards=shards, **options)
    publish.publish(prefix, image.index, image.shards, commit=commit)
    return Bundle(prefix, image)


def build_bundle(
    tensors: Mapping[Name, Any],
    *,
    shards: int = 1,
    alignment: int = 1,
    endianness: str = "little",
    slices: Mapping[Name, Sequence[str | Slice]] | None = None,
    shard_of: Callable[[bytes, int], int] | None = None,
    block_size: int = BLOCK_SIZE,
    restart_interval: int = RESTART_INTERVAL,
    snappy: bool | str = False,
    shorten_keys: bool = True,
    mutate: Mutations | None = None,
) -> Image:
    """The bytes of a checkpoint.

    Args:
        tensors: Name -> what ``tensors.encode_tensor`` takes. Data lies in this order.
        alignment: Zero bytes follow each tensor up to a multiple of it.
        slices: Name -> the pieces in which to store it (``"0,2:-"``), in this order.
        shard_of: From a name and the number of its piece (0 for a whole tensor) to a shard. By default what is stored
            goes to the shards in turn.
        snappy, block_size, restart_interval, shorten_keys: As in ``table.build_table``.
    """
    mutate = mutate or Mutations()
    layout = _Layout(shards, alignment, shard_of)
    pieces = {_key(name): [parse_slice(piece) for piece in specs] for name, specs in (slices or {}).items()}
    for name, value in tensors.items():
        key = _key(name)
        if key in pieces:
            _add_pieces(layout, key, value, pieces[key], endianness)
        else:
            layout.add(key, key, 0, encode_tensor(value, endianness))
    records = _records(layout.entries, _header(shards, endianness, mutate.header), mutate)
    options = {"block_size": block_size, "restart_interval": restart_interval, "shorten_keys": shorten_keys}
    index = build_table(records, snappy=snappy, patch=mutate.table, **options)
    if mutate.index:
        index = mutate.index(index)
    return Image(index, layout.finish(mutate.data), layout.entries)


def encode_entry(entry: Entry, **changes: Any) -> bytes:
    """A ``BundleEntryProto``; ``changes`` as in ``Mutations.entries``, apart from ``key`` and ``drop``."""
    if changes:
        return _encode_changed_entry(entry, changes)
    parts = [
        int_field(1, entry.dtype),
        _shape_field(tuple(entry.shape)),
        int_field(3, entry.shard),
        int_field(4, entry.offset),
        int_field(5, entry.size),
    ]
    if entry.crc:
        parts.append(tag(6, 5) + fixed32(entry.crc))
    parts += (bytes_field(7, encode_slice(piece)) for piece in entry.slices)
    return b"".join(parts)


class _Layout:
    """Where stored bytes go: shards as lists of parts, and the entries that point into them."""

    def __init__(self, shards: int, alignment: int, shard_of: Callable[[bytes, int], int] | None) -> None:
        self.parts: list[list[bytes]] = [[] for _ in range(shards)]
        self.sizes = [0] * shards
        self.entries: dict[bytes, Entry] = {}
        self.alignment = alignment
        self.shard_of = shard_of
        self.turn = 0

    def add(self, key: bytes, name: bytes, piece: int, stored: Stored) -> None:
        if key in self.entries:
            raise ValueError(f"{key!r} twice; duplicates are made with Mutations.records")
        shard = self.shard_of(name, piece) if self.shard_of else self.turn % len(self.parts)
        self.turn += 1
        size = len(stored.data)
        self.entries[key] = Entry(stored.dtype, stored.shape, shard, self.sizes[shard], size, stored.crc)
        padding = -size % self.alignment
        self.parts[shard] += (stored.data, bytes(padding))
        self.sizes[shard] += size + padding

    def finish(self, change: Callable[[int, bytearray], None] | None) -> list[bytes]:
        shards = [b"".join(parts) for parts in self.parts]
        if change:
            for number, data in enumerate(shards):
                changed = bytearray(data)
                change(number, changed)
                shards[number] = bytes(changed)
        return shards


def _add_pieces(layout: _Layout, key: bytes, value: Any, pieces: list[Slice], endianness: str) -> None:
    array = value.array if isinstance(value, Typed) else as_array(value)
    kept = []
    stored = None
    for number, piece in enumerate(pieces):
        cut = array[indices(piece)]
        stored = encode_tensor(Typed(cut, value.dtype) if isinstance(value, Typed) else cut, endianness)
        if covers_all(array.shape, piece):
            layout.add(key, key, number, stored)
            continue
        layout.add(slice_key(key, piece), key, number, stored)
        kept.append(piece)
    if kept:
        layout.entries[key] = Entry(stored.dtype, array.shape, slices=kept)


def _records(entries: dict[bytes, Entry], header: list[Record], mutate: Mutations) -> list[Record]:
    changes = {_key(name): dict(change) for name, change in mutate.entries.items()}
    unknown = changes.keys() - entries.keys()
    if unknown:
        raise KeyError(f"no entries {sorted(unknown)}")
    records = header
    for key, entry in entries.items():
        change = changes.get(key)
        if change is None:
            records.append((key, encode_entry(entry)))
        elif not change.pop("drop", False):
            records.append((change.pop("key", key), encode_entry(entry, **change)))
    records.sort(key=lambda record: record[0])
    return mutate.records(records) if mutate.records else records


def _header(shards: int, endianness: str, change: dict[str, Any]) -> list[Record]:
    fields = {"num_shards": shards, "endianness": {"little": 0, "big": 1}[endianness], "producer": 1, "min_consumer": 0}
    fields |= {"bad_consumers": [], "append": b"", "raw": None, "key": b"", "drop": False}
    unknown = change.keys() - fields.keys()
    if unknown:
        raise TypeError(f"the header has no {sorted(unknown)}")
    fields |= change
    if fields["drop"]:
        return []
    version = int_field(1, fields["producer"]) + int_field(2, fields["min_consumer"])
    if fields["bad_consumers"]:
        version += bytes_field(3, b"".join(map(varint, fields["bad_consumers"])))
    proto = int_field(1, fields["num_shards"]) + int_field(2, fields["endianness"]) + bytes_field(3, version)
    return [(fields["key"], proto + fields["append"] if fields["raw"] is None else fields["raw"])]


def _encode_changed_entry(entry: Entry, changes: dict[str, Any]) -> bytes:
    raw = changes.pop("raw", None)
    append = changes.pop("append", b"")
    without = set(changes.pop("without", ()))
    unknown_rank = changes.pop("unknown_rank", False)
    if raw is not None:
        return raw
    values = {name: value(getattr(entry, name)) if callable(value) else value for name, value in changes.items()}
    changed = dataclasses.replace(entry, **values)
    blank = {"dtype": 0, "shard": 0, "offset": 0, "size": 0, "crc": 0, "slices": ()}
    shape = b"" if "shape" in without else bytes_field(2, _dims(tuple(changed.shape)) + int_field(3, unknown_rank))
    proto = encode_entry(dataclasses.replace(changed, shape=(), **{name: blank[name] for name in without - {"shape"}}))
    # The empty shape that was just encoded follows the dtype.
    at = len(int_field(1, 0 if "dtype" in without else changed.dtype))
    return proto[:at] + shape + proto[at + 2 :] + append


@lru_cache(maxsize=4096)
def _shape_field(shape: tuple[int, ...]) -> bytes:
    return bytes_field(2, _dims(shape))


def _dims(shape: tuple[int, ...]) -> bytes:
    return b"".join(bytes_field(2, int_field(1, dim)) for dim in shape)


def _key(name: Name) -> bytes:
    return name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
