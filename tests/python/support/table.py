"""Sorted-string tables: records to the bytes of an ``.index`` file, sound or damaged at a named place.

The layout is the one that TensorFlow writes, byte for byte, when the options are left alone. ``TablePatch`` replaces
single fields; everything around a patched field (positions, handles, checksums) stays consistent with it, so that a
test meets the damage it asked for and no other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from . import snappy as snappy_codec
from .wire import crc32c, fixed32, fixed64, mask, varint

MAGIC = 0xDB4775248B80FB57
BLOCK_SIZE = 262144
RESTART_INTERVAL = 16

Record = tuple[bytes, bytes]
# A data block by number, or one of the other two by name.
BlockId = int | str
# A varint to encode, or the bytes to put in its place.
Number = int | bytes
# (offset, size), or the bytes to put in place of an encoded handle.
Handle = tuple[Number, Number] | bytes


@dataclasses.dataclass
class BlockPatch:
    """Changes to one block, in the order in which they apply.

    Attributes:
        entries: Position in the block -> the varints to write instead: keys ``shared``, ``non_shared``, ``value_len``.
        stray: Bytes between the last entry and the restart array.
        restarts: The restart array to write instead, or a function from the true one.
        num_restarts: The restart count to write instead.
        contents: From the whole block before compression to what is compressed.
        kind: The compression kind to claim.
        stored: From the bytes after compression to those stored. The checksum covers its result.
        checksum: The masked checksum to write instead.
    """

    entries: dict[int, dict[str, Number]] = dataclasses.field(default_factory=dict)
    stray: bytes = b""
    restarts: list[int] | Callable[[list[int]], list[int]] | None = None
    num_restarts: int | None = None
    contents: Callable[[bytes], bytes] | None = None
    kind: int | None = None
    stored: Callable[[bytes], bytes] | None = None
    checksum: int | None = None


@dataclasses.dataclass
class TablePatch:
    """Changes to a table.

    Attributes:
        blocks: By number for data blocks, ``"metaindex"`` and ``"index"`` for the others.
        handles: Number of a data block -> handle to write in the index block.
        index_keys: Number of a data block -> key to write in the index block.
        metaindex: Records of the metaindex block.
        metaindex_handle, index_handle: What the footer says.
        padding: What follows the handles in the footer, cut or zero-filled to its place.
        magic: The last eight bytes.
        footer: The whole footer; wins over the four above.
        before, after: Bytes around the file. Offsets do not take ``before`` into account.
    """

    blocks: dict[BlockId, BlockPatch] = dataclasses.field(default_factory=dict)
    handles: dict[int, Handle] = dataclasses.field(default_factory=dict)
    index_keys: dict[int, bytes] = dataclasses.field(default_factory=dict)
    metaindex: list[Record] = dataclasses.field(default_factory=list)
    metaindex_handle: Handle | None = None
    index_handle: Handle | None = None
    padding: bytes = b""
    magic: bytes = fixed64(MAGIC)
    footer: bytes | None = None
    before: bytes = b""
    after: bytes = b""


def build_table(
    records: Iterable[Record],
    *,
    block_size: int = BLOCK_SIZE,
    restart_interval: int = RESTART_INTERVAL,
    snappy: bool | str = False,
    shorten_keys: bool = True,
    patch: TablePatch | None = None,
) -> bytes:
    """The bytes of a table.

    Args:
        records: In the order in which they are written. Neither order nor uniqueness is checked.
        block_size: A data block ends once it holds this many bytes; 1 gives one entry per block.
        snappy: ``False``; ``"literal"``; ``"copies"`` or ``True``; ``"auto"`` is ``"copies"`` where it saves an eighth
            of a block, as most table writers do.
        shorten_keys: Whether index keys are cut as short as they can be.
    """
    patch = patch or TablePatch()
    file = _File(patch, snappy)
    index: list[Record] = []
    for number, (block, separator) in enumerate(_data_blocks(records, block_size, restart_interval, shorten_keys)):
        handle = file.append(number, block)
        index.append((patch.index_keys.get(number, separator), encode_handle(patch.handles.get(number, handle))))
    metaindex_handle = file.append("metaindex", _filled(patch.metaindex))
    index_handle = file.append("index", _filled(index))
    return patch.before + b"".join(file.parts) + _footer(patch, metaindex_handle, index_handle) + patch.after


def encode_handle(handle: Handle) -> bytes:
    if isinstance(handle, bytes):
        return handle
    offset, size = handle
    return _number(offset) + _number(size)


def separator(a: bytes, b: bytes) -> bytes:
    """A short key k with a <= k < b, for a < b."""
    at = shared_prefix(a, b)
    if at < len(a) and at < len(b) and a[at] < 0xFF and a[at] + 1 < b[at]:
        return a[:at] + bytes([a[at] + 1])
    return a


def successor(a: bytes) -> bytes:
    """A short key >= ``a``."""
    for at, byte in enumerate(a):
        if byte != 0xFF:
            return a[:at] + bytes([byte + 1])
    return a


def shared_prefix(a: bytes, b: bytes) -> int:
    """How many leading bytes are equal."""
    high = min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


class BlockBuilder:
    """One block before compression: entries as pieces, so that single varints can be replaced later."""

    def __init__(self, restart_interval: int) -> None:
        self.interval = restart_interval
        self.entries: list[tuple[int, bytes, bytes]] = []
        self.restarts = [0]
        self.size = 0
        self.last_key = b""

    def add(self, key: bytes, value: bytes) -> None:
        position = len(self.entries)
        shared = 0
        if position % self.interval:
            shared = shared_prefix(self.last_key, key)
        elif position:
            self.restarts.append(self.size)
        suffix = key[shared:]
        self.entries.append((shared, suffix, value))
        lengths = len(varint(shared)) + len(varint(len(suffix))) + len(varint(len(value)))
        self.size += lengths + len(suffix) + len(value)
        self.last_key = key

    def finish(self, patch: BlockPatch) -> bytes:
        parts = []
        for position, (shared, suffix, value) in enumerate(self.entries):
            numbers: dict[str, Number] = {"shared": shared, "non_shared": len(suffix), "value_len": len(value)}
            if patch.entries:
                numbers.update(patch.entries.get(position, {}))
            parts.extend(map(_number, numbers.values()))
            parts += (suffix, value)
        restarts = self.restarts
        if patch.restarts is not None:
            restarts = patch.restarts(list(restarts)) if callable(patch.restarts) else patch.restarts
        count = len(restarts) if patch.num_restarts is None else patch.num_restarts
        parts += (patch.stray, *map(fixed32, restarts), fixed32(count))
        return b"".join(parts)


class _File:
    """The blocks written so far, with the position of the next."""

    def __init__(self, patch: TablePatch, snappy: bool | str) -> None:
        self.patch = patch
        self.snappy = snappy
        self.parts: list[bytes] = []
        self.offset = 0

    def append(self, block_id: BlockId, block: BlockBuilder) -> tuple[int, int]:
        patch = self.patch.blocks.get(block_id, BlockPatch())
        contents = block.finish(patch)
        if patch.contents:
            contents = patch.contents(contents)
        kind, stored = _compress(contents, self.snappy)
        if patch.kind is not None:
            kind = patch.kind
        if patch.stored:
            stored = patch.stored(stored)
        checksum = mask(crc32c(stored + bytes([kind]))) if patch.checksum is None else patch.checksum
        self.parts += (stored, bytes([kind]), fixed32(checksum))
        handle = (self.offset, len(stored))
        self.offset += len(stored) + 5
        return handle


def _data_blocks(
    records: Iterable[Record], block_size: int, restart_interval: int, shorten_keys: bool
) -> Iterable[tuple[BlockBuilder, bytes]]:
    """Each data block with the key that the index block has for it."""
    block = BlockBuilder(restart_interval)
    pending: BlockBuilder | None = None
    for key, value in records:
        if block.entries and len(key) + len(value) >= 2 * block_size:
            pending, block = block, BlockBuilder(restart_interval)
        if pending:
            yield pending, separator(pending.last_key, key) if shorten_keys else pending.last_key
            pending = None
        block.add(key, value)
        if block.size + 4 * len(block.restarts) + 4 >= block_size:
            pending, block = block, BlockBuilder(restart_interval)
    last = block if block.entries else pending
    if last:
        yield last, successor(last.last_key) if shorten_keys else last.last_key


def _filled(records: list[Record]) -> BlockBuilder:
    block = BlockBuilder(1)
    for key, value in records:
        block.add(key, value)
    return block


def _compress(contents: bytes, snappy: bool | str) -> tuple[int, bytes]:
    if not snappy:
        return 0, contents
    if snappy == "literal":
        return 1, snappy_codec.literal_only(contents)
    if snappy not in (True, "copies", "auto"):
        raise ValueError(f"snappy={snappy!r}")
    stored = snappy_codec.with_copies(contents)
    if snappy == "auto" and len(stored) >= len(contents) - len(contents) // 8:
        return 0, contents
    return 1, stored


def _footer(patch: TablePatch, metaindex_handle: Handle, index_handle: Handle) -> bytes:
    if patch.footer is not None:
        return patch.footer
    handles = encode_handle(patch.metaindex_handle or metaindex_handle)
    handles += encode_handle(patch.index_handle or index_handle)
    return (handles + patch.padding)[:40].ljust(40, b"\0") + patch.magic


def _number(value: Number) -> bytes:
    return value if isinstance(value, bytes) else varint(value)
