"""What hostile entries of a partitioned tensor can say. TensorFlow reads beyond its memory for some of them."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import pytest
from support import slices
from support.bundle_writer import Mutations
from support.hashing import tensor_hash
from support.hostile import FIRST, LAST, Attack, Outcome, assert_error

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")

# The tensor `w` of 4 by 3 lies in three pieces. So does `v` beside it, in two: it stays readable.
PIECES = ["0,2:-", "2,2:0,2", "2,2:2,1"]
W = np.arange(12, dtype="<f4").reshape(4, 3)
V = np.arange(10, dtype="<i8")


@pytest.fixture
def attack(tmp_path) -> Any:
    attack = Attack(tmp_path)

    def run(entries: dict[Any, dict[str, Any]]) -> Outcome:
        tensors = {"a/first": FIRST, "v": V, "w": W, "z/last": LAST}
        return attack(tensors, Mutations(entries=entries), slices={"v": ["0,9", "9,1"], "w": PIECES})

    return run


def key_of(piece: str) -> bytes:
    return slices.slice_key(b"w", piece)


def assert_others(outcome: Outcome) -> None:
    outcome.assert_sound("v", V)
    outcome.assert_neighbours()


def test_sound_pieces(attack):
    outcome = attack({})
    outcome.assert_sound("w", W)
    assert_others(outcome)
    assert list(outcome.tensors) == ["a/first", "v", "w", "z/last"]


@pytest.mark.parametrize(
    ("pieces", "fact"),
    [
        (PIECES[:2], "2 of 12 elements are in no piece, first [2:4, 2:3]"),
        (PIECES[1:], "6 of 12 elements are in no piece, first [0:2, 0:3]"),
        ([*PIECES, PIECES[0]], "pieces 0 [0:2, 0:3] and 3 [0:2, 0:3] overlap"),
        (["0,2:-:-", *PIECES[1:]], "slice has 3 extents, its tensor has 2 dimensions"),
        (["0,2", *PIECES[1:]], "slice has 1 extents, its tensor has 2 dimensions"),
        (["0,5:-", *PIECES[1:]], "slice, dimension 0: start 0, length 5; the dimension has 4 elements"),
        (["-1,2:-", *PIECES[1:]], "slice, dimension 0: start -1, length 2"),
        (["0,0:-", *PIECES[1:]], "slice, dimension 0: start 0, length 0"),
        (["0,-2:-", *PIECES[1:]], "slice, dimension 0: start 0, length -2"),
        ([f"1,{2**63 - 1}:-", *PIECES[1:]], f"start 1, length {2**63 - 1}; the dimension has 4 elements"),
        ([f"{2**63 - 1},{2**63 - 1}:-", *PIECES[1:]], f"start {2**63 - 1}, length {2**63 - 1}"),
        (["0,1:-", *PIECES[1:]], "its piece [0:1, 0:3] is not in the index"),
        # The same piece in its other spelling has another key.
        (["0,2:0,3", *PIECES[1:]], "its piece [0:2, 0:3] is not in the index"),
    ],
)
def test_pieces_that_do_not_make_the_tensor(attack, pieces, fact):
    outcome = attack({"w": {"slices": [slices.parse_slice(piece) for piece in pieces]}})
    error = outcome.read("w")
    assert_error(error, fact, tensor="w")
    assert outcome.damaged["w"] == error
    assert outcome.entries["w"].startswith("Entry(name='w'")
    assert_others(outcome)


@pytest.mark.parametrize(
    ("piece", "change", "fact"),
    [
        # TensorFlow would copy twelve bytes that aren't the piece's.
        (0, {"shape": (1, 3), "size": 12}, "is stored with another dtype or shape"),
        (0, {"shape": (3, 2)}, "is stored with another dtype or shape"),
        (0, {"shape": (6,)}, "is stored with another dtype or shape"),
        (0, {"dtype": 3}, "is stored with another dtype or shape"),
        (1, {"shape": (2**40, 2)}, "Invalid size in bundle entry"),
        (1, {"size": 15}, "Invalid size in bundle entry"),
        (1, {"shard": 1}, "shard 1 does not exist: there are 1"),
        (1, {"offset": -1}, "impossible place in the shard: offset -1"),
        (1, {"raw": b"\x08"}, "the entry is not parseable"),
        (2, {"drop": True}, "is not in the index"),
        (2, {"slices": [((0, 1), None)]}, "its piece [0:1, 0:1] is not in the index"),
    ],
)
def test_piece_that_is_not_what_its_tensor_says(attack, piece, change, fact):
    outcome = attack({key_of(PIECES[piece]): change})
    which = ("[0:2, 0:3]", "[2:4, 0:2]", "[2:4, 2:3]")[piece]
    outcome.assert_unreadable(f"its piece {which}", fact, name="w", listed=True)
    outcome.assert_sound("v", V)


def test_piece_beyond_the_end(attack):
    outcome = attack({key_of(PIECES[1]): {"offset": 1000}})
    size = os.path.getsize(f"{outcome.prefix}.data-00000-of-00001")
    facts = ".data-00000-of-00001: truncated: 16 bytes at 1000 are expected", f"the file has {size}"
    outcome.assert_unreadable(*facts, name="w", listed=True, offset=1000)
    outcome.assert_sound("v", V)


def test_piece_whose_checksum_does_not_match(attack):
    outcome = attack({key_of(PIECES[1]): {"crc": 1}})
    calls = outcome.tensors["w"]
    offset = FIRST.nbytes + V.nbytes + W[:2].nbytes
    assert_error(
        calls["read"],
        ".data-00000-of-00001: Checksum does not match: ",
        f"16 bytes at {offset}",
        tensor="w",
        offset=offset,
    )
    assert calls["copy"] == calls["load"] == calls["verified part"] == calls["read"]
    assert calls["unverified"]["sha256"] == calls["part"]["sha256"] == tensor_hash(W)
    assert outcome.damaged == {"w": calls["read"]}
    assert_others(outcome)


@pytest.mark.parametrize("shape", [(2**40, 3), (2**62,), (-4, 3), (2**40, 2**40), ()])
def test_shape_of_a_tensor_in_pieces(attack, shape):
    outcome = attack({"w": {"shape": shape}})
    assert_error(outcome.read("w"), tensor="w")
    assert_others(outcome)


def test_claim_of_a_tensor_whose_pieces_are_small(attack):
    # The first piece would have to be the size of the claim: nothing is asked for before that is looked at.
    outcome = attack({"w": {"shape": (2**40, 3), "slices": [(None, None)]}})
    assert_error(outcome.read("w"), f"its piece [0:{2**40}, 0:3] is not in the index", tensor="w")
    assert_others(outcome)


@pytest.mark.parametrize("step", [1, 2])
def test_thousands_of_pieces(attack, step):
    # Overlapping or apart: comparing each with each would take minutes.
    count = 20_000
    pieces = [((start, 2), None) for start in range(0, step * count, step)]
    outcome = attack({"w": {"slices": pieces, "shape": (2 * count, 3)}})
    assert outcome.read("w")["error"] in ("DataLossError", "LimitError")
    assert_others(outcome)


def test_pieces_that_no_tensor_refers_to(attack):
    # Tensors with odd names, and harmless.
    outcome = attack({"w": {"drop": True}})
    names = [key_of(piece).decode("utf-8", "surrogateescape") for piece in PIECES]
    assert sorted(outcome.tensors) == sorted([*names, "a/first", "v", "z/last"])
    for name, piece in zip(names, PIECES):
        outcome.assert_sound(name, W[slices.indices(piece)])
    assert_others(outcome)
