"""Saving where there is a checkpoint: the old one stays until the new one is there, and then nothing of it is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support import stored
from support.bundle_writer import Mutations, build_bundle
from support.hashing import as_array, assert_same_bits
from support.publish import index_path, publish

import tensorbundle as tb

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])


# Overwriting.


@pytest.mark.parametrize("new", [1, 2, 3])
@pytest.mark.parametrize("old", [1, 2, 3])
def test_new_data_files_have_other_names(tmp_path, old, new):
    first = {f"old{number}": np.full(100, number) for number in range(6)}
    second = {f"new{number}": np.full(100, number) for number in range(6)}
    tb.save(tmp_path / "x", first, shards=old)
    before = {path.name for path in stored.data_files(tmp_path / "x")}
    tb.save(tmp_path / "x", second, shards=new)
    after = {path.name for path in stored.data_files(tmp_path / "x")}
    assert not before & after
    assert stored.num_shards(tmp_path / "x") == (new + 1 if new == old else new)
    stored.assert_only_checkpoint(tmp_path / "x")
    stored.assert_stored(tmp_path / "x", second)
    # A merge of TensorFlow's counts only shards that something is in.
    assert {entry.shard for entry in stored.entries(tmp_path / "x").values()} == set(range(len(after)))


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("alignment", [1, 64])
def test_added_shard_holds_a_tensor(tmp_path, alignment, one_by_one):
    tensors = {"large": np.arange(1000.0), "small": np.arange(3), "text": as_array([b"x" * 100])}
    tb.save(tmp_path / "x", {"old": 1}, alignment=alignment)
    with tb.CheckpointWriter(tmp_path / "x", alignment=alignment) as writer:
        for name, value in tensors.items() if one_by_one else ():
            writer.add(name, value)
        if not one_by_one:
            writer.add_many(tensors)
    stored.assert_stored(tmp_path / "x", tensors)
    assert {entry.shard for entry in stored.entries(tmp_path / "x").values()} == {0, 1}
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.verify().checked == 3


def test_single_tensor_is_not_stored_twice(tmp_path):
    for number in range(3):
        tb.save(tmp_path / "x", {"w": np.full(1000, number)})
        sizes = [path.stat().st_size for path in stored.data_files(tmp_path / "x")]
        assert sum(sizes) == 8000, number
        stored.assert_stored(tmp_path / "x", {"w": np.full(1000, number)})


def test_added_shard_of_pieces(tmp_path):
    value = np.arange(12.0).reshape(6, 2)
    for _ in range(3):
        tb.save(tmp_path / "x", {"w": value, "s": [b"x"], "t": [b"y"]}, max_shard_bytes=32, alignment=1)
        shards = {entry.shard for entry in stored.pieces(tmp_path / "x").values()}
        assert shards == set(range(stored.num_shards(tmp_path / "x")))
        with tb.open(tmp_path / "x") as ckpt:
            assert ckpt.verify()
            assert_same_bits(ckpt["w"], value)
    stored.assert_only_checkpoint(tmp_path / "x")


@MODES
def test_opened_checkpoint_stays_what_it_was(tmp_path, mmap):
    old = {"w": np.arange(50_000.0), "late": np.arange(50_000.0)[::-1], "s": [b"old"]}
    tb.save(tmp_path / "x", old)
    ckpt = tb.open(tmp_path / "x", mmap=mmap)
    array = ckpt["w"]
    for number in range(3):
        tb.save(tmp_path / "x", {"w": np.full(60_000, number), "late": 1})
    assert_same_bits(array, old["w"])
    assert_same_bits(ckpt["late"], np.ascontiguousarray(old["late"]))
    assert ckpt["s"].tolist() == [b"old"]
    ckpt.close()
    assert_same_bits(array, old["w"])


def test_overwriting_again_and_again(tmp_path):
    for number in range(5):
        tensors = {"w": np.full((30, number + 1), number, "f4"), f"only{number}": [b"%d" % number], "z": np.zeros(0)}
        tb.save(tmp_path / "x", tensors, shards=1 + number % 2)
        stored.assert_only_checkpoint(tmp_path / "x")
        stored.assert_stored(tmp_path / "x", tensors)


def test_other_checkpoints_in_the_folder_stay(tmp_path):
    for name in ("x", "x-1", "x.data", "xy", "x.index"):
        tb.save(tmp_path / name, {name: 1})
    (tmp_path / "x.data-00000-of-00001.bak").write_bytes(b"mine")
    (tmp_path / "x.meta").write_bytes(b"mine")
    others = {name: data for name, data in stored.files(tmp_path).items() if not name.startswith("x.data-00000-of")}
    del others["x.index"]
    tb.save(tmp_path / "x", {"new": 1})
    after = stored.files(tmp_path)
    assert others.items() <= after.items()
    assert after["x.data-00000-of-00001.bak"] == b"mine"
    for name in ("x-1", "x.data", "xy", "x.index"):
        stored.assert_stored(tmp_path / name, {name: 1})


@pytest.mark.parametrize(
    "damage",
    [
        lambda index: b"",
        lambda index: b"not an index",
        lambda index: index[:-20],
        lambda index: bytes(len(index)),
        lambda index: build_bundle({"a": np.int8(1)}, mutate=Mutations(header={"num_shards": -1})).index,
        lambda index: build_bundle({"a": np.int8(1)}, mutate=Mutations(header={"drop": True})).index,
    ],
    ids=["empty", "text", "cut", "zeros", "bad header", "no header"],
)
@pytest.mark.parametrize("shards", [1, 2])
def test_over_a_damaged_index(tmp_path, damage, shards):
    tb.save(tmp_path / "x", {"old": 1, "older": 2}, shards=shards)
    index_path(tmp_path / "x").write_bytes(damage(stored.index_of(tmp_path / "x")))
    tensors = {"new": np.arange(3), "s": [b"s"]}
    tb.save(tmp_path / "x", tensors)
    stored.assert_only_checkpoint(tmp_path / "x")
    stored.assert_stored(tmp_path / "x", tensors)


@pytest.mark.parametrize("shards", [1, 2])
def test_over_a_checkpoint_of_tensorflows(tmp_path, shards):
    image = build_bundle({"old": np.arange(1000), "s": [b"old"]}, shards=shards)
    publish(tmp_path / "x", image.index, image.shards, commit="tensorflow")
    with tb.open(tmp_path / "x") as ckpt:
        array = ckpt["old"]
        tb.save(tmp_path / "x", {"new": np.arange(5), "t": [b"new"]}, shards=shards)
        assert_same_bits(array, np.arange(1000))
    stored.assert_only_checkpoint(tmp_path / "x")
    stored.assert_stored(tmp_path / "x", {"new": np.arange(5), "t": [b"new"]})


def test_tensorflow_writes_over_ours(tmp_path):
    # By the rules of its own writer: files of the same names are replaced, others stay.
    tb.save(tmp_path / "x", {"old": np.arange(10)})
    image = build_bundle({"new": np.arange(3)})
    publish(tmp_path / "x", image.index, image.shards, commit="tensorflow")
    tb.save(tmp_path / "x", {"newer": np.arange(4)})
    stored.assert_only_checkpoint(tmp_path / "x")
    stored.assert_stored(tmp_path / "x", {"newer": np.arange(4)})


def test_index_that_is_a_link(tmp_path):
    tb.save(tmp_path / "a" / "x", {"old": 1})
    (tmp_path / "b").mkdir()
    for name in stored.files(tmp_path / "a"):
        (tmp_path / "b" / name).symlink_to(tmp_path / "a" / name)
    tb.save(tmp_path / "b" / "x", {"new": 2})
    stored.assert_stored(tmp_path / "a" / "x", {"old": 1})
    stored.assert_stored(tmp_path / "b" / "x", {"new": 2})
    stored.assert_only_checkpoint(tmp_path / "b" / "x")


def test_many_threads_save_at_one_prefix(tmp_path):
    def work(number: int) -> None:
        for _ in range(5):
            tb.save(tmp_path / "x", {"w": np.full(1000, number), "v": number}, shards=1 + number % 3, durable=False)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    stored.assert_only_checkpoint(tmp_path / "x")
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.verify().checked == 2
        assert_same_bits(ckpt["w"], np.full(1000, int(ckpt["v"])))
