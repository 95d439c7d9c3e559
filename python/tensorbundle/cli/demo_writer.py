"""The checkpoint that the demo reads: shaped like BERT-large, of any size, written as TensorFlow packs it.

Small on purpose: float32 only, one data file, an index of one block. Memory stays at a few megabytes for any size.
"""

from __future__ import annotations

import json
import math
import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LAYERS = 24
_HEADS = 16
_POSITIONS = 512
_CHUNK_ELEMENTS = 1 << 20
_RESTART_INTERVAL = 16
_FLOAT32 = 1
_TABLE_MAGIC = 0xDB4775248B80FB57

MIN_SIZE_BYTES = 1_000_000


def bert_shapes(nbytes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a model with BERT-large's 24 layers and about ``nbytes`` of float32, in key order.

    The hidden size follows from the size; the vocabulary takes what remains.
    """
    elements = nbytes // 4
    # With BERT's own vocabulary of 30522 words: 24 layers of 12 h^2 and 13 h, embeddings and pooler.
    quadratic, linear = _LAYERS * 12 + 1, 30522 + _POSITIONS + _LAYERS * 13
    hidden = (math.sqrt(linear * linear + 4 * quadratic * elements) - linear) / (2 * quadratic)
    hidden = max(1, round(hidden / _HEADS)) * _HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "bert/embeddings/LayerNorm/beta": (hidden,),
        "bert/embeddings/LayerNorm/gamma": (hidden,),
        "bert/embeddings/position_embeddings": (_POSITIONS, hidden),
        "bert/embeddings/token_type_embeddings": (2, hidden),
        "bert/pooler/dense/bias": (hidden,),
        "bert/pooler/dense/kernel": (hidden, hidden),
    }
    for layer in range(_LAYERS):
        shapes |= _layer_shapes(f"bert/encoder/layer_{layer}", hidden)
    rest = elements - sum(math.prod(shape) for shape in shapes.values())
    shapes["bert/embeddings/word_embeddings"] = (max(100, rest // hidden), hidden)
    return dict(sorted(shapes.items()))


def _layer_shapes(scope: str, hidden: int) -> dict[str, tuple[int, ...]]:
    dense = {
        "attention/self/query": (hidden, hidden),
        "attention/self/key": (hidden, hidden),
        "attention/self/value": (hidden, hidden),
        "attention/output/dense": (hidden, hidden),
        "intermediate/dense": (hidden, 4 * hidden),
        "output/dense": (4 * hidden, hidden),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in dense.items():
        shapes[f"{scope}/{name}/kernel"] = shape
        shapes[f"{scope}/{name}/bias"] = shape[1:]
    for name in ("attention/output/LayerNorm", "output/LayerNorm"):
        shapes[f"{scope}/{name}/beta"] = (hidden,)
        shapes[f"{scope}/{name}/gamma"] = (hidden,)
    return shapes


def write(prefix: str, shapes: dict[str, tuple[int, ...]], report: Callable[[int], None]) -> dict[str, int]:
    """Writes a checkpoint of random numbers, to the disk: the page cache forgets only what is there.

    Args:
        prefix: Where; its directory exists.
        shapes: Tensors, in key order.
        report: Called with the number of bytes written so far.

    Returns:
        The CRC-32C of each tensor's bytes; also written to ``<prefix>.checksums.json``.
    """
    generator = np.random.default_rng(0)
    checksums: dict[str, int] = {}
    records: list[tuple[bytes, bytes]] = [(b"", b"\x08\x01\x1a\x02\x08\x01")]  # One shard; written by version 1.
    written = 0
    with open(f"{prefix}.data-00000-of-00001", "wb", buffering=0) as file:
        for name, shape in shapes.items():
            crc = 0
            for chunk in _chunks(generator, math.prod(shape)):
                data = chunk.data.cast("B")
                while data:
                    data = data[file.write(data) :]
                crc = _core.crc32c(chunk, crc)
                written += chunk.nbytes
                report(written)
            checksums[name] = crc
            nbytes = 4 * math.prod(shape)
            records.append((name.encode(), _entry(shape, written - nbytes, nbytes, crc)))
        os.fsync(file.fileno())
    with open(f"{prefix}.index", "wb", buffering=0) as file:
        file.write(_table(records))
        os.fsync(file.fileno())
    with open(checksums_path(prefix), "w", encoding="ascii") as file:
        json.dump(checksums, file)
    return checksums


def checksums_path(prefix: str) -> str:
    """Where :func:`write` leaves the checksums."""
    return f"{prefix}.checksums.json"


def _chunks(generator: np.random.Generator, elements: int) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    for start in range(0, elements, _CHUNK_ELEMENTS):
        yield generator.random(min(_CHUNK_ELEMENTS, elements - start), dtype=np.float32)


def _entry(shape: tuple[int, ...], offset: int, size: int, crc: int) -> bytes:
    """A BundleEntryProto; fields that are zero are left out, as protobuf does."""
    dims = b"".join(_field(2, _number(1, dim)) for dim in shape)
    checksum = b"\x35" + struct.pack("<I", _core.crc32c_mask(crc))
    return _number(1, _FLOAT32) + _field(2, dims) + _number(4, offset) + _number(5, size) + checksum


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value) if value else b""


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _table(records: list[tuple[bytes, bytes]]) -> bytes:
    """The index file: one block of records, an empty one of metadata, one that says where they are, and a footer."""
    file = bytearray()
    data = _append_block(file, records)
    metadata = _append_block(file, [])
    index = _append_block(file, [(records[-1][0], data)])
    handles = metadata + index
    file += handles + bytes(40 - len(handles)) + struct.pack("<Q", _TABLE_MAGIC)
    return bytes(file)


def _append_block(file: bytearray, records: list[tuple[bytes, bytes]]) -> bytes:
    """Appends a block and its trailer; returns its handle."""
    block = bytearray()
    restarts = []
    for position, (key, value) in enumerate(records):
        if position % _RESTART_INTERVAL == 0:
            restarts.append(len(block))
        # No byte is shared with the key before: a little longer, and simpler.
        block += b"\0" + _varint(len(key)) + _varint(len(value)) + key + value
    restarts = restarts or [0]
    block += struct.pack(f"<{len(restarts)}I", *restarts) + struct.pack("<I", len(restarts))
    handle = _varint(len(file)) + _varint(len(block))
    block += b"\0"  # Not compressed.
    file += block + struct.pack("<I", _core.crc32c_mask(_core.crc32c(block)))
    return handle
