"""A checkpoint's files, looked at without the library that wrote them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import publish
from .bundle_reader import index_entries, index_header
from .bundle_writer import Entry
from .tensors import encode_tensor


def files(folder: str | os.PathLike[str]) -> dict[str, bytes]:
    """Name -> bytes of all that lies in a folder."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def index_of(prefix: str | os.PathLike[str]) -> bytes:
    return publish.index_path(Path(prefix)).read_bytes()


def num_shards(prefix: str | os.PathLike[str]) -> int:
    """As the index says."""
    return index_header(index_of(prefix))["num_shards"]


def data_files(prefix: str | os.PathLike[str]) -> list[Path]:
    """Those that the index says there are."""
    count = num_shards(prefix)
    return [publish.data_path(Path(prefix), shard, count) for shard in range(count)]


def entries(prefix: str | os.PathLike[str]) -> dict[bytes, Entry]:
    """Every entry of the index by its key, those of pieces included."""
    return index_entries(index_of(prefix))


def pieces(prefix: str | os.PathLike[str]) -> dict[bytes, Entry]:
    """The entries that have bytes in a data file."""
    return {key: entry for key, entry in entries(prefix).items() if not entry.slices}


def stored_bytes(prefix: str | os.PathLike[str], key: str | bytes) -> bytes:
    """What the data file holds for a tensor or a piece."""
    entry = entries(prefix)[key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key]
    with data_files(prefix)[entry.shard].open("rb") as file:
        file.seek(entry.offset)
        return file.read(entry.size)


def assert_only_checkpoint(prefix: str | os.PathLike[str]) -> None:
    """The folder of the prefix holds its index and the data files that this names, and nothing else."""
    prefix = Path(prefix)
    expected = {publish.index_path(prefix), *data_files(prefix)}
    assert set(prefix.parent.iterdir()) == expected


def assert_stored(prefix: str | os.PathLike[str], tensors: Mapping[str, Any]) -> None:
    """The files hold these tensors and no others, with the right types, shapes, bytes and checksums."""
    found = entries(prefix)
    assert found.keys() == {name.encode("utf-8", "surrogateescape") for name in tensors}
    for name, value in tensors.items():
        expected = encode_tensor(value)
        entry = found[name.encode("utf-8", "surrogateescape")]
        assert (entry.dtype, entry.shape, entry.crc) == (expected.dtype, expected.shape, expected.crc), name
        assert stored_bytes(prefix, name) == expected.data, name
