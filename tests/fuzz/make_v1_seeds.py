"""Writes seeds/v1: V1 files, golden and handmade, as inputs of fuzz_v1.

Run from the repository's root: python tests/fuzz/make_v1_seeds.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import numpy as np  # noqa: E402
from support import bundle_reader, v1_writer, values  # noqa: E402
from support.v1_writer import Row  # noqa: E402
from support.wire import bytes_field, varint  # noqa: E402

GOLDEN = ROOT / "tests" / "golden" / "2.21.0"
SNAPPY, SMALL_BLOCKS = 1, 2


def take(data: bytes) -> bytes:
    """A part of an input: two bytes of length, and what they count."""
    return len(data).to_bytes(2, "little") + data


def seed(*files: bytes, options: int = 0) -> bytes:
    records = [record for file in files for record in bundle_reader.table_records(file)]
    return bytes([options]) + b"".join(take(key) + take(value) for key, value in records)


def handmade() -> dict[str, bytes]:
    """Records of every kind, and one of every kind of damage worth a start."""
    grid = np.arange(6, dtype=np.int16).reshape(3, 2)
    sound = [
        Row(b"w", np.float32([1, 2])),
        Row(b"g", grid, piece="0,1:-"),
        Row(b"g", grid, piece="1,2:-"),
        Row(b"t", [b"one", b""]),
        Row(b"e", np.zeros((0, 4), np.float32)),
    ]
    file = v1_writer.encode(sound)
    content = Row(b"w", np.float32([1]))
    content.record = v1_writer.encode_record(content, bytes_field(4, b"abcd"))
    single = Row(b"w", np.int64([1, -2]))
    single.record = v1_writer.encode_record(single, v1_writer.encode_values(single.value, "int64", packed=False))
    cut = Row(b"w", np.int32([1, 2]))
    cut.record = v1_writer.encode_record(cut, bytes_field(7, varint(1) + b"\x80"))
    first, second = (v1_writer.encode([Row(b"g", grid, piece=piece)]) for piece in ("0,1:-", "1,2:-"))
    other = v1_writer.encode([Row(b"g", grid, "int32", "1,2:-")])
    return {
        "every_kind": seed(file),
        "small_blocks": seed(file, options=SMALL_BLOCKS),
        "snappy": seed(file, options=SNAPPY | SMALL_BLOCKS),
        "every_dtype": seed(v1_writer.encode([Row(d.encode(), values.filled(d, (2,)), d) for d in v1_writer.FIELDS])),
        "two_files": seed(first, second),
        "hole": seed(first),
        "overlap": seed(first, first),
        "files_disagree": seed(first, other),
        "tensor_content": seed(v1_writer.encode([content])),
        "one_a_field": seed(v1_writer.encode([single])),
        "cut_varint": seed(v1_writer.encode([cut])),
        "missing_record": seed(v1_writer.encode([Row(b"w", np.float32([1]), record=b"\x12\x00")])),
        "huge_shape": seed(v1_writer.encode([Row(b"w", np.float32([1]), meta={"shape": (1 << 40,)})])),
        "negative_dimension": seed(v1_writer.encode([Row(b"w", np.float32([1]), meta={"shape": (-1,)})])),
        "another_version": seed(v1_writer.encode([], metadata=v1_writer.encode_metadata([], b"\x10\x02"))),
        "no_metadata": seed(v1_writer.encode([], metadata=b"\x12\x00")),
    }


def main() -> None:
    """Writes the seeds."""
    target = ROOT / "tests" / "fuzz" / "seeds" / "v1"
    target.mkdir(parents=True, exist_ok=True)
    golden = {
        "2.21.0-v1": seed((GOLDEN / "v1").read_bytes()),
        "2.21.0-v1_sharded": seed(*(file.read_bytes() for file in sorted(GOLDEN.glob("v1_sharded-*")))),
    }
    for name, content in {**golden, **handmade()}.items():
        (target / name).write_bytes(content)


if __name__ == "__main__":
    main()
