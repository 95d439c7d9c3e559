"""The encoder against bytes that TensorFlow wrote or read, and each kind of damage against what it promises."""

from __future__ import annotations

import struct

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from . import golden, slices, snappy, wire
from .bundle_reader import decode_entry, index_entries, index_header, table_records
from .bundle_writer import Entry, Mutations, Raw, Variant, build_bundle, encode_entry
from .hashing import as_array
from .table import BlockPatch, TablePatch, build_table, separator, successor
from .table_fields import overwrite, table_fields
from .tensors import decode_variants, encode_tensor

WRITTEN_BY_TENSORFLOW = [c for c in golden.checkpoints() if c.folder.name != "handmade"]


def hexed(*lines: str) -> bytes:
    return bytes.fromhex("".join(lines))


SCALAR_INDEX = hexed(
    "00000608011a02080100010b6108011200280435",
    "81a5da2b00000000010000000074ef79b20000000001000000",
    "00c0f2a1b0000102620020000000000100000000",
    "30d3691c2508320e" + "00" * 36 + "57fb808b247547db",
)
STRINGS_INDEX = hexed(
    "00000608011a0208010001116508011206120012020803201035d8ea82a200010f730807120412020803280c3510adc4",
    "3f00010f7a080712021200200c280435f6c10c64000000000100000000b1492f16000000000100000000c0f2a1b00001",
    "027b004c0000000001000000002a136acf51085e0e" + "00" * 36 + "57fb808b247547db",
)
PIECES_INDEX = hexed(
    "00000608011a020801000a130077000101028082807f080112081202080212020803281835c0db3d1706041582828083",
    "0801120812020802120208032018281835d4844e02000120770801120812020804120208033a060a0210020a003a0a0a",
    "04080210020a02100300000000010000000046f53070000000000100000000c0f2a1b000010278007100000000010000",
    "0000a9df38aa760883010e" + "00" * 35 + "57fb808b247547db",
)
SNAPPY_INDEX = hexed(
    "289c00000608011a02080100011378080112081202080212020803281835c0db3d170000000001000000019749675d08",
    "1c00000000010000000106349f900e3400010279002a0000000001000000015b929e0b2f0a3e10" + "00" * 36 + "57fb808b247547db",
)


def test_scalar():
    image = build_bundle({"a": np.float32(1)})
    assert (image.index, image.shards) == (SCALAR_INDEX, [hexed("0000803f")])


def test_strings_and_empty_tensors():
    tensors = {"s": [b"ab", b"", b"xyz"], "z": np.empty(0, object), "e": np.empty((0, 3), "<f4")}
    image = build_bundle(tensors)
    assert image.shards == [hexed("020003", "1b428bca", "616278797a", "d8ea82a2")]
    assert image.index == STRINGS_INDEX


def test_pieces():
    array = np.arange(12, dtype="<f4").reshape(4, 3)
    image = build_bundle({"w": array}, slices={"w": ["0,2:-", "2,2:0,3"]})
    assert (image.index, image.shards) == (PIECES_INDEX, [array.tobytes()])


def test_snappy_literals():
    image = build_bundle({"x": np.arange(6, dtype="<f4").reshape(2, 3)}, snappy="literal")
    assert image.index == SNAPPY_INDEX


def test_variant():
    element = hexed(
        "0a1674656e736f72666c6f773a3a54656e736f724c69737412100001ffffffffffffffffff01120208021a",
        "1208011204120208022a080000803f000000401a1208011204120208022a080000404000008040",
    )
    image = build_bundle({"v": Variant([element])})
    assert image.shards == [b"\x52" + element + hexed("6915458e")]
    assert encode_entry(image.entries[b"v"]) == hexed("081512002857350900e2a3")
    assert decode_variants(image.shards[0], 1) == [element]


def test_big_endian_strings_swap_numbers_only():
    little, big = (encode_tensor([b"ab", b"c"], endianness) for endianness in ("little", "big"))
    assert little.data[:2] == big.data[:2] == b"\x02\x01"
    assert big.data[2:6] == struct.pack(">I", wire.mask(wire.crc32c(struct.pack(">II", 2, 1))))
    assert big.data[6:] == b"abc"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        *((-1, "7f"), (0, "80"), (1, "81"), (63, "bf"), (64, "c040"), (8191, "dfff"), (8192, "e02000")),
        *((2**20 - 1, "efffff"), (2**20, "f0100000"), (2**27, "f808000000"), (2**34, "fc0400000000")),
        *((2**41, "fe020000000000"), (2**48, "ff01000000000000"), (2**55, "ff8080000000000000")),
        (2**62, "ffc04000000000000000"),
    ],
)
def test_numbers_in_slice_keys(value, encoded):
    assert slices.ordered_signed(value).hex() == encoded


def test_slice_key():
    assert slices.slice_key(b"w", "30,40:-") == hexed("0077000101029ea8807f")
    assert slices.slice_key(b"\x00\xff", "0,5") == hexed("0000ffff00000101018085")


@hypothesis.given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2))
def test_numbers_in_slice_keys_sort_as_numbers(numbers):
    assert sorted(numbers, key=slices.ordered_signed) == sorted(numbers)


@pytest.mark.parametrize("checkpoint", WRITTEN_BY_TENSORFLOW, ids=lambda checkpoint: checkpoint.id)
def test_reencoding_an_index_of_tensorflow_gives_its_bytes(checkpoint):
    data = (checkpoint.folder / f"{checkpoint.prefix}.index").read_bytes()
    records = table_records(data)
    again = [(key, encode_entry(decode_entry(value)) if key else value) for key, value in records]
    assert again == records
    assert build_table(again) == data


@pytest.mark.parametrize("checkpoint", golden.checkpoints(), ids=lambda checkpoint: checkpoint.id)
def test_manifests_agree_with_the_independent_reader(checkpoint):
    data = (checkpoint.folder / f"{checkpoint.prefix}.index").read_bytes()
    assert index_header(data)["num_shards"] == checkpoint.num_shards
    for key, entry in index_entries(data).items():
        if not key.startswith(b"\0") and not entry.slices:
            assert checkpoint.tensors[key].extent == (entry.shard, entry.offset, entry.size)
            assert checkpoint.tensors[key].checksum == entry.crc


@hypothesis.given(st.binary(max_size=300).map(lambda data: data * 3), st.booleans())
def test_snappy_decodes_to_what_was_encoded(data, copies):
    encoded = snappy.with_copies(data) if copies else snappy.literal_only(data)
    assert snappy.decode(encoded) == data


def test_snappy_copies_are_of_every_kind():
    assert [snappy.copy(1, 4, turn) for turn in range(3)] == [b"\x01\x01", b"\x0e\x01\x00", b"\x0f\x01\x00\x00\x00"]
    assert snappy.copy(70000, 64) == b"\xff\x70\x11\x01\x00"
    assert snappy.with_copies(b"abababababab") == b"\x0c\x04ab\x19\x02"


@pytest.mark.parametrize(
    ("size", "head"), [(60, "ec"), (61, "f03c"), (256, "f0ff"), (257, "f40001"), (65537, "f8000001")]
)
def test_snappy_literals_of_every_length(size, head):
    assert snappy.literal(bytes(size)) == hexed(head) + bytes(size)


def test_index_keys_are_short():
    assert separator(b"abcdefghij", b"abzz") == b"abd"
    assert separator(b"abc", b"abd") == b"abc"
    assert separator(b"ab", b"abc") == b"ab"
    assert separator(b"a\xff", b"b") == b"a\xff"
    assert successor(b"\xff\xffa") == b"\xff\xffb"
    assert successor(b"\xff\xff") == b"\xff\xff"
    assert successor(b"") == b""


# Damage


def small(**mutations) -> bytes:
    tensors = {"a": np.float32(1), "b": np.arange(3, dtype="<i2"), "c": b"text"}
    return build_bundle(tensors, mutate=Mutations(**mutations)).index


def test_fields_cover_every_byte_of_a_file():
    for data in (SCALAR_INDEX, STRINGS_INDEX, PIECES_INDEX, small()):
        at = 0
        for field in table_fields(data).values():
            assert field.offset <= at
            at = max(at, field.offset + field.size)
        assert at == len(data)


def test_overwrite_repairs_the_checksum_on_request():
    assert overwrite(SCALAR_INDEX, "data[0].entry[1].suffix", b"a") == SCALAR_INDEX
    changed = overwrite(SCALAR_INDEX, "data[0].entry[1].suffix", b"z")
    fields = table_fields(changed)
    assert fields["data[0].entry[1].suffix"].value == b"z"
    assert fields["data[0].trailer.checksum"].value == wire.mask(wire.crc32c(changed[:33]))
    unrepaired = overwrite(SCALAR_INDEX, "data[0].entry[1].suffix", b"z", repair=False)
    assert [at for at, (x, y) in enumerate(zip(unrepaired, SCALAR_INDEX)) if x != y] == [12]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dtype": 99}, {"dtype": 99}),
        ({"shape": (-1, 2**62)}, {"shape": (2**64 - 1, 2**62)}),
        ({"shard": 7, "offset": -1}, {"shard": 7, "offset": 2**64 - 1}),
        ({"size": lambda size: size + 1}, {"size": 7}),
        ({"crc": 0}, {"crc": 0}),
        ({"slices": [((0, 1),), (None,)]}, {"slices": [((0, 1),), (None,)]}),
        ({"without": {"dtype", "shape", "size"}}, {"dtype": 0, "shape": (), "size": 0}),
        ({"unknown_rank": True}, {}),
        ({"append": b"\x78\x05"}, {}),
    ],
)
def test_entry_changes(change, expected):
    (sound,) = (encode for key, encode in index_entries(small()).items() if key == b"b")
    data = small(entries={"b": change})
    assert vars(index_entries(data)[b"b"]) == {**vars(sound), **expected}
    untouched = {key: value for key, value in table_records(small()) if key != b"b"}
    assert {key: value for key, value in table_records(data) if key != b"b"} == untouched


def test_entry_changes_of_unknown_names_are_errors():
    with pytest.raises(KeyError, match="nobody"):
        small(entries={"nobody": {"size": 1}})
    with pytest.raises(TypeError, match="sizes"):
        small(entries={"a": {"sizes": 1}})


def test_raw_entries_keys_and_records():
    records = dict(table_records(small(entries={"a": {"raw": b"\xff"}, "b": {"key": b"B"}, "c": {"drop": True}})))
    assert records.keys() == {b"", b"B", b"a"}
    assert records[b"a"] == b"\xff"
    twice = table_records(small(records=lambda records: [*records, *records]))
    assert [key for key, _ in twice] == [b"", b"a", b"b", b"c"] * 2


def test_header_changes():
    change = {"num_shards": -1, "endianness": 7, "producer": 0, "min_consumer": 2, "bad_consumers": [1, 300]}
    (_, value), *_ = table_records(small(header=change))
    assert value == hexed("08ffffffffffffffffff01", "1007", "1a07", "1002", "1a0301ac02")
    assert table_records(small(header={"raw": b""}))[0] == (b"", b"")
    assert table_records(small(header={"drop": True}))[0][0] == b"a"
    with pytest.raises(TypeError, match="shards"):
        small(header={"shards": 1})


def test_footer_changes():
    data = small(table=TablePatch(metaindex_handle=(2**63, 1), index_handle=b"\xff" * 11, magic=b"\0" * 8, after=b"!"))
    assert data.endswith(wire.varint(2**63) + b"\x01" + b"\xff" * 11 + bytes(18) + bytes(8) + b"!")


def test_block_changes():
    patch = BlockPatch(
        entries={1: {"shared": 9, "value_len": b"\x8b\x00"}}, restarts=[4, 5], num_restarts=6, stray=b"s"
    )
    data = build_bundle({"a": np.float32(1)}, mutate=Mutations(table=TablePatch(blocks={0: patch}))).index
    block = hexed(
        "00000608011a020801", "09018b0061", "08011200280435", "81a5da2b", "73", "04000000", "05000000", "06000000"
    )
    assert data.startswith(block + b"\0" + wire.fixed32(wire.mask(wire.crc32c(block + b"\0"))))


def test_trailer_changes():
    patch = TablePatch(
        blocks={"index": BlockPatch(kind=2, checksum=0x04030201)}, handles={0: (1, 2)}, index_keys={0: b"k"}
    )
    data = small(table=patch)
    end = len(data) - 48
    assert data[end - 5 : end] == b"\x02\x01\x02\x03\x04"
    assert data[end - 18 : end - 13] == b"\x01\x02k\x01\x02"


def test_data_changes_and_raw_tensors():
    def flip(shard: int, data: bytearray) -> None:
        data[0] ^= shard + 1

    image = build_bundle({"r": Raw(9, (1,), b"\x08" * 8), "s": np.int8(4)}, shards=2, mutate=Mutations(data=flip))
    assert image.shards == [b"\x09" + b"\x08" * 7, b"\x06"]
    assert image.entries[b"r"].crc == wire.mask(wire.crc32c(b"\x08" * 8))


def test_entries_of_an_image_are_those_before_mutation():
    image = build_bundle({"a": np.float32(1)}, mutate=Mutations(entries={"a": {"size": 9}}))
    assert image.entries == {b"a": Entry(1, (), 0, 0, 4, 0x2BDAA581)}
    assert index_entries(image.index)[b"a"].size == 9


def test_alignment_and_shards():
    tensors = {"a": np.arange(5, dtype="u1"), "b": as_array([b"x"]), "c": np.empty(0), "d": np.int8(1)}
    image = build_bundle(tensors, alignment=64)
    assert [entry.offset for entry in image.entries.values()] == [0, 64, 128, 128]
    assert len(image.shards[0]) == 192
    spread = build_bundle(tensors, shards=3)
    assert [(entry.shard, entry.offset) for entry in spread.entries.values()] == [(0, 0), (1, 0), (2, 0), (0, 5)]
