"""What verify() reports, for each kind of damage."""

from __future__ import annotations

import dataclasses
import threading
import warnings

import crc32c
import numpy as np
import pytest
from support import slices
from support.bundle_writer import Bundle, Mutations, Variant
from support.hashing import assert_same_bits

import tensorbundle as tb

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])

LARGE = np.arange(700_000, dtype="<i4")  # Summed in several parts.
TENSORS = {
    "bool": np.array([True, False, True]),
    "empty": np.zeros((0, 2), "<f4"),
    "large": LARGE,
    "names": [b"alpha", b"", b"gamma"],
    "pieces": np.arange(12, dtype="<i8").reshape(4, 3),
    "scalar": np.float64(1.5),
    "variant": Variant([b"\x0a\x01a", b"\x0a\x02bc"], (2,)),
}
OPTIONS = {"slices": {"pieces": ["0,1:-", "1,3:-"]}}


@pytest.fixture
def bundle(write_bundle) -> Bundle:
    return write_bundle(TENSORS, **OPTIONS)


def stored(bundle: Bundle, name: str, piece: str = ""):
    """The entry that says where a tensor, or a piece of it, lies."""
    key = slices.slice_key(name.encode(), piece) if piece else name.encode()
    return bundle.image.entries[key]


def flip(bundle: Bundle, position: int, shard: int = 0) -> None:
    with bundle.data_path(shard).open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 0x20]))


def reading_raises(ckpt: tb.Checkpoint, name: str) -> Exception:
    with pytest.raises(Exception, match=r"\S") as caught:
        ckpt.read(name, copy=True, verify=True)
    return caught.value


def the_damage(ckpt: tb.Checkpoint) -> tb.Damage:
    """The only one of a report, which agrees with what reading says."""
    report = ckpt.verify()
    assert not report
    assert bool(report) is False
    (damage,) = report.damaged
    error = reading_raises(ckpt, damage.name)
    assert (type(damage.cause), str(damage.cause)) == (type(error), str(error))
    assert str(damage) == f"{damage.name!r}: {damage.cause}"
    assert f"1 of {report.checked} tensors are damaged" in str(report)
    assert str(damage) in str(report)
    others = [name for name in ckpt if name != damage.name]
    assert ckpt.verify(others)
    assert ckpt.load(others).keys() == set(others)
    return damage


# Sound ones.


@MODES
@pytest.mark.parametrize("threads", [None, 1, 3])
def test_sound(bundle, mmap, threads):
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        report = ckpt.verify(threads=threads)
        size = bundle.data_path().stat().st_size
        assert (report.checked, report.nbytes, report.damaged) == (len(TENSORS), size, ())
        assert bool(report) is True
        assert str(report) == f"all {len(TENSORS)} tensors are sound ({size} bytes)"
        assert repr(report) == f"<VerifyReport: {len(TENSORS)} tensors, {size} bytes, sound>"


def test_names(bundle):
    flip(bundle, stored(bundle, "large").offset + 1000)
    with tb.open(bundle.prefix) as ckpt:
        for names, checked, sound in [
            (["scalar"], 1, True),
            (["scalar", "large"], 2, False),
            (["large", "large", "bool"], 2, False),
            (iter(["bool", "pieces", "empty"]), 3, True),
            ([], 0, True),
        ]:
            report = ckpt.verify(names)
            assert (report.checked, bool(report)) == (checked, sound)
        assert ckpt.verify(["scalar", "pieces"]).nbytes == 8 + 96
        with pytest.raises(tb.errors.NotFoundError, match="Key 'no' not found"):
            ckpt.verify(["scalar", "no"])
        with pytest.raises(TypeError, match="not a single one"):
            ckpt.verify("scalar")


def test_nothing_to_verify(write_bundle):
    prefix = write_bundle({"none": np.zeros(0), "neither": np.zeros((2, 0), "<i8")}).prefix
    report = tb.open(prefix).verify()
    assert (report.checked, report.nbytes, bool(report)) == (2, 0, True)


# Damaged ones.


@MODES
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(("name", "position"), [("bool", 2), ("large", 0), ("large", LARGE.nbytes - 1), ("scalar", 7)])
def test_flip_in_a_tensor(bundle, mmap, threads, name, position):
    entry = stored(bundle, name)
    before = bundle.data_path().read_bytes()[entry.offset : entry.offset + entry.size]
    flip(bundle, entry.offset + position)
    after = bundle.data_path().read_bytes()[entry.offset : entry.offset + entry.size]
    with tb.open(bundle.prefix, mmap=mmap, threads=threads) as ckpt:
        damage = the_damage(ckpt)
        expected, found = crc32c.crc32c(before), crc32c.crc32c(after)
        assert dataclasses.astuple(damage)[:5] == (name, 0, entry.offset, expected, found)
        assert type(damage.cause) is tb.errors.DataLossError
        assert (damage.cause.tensor, damage.cause.offset) == (name, entry.offset)
        message = str(damage.cause)
        assert f"{entry.size} bytes at {entry.offset}: stored 0x{expected:08x}, computed 0x{found:08x}" in message
        assert damage.cause.path == str(bundle.data_path())
        assert f"{bundle.data_path()}: Checksum does not match: shard 0, " in message


@MODES
def test_flip_in_the_lengths_of_strings(bundle, mmap):
    entry = stored(bundle, "names")
    flip(bundle, entry.offset + 1)
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        damage = the_damage(ckpt)
        # Which checksum of the tensor it would have been doesn't come into it: its lengths have one of their own.
        assert dataclasses.astuple(damage)[:5] == ("names", 0, entry.offset, None, None)
        assert "the checksum of the lengths is stored as 0x" in str(damage.cause)
        assert damage.cause.tensor == "names"


@MODES
def test_flip_in_the_text_of_strings(bundle, mmap):
    entry = stored(bundle, "names")
    flip(bundle, entry.offset + entry.size - 1)
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        damage = the_damage(ckpt)
        assert (damage.name, damage.shard, damage.offset) == ("names", 0, entry.offset)
        assert damage.expected == ckpt.entry("names").crc32c
        assert damage.found not in (None, damage.expected)


@MODES
def test_flip_in_a_variant(bundle, mmap):
    entry = stored(bundle, "variant")
    flip(bundle, entry.offset + 2)
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        damage = the_damage(ckpt)
        assert (damage.name, damage.shard, damage.offset) == ("variant", 0, entry.offset)
        assert "the checksum of an element is stored as 0x" in str(damage.cause)


@MODES
@pytest.mark.parametrize("piece", ["0,1:-", "1,3:-"])
def test_flip_in_a_piece(bundle, mmap, piece):
    entry = stored(bundle, "pieces", piece)
    flip(bundle, entry.offset + entry.size // 2)
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        damage = the_damage(ckpt)
        assert (damage.name, damage.shard, damage.offset) == ("pieces", 0, entry.offset)
        assert damage.expected != damage.found
        assert f"{entry.size} bytes at {entry.offset}: stored" in str(damage.cause)


def test_flip_in_every_piece(bundle):
    pieces = [stored(bundle, "pieces", piece) for piece in ("0,1:-", "1,3:-")]
    for entry in pieces:
        flip(bundle, entry.offset)
    report = tb.open(bundle.prefix).verify()
    # One tensor, and the places that are wrong.
    assert {damage.name for damage in report.damaged} == {"pieces"}
    assert [damage.offset for damage in report.damaged] == [entry.offset for entry in pieces]
    assert "1 of 7 tensors are damaged" in str(report)


@MODES
def test_missing_shard(write_bundle, mmap):
    bundle = write_bundle({"a": np.arange(3), "b": np.arange(4), "c": np.arange(5)}, shards=3)
    bundle.data_path(1).unlink()
    with pytest.warns(tb.errors.DamageWarning):
        ckpt = tb.open(bundle.prefix, mmap=mmap)
    damage = the_damage(ckpt)
    assert dataclasses.astuple(damage)[:5] == ("b", 1, 0, None, None)
    assert type(damage.cause) is FileNotFoundError
    assert damage.cause.filename == str(bundle.data_path(1))
    assert ckpt.verify(["a", "c"]).nbytes == 64


@MODES
def test_truncated_shard(bundle, mmap):
    last = max(bundle.image.entries.values(), key=lambda entry: entry.offset + entry.size)
    with bundle.data_path().open("r+b") as file:
        file.truncate(last.offset + last.size - 1)
    with pytest.warns(tb.errors.DamageWarning):
        ckpt = tb.open(bundle.prefix, mmap=mmap)
    damage = the_damage(ckpt)
    assert dataclasses.astuple(damage)[:5] == ("variant", 0, last.offset, None, None)
    size = last.offset + last.size - 1
    assert damage.cause.path == str(bundle.data_path())
    assert (
        f"{bundle.data_path()}: truncated: {last.size} bytes at {last.offset} are expected, the file has {size}"
        in str(damage.cause)
    )


@MODES
def test_truncated_after_it_was_opened(bundle, mmap):
    """What was a signal on touching it is an error here; nothing is lost but what is gone."""
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        with bundle.data_path().open("r+b") as file:
            file.truncate(stored(bundle, "large").offset + 1_000_000)
        report = ckpt.verify()
        gone = {damage.name: damage.cause for damage in report.damaged}
        assert gone.keys() == {"large", "names", "pieces", "scalar", "variant"}
        for cause in gone.values():
            assert isinstance(cause, (OSError, tb.errors.DataLossError))
        assert ckpt["bool"].tolist() == [True, False, True]
        for name in gone:
            with pytest.raises((OSError, tb.errors.DataLossError)):
                ckpt.read(name, copy=True)


@MODES
def test_bad_entry(write_bundle, mmap):
    mutate = Mutations(entries={"b": {"raw": b"\x08"}, "c": {"shape": (-1,)}})
    prefix = write_bundle({"a": np.arange(3), "b": np.arange(3), "c": np.arange(3)}, mutate=mutate).prefix
    with pytest.warns(tb.errors.DamageWarning):
        ckpt = tb.open(prefix, mmap=mmap)
    report = ckpt.verify()
    assert (report.checked, report.nbytes) == (3, 24)
    assert [dataclasses.astuple(damage)[:5] for damage in report.damaged] == [
        ("b", None, None, None, None),
        ("c", None, None, None, None),
    ]
    assert "the entry is not parseable" in str(report.damaged[0].cause)
    assert "Invalid tensor shape" in str(report.damaged[1].cause)
    assert len(str(report).splitlines()) == 3


@MODES
def test_every_damage_is_reported(bundle, mmap):
    names = ["bool", "large", "names", "scalar", "variant"]
    for name in names:
        entry = stored(bundle, name)
        flip(bundle, entry.offset + entry.size - 1)
    with tb.open(bundle.prefix, mmap=mmap, threads=3) as ckpt:
        report = ckpt.verify()
        assert [damage.name for damage in report.damaged] == names
        assert report.checked == len(TENSORS)
        with pytest.raises(tb.errors.DataLossError):
            ckpt.load()
        assert_same_bits(ckpt["pieces"], TENSORS["pieces"])


# What was found before is looked at again.


def test_views_that_were_handed_out_are_compared_again(write_bundle):
    bundle = write_bundle(TENSORS, alignment=64, **OPTIONS)
    with tb.open(bundle.prefix, mmap=True) as ckpt:
        assert ckpt.verify()
        kept = ckpt["large"]
        assert not kept.flags.owndata
        position = stored(bundle, "large").offset + 2_000_000
        flip(bundle, position)
        # A view is compared the first time that it is handed out; verify() and copies compare each time.
        ckpt.read("large")
        report = ckpt.verify()
        assert [damage.name for damage in report.damaged] == ["large"]
        reading_raises(ckpt, "large")
        flip(bundle, position)
        assert ckpt.verify()
        assert_same_bits(kept, LARGE)


@MODES
def test_checkpoint_opened_without_verification(bundle, mmap):
    flip(bundle, stored(bundle, "scalar").offset)
    with tb.open(bundle.prefix, mmap=mmap, verify=False) as ckpt:
        ckpt.load()
        assert [damage.name for damage in ckpt.verify().damaged] == ["scalar"]
        with pytest.raises(tb.errors.DataLossError):
            ckpt.read("scalar", verify=True)
        with pytest.raises(tb.errors.DataLossError):
            ckpt.load(verify=True)


def test_report_and_damage_are_values(bundle):
    flip(bundle, stored(bundle, "scalar").offset)
    with tb.open(bundle.prefix) as ckpt:
        report = ckpt.verify()
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.checked = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.damaged[0].name = ""


# Progress.


@MODES
def test_progress_counts_what_is_wrong_as_well(write_bundle, mmap):
    bundle = write_bundle({"a": LARGE, "b": LARGE, "c": np.arange(3)}, shards=3)
    bundle.data_path(2).unlink()
    flip(bundle, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tb.errors.DamageWarning)
        ckpt = tb.open(bundle.prefix, mmap=mmap)
    calls = []
    report = ckpt.verify(progress=lambda *call: calls.append((*call, threading.get_ident())))
    assert [damage.name for damage in report.damaged] == ["a", "c"]
    assert report.nbytes == 2 * LARGE.nbytes
    assert calls[-1][:2] == (report.nbytes, report.nbytes)
    assert {call[3] for call in calls} == {threading.get_ident()}
    assert {call[2] for call in calls} <= {"a", "b"}


def test_progress_may_be_true(bundle, capsys):
    with tb.open(bundle.prefix) as ckpt:
        assert ckpt.verify(progress=True)
    assert capsys.readouterr() == ("", "")  # No terminal, no bar.
