"""Checkpoints of zeros that take no room on the disk: large tensors for tests about time and memory."""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .bundle_writer import Bundle, Image, Mutations, build_bundle
from .publish import publish
from .tensors import Raw
from .wire import crc32c, mask, varint

_CHUNK = bytes(1 << 24)


@functools.cache
def crc_of_zeros(size: int, crc: int = 0) -> int:
    """The checksum of so many zero bytes, after bytes of checksum ``crc``."""
    for _ in range(size // len(_CHUNK)):
        crc = crc32c(_CHUNK, crc)
    return crc32c(_CHUNK[: size % len(_CHUNK)], crc)


def write_sparse(prefix: Path, shapes: Mapping[str, tuple[int, ...]], *, offset: int = 0, true: bool = True) -> Bundle:
    """Zeros of float32, one tensor behind the other, the first ``offset`` bytes into the data file.

    Without ``true``, which takes some time, the checksums are those of no bytes.
    """
    entries = {}
    end = offset
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape, dtype=np.int64))
        entries[name] = {"shape": shape, "offset": end, "size": size, "crc": mask(crc_of_zeros(size if true else 0))}
        end += size
    image = build_bundle({name: np.zeros(1, "<f4") for name in shapes}, mutate=Mutations(entries=entries))
    return _write(prefix, image, end)


def write_sparse_string(prefix: Path, name: str, size: int) -> Bundle:
    """A scalar string of zeros."""
    lengths = crc32c(struct.pack("<I" if size < 2**32 else "<Q", size))
    checksum = struct.pack("<I", mask(lengths))
    head = varint(size) + checksum
    crc = crc_of_zeros(size, crc32c(checksum, lengths))
    change = {"size": len(head) + size, "crc": mask(crc)}
    image = build_bundle({name: Raw(7, (), head)}, mutate=Mutations(entries={name: change}))
    return _write(prefix, image, len(head) + size)


def _write(prefix: Path, image: Image, size: int) -> Bundle:
    publish(prefix, image.index, image.shards, commit="tensorflow")
    bundle = Bundle(prefix, image)
    os.truncate(bundle.data_path(), size)
    return bundle
