"""What a hostile entry, header or string can say, and the answer to each: the class, the place, the numbers."""

from __future__ import annotations

import struct
import sys
from typing import Any

import numpy as np
import pytest
from support.bundle_writer import Mutations
from support.hashing import tensor_hash
from support.hostile import BAD, BAD_OFFSET, END, FIRST, LAST, READER, Attack, Outcome, assert_error, neighbours
from support.tensors import Raw
from support.wire import bytes_field, crc32c, fixed32, fixed64, int_field, long_varint, mask, tag, varint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")

MAX_RANK = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32


@pytest.fixture
def attack(tmp_path) -> Attack:
    return Attack(tmp_path)


def bad_entry(**change: Any) -> Mutations:
    return Mutations(entries={"bad": change})


# Entries: whatever one says, the others stay readable.


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x08", id="field cut after its tag"),
        pytest.param(b"\x08" + b"\xff" * 10, id="varint without end"),
        pytest.param(b"\x12\x7f", id="shape longer than the record"),
        pytest.param(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="shape of 2^63 bytes"),
        pytest.param(b"\x08\x03\x12\x04\x12\x02\x08\x80", id="dimension cut"),
        pytest.param(b"\x0b", id="group"),
        pytest.param(b"\x0f", id="wire type 7"),
        pytest.param(b"\x00\x00", id="field number 0"),
        pytest.param(b"\x35\0\0", id="checksum of two bytes"),
        pytest.param(b"\x3a\x05\x0a\x03\x08\x01\x10", id="slice cut"),
    ],
)
def test_malformed_entry(attack, raw):
    attack(neighbours(), bad_entry(raw=raw)).assert_unreadable("the entry is not parseable")


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(int_field(99, 1 << 63), id="varint"),
        pytest.param(tag(98, 1) + fixed64(1), id="fixed64"),
        pytest.param(bytes_field(97, b"\xff" * 300), id="bytes"),
        pytest.param(tag(96, 5) + fixed32(1), id="fixed32"),
        pytest.param(int_field(2, 5), id="known number, other type"),
    ],
)
def test_unknown_fields_are_ignored(attack, field):
    outcome = attack(neighbours(), Mutations(entries={"bad": {"append": field}}, header={"append": field}))
    outcome.assert_sound("bad", BAD)
    outcome.assert_neighbours()
    assert outcome.warnings == []


@pytest.mark.parametrize("shape", [(-1,), (2, -3), (-(2**63),), (0, -1), (-2, -3)])
def test_negative_dimension(attack, shape):
    negative = next(dimension for dimension in shape if dimension < 0)
    outcome = attack(neighbours(), bad_entry(shape=shape))
    outcome.assert_unreadable(f"Invalid tensor shape: dimension {negative}")


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((2**40, 2**40), 24),
        ((2**32, 2**32), 0),  # Their product is 0 in 64 bits, and so would the size be.
        ((2**63 - 1, 2), 24),
        ((2**62, 2, 2), 0),
        ((3, 2**62, 2**62, 5), 24),
    ],
)
def test_element_count_beyond_64_bits(attack, shape, size):
    outcome = attack(neighbours(), bad_entry(shape=shape, size=size))
    outcome.assert_unreadable("Invalid tensor shape", "2^63 elements")


def test_rank_above_254(attack):
    outcome = attack(neighbours(np.int32(7)), bad_entry(shape=(1,) * 255))
    outcome.assert_unreadable("Invalid tensor shape: rank 255 is above 254")


@pytest.mark.parametrize(
    ("shape", "value", "fact"),
    [
        ((1,) * (MAX_RANK + 1), np.int32(7), f"have at most {MAX_RANK} dimensions, this tensor has {MAX_RANK + 1}"),
        ((1,) * 254, np.int32(7), f"NumPy arrays have at most {MAX_RANK} dimensions, this tensor has 254"),
        # No elements; but NumPy multiplies the other dimensions, and has no array of this shape.
        ((0, 2**40, 2**40), np.zeros(0, "<i4"), "its dimensions are larger than those of any NumPy array"),
        ((2**62, 0), np.zeros(0, "<i4"), "its dimensions are larger than those of any NumPy array"),
    ],
    ids=["rank above NumPy's", "rank 254", "2^80 without the 0", "2^64 bytes without the 0"],
)
def test_shape_that_no_array_has(attack, shape, value, fact):
    outcome = attack(neighbours(value), bad_entry(shape=shape))
    assert outcome.warnings == []
    assert outcome.entries["bad"].startswith(f"Entry(name='bad', tf_dtype='int32', shape={shape}")
    assert_error(outcome.read("bad"), fact, error="LimitError", tensor="bad")
    assert outcome.damaged == {}  # Its bytes are sound.
    outcome.assert_neighbours()


def test_greatest_rank(attack):
    deep = np.arange(2).reshape((1,) * (MAX_RANK - 1) + (2,))
    attack({"deep": deep}).assert_sound("deep", deep)


@pytest.mark.parametrize("shape", [(0, 2**40), (2**40, 0), (2**31, 0, 2**29), (0,), (0, 0, 0)])
def test_no_elements_of_large_dimensions(attack, shape):
    outcome = attack(neighbours(np.zeros(0, "<i4")), bad_entry(shape=shape))
    outcome.assert_sound("bad", np.zeros(shape, "<i4"))
    outcome.assert_neighbours()


@pytest.mark.parametrize("size", [0, 2**62, 24])
def test_2_to_the_62_elements(attack, size):
    # Of four bytes each: 2^64, which is 0 in 64 bits.
    outcome = attack(neighbours(), bad_entry(shape=(2**62,), size=size))
    facts = f"{2**62} elements of int32 need 4 bytes each", f"the entry has {size} bytes"
    outcome.assert_unreadable("Invalid size in bundle entry", *facts)


@pytest.mark.parametrize("count", [2**30, 2**40, 2**60])
def test_consistent_claim_beyond_the_file(attack, count):
    outcome = attack(neighbours(), bad_entry(shape=(count,), size=4 * count))
    facts = (
        ".data-00000-of-00001: truncated: ",
        f"{4 * count} bytes at {BAD_OFFSET} are expected",
        f"the file has {END}",
    )
    outcome.assert_unreadable(*facts, offset=BAD_OFFSET, listed=True)


@pytest.mark.parametrize("size", [0, 23, 25, 48, 2**40])
def test_size_that_is_not_that_of_the_elements(attack, size):
    outcome = attack(neighbours(), bad_entry(size=size))
    facts = "6 elements of int32 need 4 bytes each", f"the entry has {size} bytes"
    outcome.assert_unreadable("Invalid size in bundle entry", *facts)


@pytest.mark.parametrize(
    ("offset", "size"), [(-1, 24), (-(2**63), 24), (20, -24), (20, -(2**63)), (2**63 - 1, 24), (2**63 - 24, 24)]
)
def test_place_that_cannot_be(attack, offset, size):
    outcome = attack(neighbours(), bad_entry(offset=offset, size=size))
    outcome.assert_unreadable(f"impossible place in the shard: offset {offset}, size {size}")


@pytest.mark.parametrize("offset", [END - 23, END, END + 1, 2**31, 2**62, 2**63 - 25])
def test_extent_beyond_the_end(attack, offset):
    outcome = attack(neighbours(), bad_entry(offset=offset))
    facts = ".data-00000-of-00001: truncated: ", f"24 bytes at {offset} are expected", f"the file has {END}"
    outcome.assert_unreadable(*facts, offset=offset, listed=True)


@pytest.mark.parametrize("left", [36, 58])
def test_truncated_data_file(attack, left):
    def cut(_: int, data: bytearray) -> None:
        del data[left:]

    outcome = attack({"a/first": FIRST, "z/last": LAST, "bad": BAD}, Mutations(data=cut))
    facts = ".data-00000-of-00001: truncated: ", "24 bytes at 35 are expected", f"the file has {left}"
    outcome.assert_unreadable(*facts, offset=35, listed=True)


def test_empty_data_file(attack):
    outcome = attack({"bad": BAD, "none": np.zeros(0)}, Mutations(data=lambda _, data: data.clear()))
    facts = ".data-00000-of-00001: truncated: ", "24 bytes at 0 are expected", "the file has 0"
    assert_error(outcome.read("bad"), *facts, tensor="bad", offset=0)
    outcome.assert_sound("none", np.zeros(0))


def test_data_anywhere_in_the_file(attack):
    # Unaligned, with gaps, overlapping, identical, and with bytes behind.
    data = bytes(range(64))
    offsets = {"a": 3, "b": 3, "c": 7, "d": 40}

    def place(offset: int) -> dict[str, int]:
        return {"offset": offset, "size": 8, "crc": mask(crc32c(data[offset : offset + 8]))}

    def replace(_: int, stored: bytearray) -> None:
        stored[:] = data

    mutate = Mutations(entries={name: place(offset) for name, offset in offsets.items()}, data=replace)
    outcome = attack({name: np.zeros(2, "<u4") for name in offsets}, mutate)
    for name, offset in offsets.items():
        outcome.assert_sound(name, np.frombuffer(data, "<u4", 2, offset))


@pytest.mark.parametrize("shard", [1, -1, 99999, 2**31 - 1, -(2**31)])
def test_shard_that_does_not_exist(attack, shard):
    outcome = attack(neighbours(), bad_entry(shard=shard))
    outcome.assert_unreadable(f"shard {shard} does not exist: there are 1")


def test_missing_data_file(attack, tmp_path):
    attack({"a": FIRST, "empty": np.zeros(0), "m": BAD}, shards=3)
    missing, unused = (tmp_path / f"ckpt.data-0000{shard}-of-00003" for shard in (2, 1))
    missing.unlink()
    unused.unlink()
    outcome = attack.again()
    outcome.assert_sound("a", FIRST)
    outcome.assert_sound("empty", np.zeros(0))  # Its shard is gone as well, and nothing of it is wanted.
    error = outcome.read("m")
    assert (error["error"], error["module"]) == ("FileNotFoundError", "builtins")
    assert (error["errno"], error["filename"]) == (2, str(missing))
    assert outcome.damaged == {"m": error}
    assert outcome.load == error
    (warning,) = outcome.warnings
    assert "1 of 3 tensors" in warning
    assert str(missing) in warning
    assert str(unused) not in warning


@pytest.mark.parametrize("change", [{"crc": 0}, {"without": {"crc"}}, {"crc": lambda crc: crc ^ 1}])
@pytest.mark.parametrize(
    ("bad", "size"),
    [(BAD, 24), (np.arange(300.0), 2400), ([b"some", b"strings"], 17)],
    ids=["small", "large", "strings"],
)
def test_checksum_that_does_not_match(attack, change, bad, size):
    outcome = attack(neighbours(bad), bad_entry(**change))
    calls = outcome.tensors["bad"]
    facts = (
        ".data-00000-of-00001: Checksum does not match: ",
        f"{size} bytes at {BAD_OFFSET}: stored 0x",
        ", computed 0x",
    )
    assert_error(calls["read"], *facts, tensor="bad", offset=BAD_OFFSET)
    for call in ("copy", "verified part", "load", "lazy"):
        assert calls[call] == calls["read"], call
    assert calls["unverified"]["sha256"] == tensor_hash(bad)
    assert calls["part"]["sha256"] == tensor_hash(bad)
    assert outcome.damaged == {"bad": calls["read"]}
    assert outcome.load == calls["read"]
    assert outcome.warnings == []
    outcome.assert_neighbours()


@pytest.mark.parametrize(
    ("number", "error", "fact"),
    [
        (0, "DataLossError", "the entry has no dtype"),
        (20, "DataLossError", "dtype resource cannot be stored"),
        (34, "UnimplementedError", "unknown dtype number 34"),
        (99, "UnimplementedError", "unknown dtype number 99"),
        *((number, "DataLossError", f"invalid dtype number {number}") for number in (101, 133, 1000, 2**31 - 1, -1)),
    ],
)
def test_dtype_that_no_tensor_has(attack, number, error, fact):
    # The bytes of a dtype to come can't be understood, but what else its entry says can.
    outcome = attack(neighbours(), bad_entry(dtype=number))
    outcome.assert_unreadable(fact, error=error, listed=error == "UnimplementedError")


def test_unknown_rank_and_missing_shape_are_scalars(attack):
    entries = {"a": {"shape": (), "unknown_rank": True}, "b": {"without": {"shape"}}}
    outcome = attack({"a": np.array([7], "<i4"), "b": np.array([8], "<i4")}, Mutations(entries=entries))
    outcome.assert_sound("a", np.int32(7))
    outcome.assert_sound("b", np.int32(8))


def test_names_that_are_not_text(attack):
    names = [b"\x01", b"nul\0", b"x\xed\xa0\x80", "\U0001f600".encode(), b"\xff\xfe"]
    tensors = dict(zip(names, [FIRST, LAST, FIRST, BAD, BAD]))
    outcome = attack(tensors)
    assert list(outcome.tensors) == ["\x01", "nul\0", "x\udced\udca0\udc80", "\U0001f600", "\udcff\udcfe"]
    for name, value in zip(outcome.tensors, tensors.values()):
        outcome.assert_sound(name, value)


def test_names_that_would_fill_the_memory(attack):
    # Keys share bytes with the keys before them: 400 KB of index could name a gigabyte.
    long = b"k" * 300_000
    tensors = {long + b"%04d" % number: np.int8(0) for number in range(3000)}
    READER.close()  # Its memory has never been so large; it is measured from here on.
    outcome = attack(tensors, most_memory_kib=200 << 10, block_size=10**9, restart_interval=10**9)
    READER.close()
    assert outcome.index_size < 500_000
    limit = (16 << 20) + 64 * outcome.index_size
    outcome.assert_refused(f"the names of the tensors take more than {limit} bytes", error="LimitError")


# The header: without it, nothing can be read.


@pytest.mark.parametrize(
    ("header", "error", "fact"),
    [
        ({"drop": True}, "DataLossError", 'its first key is "a/first" and not the header'),
        ({"key": b"\x01"}, "DataLossError", r'its first key is "\x01" and not the header'),
        ({"raw": b""}, "DataLossError", "0 shards; expected 1 to 99999999"),
        ({"num_shards": 0}, "DataLossError", "0 shards; expected 1 to 99999999"),
        ({"num_shards": -1}, "DataLossError", "-1 shards; expected 1 to 99999999"),
        ({"num_shards": 10**8}, "DataLossError", "100000000 shards; expected 1 to 99999999"),
        ({"num_shards": 2**31 - 1}, "DataLossError", "2147483647 shards; expected 1 to 99999999"),
        ({"raw": b"\x08"}, "DataLossError", "header is not parseable"),
        ({"raw": b"\x08\x01\x1a\x7f"}, "DataLossError", "header is not parseable"),
        ({"raw": b"\x08\x01\x1a\x02\x08\x80"}, "DataLossError", "header is not parseable"),
        ({"producer": -1}, "DataLossError", "producer version -1 is negative"),
        ({"min_consumer": 2}, "UnimplementedError", "min_consumer 2; this is version 1"),
        ({"bad_consumers": [3, 1]}, "UnimplementedError", "version 1 refused; this is version 1"),
    ],
)
def test_header_that_is_refused(attack, header, error, fact):
    attack(neighbours(), Mutations(header=header)).assert_refused(fact, error=error)


@pytest.mark.parametrize(
    "header",
    [
        {"producer": 1987},
        {"producer": 0},
        {"min_consumer": 1},
        {"min_consumer": -5},
        {"bad_consumers": [0, 2, 2**31 - 1]},
        {"endianness": 7},
    ],
)
def test_header_that_is_accepted(attack, header):
    outcome = attack(neighbours(), Mutations(header=header))
    outcome.assert_sound("bad", BAD)
    outcome.assert_neighbours()


def test_most_shards_there_can_be(attack):
    # Only those that entries refer to are looked for.
    outcome = attack(neighbours(), Mutations(header={"num_shards": 99999999}))
    for name in neighbours():
        error = outcome.read(name)
        assert (error["error"], error["errno"]) == ("FileNotFoundError", 2)
        assert error["filename"] == f"{outcome.prefix}.data-00000-of-99999999"


# Strings.


def strings(lengths: bytes, payload: bytes, numbers: list[int], *, wrong: int = 0) -> Raw:
    """A string tensor of these stored bytes, whose two checksums are right for ``numbers`` unless ``wrong``."""
    covered = b"".join(struct.pack("<I" if number < 2**32 else "<Q", number) for number in numbers)
    checksum = fixed32(mask(crc32c(covered) ^ wrong))
    return Raw(7, (len(numbers),), lengths + checksum + payload, mask(crc32c(checksum + payload, crc32c(covered))))


@pytest.mark.parametrize(
    "numbers",
    [
        [2**40],
        [2**63],
        [2**64 - 1],
        [2**32, 0],
        [1, 2**33],
        [4],
        [0, 0, 0],
        # Their sum is 3 in 64 bits.
        [2**63, 2**63 + 3],
        [2**64 - 1, 1, 3],
        [2**62] * 4 + [3],
    ],
)
def test_string_lengths_that_do_not_sum_to_the_bytes(attack, numbers):
    bad = strings(b"".join(map(varint, numbers)), b"abc", numbers)
    total = sum(numbers) if sum(numbers) < 2**64 else "2^64 or more"
    fact = f"the strings should have {total} bytes together, 3 are stored"
    attack(neighbours(bad)).assert_damaged(fact, offset=len(bad.data) - 3)


def test_string_lengths_whose_checksum_is_wrong(attack):
    outcome = attack(neighbours(strings(b"\1\2", b"abc", [1, 2], wrong=1)))
    outcome.assert_damaged("the checksum of the lengths is stored as 0x", ", computed 0x", offset=2)


@pytest.mark.parametrize(
    ("lengths", "count", "offset", "fact"),
    [
        pytest.param(b"\xff" * 3, 1, 0, "the length of element 0 is cut off", id="length cut by the end"),
        pytest.param(b"\1\1\xff", 3, 2, "the length of element 2 is cut off", id="last length cut"),
        pytest.param(b"\x80" * 10 + b"\1", 1, 0, "the length of element 0 is cut off or exceeds", id="11 bytes"),
        pytest.param(b"\xff" * 9 + b"\2", 1, 0, "the length of element 0 is cut off or exceeds", id="65 bits"),
        pytest.param(b"\1\1\1\0\0", 3, 3, "the checksum of the lengths is cut off", id="checksum cut"),
    ],
)
def test_string_lengths_that_are_none(attack, lengths, count, offset, fact):
    attack(neighbours(Raw(7, (count,), lengths))).assert_damaged(fact, offset=offset)


@pytest.mark.parametrize(("extra", "stored"), [(1, 9), (-1, 7), (-8, 0), (15, 23)])
def test_string_size_that_is_not_exact(attack, extra, stored):
    # In the middle of the file: the bytes that a larger size takes in are the next tensor's.
    outcome = attack(neighbours([b"12345", b"678"]), bad_entry(size=lambda size: size + extra))
    outcome.assert_damaged(f"the strings should have 8 bytes together, {stored} are stored", offset=6)


@pytest.mark.parametrize(("count", "size"), [(2**33, 14), (15, 14), (2**62, 14), (1, 0)])
def test_more_strings_than_bytes(attack, count, size):
    outcome = attack(neighbours([b"12345", b"678"]), bad_entry(shape=(count,), size=size))
    fact = f"{size} bytes are too few for {count} elements of string"
    outcome.assert_unreadable("Invalid size in bundle entry", fact)


def test_as_many_strings_as_bytes(attack):
    # The index could be right. The data can't: the checksum of the lengths takes four bytes.
    outcome = attack(neighbours(Raw(7, (6,), b"\0" * 6)))
    outcome.assert_damaged("the checksum of the lengths is cut off", offset=6)


@pytest.mark.parametrize("width", [2, 5, 10])
def test_string_lengths_longer_than_they_need_be(attack, width):
    bad = strings(long_varint(5, width) + long_varint(3, width), b"12345678", [5, 3])
    attack(neighbours(bad)).assert_sound("bad", [b"12345", b"678"])


def test_no_strings(attack):
    bare = Raw(7, (0,), b"")
    outcome = attack({"a/first": FIRST, "bad": strings(b"", b"", []), "bare": bare, "z/last": LAST})
    outcome.assert_sound("bad", np.zeros(0, object))
    outcome.assert_sound("bare", np.zeros(0, object))
    outcome.assert_neighbours()


@pytest.mark.parametrize(
    ("stored", "count", "fact", "offset"),
    [
        (varint(2**40) + b"xyz" + fixed32(0), 1, f"element 0 should have {2**40} bytes, 7 are left", 0),
        (varint(2**64 - 1) + b"xyz" + fixed32(0), 1, f"element 0 should have {2**64 - 1} bytes, 7 are left", 0),
        (b"\0" + fixed32(0), 1, "the checksum of an element is stored as 0x", 1),
        (b"\0\0\0", 1, "1 elements can't be in 3 bytes", 0),
        (b"\0" * 14, 3, "3 elements can't be in 14 bytes", 0),
    ],
)
def test_variants(attack, stored, count, fact, offset):
    attack(neighbours(Raw(21, (count,), stored))).assert_damaged(fact, offset=offset)


def test_outcomes_of_sound_checkpoints(attack):
    # What the tests above stand on: a sound checkpoint has none of these troubles.
    outcome: Outcome = attack(neighbours())
    outcome.assert_sound("bad", BAD)
    outcome.assert_neighbours()
    assert (outcome.opened, outcome.warnings, outcome.damaged, outcome.load) == (None, [], {}, 3)
