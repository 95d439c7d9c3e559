"""Writes the checkpoints of this folder with the tests' own encoder: what TensorFlow reads but does not write.

    python tests/golden/handmade/make.py [folder]

Into its own folder by default; needs NumPy, ml_dtypes and crc32c. Every run gives the same bytes. That TensorFlow reads
them as the manifest says is shown by ``tests/interop/test_encoder_against_tensorflow.py``; the one that it refuses is
marked there with ``"tensorflow": false``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))

from support import dtypes, values
from support.bundle_writer import Mutations, Raw, Typed, write_bundle
from support.hashing import as_array
from support.manifest import Golden, write_manifest
from support.table import TablePatch
from support.tensors import encode_strings
from support.wire import bytes_field, crc32c, fixed32, int_field, long_varint, mask

# The one-byte types that TensorFlow takes from a bundle of the other byte order.
SWAPPABLE_BYTES = ("uint8", "int8", "bool", "qint8", "quint8")

Tensors = dict[bytes, tuple[str, Any]]


def write(folder: Path, id: str, about: str, tensors: Tensors, *, tensorflow: bool = True, **options: Any) -> Golden:
    """A checkpoint that holds ``tensors``; ``store`` in the options replaces what is stored for some of them."""
    stored = {name: Typed(as_array(value), dtype) for name, (dtype, value) in tensors.items()}
    stored |= options.pop("store", {})
    # In this order the files keep their names when they are written again.
    write_bundle(folder / id, stored, commit="tensorflow", **options)
    return Golden(id, about, tensors, tensorflow=tensorflow)


def layers(count: int) -> Tensors:
    """Tensors with names that share long prefixes."""
    return {
        f"model/layer_{number // 4:02d}/{part}".encode(): ("float32", np.array([number, -number / 4], "<f4"))
        for number, part in zip(range(count), ("attention/kernel", "attention/bias", "norm/scale", "norm/bias") * count)
    }


def big_endian(folder: Path) -> Iterable[Golden]:
    swapped: Tensors = {}
    single: Tensors = {}
    for dtype in dtypes.FIXED:
        takes = swapped if dtype.size > 1 or dtype.name in SWAPPABLE_BYTES else single
        takes[f"{dtype.name}/all".encode()] = dtype.name, values.interesting(dtype.name)
        takes[f"{dtype.name}/scalar".encode()] = dtype.name, values.filled(dtype.name, (), 2)
        takes[f"{dtype.name}/2x3".encode()] = dtype.name, values.filled(dtype.name, (2, 3), 4)
    swapped |= {
        b"string/all": ("string", values.interesting("string")),
        b"string/0": ("string", np.empty(0, object)),
        b"string/scalar": ("string", b"x" * 70),
    }
    about = "Big-endian data: every dtype that TensorFlow swaps, and strings."
    yield write(folder, "big_endian", about, swapped, endianness="big")
    about = "Big-endian data of one byte an element, which has no order; TensorFlow refuses it all the same."
    yield write(folder, "big_endian_bytes", about, single, endianness="big", tensorflow=False)
    tensors: Tensors = {b"w": ("int64", np.arange(12).reshape(4, 3) << 33), b"x": ("bfloat16", _bfloat16(5))}
    pieces = {b"w": ["0,2:-", "2,2:0,2", "2,2:2,1"], b"x": ["0,1", "1,4"]}
    about = "Big-endian data of partitioned tensors in two shards."
    yield write(folder, "big_endian_partitioned", about, tensors, endianness="big", slices=pieces, shards=2)


def snappy(folder: Path) -> Iterable[Golden]:
    tensors = layers(20)
    about = "Snappy: every block one literal."
    yield write(folder, "snappy_literal", about, {b"x": ("float32", _floats(2, 3))}, snappy="literal")
    about = "Snappy: every block with copies of all three kinds, some overlapping their own output."
    # The dimensions are a run of two bytes.
    overlapping = tensors | {b"none": ("int8", np.empty((0,) * 12, "i1"))}
    yield write(folder, "snappy_copies", about, overlapping, snappy="copies", block_size=512)
    about = "Snappy as table writers use it: the blocks that gain by it, the others plain."
    yield write(folder, "snappy_auto", about, tensors, snappy="auto", block_size=256)
    pieces = {b"w": ["0,1:-", "1,2:0,2", "1,2:2,2"]}
    about = "Snappy: a partitioned tensor in three shards."
    sliced: Tensors = {b"w": ("float32", _floats(3, 4))}
    yield write(folder, "snappy_partitioned", about, sliced, snappy="copies", slices=pieces, shards=3)


def tables(folder: Path) -> Iterable[Golden]:
    tensors = layers(16)
    yield write(folder, "multi_block", "Several data blocks; shortened index keys.", tensors, block_size=60)
    about = "A block for every entry, unshortened index keys."
    yield write(folder, "entry_per_block", about, layers(12), block_size=1, shorten_keys=False)
    yield write(folder, "one_restart", "One restart point for all entries.", tensors, restart_interval=1000)
    yield write(folder, "all_restarts", "A restart point at every entry.", tensors, restart_interval=1)


def layouts(folder: Path) -> Iterable[Golden]:
    tensors: Tensors = {
        b"bytes": ("uint8", np.arange(5, dtype="u1")),
        b"floats": ("float32", _floats(3)),
        b"none": ("float64", np.empty((0, 2))),
        b"strings": ("string", as_array([b"a", b"bc"])),
        b"last": ("int16", np.array([-2], "<i2")),
    }
    yield write(folder, "aligned_64", "Tensors on multiples of 64 bytes, zeros between.", tensors, alignment=64)
    about = "Five shards, three of them without bytes."
    where = {name: (0, 2, 3)[number % 3] for number, name in enumerate(tensors)}
    yield write(folder, "spare_shards", about, tensors, shards=5, shard_of=lambda name, _: where[name])

    shared: Tensors = {b"whole": ("int32", np.arange(6, dtype="<i4")), b"part": ("int32", np.arange(2, 5, dtype="<i4"))}
    shared |= {b"twin": shared[b"whole"], b"after gap": ("int16", np.array([7], "<i2"))}
    data = shared[b"whole"][1].tobytes() + b"gap" + b"\x07\x00" + b"trailing"
    offsets = {b"whole": 0, b"part": 8, b"twin": 0, b"after gap": 27}
    moved = {name: {"offset": offset} for name, offset in offsets.items()}

    def replace(_: int, stored: bytearray) -> None:
        stored[:] = data

    about = "Tensors that share bytes, an odd offset, bytes that no tensor owns."
    yield write(folder, "shared_bytes", about, shared, mutate=Mutations(entries=moved, data=replace))


def contents(folder: Path) -> Iterable[Golden]:
    int4 = np.array([-1, -8, 7], ml_dtypes.int4)
    tensors: Tensors = {b"bools": ("bool", np.array([False, True, True, True])), b"int4": ("int4", int4)}
    store = {b"bools": Raw(10, (4,), b"\x00\x01\x02\xff"), b"int4": Raw(29, (3,), b"\xff\xf8\x17")}
    yield write(folder, "odd_bytes", "Bools that are neither 0 nor 1, int4 with used upper bits.", tensors, store=store)

    strings = [b"ab", b"", b"x" * 200]
    encoded, crc = encode_strings(strings)
    lengths = b"\x82\x00" + long_varint(0, 3) + long_varint(200, 10)
    # The checksums cover the lengths as numbers, so they stay the same.
    spelled = Raw(7, (3,), lengths + encoded[4:], crc)
    tensors = {b"s": ("string", as_array(strings)), b"none": ("string", np.empty(0, object))}
    none = Raw(7, (0,), b"", mask(crc32c(b"")))
    about = "Lengths of strings spelled longer than need be; no strings stored as nothing at all."
    yield write(folder, "long_lengths", about, tensors, store={b"s": spelled, b"none": none})


def tolerated(folder: Path) -> Iterable[Golden]:
    tensors = layers(8)
    tensors[b"named"] = "float32", _floats(2, 3)
    named_dims = b"".join(bytes_field(2, int_field(1, dim) + bytes_field(2, b"axis")) for dim in (2, 3))
    # Fields 15, 16 and 17: a varint, a fixed32 and bytes from a later version.
    unknown = b"\x78\x05" + b"\x85\x01" + fixed32(7) + b"\x8a\x01\x03new"
    crc = crc32c(_floats(2, 3).tobytes())

    def respell(records: list) -> list:
        entry = b"\x08\x01" + bytes_field(2, named_dims) + b"\x20" + long_varint(64, 4) + b"\x28\x18"
        return [(key, entry + b"\x35" + fixed32(mask(crc)) if key == b"named" else value) for key, value in records]

    mutations = Mutations(
        header={"producer": 7, "append": unknown},
        entries={b"model/layer_00/norm/bias": {"append": unknown}},
        records=respell,
        table=TablePatch(padding=b"\xee" * 40, metaindex=[(b"filter.none", b"\x00\x00")]),
    )
    about = "A later producer, fields that nobody knows, named dimensions, a long varint, a used metaindex and padding."
    yield write(folder, "tolerated", about, tensors, mutate=mutations)


def _floats(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype="<f4").reshape(shape)


def _bfloat16(count: int) -> np.ndarray:
    return np.arange(1, count + 1).astype(ml_dtypes.bfloat16)


MAKERS: tuple[Callable[[Path], Iterable[Golden]], ...] = (big_endian, snappy, tables, layouts, contents, tolerated)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    goldens = [golden for maker in MAKERS for golden in maker(folder)]
    write_manifest(folder, "tests/python/support/bundle_writer.py", goldens)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
