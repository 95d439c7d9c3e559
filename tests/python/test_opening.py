"""``tb.open``: its options, and what it finds."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import Mutations, write_bundle
from support.hashing import assert_same_bits
from support.small import MODEL, MODEL_ORDER

import tensorbundle as tb


@pytest.fixture
def prefix(tmp_path) -> Path:
    return write_bundle(tmp_path / "ckpt", MODEL).prefix


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
def test_path_is_the_absolute_prefix(prefix, suffix, monkeypatch):
    monkeypatch.chdir(prefix.parent)
    with tb.open(f"ckpt{suffix}") as checkpoint:
        monkeypatch.chdir("/")
        assert checkpoint.path == str(prefix)
        assert checkpoint["step"] == 7


def test_prefix_that_ends_like_a_file_of_another(tmp_path):
    for name, value in (("x", 1), ("x.index", 2), ("x.data-00000-of-00001", 3)):
        write_bundle(tmp_path / name, {"v": np.array(value)})
    with tb.open(tmp_path / "x.index") as checkpoint:
        assert checkpoint.path == f"{tmp_path}/x.index"
        assert checkpoint["v"] == 2
    with tb.open(tmp_path / "x.data-00000-of-00001") as checkpoint:
        assert checkpoint["v"] == 3


def test_wrong_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint here: looked for"):
        tb.open(tmp_path / "ckpt")


@pytest.mark.parametrize("content", [b"", b"x" * 47, b"x" * 48, b"x" * 100])
def test_index_that_is_no_table(tmp_path, content):
    (tmp_path / "ckpt.index").write_bytes(content)
    with pytest.raises(tb.errors.DataLossError) as caught:
        tb.open(tmp_path / "ckpt")
    assert caught.value.path == f"{tmp_path}/ckpt.index"
    assert f"{tmp_path}/ckpt.index" in str(caught.value)


def test_reserved_and_wrong_options(prefix):
    with pytest.raises(tb.errors.UnimplementedError, match=r'^mmap="c" .* is reserved'):
        tb.open(prefix, mmap="c")
    for wrong in ("r", 1, [], "map"):
        with pytest.raises(TypeError, match="mmap must be None, True or False"):
            tb.open(prefix, mmap=wrong)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=f"^threads must be at least 1, not {wrong}$"):
            tb.open(prefix, threads=wrong)
    for wrong in (True, 1.5, "2"):
        with pytest.raises(TypeError, match="threads must be None or an integer"):
            tb.open(prefix, threads=wrong)
    with pytest.raises(TypeError):
        tb.open(prefix, False)


@pytest.mark.parametrize("threads", [None, 1, 2, 10**30, np.int64(2)])
def test_any_positive_number_of_threads(prefix, threads):
    with tb.open(prefix, threads=threads) as checkpoint:
        assert checkpoint["dense/kernel"].sum() == 66


@pytest.mark.parametrize("mmap", [None, True, False])
def test_both_ways_to_the_bytes_give_the_same(prefix, mmap):
    with tb.open(prefix, mmap=mmap) as checkpoint:
        for name, expected in MODEL.items():
            assert_same_bits(checkpoint[name], expected, name)


# What opening finds.


def test_missing_shard_is_one_warning_and_the_rest_reads(tmp_path):
    tensors = {f"t{number}": np.full(3, number) for number in range(4)}
    bundle = write_bundle(tmp_path / "ckpt", tensors, shards=2)
    bundle.data_path(1).unlink()
    with pytest.warns(tb.errors.DamageWarning) as caught:
        checkpoint = tb.open(tmp_path / "ckpt")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message) == (
        f"2 of 4 tensors in '{tmp_path}/ckpt' can't be read, the others can: No such file or directory: "
        f"'{bundle.data_path(1)}' (2 tensors)"
    )
    assert list(checkpoint) == ["t0", "t1", "t2", "t3"]
    assert list(checkpoint.problems()) == ["t1", "t3"]
    assert_same_bits(checkpoint["t2"], tensors["t2"])
    assert_same_bits(checkpoint.load(["t0", "t2"])["t0"], tensors["t0"])
    for read in (lambda: checkpoint["t1"], checkpoint.load, lambda: checkpoint.read("t3", index=0)):
        with pytest.raises(FileNotFoundError) as error:
            read()
        assert error.value.filename == str(bundle.data_path(1))


def test_warning_can_be_an_error(tmp_path):
    write_bundle(tmp_path / "ckpt", MODEL).data_path().unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(tb.errors.DamageWarning):
            tb.open(tmp_path / "ckpt")


def test_warning_names_a_few_reasons(tmp_path):
    tensors = {f"t{number}": np.full(3, number) for number in range(6)}
    damage = {f"t{number}": {"size": 1 + number} for number in range(5)}
    write_bundle(tmp_path / "ckpt", tensors, mutate=Mutations(entries=damage))
    with pytest.warns(tb.errors.DamageWarning) as caught:
        checkpoint = tb.open(tmp_path / "ckpt")
    message = str(caught[0].message)
    assert message.startswith(f"5 of 6 tensors in '{tmp_path}/ckpt' can't be read, the others can: ")
    assert [f"t{number}" in message.partition("can: ")[2] for number in range(5)] == [True, True, True, False, False]
    assert message.endswith("; and 2 more reasons")
    for name, problem in checkpoint.problems().items():
        assert isinstance(problem, tb.errors.DataLossError)
        assert problem.tensor == name
        with pytest.raises(tb.errors.DataLossError) as error:
            checkpoint[name]
        assert str(error.value) == str(problem)


def test_sound_checkpoint_has_no_problems(prefix):
    with tb.open(prefix) as checkpoint:
        assert checkpoint.problems() == {}


def test_record_that_makes_no_sense_spoils_only_its_tensor(tmp_path):
    mutate = Mutations(entries={"step": {"raw": b"\xff\xff"}})
    write_bundle(tmp_path / "ckpt", MODEL, mutate=mutate)
    with pytest.warns(tb.errors.DamageWarning):
        checkpoint = tb.open(tmp_path / "ckpt")
    assert list(checkpoint) == MODEL_ORDER
    assert [entry.name for entry in checkpoint.entries()] == MODEL_ORDER[:3]
    for read in (checkpoint.entry, checkpoint.read, checkpoint.lazy):
        with pytest.raises(tb.errors.DataLossError) as caught:
            read("step")
        assert caught.value.tensor == "step"
    assert checkpoint["dense/kernel"].sum() == 66
