"""Checksums: ``Checkpoint.verify`` and its report, and what reading compares."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from support.bundle_writer import Mutations, write_bundle
from support.slices import parse_slice, slice_key
from support.wire import crc32c

import tensorbundle as tb

TENSORS = {"a": np.arange(4.0), "b": np.arange(3, dtype=np.int32), "c": [b"one", b"two"], "d": np.zeros((0, 2))}


@pytest.fixture(params=[True, False], ids=["mmap", "pread"])
def mmap(request) -> bool:
    return request.param


def flip(*positions: int):
    def change(_: int, data: bytearray) -> None:
        for position in positions:
            data[position] ^= 0x40

    return Mutations(data=change)


# The report.


def test_sound_checkpoint(tmp_path, mmap):
    with tb.open(write_bundle(tmp_path / "ckpt", TENSORS).prefix, mmap=mmap) as ckpt:
        report = ckpt.verify()
    assert isinstance(report, tb.VerifyReport)
    assert report
    assert report.checked == 4
    assert report.nbytes == 32 + 12 + (2 + 4 + 6)
    assert report.damaged == ()
    assert repr(report) == "<VerifyReport: 4 tensors, 56 bytes, sound>"
    assert str(report) == "all 4 tensors are sound (56 bytes)"


def test_every_damaged_tensor_is_reported(tmp_path, mmap):
    bundle = write_bundle(tmp_path / "ckpt", TENSORS, mutate=flip(8, 33))
    stored = bundle.data_path().read_bytes()
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        report = ckpt.verify()
        assert not report
        assert report.checked == 4
        assert [damage.name for damage in report.damaged] == ["a", "b"]
        first, second = report.damaged
        assert isinstance(first, tb.Damage)
        assert (first.shard, first.offset) == (0, 0)
        assert first.expected == ckpt.entry("a").crc32c == crc32c(TENSORS["a"].tobytes())
        assert first.found == crc32c(stored[:32])
        assert (second.shard, second.offset, second.found) == (0, 32, crc32c(stored[32:44]))
        for damage in report.damaged:
            assert type(damage.cause) is tb.errors.DataLossError
            with pytest.raises(tb.errors.DataLossError) as caught:
                ckpt.read(damage.name, copy=True)
            assert str(caught.value) == str(damage.cause)
            assert (damage.cause.tensor, damage.cause.offset) == (damage.name, damage.offset)
    assert repr(report) == "<VerifyReport: 4 tensors, 56 bytes, 2 damaged>"
    assert str(report).splitlines() == [
        "2 of 4 tensors are damaged (56 bytes)",
        f"  'a': {first.cause}",
        f"  'b': {second.cause}",
    ]


def test_names_to_verify(tmp_path):
    with tb.open(write_bundle(tmp_path / "ckpt", TENSORS, mutate=flip(8)).prefix) as ckpt:
        assert ckpt.verify(["b", "c"])
        assert ckpt.verify(["b", "c", "b"]).checked == 2
        assert ckpt.verify([]).checked == 0
        assert not ckpt.verify({"a"})


def test_damaged_piece_of_a_sliced_tensor(tmp_path, mmap):
    bundle = write_bundle(tmp_path / "ckpt", {"w": np.arange(8.0)}, slices={"w": ["0,4", "4,4"]}, mutate=flip(40))
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        (damage,) = ckpt.verify().damaged
    assert (damage.name, damage.shard, damage.offset) == ("w", 0, 32)
    assert damage.expected == crc32c(np.arange(4.0, 8.0).tobytes())


def test_tensor_damaged_in_several_places_counts_once(tmp_path, mmap):
    bundle = write_bundle(tmp_path / "ckpt", {"w": np.arange(8.0)}, slices={"w": ["0,4", "4,4"]}, mutate=flip(8, 40))
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        report = ckpt.verify()
    assert [damage.offset for damage in report.damaged] == [0, 32]
    assert repr(report) == "<VerifyReport: 1 tensors, 64 bytes, 1 damaged>"
    assert str(report).startswith("1 of 1 tensors are damaged")


def test_missing_and_truncated_files(tmp_path):
    bundle = write_bundle(tmp_path / "ckpt", {"a": np.arange(4.0), "b": np.arange(4.0), "c": np.arange(4.0)}, shards=3)
    bundle.data_path(0).unlink()
    with bundle.data_path(1).open("r+b") as file:
        file.truncate(31)
    with pytest.warns(tb.errors.DamageWarning, match=r"2 of 3 tensors"):
        ckpt = tb.open(bundle.prefix)
    report = ckpt.verify()
    assert [(damage.name, damage.shard, damage.expected, damage.found) for damage in report.damaged] == [
        ("a", 0, None, None),
        ("b", 1, None, None),
    ]
    missing, truncated = (damage.cause for damage in report.damaged)
    assert isinstance(missing, FileNotFoundError)
    assert missing.filename == str(bundle.data_path(0))
    assert isinstance(truncated, tb.errors.DataLossError)
    assert "31" in str(truncated)


def test_report_is_a_frozen_value(tmp_path):
    with tb.open(write_bundle(tmp_path / "ckpt", TENSORS).prefix) as ckpt:
        report = ckpt.verify()
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.checked = 5
    assert report == tb.VerifyReport(4, 56, ())
    assert pickle.loads(pickle.dumps(report)) == report


def test_damage_pickles(tmp_path):
    with tb.open(write_bundle(tmp_path / "ckpt", TENSORS, mutate=flip(8)).prefix) as ckpt:
        (damage,) = ckpt.verify().damaged
    twin = pickle.loads(pickle.dumps(damage))
    assert dataclasses.replace(twin, cause=damage.cause) == damage
    assert vars(twin.cause) == vars(damage.cause)
    assert str(damage) == f"'a': {damage.cause}"


def test_progress(tmp_path):
    calls = []
    with tb.open(write_bundle(tmp_path / "ckpt", TENSORS).prefix) as ckpt:
        ckpt.verify(progress=lambda *call: calls.append(call))
    assert calls[-1][:2] == (56, 56)
    assert {call[2] for call in calls} <= set(TENSORS)


# Reading.

DAMAGED = Mutations(data=lambda _, data: data.__setitem__(8, data[8] ^ 1))


@pytest.fixture(params=["view", "copy", "pread", "slices", "string", "swapped"])
def damaged(request, tmp_path):
    """Reading a damaged tensor in some way: (path, options of open, options of read)."""
    options = {"slices": {"slices": {"w": ["0,2", "2,2"]}}, "swapped": {"endianness": "big"}}.get(request.param, {})
    value = [b"1234567", b"89"] if request.param == "string" else np.arange(4.0)
    prefix = write_bundle(tmp_path / "ckpt", {"w": value}, mutate=DAMAGED, **options).prefix
    return prefix, {"mmap": request.param != "pread"}, {"copy": True if request.param == "copy" else None}


def test_damage_is_found_by_default(damaged):
    prefix, open_options, read_options = damaged
    with tb.open(prefix, **open_options) as ckpt:
        for read in (lambda **o: ckpt.read("w", **o), ckpt.load, lambda **o: ckpt.read("w", index=0, verify=True, **o)):
            for _ in range(2):
                with pytest.raises(tb.errors.DataLossError, match="Checksum does not match") as caught:
                    read(**read_options)
                error = caught.value
                assert error.tensor == "w"
                assert error.path == f"{prefix}.data-00000-of-00001"
                assert error.offset == 0
                assert str(error).count("0x") == 2


def test_damage_is_found_in_out(damaged):
    prefix, open_options, _ = damaged
    with tb.open(prefix, **open_options) as ckpt:
        out = np.empty_like(ckpt.read("w", verify=False))
        with pytest.raises(tb.errors.DataLossError):
            ckpt.read("w", out=out)
        with pytest.raises(tb.errors.DataLossError):
            ckpt.load(out={"w": out})


def test_verify_false_reads_damage_as_it_is(damaged):
    prefix, open_options, read_options = damaged
    with tb.open(prefix, **open_options) as ckpt:
        shape = ckpt.read("w", verify=False, **read_options).shape
        assert ckpt.load(verify=False, **read_options)["w"].shape == shape
        assert ckpt.read("w", index=..., **read_options).shape == shape
    with tb.open(prefix, verify=False, **open_options) as ckpt:
        assert ckpt["w"].shape == shape
        assert ckpt.load()["w"].shape == shape
        with pytest.raises(tb.errors.DataLossError):
            ckpt.read("w", verify=True, **read_options)
        with pytest.raises(tb.errors.DataLossError):
            ckpt.load(verify=True, **read_options)


def test_load_by_path_takes_verify(damaged):
    prefix, open_options, read_options = damaged
    with pytest.raises(tb.errors.DataLossError):
        tb.load(prefix, **open_options, **read_options)
    tb.load(prefix, verify=False, **open_options, **read_options)


def test_a_view_is_checked_the_first_time_it_is_handed_out(tmp_path):
    bundle = write_bundle(tmp_path / "ckpt", {"w": np.arange(4.0)})
    with tb.open(bundle.prefix, mmap=True) as ckpt:
        ckpt["w"]
        with bundle.data_path().open("r+b") as file:
            file.write(b"\xff")
        assert ckpt["w"].shape == (4,)
        with pytest.raises(tb.errors.DataLossError):
            ckpt.read("w", copy=True)
        assert not ckpt.verify()


def test_hole_in_a_sliced_tensor_is_named(tmp_path):
    drop = {slice_key(b"w", parse_slice("2,2")): {"drop": True}}
    prefix = write_bundle(
        tmp_path / "ckpt", {"w": np.arange(4.0)}, slices={"w": ["0,2", "2,2"]}, mutate=Mutations(entries=drop)
    ).prefix
    with pytest.warns(tb.errors.DamageWarning, match='"w"'):
        ckpt = tb.open(prefix)
    with pytest.raises(tb.errors.DataLossError) as caught:
        ckpt["w"]
    assert caught.value.tensor == "w"
