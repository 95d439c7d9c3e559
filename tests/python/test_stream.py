"""Many tensors one after the other, in bounded memory; and page cache that is given back."""

from __future__ import annotations

import gc
import itertools
import sys
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import golden, v1_writer
from support.bundle_writer import write_bundle
from support.corpus import checkpoints as corpus_checkpoints
from support.hashing import assert_same_bits
from support.page_cache import PAGE, Pages
from support.v1_writer import Row

import tensorbundle as tb
from tensorbundle import _core

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
MIB = 1 << 20
# What the kernel keeps together: the part of it that lies in the next chunk keeps the part in this one.
FOLIO = 2 * MIB
# In file order; the names are in another.
TENSORS = {
    "d": np.arange(6, dtype="<f4"),
    "a": np.arange(100, dtype="<i8"),
    "c": np.array([b"x", b"", b"yz"], object),
    "b": np.array(True),
    "e": np.zeros((0, 3), "<f8"),
}
ORDER = list(TENSORS)


@pytest.fixture
def prefix(tmp_path):
    return write_bundle(tmp_path / "x", TENSORS).prefix


@pytest.fixture
def batches(monkeypatch):
    """The names of each batch that is read."""
    read: list[list[str]] = []

    class Spy:
        def __init__(self, ckpt: _core.Checkpoint) -> None:
            self._ckpt = ckpt

        def __getattr__(self, name: str):
            return getattr(self._ckpt, name)

        def __contains__(self, name: object) -> bool:
            return name in self._ckpt

        def read(self, names, *arguments):
            read.append(list(names))
            return self._ckpt.read(names, *arguments)

    opened = tb.Checkpoint._opened
    monkeypatch.setattr(tb.Checkpoint, "_opened", lambda self: Spy(opened(self)))
    return read


# What comes, and in which order.


@MODES
@pytest.mark.parametrize("max_bytes", [1, 100, 1000, 1 << 40])
def test_is_every_tensor_in_file_order(prefix, mmap, max_bytes):
    with tb.open(prefix, mmap=mmap) as ckpt:
        seen = list(ckpt.stream(max_bytes=max_bytes))
        assert [name for name, _ in seen] == ORDER
        for name, array in seen:
            assert_same_bits(array, TENSORS[name], name)
            assert array.flags.writeable
            assert array.flags.owndata
            assert array.flags.aligned


@MODES
@pytest.mark.parametrize("checkpoint", [*golden.checkpoints(), *golden.checkpoints("V1")], ids=lambda each: each.id)
def test_golden(checkpoint, mmap):
    with tb.open(checkpoint.prefix, mmap=mmap) as ckpt:
        for max_bytes in (1, 100, 1 << 20):
            streamed = dict(ckpt.stream(max_bytes=max_bytes, drop_cache=max_bytes == 100))
            assert set(streamed) == set(ckpt)
            for name, array in ckpt.load().items():
                assert_same_bits(streamed[name], array, name)


@pytest.mark.parametrize("checkpoint", [*corpus_checkpoints(), *corpus_checkpoints("V1")], ids=lambda each: each.id)
def test_corpus(checkpoint):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tb.errors.DamageWarning)
        ckpt = tb.open(checkpoint.prefix)
    readable = [name for name, expected in checkpoint.tensors.items() if expected.error is None and name in ckpt]
    with ckpt:
        arrays = ckpt.load(readable)
        streamed = dict(ckpt.stream(readable, max_bytes=MIB))
    assert set(streamed) == set(readable)
    for name, array in streamed.items():
        assert_same_bits(array, arrays[name], name)


def test_shards_come_one_after_the_other(tmp_path):
    tensors = {f"t{i}": np.full(3, i, "<i4") for i in range(7)}
    bundle = write_bundle(tmp_path / "x", tensors, shards=3)
    with tb.open(bundle.prefix) as ckpt:
        places = [(ckpt.entry(name).shard, ckpt.entry(name).offset) for name, _ in ckpt.stream(max_bytes=1)]
    assert places == sorted(places)
    assert len(places) == 7


def test_a_partitioned_tensor_comes_where_its_first_piece_is(tmp_path):
    tensors = {"z": np.arange(2), "m": np.arange(4), "a": np.arange(2)}
    prefix = write_bundle(tmp_path / "x", tensors, slices={"m": ["0,2", "2,2"]}).prefix
    with tb.open(prefix) as ckpt:
        assert [name for name, _ in ckpt.stream()] == ["z", "m", "a"]


def test_of_the_v1_format(tmp_path):
    large = np.arange(200_000, dtype="<f4")
    path = v1_writer.write(tmp_path / "v1", [Row(b"w", large), Row(b"s", [b"a", b"b"]), Row(b"i", np.arange(5))])
    with tb.open(path) as ckpt:
        for max_bytes in (1, 1000, 1 << 30):
            streamed = dict(ckpt.stream(max_bytes=max_bytes, drop_cache=True))
            assert_same_bits(streamed["w"], large)
            assert streamed["s"].tolist() == [b"a", b"b"]
            assert streamed["i"].tolist() == list(range(5))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"names": ["a", "d", "a"]}, ["d", "a"]),
        ({"names": []}, []),
        ({"include": "[abc]"}, ["a", "c", "b"]),
        ({"exclude": ["a", "c"]}, ["d", "b", "e"]),
        ({"names": ["a", "b"], "include": "b"}, ["b"]),
    ],
)
def test_selection(prefix, selection, expected):
    with tb.open(prefix) as ckpt:
        assert [name for name, _ in ckpt.stream(**selection)] == expected


# Batches.


@pytest.mark.parametrize(
    ("max_bytes", "expected"),
    [
        (1, [["d"], ["a"], ["c"], ["b", "e"]]),
        (23, [["d"], ["a"], ["c"], ["b", "e"]]),
        (24, [["d"], ["a"], ["c"], ["b", "e"]]),
        (823, [["d"], ["a"], ["c", "b", "e"]]),
        (824, [["d", "a"], ["c", "b", "e"]]),
        (1 << 30, [ORDER]),
    ],
)
def test_batches_are_as_large_as_they_may_be(prefix, batches, max_bytes, expected):
    with tb.open(prefix) as ckpt:
        assert [name for name, _ in ckpt.stream(max_bytes=max_bytes)] == ORDER
    assert batches == expected


def test_nothing_is_read_before_it_is_asked_for(prefix, batches):
    with tb.open(prefix) as ckpt:
        stream = ckpt.stream(max_bytes=30)
        assert batches == []
        assert next(stream)[0] == "d"
        assert batches == [["d"]]
        assert next(stream)[0] == "a"
        assert batches == [["d"], ["a"]]
        stream.close()
        assert batches == [["d"], ["a"]]


def test_arrays_that_were_given_away_are_not_kept(prefix):
    with tb.open(prefix) as ckpt:
        stream = ckpt.stream()
        _, array = next(stream)
        array = weakref.ref(array)
        gc.collect()
        assert array() is None
        assert [name for name, _ in stream] == ORDER[1:]


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=12), max_bytes=st.integers(1, 120))
def test_a_batch_is_within_the_bound_or_one_tensor(sizes, max_bytes):
    from tensorbundle.streaming import _batches

    named = [(str(i), size) for i, size in enumerate(sizes)]
    made = list(_batches(named, max_bytes))
    assert [name for names, _ in made for name in names] == [name for name, _ in named]
    for names, size in made:
        assert size == sum(sizes[int(name)] for name in names)
        assert size <= max_bytes or len(names) == 1
    for (_, size), (names, _) in itertools.pairwise(made):
        assert size + sizes[int(names[0])] > max_bytes


# Verification, errors, life.


def test_damage_comes_in_place_of_its_batch(tmp_path):
    bundle = write_bundle(tmp_path / "x", TENSORS)
    with open(bundle.data_path(), "r+b") as file:
        file.seek(24 + 8)
        file.write(b"\xff")
    with tb.open(bundle.prefix) as ckpt:
        with pytest.raises(tb.errors.DataLossError) as read:
            ckpt.read("a", copy=True)
        stream = ckpt.stream(max_bytes=30)
        assert next(stream)[0] == "d"
        with pytest.raises(tb.errors.DataLossError) as caught:
            next(stream)
        assert str(caught.value) == str(read.value)
        assert [name for name, _ in ckpt.stream(verify=False)] == ORDER
        assert [name for name, _ in ckpt.stream(exclude="a")] == ["d", "c", "b", "e"]
    with tb.open(bundle.prefix, verify=False) as ckpt:
        assert [name for name, _ in ckpt.stream()] == ORDER
        with pytest.raises(tb.errors.DataLossError):
            list(ckpt.stream(verify=True))


def test_what_opening_could_tell_is_said_at_once(tmp_path):
    bundle = write_bundle(tmp_path / "x", {"a": np.arange(3), "b": np.arange(3)}, shards=2)
    bundle.data_path(1).unlink()
    with pytest.warns(tb.errors.DamageWarning):
        ckpt = tb.open(bundle.prefix)
    (gone,) = ckpt.problems()
    with pytest.raises(FileNotFoundError):
        ckpt.stream()
    assert len(list(ckpt.stream(exclude=gone))) == 1


def test_wrong_calls_are_said_at_once(prefix):
    ckpt = tb.open(prefix)
    with pytest.raises(TypeError, match="names must be an iterable of names"):
        ckpt.stream("a")
    with pytest.raises(tb.errors.NotFoundError):
        ckpt.stream(["nobody"])
    with pytest.raises(ValueError, match=r"^max_bytes must be at least 1, not 0$"):
        ckpt.stream(max_bytes=0)
    with pytest.raises(TypeError, match=r"^max_bytes must be an integer, not 'x'$"):
        ckpt.stream(max_bytes="x")
    with pytest.raises(ValueError, match="threads must be at least 1"):
        ckpt.stream(threads=0)
    with pytest.raises(TypeError, match="progress must be True or a function"):
        next(ckpt.stream(progress=5))
    ckpt.close()
    with pytest.raises(ValueError, match="is closed"):
        ckpt.stream()


@MODES
def test_goes_on_after_the_checkpoint_is_closed_and_deleted(prefix, mmap):
    ckpt = tb.open(prefix, mmap=mmap)
    stream = ckpt.stream(max_bytes=1, drop_cache=True)
    name, array = next(stream)
    streamed = {name: array}
    ckpt.close()
    for path in prefix.parent.iterdir():
        path.unlink()
    streamed.update(stream)
    assert list(streamed) == ORDER
    for name, array in streamed.items():
        assert_same_bits(array, TENSORS[name], name)


# Progress.


@pytest.mark.parametrize("max_bytes", [1, 1 << 30])
def test_progress_is_of_the_whole(prefix, max_bytes):
    seen = []
    with tb.open(prefix) as ckpt:
        list(ckpt.stream(max_bytes=max_bytes, progress=lambda *report: seen.append(report)))
        (total,) = {total for _, total, _ in seen}
        assert total == sum(size for _, size in ckpt._opened().in_file_order(None))
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1][0] == total
    assert {name for _, _, name in seen} <= set(TENSORS)


def test_what_progress_raises_ends_the_stream(prefix):
    error = RuntimeError("enough")

    def stop(*_):
        raise error

    with tb.open(prefix) as ckpt:
        stream = ckpt.stream(progress=stop)
        with pytest.raises(RuntimeError) as caught:
            next(stream)
        assert caught.value is error
        assert list(stream) == []
        assert len(list(ckpt.stream())) == len(TENSORS)


# The page cache.


@pytest.fixture
def cached(tmp_path) -> tuple[Path, Pages]:
    """A checkpoint of 48 MiB on the disk: four tensors in one file, and a page of another in front."""
    if sys.platform != "linux":
        pytest.skip("looks at pages of the page cache")
    rng = np.random.default_rng(0)
    tensors = {"small": np.arange(PAGE, dtype="u1")}
    tensors |= {name: rng.integers(0, 1 << 30, (3 * MIB,), "<i4") for name in "vwxy"}
    prefix = Path(tb.save(tmp_path / "x", tensors))
    pages = Pages(prefix.with_name("x.data-00000-of-00001"))
    pages.drop()
    return prefix, pages


@MODES
def test_stream_drops_what_it_has_read(cached, mmap):
    prefix, pages = cached
    with tb.open(prefix, mmap=mmap) as ckpt:
        for name, array in ckpt.stream(max_bytes=MIB, drop_cache=True):
            assert array.any()
            entry = ckpt.entry(name)
            assert pages.resident(0, entry.offset + entry.nbytes) <= FOLIO
        assert pages.resident() <= PAGE
        for _, array in ckpt.stream(max_bytes=MIB):
            assert array.any()
        assert pages.resident() >= pages.size - PAGE


@MODES
def test_chunks_drop_what_they_were_read_from(cached, mmap):
    prefix, pages = cached
    with tb.open(prefix, mmap=False) as ckpt:
        whole = ckpt["w"]
        begin = ckpt.entry("w").offset
        end = begin + whole.nbytes
    pages.drop()
    kept = []
    with tb.open(prefix, mmap=mmap) as ckpt:
        for index, array in ckpt.chunks("w", 3 * MIB, drop_cache=True):
            assert_same_bits(array, whole[index])
            kept.append((index, array))
            assert pages.resident(begin, begin + 4 * index[0].start) <= FOLIO
        assert len(kept) == 4
        assert pages.resident(begin, end) <= FOLIO
        # Views come back.
        for index, array in kept:
            assert_same_bits(array, whole[index])


@MODES
def test_chunks_drop_the_last_when_they_are_closed(cached, mmap):
    prefix, pages = cached
    with tb.open(prefix, mmap=mmap) as ckpt:
        begin = ckpt.entry("v").offset
        chunks = ckpt.chunks("v", 4 * MIB, drop_cache=True)
        next(chunks)
        assert pages.resident(begin, begin + 4 * MIB) == 4 * MIB
        chunks.close()
        assert pages.resident(begin, begin + 4 * MIB) <= FOLIO


def test_a_file_that_took_the_name_keeps_its_pages(cached):
    prefix, pages = cached
    with tb.open(prefix, mmap=True) as ckpt:
        stream = ckpt.stream(max_bytes=1, drop_cache=True)
        next(stream)
        other = prefix.with_name("other")
        other.write_bytes(pages.path.read_bytes())
        other.replace(pages.path)
        resident = pages.resident()
        assert resident >= pages.size - PAGE
        for _ in stream:
            pass
        assert pages.resident() == resident
