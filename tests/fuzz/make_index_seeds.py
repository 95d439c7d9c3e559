"""Writes seeds/index: small golden checkpoints as inputs of fuzz_index.

Run from the repository's root: python tests/fuzz/make_index_seeds.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

from support import bundle_reader  # noqa: E402

# One of each kind of record: plain, empty, strings, variants, pieces, shards, odd names.
CHECKPOINTS = [
    "2.21.0/one",
    "2.21.0/empty",
    "2.21.0/strings",
    "2.21.0/variants",
    "2.21.0/names",
    "2.21.0/sharded",
    "2.21.0/partitioned_one_shard",
    "handmade/big_endian",
    "handmade/tolerated",
]


def take(data: bytes) -> bytes:
    """A part of an input: a byte of length, and what it counts."""
    return bytes([min(len(data), 255)]) + data[:255]


def main() -> None:
    """Writes one seed for each checkpoint."""
    target = ROOT / "tests" / "fuzz" / "seeds" / "index"
    target.mkdir(parents=True, exist_ok=True)
    for name in CHECKPOINTS:
        index = ROOT / "tests" / "golden" / f"{name}.index"
        shard = min(index.parent.glob(index.stem + ".data-*")).read_bytes()
        records = [(key, value) for key, value in bundle_reader.table_records(index.read_bytes()) if key]
        small = [take(key) + take(value) for key, value in records if len(key) < 256 and len(value) < 256]
        (target / name.replace("/", "-")).write_bytes(take(shard) + b"".join(small[:40]))


if __name__ == "__main__":
    main()
