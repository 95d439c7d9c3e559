"""What a hostile index can say as a table, and the answer to each: the class, the place, the numbers."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from support.bundle_writer import Mutations, build_bundle
from support.hostile import BAD, Attack, Outcome, neighbours
from support.table import BlockBuilder, BlockPatch, TablePatch, encode_handle
from support.table_fields import Field, table_fields
from support.wire import fixed64, long_varint, varint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")

BLOCKS = pytest.mark.parametrize(
    ("block", "role"), [(0, "data block"), ("index", "index block"), ("metaindex", "metaindex block")]
)


@pytest.fixture
def attack(tmp_path) -> Attack:
    return Attack(tmp_path)


def table(**patch: Any) -> Mutations:
    return Mutations(table=TablePatch(**patch))


def bad_block(block: int | str, **patch: Any) -> Mutations:
    return table(blocks={block: BlockPatch(**patch)})


def fields(**options: Any) -> dict[str, Field]:
    """Where everything lies in the index of the usual tensors: in one data block, or one each with block_size=1."""
    return table_fields(build_bundle(neighbours(), **options).index)


def handle(found: dict[str, Field], block: int) -> tuple[int, int]:
    """Offset and size of a data block."""
    return tuple(found[f"index.entry[{block}].handle.{name}"].value for name in ("offset", "size"))


def assert_sound(outcome: Outcome) -> None:
    outcome.assert_sound("bad", BAD)
    outcome.assert_neighbours()


# The file and its footer.


@pytest.mark.parametrize("size", [0, 1, 47])
def test_shorter_than_a_footer(attack, size):
    outcome = attack(neighbours(), Mutations(index=lambda index: index[len(index) - size :]))
    facts = "file is too short to be an sstable", f"{size} bytes", "the footer alone takes 48"
    outcome.assert_refused(*facts, offset=0)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"magic": fixed64(0xDB4775248B80FB58)}, id="another number"),
        pytest.param({"magic": bytes(8)}, id="zeros"),
        pytest.param({"after": b"\0"}, id="a byte behind it"),
        pytest.param({"after": b"x" * 48}, id="many bytes behind it"),
    ],
)
def test_magic_number(attack, change):
    outcome = attack(neighbours(), table(**change))
    size = outcome.index_size
    facts = f"the last 8 of {size} bytes hold 0x", "instead of 0xdb4775248b80fb57"
    outcome.assert_refused("not an sstable (bad magic number)", *facts, offset=size - 8)


@pytest.mark.parametrize(
    ("handles", "which"),
    [(b"\xff" * 40, "the first"), (b"\x80" * 40, "the first"), (b"\1\1" + b"\xff" * 38, "the second")],
)
def test_footer_whose_handles_are_no_varints(attack, handles, which):
    outcome = attack(neighbours(), Mutations(index=lambda index: index[:-48] + handles + index[-8:]))
    offset = outcome.index_size - 48
    outcome.assert_refused(f"bad block handle: {which} of the two in the footer at {offset}", offset=offset)


@pytest.mark.parametrize("size", [1, 5, 300])
def test_bytes_before_the_first_block(attack, size):
    outcome = attack(neighbours(), table(before=bytes(size)))
    offset = fields()["footer.index.offset"].value
    facts = f"index block at {offset} of ", "block checksum mismatch: stored 0x", ", computed 0x"
    outcome.assert_refused(*facts, offset=offset)


def test_entries_in_the_metaindex(attack):
    assert_sound(attack(neighbours(), table(metaindex=[(b"a", b"b"), (b"c", b"")])))


def test_padding_of_the_footer(attack):
    assert_sound(attack(neighbours(), table(padding=b"\xff" * 40)))


# Handles.


@pytest.mark.parametrize(
    "far",
    [(2**20, 10), (0, 2**40), (0, 2**64 - 4), (0, 2**64 - 1), (2**63, 10), (2**64 - 10, 10), (2**64 - 1, 2**64 - 1)],
    ids=lambda far: "{:x}+{:x}".format(*far),
)
@pytest.mark.parametrize("which", ["data", "index", "metaindex"])
def test_handle_that_leaves_the_file(attack, which, far):
    patch = {"handles": {0: far}} if which == "data" else {f"{which}_handle": far}
    outcome = attack(neighbours(), table(**patch))
    size = outcome.index_size
    # Where the handle is: what lies before it does not depend on it.
    offset = fields()["index.entry[0].value"].offset if which == "data" else size - 48
    block = f"{which} block at {far[0]} of {far[1]} bytes"
    facts = "bad block handle", f"{block} and a trailer of 5 does not fit a file of {size}"
    outcome.assert_refused(*facts, offset=offset)


@pytest.mark.parametrize("bytes_of_handle", [b"", b"\x80", b"\0", b"\0" + b"\xff" * 10, b"\xff" * 11])
def test_handle_that_is_no_varints(attack, bytes_of_handle):
    outcome = attack(neighbours(), table(handles={0: bytes_of_handle}))
    facts = "index block at ", 'bad block handle: the value of key "{" is not a pair of varints'
    outcome.assert_refused(*facts, offset=fields()["index.entry[0].value"].offset)


def test_handle_with_long_numbers_and_bytes_behind(attack):
    offset, size = handle(fields(), 0)
    assert_sound(attack(neighbours(), table(handles={0: long_varint(offset, 10) + long_varint(size, 10) + b"more"})))


# Blocks.


@BLOCKS
def test_checksum_of_a_block(attack, block, role):
    outcome = attack(neighbours(), bad_block(block, checksum=0x12345678))
    facts = f"{role} at {outcome.offset} of ", "block checksum mismatch: stored 0x12345678, computed 0x"
    outcome.assert_refused(*facts, offset=start_of(block))


def start_of(block: int | str) -> int:
    found = fields()
    return handle(found, block)[0] if isinstance(block, int) else found[f"footer.{block}.offset"].value


@BLOCKS
@pytest.mark.parametrize("kind", [2, 7, 255])
def test_compression_that_does_not_exist(attack, block, role, kind):
    outcome = attack(neighbours(), bad_block(block, kind=kind))
    facts = f"{role} at ", f"bad block type: compression kind {kind}, where 0 (none) and 1 (Snappy) are known"
    outcome.assert_refused(*facts, offset=outcome.offset)


@BLOCKS
@pytest.mark.parametrize(
    ("patch", "fact"),
    [
        ({"contents": lambda _: b""}, "0 bytes, where the restart count alone takes 4"),
        ({"contents": lambda _: b"\1\0\0"}, "3 bytes, where the restart count alone takes 4"),
        ({"num_restarts": 2**32 - 1}, "restart count 4294967295 after"),
        ({"num_restarts": 2**30}, "restart count 1073741824 after"),
        ({"restarts": [1]}, "the first restart offset is 1 and not 0"),
    ],
)
def test_restarts_of_a_block(attack, block, role, patch, fact):
    outcome = attack(neighbours(), bad_block(block, **patch))
    outcome.assert_refused(f": {role} at ", "bad block contents: ", fact, offset=outcome.offset)


@BLOCKS
@pytest.mark.parametrize(
    ("patch", "fact"),
    [
        ({"num_restarts": 0}, "restart count 0 after "),
        ({"restarts": lambda true: [*true, 2**32 - 1]}, "is 4294967295, where no entry starts"),
        ({"restarts": lambda true: [*true, 1]}, "is 1, where no entry starts"),
        ({"stray": b"\0"}, "its three lengths are cut short"),
        ({"stray": b"\0\0"}, "its three lengths are cut short"),
        ({"stray": b"\0\0\0"}, "keys are not in order"),
        ({"entries": {0: {"shared": 1}}}, "restart offset 0 is 0, and the key there shares 1 bytes instead of none"),
        ({"entries": {0: {"shared": b"\x80" * 5 + b"\0"}}}, "its three lengths are cut short or have more than 32"),
        ({"entries": {0: {"value_len": b"\xff\xff\xff\xff\x1f"}}}, "cut short or have more than 32 bits"),
        ({"entries": {0: {"non_shared": 2**32 - 1}}}, "a key suffix of 4294967295 bytes and a value of"),
        ({"entries": {0: {"value_len": 2**32 - 1}}}, "a value of 4294967295 bytes, where"),
    ],
)
def test_entries_of_a_block(attack, block, role, patch, fact):
    change = table(metaindex=[(b"m", b"")], blocks={block: BlockPatch(**patch)})
    outcome = attack(neighbours(), change)
    message = outcome.opened["message"]
    # The header's key is empty, so that another empty one is there twice.
    fact = 'duplicate key ""' if 'duplicate key ""' in message and block == 0 else fact
    outcome.assert_refused(f": {role} at ", "bad block contents: ", fact, offset=outcome.offset)


@pytest.mark.parametrize(
    ("position", "patch", "fact"),
    [
        (1, {"shared": 1, "non_shared": 6}, "its key shares 1 bytes with the one before, which has 0"),
        (2, {"shared": 200}, "its key shares 200 bytes with the one before, which has 7"),
        (3, {"value_len": 10**6}, "a value of 1000000 bytes, where"),
    ],
)
def test_later_entries_of_a_block(attack, position, patch, fact):
    outcome = attack(neighbours(), bad_block(0, entries={position: patch}))
    offset = fields()[f"data[0].entry[{position}].shared"].offset
    outcome.assert_refused("data block at 0 of ", f"bad block contents: entry at byte {offset}: ", fact, offset=offset)


def test_no_entries(attack):
    attack(neighbours(), Mutations(records=lambda _: [])).assert_refused(
        "not a checkpoint index: the table has no entries"
    )


def test_lengths_longer_than_they_need_be(attack):
    found = fields()
    entries = {i: {"value_len": long_varint(found[f"data[0].entry[{i}].value_len"].value, 5)} for i in range(4)}
    entries[0]["shared"] = long_varint(0, 5)
    assert_sound(attack(neighbours(), bad_block(0, entries=entries)))


# The order of keys.


@pytest.mark.parametrize(
    ("records", "position", "fact"),
    [
        (lambda true: [*true[:2], true[3], true[2]], 3, 'keys are not in order: "bad" after "z/last"'),
        (lambda true: [*true, true[-1]], 4, 'duplicate key "z/last"'),
        (lambda true: [*true[:2], (b"a", b""), *true[2:]], 2, 'keys are not in order: "a" after "a/first"'),
        (lambda true: [*true, true[0]], 4, 'keys are not in order: "" after "z/last"'),
        (lambda true: [true[0], *true], 1, 'duplicate key ""'),
    ],
)
def test_keys_out_of_order(attack, records, position, fact):
    outcome = attack(neighbours(), Mutations(records=records))
    with open(outcome.index, "rb") as file:
        offset = table_fields(file.read())[f"data[0].entry[{position}].shared"].offset
    outcome.assert_refused("data block at 0 of ", f"entry at byte {offset}: {fact}", offset=offset)


@pytest.mark.parametrize(
    ("records", "fact"),
    [
        (lambda true: [*true[:2], true[3], true[2]], 'keys are not in order: "bad" after "z/last"'),
        (lambda true: [*true, true[-1]], '"z/last"'),
    ],
)
@pytest.mark.parametrize(
    ("index_keys", "role"),
    [({}, "index block"), ({2: b"z/last", 3: b"{", 4: b"|"}, "data block")],
    ids=["index keys too", "index keys ascending"],
)
def test_keys_out_of_order_between_blocks(attack, records, fact, index_keys, role):
    mutate = Mutations(records=records, table=TablePatch(index_keys=index_keys))
    outcome = attack(neighbours(), mutate, block_size=1, shorten_keys=False)
    outcome.assert_refused(f": {role} at ", fact, offset=outcome.offset)


@pytest.mark.parametrize(
    ("key", "fact"),
    [
        (b"a", 'keys are not in order: key "a" is before "a/first", the last key of its data block at '),
        (b"bad", 'keys are not in order: the first key "bad" is not after the index key of the block before, "bad"'),
        (b"zz", "keys are not in order: "),
        (b"", 'duplicate key ""'),
    ],
)
def test_index_keys_that_do_not_part_the_blocks(attack, key, fact):
    outcome = attack(neighbours(), table(index_keys={1: key}), block_size=1)
    outcome.assert_refused(fact, offset=outcome.offset)


@pytest.mark.parametrize(
    ("blocks", "fact"),
    [
        ({2: 1}, 'entry at byte 0: duplicate key "a/first"'),
        ({3: 1}, 'entry at byte 0: keys are not in order: "a/first" after "bad"'),
        ({3: 2}, 'entry at byte 0: duplicate key "bad"'),
    ],
)
def test_block_that_is_there_twice(attack, blocks, fact):
    found = fields(block_size=1)
    ((number, other),) = blocks.items()
    offset, size = handle(found, other)
    outcome = attack(neighbours(), table(handles={number: (offset, size)}), block_size=1)
    outcome.assert_refused(f"data block at {offset} of {size} bytes: bad block contents: ", fact, offset=offset)


@pytest.mark.parametrize(("handles", "refused"), [(3, False), (3000, True)])
def test_more_blocks_than_the_file_holds(attack, handles, refused):
    # Empty blocks are in any order, so that one can stand for many: little index, much work.
    found = fields()
    empty = tuple(found[f"footer.metaindex.{name}"].value for name in ("offset", "size"))
    index = BlockBuilder(10**6)
    index.add(b"z/last", encode_handle(handle(found, 0)))
    for number in range(handles):
        index.add(b"zz%04d" % number, encode_handle(empty))
    outcome = attack(neighbours(), bad_block("index", contents=lambda _: index.finish(BlockPatch())))
    if refused:
        fact = f"blocks overlap: with the data block at {empty[0]} of 8 bytes there are more data blocks than fit"
        outcome.assert_refused(f"bad block handle: {fact} a file of {outcome.index_size}", offset=outcome.offset)
    else:
        assert_sound(outcome)


# Snappy.


@BLOCKS
@pytest.mark.parametrize(
    ("stored", "at", "fact"),
    [
        (b"", 0, "the length in front is cut short"),
        (b"\xff\xff\xff\xff\xff\x01", 0, "the length in front is cut short or has more than 32 bits"),
        (b"\x04\xf0", 1, "the length of a literal is cut short"),
        (b"\x04\x0cab", 1, "literal of 4 bytes, where 2 are left"),
        (b"\x04\x00a\x05", 3, "the offset of a copy is cut short"),
        (b"\x04\x00a\x01\x00", 3, "copy from 0 bytes back, where 1 are decoded"),
        (b"\x05\x00a\x01\x02", 3, "copy from 2 bytes back, where 1 are decoded"),
        (b"\x02\x00a", 3, "the end, after 1 of 2 announced bytes"),
        (b"\x02\x08abc", 1, "literal of 3 bytes, where 2 of 2 announced bytes are missing"),
        (b"\x04\x00a\x01\x01", 3, "copy of 4 bytes, where 3 of 4 announced bytes are missing"),
        (b"\0\x00a", 1, "literal of 1 bytes, where 0 of 0 announced bytes are missing"),
        (varint(2**32 - 1) + b"\x00a" * 99, 0, "4294967295 bytes announced, which 198 bytes cannot decode to"),
        (varint(2**31) + b"\x00a" * 99, 0, "2147483648 bytes announced, which 198 bytes cannot decode to"),
    ],
)
def test_snappy_block_that_does_not_decode(attack, block, role, stored, at, fact):
    outcome = attack(neighbours(), bad_block(block, stored=lambda _: stored), snappy=True)
    facts = f"{role} at {outcome.offset - at} of {len(stored)} bytes", f"byte {at}: {fact}"
    outcome.assert_refused("corrupted compressed block contents", *facts, offset=outcome.offset)


def test_snappy_block_that_decodes_to_nonsense(attack):
    outcome = attack(neighbours(), bad_block(0, num_restarts=2**31), snappy=True)
    facts = "data block at 0 of ", "decoded to ", "bad block contents: restart count 2147483648"
    outcome.assert_refused(*facts, offset=0)


def test_snappy_block_of_many_copies(attack):
    # As much as can be had for so little, 64 bytes for 3. It decodes, and is no block.
    copies = 2**18 - 1
    size = 1 + 64 * copies
    stored = varint(size) + b"\x00a" + b"\xfe\x01\x00" * copies
    outcome = attack(neighbours(), bad_block(0, stored=lambda _: stored), snappy=True)
    outcome.assert_refused(f"decoded to {size} bytes: bad block contents: restart count", offset=0)
