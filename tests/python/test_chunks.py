"""One tensor chunk by chunk: what the chunks are, that they are the tensor, and that damage is said."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import dtypes, golden, strategies, v1_writer, values
from support.bundle_writer import Mutations, Typed, write_bundle
from support.corpus import checkpoints as corpus_checkpoints
from support.hashing import assert_same_bits
from support.sparse import write_sparse
from support.v1_writer import Row

import tensorbundle as tb

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
GIB = 1 << 30
KERNEL = np.arange(24, dtype="<f4").reshape(4, 3, 2)
WORDS = np.array([[b"a", b"bc", b""], [b"\xff\0", b"d" * 300, b"e"]], object)


def sizes(nbytes: int) -> list[int]:
    """Bounds around what matters for a tensor of so many bytes."""
    return sorted({1, 3, 8, max(1, nbytes // 3), max(1, nbytes - 1), max(1, nbytes), 1 << 40})


def assert_are_the_tensor(ckpt: tb.Checkpoint, name: str, max_bytes: int, **options: object) -> int:
    """Compares the chunks with the whole, and their places with what is promised; returns their number."""
    entry = ckpt.entry(name)
    whole = ckpt.read(name, verify=False)
    positions = np.arange(whole.size).reshape(whole.shape)
    out = np.empty_like(whole)
    seen = count = 0
    for index, array in ckpt.chunks(name, max_bytes, **options):
        assert len(index) == whole.ndim
        assert all(part.step == 1 and 0 <= part.start <= part.stop for part in index)
        assert_same_bits(array, whole[(*index, ...)], (name, index))
        # The next elements, and no others between them.
        assert np.array_equal(positions[(*index, ...)].ravel(), np.arange(seen, seen + array.size))
        assert array.size <= 1 or entry.tf_dtype in ("string", "variant") or array.nbytes <= max_bytes
        assert array.flags.c_contiguous
        assert array.flags.aligned
        out[(*index, ...)] = array  # NumPy would put a scalar array of objects into another as an object.
        seen += array.size
        count += 1
    assert_same_bits(out, whole, name)
    assert seen == whole.size
    return count


@pytest.fixture
def prefix(tmp_path):
    tensors = {"kernel": KERNEL, "step": np.array(7, "<i8"), "none": np.zeros((0, 5), "<f4"), "words": WORDS}
    return write_bundle(tmp_path / "x", tensors, alignment=64).prefix


# What they are.


@pytest.mark.parametrize(
    ("max_bytes", "indices"),
    [
        (96, [np.s_[0:4, 0:3, 0:2]]),
        (95, [np.s_[0:3, 0:3, 0:2], np.s_[3:4, 0:3, 0:2]]),
        (24, [np.s_[i : i + 1, 0:3, 0:2] for i in range(4)]),
        (23, [np.s_[i : i + 1, a:b, 0:2] for i in range(4) for a, b in ((0, 2), (2, 3))]),
        (7, [np.s_[i : i + 1, j : j + 1, k : k + 1] for i in range(4) for j in range(3) for k in range(2)]),
        (1, [np.s_[i : i + 1, j : j + 1, k : k + 1] for i in range(4) for j in range(3) for k in range(2)]),
    ],
)
def test_are_the_largest_boxes_that_fit(prefix, max_bytes, indices):
    with tb.open(prefix) as ckpt:
        found = [index for index, _ in ckpt.chunks("kernel", max_bytes)]
    assert [[(s.start, s.stop) for s in index] for index in found] == [
        [(s.start, s.stop) for s in index] for index in indices
    ]


def test_of_a_scalar_is_one_with_no_index(prefix):
    with tb.open(prefix) as ckpt:
        ((index, array),) = ckpt.chunks("step")
    assert index == ()
    assert_same_bits(array, np.array(7, "<i8"))


def test_of_no_elements_is_one(prefix):
    with tb.open(prefix) as ckpt:
        ((index, array),) = ckpt.chunks("none", 1)
    assert index == (slice(0, 0, 1), slice(0, 5, 1))
    assert_same_bits(array, np.zeros((0, 5), "<f4"))


def test_of_strings_count_what_they_take_on_average(prefix):
    with tb.open(prefix) as ckpt:
        assert [index[0].stop for index, _ in ckpt.chunks("words", 1 << 10)] == [2]
        assert assert_are_the_tensor(ckpt, "words", 3 * (48 + ckpt.entry("words").nbytes // 6 + 1)) == 2
        assert assert_are_the_tensor(ckpt, "words", 1) == 6


def test_are_views_where_the_tensor_can_be_viewed(prefix):
    with tb.open(prefix, mmap=True) as ckpt:
        whole = ckpt["kernel"]
        for index, array in ckpt.chunks("kernel", 30):
            assert np.shares_memory(array, whole)
            assert array.ctypes.data == whole[index].ctypes.data
            assert not array.flags.writeable
    with tb.open(prefix, mmap=False) as ckpt:
        for _, array in ckpt.chunks("kernel", 30):
            assert array.flags.writeable
            assert array.flags.owndata


def test_of_misaligned_tensors_are_aligned_copies(tmp_path):
    prefix = write_bundle(tmp_path / "x", {"a": np.zeros(1, "u1"), "w": KERNEL}).prefix
    with tb.open(prefix, mmap=True) as ckpt:
        assert not ckpt.entry("w").aligned
        assert all(array.flags.writeable for _, array in ckpt.chunks("w", 30))
        assert_are_the_tensor(ckpt, "w", 30)


def test_defaults_to_64_mebibytes(tmp_path):
    prefix = write_sparse(tmp_path / "x", {"w": (33, 1 << 20)}).prefix
    with tb.open(prefix) as ckpt:
        assert [array.shape for _, array in ckpt.chunks("w")] == [(16, 1 << 20), (16, 1 << 20), (1, 1 << 20)]


# That they are the tensor.


@MODES
@pytest.mark.parametrize("dtype", [name for name in dtypes.BY_NAME if name != "variant"])  # The golden files have some.
def test_every_dtype(tmp_path, dtype, mmap):
    tensors = {f"{shape}": Typed(values.filled(dtype, shape, 1), dtype) for shape in [(), (0, 3), (7,), (3, 2, 5)]}
    prefix = write_bundle(tmp_path / "x", tensors, alignment=1).prefix
    aligned = write_bundle(tmp_path / "y", tensors, alignment=64).prefix
    for path in (prefix, aligned):
        with tb.open(path, mmap=mmap) as ckpt:
            for entry in ckpt.entries():
                for max_bytes in sizes(entry.nbytes):
                    assert_are_the_tensor(ckpt, entry.name, max_bytes)
                    assert_are_the_tensor(ckpt, entry.name, max_bytes, verify=False, drop_cache=True)


@MODES
@pytest.mark.parametrize("checkpoint", [*golden.checkpoints(), *golden.checkpoints("V1")], ids=lambda each: each.id)
def test_golden(checkpoint, mmap):
    with tb.open(checkpoint.prefix, mmap=mmap) as ckpt:
        for entry in ckpt.entries():
            for max_bytes in sizes(min(entry.nbytes, 1000)):
                assert_are_the_tensor(ckpt, entry.name, max_bytes)


@pytest.mark.parametrize("checkpoint", [*corpus_checkpoints(), *corpus_checkpoints("V1")], ids=lambda each: each.id)
def test_corpus(checkpoint):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tb.errors.DamageWarning)
        ckpt = tb.open(checkpoint.prefix)
    with ckpt:
        for name, expected in checkpoint.tensors.items():
            if expected.error is not None or name not in ckpt:
                continue
            assert_are_the_tensor(ckpt, name, 100_000)
            assert assert_are_the_tensor(ckpt, name, 1 << 40, verify=False) == 1


@given(data=st.data())
def test_any_shape_pieces_and_bound(tmp_path_factory, data):
    shape = data.draw(strategies.shapes)
    dtype = data.draw(st.sampled_from(["float32", "bfloat16", "bool", "int4", "complex128", "string"]))
    array = values.filled(dtype, shape, 3)
    slices = {}
    if 0 not in shape and shape and data.draw(st.booleans()):
        slices = {"w": data.draw(strategies.pieces_of(shape))}
    endianness = data.draw(st.sampled_from(["little", "big"]))
    folder = tmp_path_factory.mktemp("x")
    prefix = write_bundle(folder / "x", {"w": Typed(array, dtype)}, slices=slices, endianness=endianness).prefix
    with tb.open(prefix, mmap=data.draw(st.booleans())) as ckpt:
        assert_same_bits(ckpt["w"], array)
        assert_are_the_tensor(ckpt, "w", data.draw(st.integers(1, 200)), verify=data.draw(st.booleans()))


@MODES
def test_of_the_v1_format(tmp_path, mmap):
    large = np.arange(300_000, dtype="<f4").reshape(3, 100_000)
    rows = [
        Row(b"large", large),
        Row(b"parts", large, piece="0,1:-"),
        Row(b"ints", np.arange(70_000, dtype="<i4")),
        Row(b"words", WORDS),
        Row(b"none", np.zeros((0, 3), "<f4")),
        Row(b"step", np.array(5, "<i8")),
    ]
    first = v1_writer.write(tmp_path / "v1-00000-of-00002", rows)
    v1_writer.write(tmp_path / "v1-00001-of-00002", [Row(b"parts", large, piece="1,2:-")])
    with tb.open(first, mmap=mmap) as ckpt:
        for name in ("large", "parts", "ints", "words", "none", "step"):
            for max_bytes in (50_000, 1 << 20, 1 << 30):
                assert_are_the_tensor(ckpt, name, max_bytes)
                assert_are_the_tensor(ckpt, name, max_bytes, verify=False)
        assert all(array.flags.writeable for _, array in ckpt.chunks("ints", 1000))


# Damage.


def damage_of(ckpt: tb.Checkpoint, name: str) -> str:
    with pytest.raises(tb.errors.DataLossError) as caught:
        ckpt.read(name, copy=True)
    return str(caught.value)


def flip(path, position: int) -> None:
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 0x40]))


@MODES
@pytest.mark.parametrize("element", [0, 11, 23])
def test_damage_comes_in_place_of_the_last(tmp_path, mmap, element):
    bundle = write_bundle(tmp_path / "x", {"before": np.zeros(16, "<f4"), "w": KERNEL})
    flip(bundle.data_path(), 64 + 4 * element)
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        message = damage_of(ckpt, "w")
        assert message.endswith(f"computed 0x{ckpt.verify(['w']).damaged[0].found:08x}")
        seen = []
        with pytest.raises(tb.errors.DataLossError) as caught:
            seen.extend(array for _, array in ckpt.chunks("w", 24))
        assert str(caught.value) == message
        assert (caught.value.tensor, caught.value.offset) == ("w", 64)
        assert caught.value.path == str(bundle.data_path())
        assert len(seen) == 3
        with pytest.raises(tb.errors.DataLossError):
            next(ckpt.chunks("w"))
        assert assert_are_the_tensor(ckpt, "w", 24, verify=False) == 4
        assert_are_the_tensor(ckpt, "before", 24)
    with tb.open(bundle.prefix, mmap=mmap, verify=False) as ckpt:
        assert len(list(ckpt.chunks("w", 24))) == 4
        with pytest.raises(tb.errors.DataLossError):
            list(ckpt.chunks("w", 24, verify=True))


@pytest.mark.parametrize("dtype", ["bool", "int4", "bfloat16", "float64"])
@pytest.mark.parametrize("endianness", ["little", "big"])
def test_damage_of_what_is_converted(tmp_path, dtype, endianness):
    array = values.filled(dtype, (4, 3))
    bundle = write_bundle(tmp_path / "x", {"w": Typed(array, dtype)}, endianness=endianness)
    flip(bundle.data_path(), 2 * array.itemsize)
    with tb.open(bundle.prefix) as ckpt:
        message = damage_of(ckpt, "w")
        chunks = ckpt.chunks("w", 3 * array.itemsize)
        assert len([next(chunks) for _ in range(3)]) == 3
        with pytest.raises(tb.errors.DataLossError) as caught:
            next(chunks)
        assert str(caught.value) == message


def test_damage_of_rows_in_pieces_comes_with_the_last_of_the_piece(tmp_path):
    bundle = write_bundle(tmp_path / "x", {"w": KERNEL}, slices={"w": ["2,2:-:-", "0,2:-:-"]}, shards=2)
    flip(bundle.data_path(0) if os.path.getsize(bundle.data_path(0)) else bundle.data_path(1), 0)
    with tb.open(bundle.prefix) as ckpt:
        message = damage_of(ckpt, "w")
        seen = []
        with pytest.raises(tb.errors.DataLossError) as caught:
            seen.extend(array for _, array in ckpt.chunks("w", 24))
        assert str(caught.value) == message
        assert len(seen) in (1, 3)


def test_damage_of_other_pieces_comes_first(tmp_path):
    bundle = write_bundle(tmp_path / "x", {"w": KERNEL}, slices={"w": ["-:0,2:-", "-:2,1:-"]})
    flip(bundle.data_path(), 0)
    with tb.open(bundle.prefix) as ckpt:
        message = damage_of(ckpt, "w")
        with pytest.raises(tb.errors.DataLossError) as caught:
            next(ckpt.chunks("w", 24))
        assert str(caught.value) == message


def test_damage_of_strings_comes_first(prefix):
    with tb.open(prefix) as ckpt:
        place = ckpt.entry("words")
    flip(f"{prefix}.data-00000-of-00001", place.offset + place.nbytes - 1)
    with tb.open(prefix) as ckpt:
        message = damage_of(ckpt, "words")
        with pytest.raises(tb.errors.DataLossError) as caught:
            next(ckpt.chunks("words", 1))
        assert str(caught.value) == message


@MODES
def test_damage_of_the_v1_format_comes_first(tmp_path, mmap):
    path = v1_writer.write(tmp_path / "v1", [Row(b"a", np.ones(300_000, "<f4")), Row(b"b", np.arange(70_000))])
    flip(path, 600_000)
    flip(path, os.path.getsize(path) - 100_000)
    with tb.open(path, mmap=mmap) as ckpt:
        for name in ("a", "b"):
            message = damage_of(ckpt, name)
            with pytest.raises(tb.errors.DataLossError) as caught:
                next(ckpt.chunks(name, 1000))
            assert str(caught.value) == message


def test_damage_of_no_elements(tmp_path):
    change = Mutations(entries={"w": {"crc": 5}})
    prefix = write_bundle(tmp_path / "x", {"w": np.zeros((0, 2), "<f4")}, mutate=change).prefix
    with tb.open(prefix) as ckpt:
        message = damage_of(ckpt, "w")
        with pytest.raises(tb.errors.DataLossError) as caught:
            next(ckpt.chunks("w"))
        assert str(caught.value) == message


@MODES
def test_file_that_is_cut_meanwhile_is_an_error(tmp_path, mmap):
    bundle = write_sparse(tmp_path / "x", {"w": (16, 1 << 20)})
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        chunks = ckpt.chunks("w", 4 << 20)
        assert next(chunks)[1].shape == (1, 1 << 20)
        os.truncate(bundle.data_path(), 6 << 20)
        with pytest.raises(tb.errors.DataLossError, match="truncated while"):
            list(chunks)


# Arguments, life, signals.


@pytest.mark.parametrize("max_bytes", [0, -1])
def test_a_bound_below_one_is_refused(prefix, max_bytes):
    with tb.open(prefix) as ckpt, pytest.raises(ValueError, match=rf"^max_bytes must be at least 1, not {max_bytes}$"):
        ckpt.chunks("kernel", max_bytes)


@pytest.mark.parametrize("max_bytes", ["1", 1.5, None, True])
def test_a_bound_that_is_no_integer_is_refused(prefix, max_bytes):
    with tb.open(prefix) as ckpt, pytest.raises(TypeError, match=r"^max_bytes must be an integer, not "):
        ckpt.chunks("kernel", max_bytes)


def test_any_integer_is_a_bound(prefix):
    with tb.open(prefix) as ckpt:
        assert len(list(ckpt.chunks("kernel", np.int64(24)))) == 4
        assert len(list(ckpt.chunks("kernel", 1 << 200))) == 1


def test_wrong_calls_are_said_at_once(prefix):
    ckpt = tb.open(prefix)
    with pytest.raises(tb.errors.NotFoundError, match="kernel"):
        ckpt.chunks("kernal")
    ckpt.close()
    with pytest.raises(ValueError, match="is closed"):
        ckpt.chunks("kernel")


def test_a_missing_file_is_said_at_once(tmp_path):
    bundle = write_bundle(tmp_path / "x", {"a": KERNEL, "b": KERNEL}, shards=2)
    bundle.data_path(1).unlink()
    with pytest.warns(tb.errors.DamageWarning):
        ckpt = tb.open(bundle.prefix)
    (gone,) = ckpt.problems()
    with pytest.raises(FileNotFoundError):
        ckpt.chunks(gone)


@MODES
def test_go_on_after_the_checkpoint_is_closed_and_deleted(prefix, mmap):
    ckpt = tb.open(prefix, mmap=mmap)
    chunks = ckpt.chunks("kernel", 24)
    out = np.empty_like(KERNEL)
    index, array = next(chunks)
    out[index] = array
    ckpt.close()
    for path in prefix.parent.iterdir():
        path.unlink()
    for index, array in chunks:
        out[index] = array
    assert_same_bits(out, KERNEL)


def test_arrays_are_not_kept(prefix):
    with tb.open(prefix, mmap=False) as ckpt:
        chunks = ckpt.chunks("kernel", 24)
        _, array = next(chunks)
        array = weakref.ref(array)
        gc.collect()
        assert array() is None


def test_closing_early_lets_go_of_the_file(prefix):
    with tb.open(prefix, mmap=False) as ckpt:
        chunks = ckpt.chunks("kernel", 24)
        next(chunks)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    chunks.close()
    del ckpt
    gc.collect()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before - 1
    with pytest.raises(StopIteration):
        next(chunks)


def test_interrupt_inside_a_chunk(tmp_path):
    prefix = write_sparse(tmp_path / "x", {"w": (GIB // 2,)}, true=False).prefix
    with tb.open(prefix, mmap=False) as ckpt:
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it is the loop that is interrupted
            timer.start()
            while True:
                next(ckpt.chunks("w", 4 * GIB, verify=False))
        timer.join()
        begin = time.monotonic()
        assert next(ckpt.chunks("w", 4096, verify=False))[1].sum() == 0
        assert time.monotonic() - begin < 1
