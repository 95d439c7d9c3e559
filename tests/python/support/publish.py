"""Putting a checkpoint's files in place, in one of two orders.

``"protocol"``: data files get names that no old checkpoint at the prefix uses (another shard count), then the index is
renamed over the old one, then the old data files go. A reader finds the old save or the new one, whole.

``"tensorflow"``: data files are renamed over the old ones of the same names, then the index over the old one. In
between the old index describes the new data. Data files of another shard count stay behind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path


def data_name(prefix: str, shard: int, num_shards: int) -> str:
    return f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"


def data_path(prefix: Path, shard: int, num_shards: int) -> Path:
    return Path(data_name(os.fspath(prefix), shard, num_shards))


def index_path(prefix: Path) -> Path:
    return Path(f"{os.fspath(prefix)}.index")


def publish(prefix: Path, index: bytes, shards: Sequence[bytes], *, commit: str) -> None:
    """Puts the files in place."""
    for _ in publish_steps(prefix, index, shards, commit=commit):
        pass


def publish_steps(prefix: Path, index: bytes, shards: Sequence[bytes], *, commit: str) -> Iterator[str]:
    """The same with a halt after each visible step: ``"data"`` per file, ``"index"``, ``"removed"`` per old file."""
    if commit not in ("protocol", "tensorflow"):
        raise ValueError(f"commit={commit!r}")
    prefix.parent.mkdir(parents=True, exist_ok=True)
    old = old_data_files(prefix)
    targets = [data_path(prefix, number, len(shards)) for number in range(len(shards))]
    if commit == "protocol" and set(targets) & set(old):
        raise ValueError(f"{len(shards)} shards are in use at {prefix}; see free_shard_count")
    for target, data in zip(targets, shards):
        _replace(target, data)
        yield "data"
    _replace(index_path(prefix), index)
    yield "index"
    for path in old if commit == "protocol" else ():
        path.unlink()
        yield "removed"


def free_shard_count(prefix: Path, wanted: int) -> int:
    """The smallest shard count >= ``wanted`` that no data file at ``prefix`` bears."""
    used = {int(path.name.rpartition("-of-")[2]) for path in old_data_files(prefix)}
    while wanted in used:
        wanted += 1
    return wanted


def old_data_files(prefix: Path) -> list[Path]:
    """The data files at ``prefix``, of any shard count."""
    pattern = re.compile(re.escape(prefix.name) + r"\.data-\d{5,}-of-\d{5,}")
    if not prefix.parent.is_dir():
        return []
    return sorted(path for path in prefix.parent.iterdir() if pattern.fullmatch(path.name))


def _replace(target: Path, data: bytes) -> None:
    temporary = target.with_name(f"{target.name}.tempstate{os.getpid()}")
    temporary.write_bytes(data)
    os.replace(temporary, target)
