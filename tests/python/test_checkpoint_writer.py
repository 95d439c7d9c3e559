"""``CheckpointWriter``: tensor by tensor, slice by slice, chunk by chunk; a whole checkpoint in the end, or none."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import dtypes, slices, stored, values
from support.bundle_writer import build_bundle
from support.hashing import as_array, assert_same_bits
from support.processes import run_python, start_python
from support.slices import indices, parse_slice
from support.tensors import Typed, Variant

import tensorbundle as tb

MIB = 1 << 20
FIXED = pytest.mark.parametrize("dtype", dtypes.FIXED, ids=lambda dtype: dtype.name)


def add_piece(writer: tb.CheckpointWriter, name: str, whole: np.ndarray, piece: str, dtype: str | None = None) -> None:
    cut = indices(parse_slice(piece))
    start = [extent.start or 0 for extent in cut]
    writer.add_slice(name, whole[cut], whole.shape, start, dtype=dtype)


def chunks_of(array: np.ndarray, sizes: Iterator[int]) -> Iterator[np.ndarray]:
    """Its elements, as many at a time as ``sizes`` says."""
    flat = array.reshape(-1)
    at = 0
    while at < flat.size:
        size = next(sizes)
        yield flat[at : at + size]
        at += size


# Tensor by tensor.


def test_tensors_lie_in_the_order_in_which_they_are_added(tmp_path):
    tensors = {"z": np.arange(5.0), "s": as_array([b"a", b""]), "a": np.int8(1), "none": np.zeros((0, 2)), "m": True}
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        assert writer.path == str(tmp_path / "x")
        assert repr(writer) == f"<tensorbundle.CheckpointWriter {str(tmp_path / 'x')!r}>"
        writer.add("z", tensors["z"])
        writer.add_many({name: tensors[name] for name in ("s", "a")})
        writer.add_many([("none", tensors["none"]), ("m", tensors["m"])])
    assert stored.files(tmp_path) == build_bundle(tensors, alignment=64).files("x")


def test_one_by_one_is_the_same_as_at_once(tmp_path):
    tensors = {dtype.name: values.filled(dtype.name, (5, 3)) for dtype in dtypes.FIXED[:6]}
    with tb.CheckpointWriter(tmp_path / "x", alignment=16, durable=False, threads=1) as writer:
        for name, value in tensors.items():
            writer.add(name, value)
    assert stored.files(tmp_path) == build_bundle(tensors, alignment=16).files("x")


def test_empty_batches_are_nothing(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", shards=2) as writer:
        writer.add_many({})
        writer.add("a", 1)
        writer.add_many([])
        writer.add("b", 2)
    assert {key: entry.shard for key, entry in stored.entries(tmp_path / "x").items()} == {b"a": 0, b"b": 1}


def test_single_tensors_go_where_the_fewest_bytes_are(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", shards=3, alignment=1) as writer:
        for number, size in enumerate([50, 10, 30, 5, 5, 5, 20]):
            writer.add(f"w{number}", np.zeros(size, "u1"))
    shards = [stored.entries(tmp_path / "x")[b"w%d" % number].shard for number in range(7)]
    assert shards == [0, 1, 2, 1, 1, 1, 1]
    assert [path.stat().st_size for path in stored.data_files(tmp_path / "x")] == [50, 45, 30]


def test_limit_counts_over_all_calls(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", max_shard_bytes=100, alignment=1) as writer:
        for number in range(5):
            writer.add(f"w{number}", np.zeros(40, "u1"))
        writer.add("cut", np.zeros(150, "u1"))
    assert [path.stat().st_size for path in stored.data_files(tmp_path / "x")] == [80, 80, 40, 100, 50]


@pytest.mark.parametrize("name", ["qint8", "quint8", "qint16", "quint16", "qint32"])
def test_quantized_types(tmp_path, name):
    value = values.filled(name, (4, 3))
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add("w", value, dtype=name)
        writer.add("t", value.T, dtype=name)
        writer.add("b", value.astype(value.dtype.newbyteorder(">")), dtype=name)
    tensors = {"w": Typed(value, name), "t": Typed(value.T, name), "b": Typed(value, name)}
    assert stored.files(tmp_path) == build_bundle(tensors).files("x")
    with tb.open(tmp_path / "x") as ckpt:
        assert {entry.tf_dtype for entry in ckpt.entries()} == {name}
        assert_same_bits(ckpt["w"], value)


def test_variants(tmp_path):
    elements = [b"", b"\x0a\x03int", b"x" * 300, bytes(70_000)]
    array = np.empty((2, 2), object)
    array[...] = np.array(elements, object).reshape(2, 2)
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add("w", array, dtype="variant")
        writer.add("one", b"y", dtype="variant")
        writer.add("none", np.empty((0, 3), object), dtype="variant")
    tensors = {"w": Variant(elements, (2, 2)), "one": Variant([b"y"]), "none": Variant([], (0, 3))}
    assert stored.files(tmp_path) == build_bundle(tensors).files("x")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "string"])
def test_type_that_the_array_has_anyway(tmp_path, dtype):
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add("w", values.interesting(dtype), dtype=dtype)
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.entry("w").tf_dtype == dtype


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ([1, 2], "qint8", "dtype 'qint8' takes an array of int8, this one is of int64$"),
        (np.zeros(2, "u1"), "qint8", "dtype 'qint8' takes an array of int8, this one is of uint8$"),
        (np.zeros(2), "float32", "dtype 'float32' takes an array of float32, this one is of float64$"),
        (np.zeros(2), "string", "dtype 'string' takes an array of object, this one is of float64$"),
        ([b"a"], "float32", "dtype 'float32' takes an array of float32, this one is of object$"),
        (np.zeros(2), "resource", "data type 'resource' not understood$"),
        (np.zeros(2), "float128x", "data type 'float128x' not understood$"),
        (np.zeros(2), "datetime64[s]", r"a checkpoint can't hold elements of dtype datetime64\[s\]$"),
    ],
)
def test_type_that_the_array_does_not_have_is_refused(tmp_path, value, dtype, message):
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        with pytest.raises(TypeError, match=f"^tensor 'w': {message}"):
            writer.add("w", value, dtype=dtype)
        with pytest.raises(TypeError, match=f"^tensor 'w': {message}"):
            writer.add_slice("w", value, [4], [0], dtype=dtype)
        writer.add("w", 1)
    assert list(stored.entries(tmp_path / "x")) == [b"w"]


# What is wrong with one call leaves the writer as it was.


def test_refused_calls_change_nothing(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add("a", np.arange(3))
        with pytest.raises(TypeError, match=r"^tensor 'w': object arrays may hold bytes and str only"):
            writer.add("w", {})
        with pytest.raises(TypeError, match=r"^a tensor's name is a str, not bytes$"):
            writer.add(b"w", 1)
        with pytest.raises(TypeError, match=r"^a tensor's name is a str, not int$"):
            writer.add_slice(1, [1], [2], [0])
        with pytest.raises(TypeError, match=r"^a tensor's name is a str, not int$"):
            writer.add_chunks(1, "int8", [2], [])
        with pytest.raises(ValueError, match=r"^tensor \"a\": there is a tensor of this name already$"):
            writer.add("a", 1)
        with pytest.raises(ValueError, match=r"^tensor \"b\": there is a tensor of this name already$"):
            writer.add_many([("b", 1), ("b", 1)])
        with pytest.raises(ValueError, match=r"^tensor \"a\": there is a tensor of this name already$"):
            writer.add_many([("b", 1), ("a", 1)])
        with pytest.raises(TypeError, match=r"^tensor 'c'"):
            writer.add_many([("b", 1), ("c", None)])
        with pytest.raises(ValueError, match=r"^tensor \"a\": there is a tensor of this name already$"):
            writer.add_chunks("a", "int8", [2], [])
        with pytest.raises(ValueError, match=r"^tensor \"a\": there is a tensor of this name already$"):
            writer.add_slice("a", np.zeros(1), [2], [0])
        with pytest.raises(ValueError, match=r"^tensor \"w\": no tensor can have shape \[-1\]$"):
            writer.add_chunks("w", "int8", [-1], [])
        with pytest.raises(ValueError, match=r"^tensor \"w\": no tensor can have shape \[4611686018427387904, 4\]$"):
            writer.add_chunks("w", "int8", [2**62, 4], [])
        with pytest.raises(TypeError):
            writer.add_chunks("w", "int8", [2.5], [])
        with pytest.raises(TypeError):
            writer.add_chunks("w", "int8", 2, [])
        writer.add("b", np.arange(4))
    assert stored.files(tmp_path) == build_bundle({"a": np.arange(3), "b": np.arange(4)}).files("x")


def test_limit_that_makes_too_many_files_changes_nothing(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", max_shard_bytes=8, alignment=1) as writer:
        writer.add("a", np.zeros(4, "u1"))
        with pytest.raises(ValueError, match=r"make more than 100000 of them$"):
            writer.add_many({f"w{number}": np.zeros(8, "u1") for number in range(100_001)})
        with pytest.raises(ValueError, match=r"make more than 100000 of them$"):
            writer.add("w", np.zeros(800_001, "u1"))
        writer.add("b", np.ones(4, "u1"))
    assert stored.files(tmp_path) == build_bundle({"a": np.zeros(4, "u1"), "b": np.ones(4, "u1")}).files("x")


# Slices.

PIECES = [
    ((10,), ["0,3", "3,7"]),
    ((10,), ["9,1", "0,4", "4,5"]),
    ((4, 3), ["0,2:0,3", "2,2:0,1", "2,2:1,2"]),
    ((3, 2, 2), ["0,3:0,1:0,2", "0,1:1,1:0,2", "1,2:1,1:0,1", "1,2:1,1:1,1"]),
    ((20_000,), ["0,63", "63,1", "64,8127", "8191,1", "8192,11808"]),
    # Four around one: no straight cut takes these apart.
    ((3, 3), ["0,1:0,2", "0,2:2,1", "2,1:1,2", "1,2:0,1", "1,1:1,1"]),
]


@FIXED
@pytest.mark.parametrize(("shape", "pieces"), PIECES, ids=lambda value: str(value)[:20])
def test_slices_are_one_tensor(tmp_path, dtype, shape, pieces):
    whole = values.filled(dtype.name, shape)
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add("before", np.int8(1))
        for piece in pieces:
            add_piece(writer, "w", whole, piece, dtype.name)
        writer.add("after", np.int8(2))
    tensors = {"before": np.int8(1), "w": Typed(whole, dtype.name), "after": np.int8(2)}
    assert stored.files(tmp_path) == build_bundle(tensors, slices={"w": pieces}).files("x")
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.entry("w").tf_dtype == dtype.name
        assert ckpt.verify()
        assert_same_bits(ckpt["w"], whole)


def test_slices_of_strings(tmp_path):
    whole = as_array([b"a", b"", b"x" * 1000, b"\0", b"e"])
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        for piece in ("3,2", "0,3"):
            add_piece(writer, "w", whole, piece)
    assert stored.files(tmp_path) == build_bundle({"w": whole}, slices={"w": ["3,2", "0,3"]}).files("x")


def test_slices_of_several_tensors_in_turn_over_shards(tmp_path):
    v, w = np.arange(12.0).reshape(6, 2), np.arange(100, 112).reshape(6, 2)
    with tb.CheckpointWriter(tmp_path / "x", shards=3) as writer:
        for row in range(6):
            writer.add_slice("v", v[row : row + 1], (6, 2), (row, 0))
            writer.add_slice("w", w[5 - row : 6 - row], np.array([6, 2]), np.array([5 - row, 0]))
    assert {entry.shard for entry in stored.pieces(tmp_path / "x").values()} == {0, 1, 2}
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.verify()
        assert_same_bits(ckpt["v"], v)
        assert_same_bits(ckpt["w"], w)
        assert len(ckpt.entry("w").slices) == 6


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 2)])
def test_slice_that_is_the_whole_is_no_slice(tmp_path, shape):
    whole = values.filled("float32", shape)
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add_slice("w", whole, shape, (0,) * len(shape))
        with pytest.raises(ValueError, match=r"^tensor \"w\": there is a tensor of this name already$"):
            writer.add_slice("w", whole, shape, (0,) * len(shape))
    assert stored.files(tmp_path) == build_bundle({"w": whole}).files("x")


@pytest.mark.parametrize(
    ("piece", "full_shape", "start", "message"),
    [
        (np.zeros(3), (4,), (2,), "region"),
        (np.zeros(3), (4,), (-1,), "region"),
        (np.zeros(3), (4, 1), (0,), "region"),
        (np.zeros((3, 1)), (4,), (0,), "region"),
        (np.zeros(1), (4,), (2**63 - 1,), "region"),
        (np.zeros(0), (4,), (0,), "a slice without elements"),
        (np.zeros((2, 0)), (4, 4), (0, 0), "a slice without elements"),
        (np.zeros(2), (8,), (0,), r"its slices disagree on dtype or full shape: float64 \[4\] and float64 \[8\]"),
        (np.zeros(2, "f4"), (4,), (2,), r"its slices disagree on dtype or full shape: float64 \[4\] and float32 \[4\]"),
        (np.zeros(2), (4,), (0,), r"its slices \[0:2\] and \[0:2\] overlap"),
        (np.zeros(2), (4,), (1,), r"its slices \[0:2\] and \[1:3\] overlap"),
        (np.zeros(4), (4,), (0,), "there is a tensor of this name already"),
        (np.zeros(1), (2**62, 4), (0, 0), "no tensor can have shape"),
        (np.zeros(1), (-4,), (0,), "no tensor can have shape"),
    ],
)
def test_refused_slices_change_nothing(tmp_path, piece, full_shape, start, message):
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add_slice("w", np.ones(2), (4,), (0,))
        with pytest.raises(ValueError, match=rf"^tensor \"w\": .*{message}"):
            writer.add_slice("w", piece, full_shape, start)
        writer.add_slice("w", np.ones(2), (4,), (2,))
    assert stored.files(tmp_path) == build_bundle({"w": np.ones(4)}, slices={"w": ["0,2", "2,2"]}).files("x")


def test_name_of_slices_is_taken(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add_slice("w", np.ones(2), (4,), (0,))
        for add in (
            lambda: writer.add("w", 1),
            lambda: writer.add_many({"v": 1, "w": 1}),
            lambda: writer.add_chunks("w", "int8", (1,), [np.int8(1)]),
        ):
            with pytest.raises(ValueError, match=r"^tensor \"w\": there is a tensor of this name already$"):
                add()
        writer.add_slice("w", np.ones(2), (4,), (2,))
    assert [key for key in stored.entries(tmp_path / "x") if key[:1] != b"\0"] == [b"w"]


def test_missing_slices_are_named_and_can_still_be_added(tmp_path):
    writer = tb.CheckpointWriter(tmp_path / "x")
    writer.add_slice("w", np.ones((2, 1)), (4, 2), (1, 1))
    message = r"^tensor \"w\": its slices are not all there: 6 of 8 elements are in no piece, first \[0:1, 0:2\]$"
    with pytest.raises(ValueError, match=message):
        writer.finish()
    writer.add_slice("w", np.ones((2, 1)), (4, 2), (1, 0))
    writer.add_slice("w", np.ones((1, 2)), (4, 2), (0, 0))
    writer.add_slice("w", np.ones((1, 2)), (4, 2), (3, 0))
    writer.finish()
    stored.assert_only_checkpoint(tmp_path / "x")
    with tb.open(tmp_path / "x") as ckpt:
        assert_same_bits(ckpt["w"], np.ones((4, 2)))


def test_missing_slices_at_the_end_of_a_block_leave_nothing(tmp_path):
    with (
        pytest.raises(ValueError, match="its slices are not all there") as raised,
        tb.CheckpointWriter(tmp_path / "x") as writer,
    ):
        writer.add_slice("w", np.ones(2), (4,), (0,))
    # Even while the error, and with it the writer, is still there.
    assert raised.value is not None
    assert stored.files(tmp_path) == {}
    with pytest.raises(ValueError, match=r"the checkpoint was abandoned$"):
        writer.finish()


def test_partial_checkpoint_holds_the_slices_that_there_are(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", partial=True, alignment=1) as writer:
        writer.add_slice("w", np.arange(3), (10,), (4,))
        with pytest.raises(ValueError, match=r"its slices \[4:7\] and \[6:8\] overlap$"):
            writer.add_slice("w", np.arange(2), (10,), (6,))
    entries = stored.entries(tmp_path / "x")
    assert entries[b"w"].slices == [((4, 3),)]
    assert stored.stored_bytes(tmp_path / "x", slices.slice_key(b"w", parse_slice("4,3"))) == np.arange(3).tobytes()
    with pytest.warns(tb.errors.DamageWarning, match="7 of 10 elements are in no piece"):
        ckpt = tb.open(tmp_path / "x")
    with pytest.raises(tb.errors.DataLossError, match="7 of 10 elements are in no piece"):
        ckpt.read("w")


def test_large_slices_are_not_cut_again(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", max_shard_bytes=10, alignment=1) as writer:
        writer.add_slice("w", np.zeros(20, "u1"), (25,), (0,))
        writer.add_slice("w", np.zeros(5, "u1"), (25,), (20,))
        writer.add("v", np.zeros(5, "u1"))
    assert stored.entries(tmp_path / "x")[b"w"].slices == [((0, 20),), ((20, 5),)]
    assert [path.stat().st_size for path in stored.data_files(tmp_path / "x")] == [20, 10]


# Chunks.


@FIXED
@pytest.mark.parametrize("sizes", [[1], [7], [1, 2, 3, 50], [1000], [0, 5, 0]], ids=str)
def test_chunks_are_one_tensor(tmp_path, dtype, sizes):
    whole = values.filled(dtype.name, (9, 5, 3))
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add_chunks("w", dtype.name, whole.shape, chunks_of(whole, itertools.cycle(sizes)))
        writer.add("after", np.int8(1))
    tensors = {"w": Typed(whole, dtype.name), "after": np.int8(1)}
    assert stored.files(tmp_path) == build_bundle(tensors, alignment=64).files("x")


@pytest.mark.parametrize(
    "chunks",
    [
        lambda whole: [whole],
        lambda whole: [whole.T.copy().T],
        list,
        lambda whole: [row[::-1][::-1] for row in whole],
        lambda whole: [whole.astype(">f4")],
        lambda whole: [np.broadcast_to(whole, whole.shape)],
        lambda whole: [memoryview(whole), np.empty((3, 0), "f4")],
        lambda whole: (np.float32(number) for number in whole.flat),
        lambda whole: [whole[:100], whole[100:101].T, whole[101:]],
    ],
)
@pytest.mark.parametrize("dtype", ["float32", np.float32, "<f4", ">f4", np.dtype(">f4")], ids=repr)
def test_chunks_of_any_layout_and_shape(tmp_path, chunks, dtype):
    whole = np.arange(300 * 1001, dtype="f4").reshape(300, 1001)[:, :3].copy()
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add_chunks("w", dtype, (900,), chunks(whole))
    assert stored.files(tmp_path) == build_bundle({"w": whole.reshape(900)}).files("x")


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), (2**40, 0)])
@pytest.mark.parametrize("chunks", [[], [np.empty(0, "i2")], [np.empty((2, 0), "i2")] * 3])
def test_chunks_without_elements(tmp_path, shape, chunks):
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add_chunks("w", "int16", shape, iter(chunks))
    entry = stored.entries(tmp_path / "x")[b"w"]
    assert (entry.shape, entry.size) == (shape, 0)


@pytest.mark.parametrize("dtype", [str, bytes, object, "string", "S5", "U5"])
def test_chunks_of_strings_are_collected(tmp_path, dtype):
    chunks = ["a", [b"b\0", "gr\u00fc\u00df"], np.empty((2, 0), object), np.array([[b"", b"x" * 300, b"f"]], object)]
    expected = as_array([b"a", b"b\0", "gr\u00fc\u00df".encode(), b"", b"x" * 300, b"f"]).reshape(3, 2)
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add_chunks("w", dtype, (3, 2), chunks)
        writer.add_chunks("none", dtype, (0, 2), [])
    tensors = {"w": expected, "none": np.empty((0, 2), object)}
    assert stored.files(tmp_path) == build_bundle(tensors).files("x")


def test_chunks_of_variants(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", alignment=1) as writer:
        writer.add_chunks("w", "variant", (2,), [[b"a"], [b"b"]])
    assert stored.files(tmp_path) == build_bundle({"w": Variant([b"a", b"b"], (2,))}).files("x")


@pytest.mark.parametrize(
    ("chunks", "shape", "message"),
    [
        (["a"], (2,), r"^tensor 'w': the chunks are not 2 strings$"),
        (["a", "b", "c"], (2,), r"^tensor 'w': the chunks are not 2 strings$"),
        ([1], (1,), r"^tensor 'w': the chunks are not 1 strings$"),
        ([], (1,), r"^tensor 'w': the chunks are not 1 strings$"),
        (["a"], (-1,), r"^tensor 'w': the chunks are not -1 strings$"),
    ],
)
def test_strings_that_do_not_fit_change_nothing(tmp_path, chunks, shape, message):
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        with pytest.raises(ValueError, match=message):
            writer.add_chunks("w", str, shape, chunks)
        writer.add("w", "whole")
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt["w"] == b"whole"


@FIXED
def test_chunked_tensor_larger_than_the_limit_is_cut_as_a_whole_one_is(tmp_path, dtype):
    whole = values.filled(dtype.name, (10, 7))
    options: dict[str, Any] = {"max_shard_bytes": 7 * 3 * dtype.size, "alignment": 1}
    (tmp_path / "chunked").mkdir()
    (tmp_path / "whole").mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with tb.CheckpointWriter(tmp_path / "chunked" / "x", **options) as writer:
            writer.add_chunks("w", dtype.name, whole.shape, chunks_of(whole, itertools.cycle([5, 40])))
        with tb.CheckpointWriter(tmp_path / "whole" / "x", **options) as writer:
            writer.add("w", whole, dtype=dtype.name)
    assert len(caught) == (0 if dtype.assembles else 2)
    assert {warning.filename for warning in caught} <= {__file__}
    assert len(stored.entries(tmp_path / "whole" / "x")[b"w"].slices) == (4 if dtype.assembles else 0)
    assert stored.files(tmp_path / "chunked") == stored.files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("chunks", "error", "message"),
    [
        ([np.zeros(3), np.zeros(2)], ValueError, "the chunks have 5 elements fewer than its shape$"),
        ([], ValueError, "the chunks have 10 elements fewer than its shape$"),
        ([np.zeros(8), np.zeros(3)], ValueError, "the chunks have more elements than its shape$"),
        ([np.zeros(11)], ValueError, "the chunks have more elements than its shape$"),
        ([np.zeros(10), np.zeros(1)], ValueError, "the chunks have more elements than its shape$"),
        ([np.zeros(3), np.zeros(3, "f4")], TypeError, "chunks must be of float64, this one is of float32$"),
        ([[1, 2]], TypeError, "chunks must be of float64, this one is of int64$"),
        ([np.zeros(3), None], TypeError, "object arrays may hold bytes and str only, this one has NoneType$"),
        (["a"], TypeError, "chunks must be of float64, this one is of object$"),
    ],
)
def test_chunks_that_do_not_fit_end_the_writer(tmp_path, chunks, error, message):
    tb.save(tmp_path / "x", {"old": 1})
    before = stored.files(tmp_path)
    writer = tb.CheckpointWriter(tmp_path / "x")
    writer.add("a", 1)
    with pytest.raises(error, match=f"^tensor 'w': {message}"):
        writer.add_chunks("w", float, (2, 5), chunks)
    assert stored.files(tmp_path) == before
    for call in (lambda: writer.add("b", 1), writer.finish):
        with pytest.raises(ValueError, match=r"the checkpoint was abandoned$"):
            call()
    assert stored.files(tmp_path) == before


def test_caught_chunks_that_do_not_fit_are_an_error_at_the_end_of_the_block(tmp_path):
    def carry_on() -> None:
        with tb.CheckpointWriter(tmp_path / "x") as writer:
            writer.add("a", 1)
            with contextlib.suppress(ValueError):
                writer.add_chunks("w", "f4", (1,), [np.zeros(2, "f4")])

    with pytest.raises(ValueError, match=r"the checkpoint was abandoned$"):
        carry_on()
    assert stored.files(tmp_path) == {}


class StopError(Exception):
    pass


def broken_chunks() -> Iterator[np.ndarray]:
    yield np.zeros(5)
    raise StopError


def test_exception_of_the_chunks_leaves_nothing(tmp_path):
    with pytest.raises(StopError) as raised, tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add_chunks("w", float, (10,), broken_chunks())
    assert raised.value is not None
    assert stored.files(tmp_path) == {}


def test_warning_that_is_an_error_ends_the_chunks(tmp_path):
    with pytest.raises(UserWarning, match="stays whole"), tb.CheckpointWriter(tmp_path / "x", max_shard_bytes=1) as w:
        w.add_chunks("w", "f2", (3,), [np.zeros(3, "f2")])
    assert stored.files(tmp_path) == {}


# The end.


def test_nothing_is_seen_before_the_end(tmp_path):
    tb.save(tmp_path / "x", {"old": np.arange(3)})
    before = stored.files(tmp_path)
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add("new", np.arange(4))
        writer.add_slice("w", np.ones(2), (4,), (0,))
        assert before.items() <= stored.files(tmp_path).items()
        with tb.open(tmp_path / "x") as ckpt:
            assert list(ckpt) == ["old"]
        writer.add_slice("w", np.ones(2), (4,), (2,))
    with tb.open(tmp_path / "x") as ckpt:
        assert list(ckpt) == ["new", "w"]
    stored.assert_only_checkpoint(tmp_path / "x")


@pytest.mark.parametrize("raised", [StopError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_exception_in_the_block_leaves_the_old_checkpoint(tmp_path, raised):
    tb.save(tmp_path / "x", {"old": np.arange(3)})
    before = stored.files(tmp_path)

    def interrupted() -> None:
        with tb.CheckpointWriter(tmp_path / "x", shards=3) as writer:
            writer.add_many({f"w{number}": np.zeros(100) for number in range(10)})
            raise raised

    with pytest.raises(raised) as caught:
        interrupted()
    assert caught.value is not None
    assert stored.files(tmp_path) == before


def test_block_may_finish_by_itself(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add("w", 1)
        writer.finish()
        with tb.open(tmp_path / "x") as ckpt:
            assert ckpt["w"] == 1
    stored.assert_only_checkpoint(tmp_path / "x")


def test_block_may_abandon_by_itself(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add("w", 1)
        writer.abandon()
        assert stored.files(tmp_path) == {}
    assert stored.files(tmp_path) == {}


def test_exception_after_the_end_leaves_the_checkpoint(tmp_path):
    def interrupted() -> None:
        with tb.CheckpointWriter(tmp_path / "x") as writer:
            writer.add("w", 1)
            writer.finish()
            raise StopError

    with pytest.raises(StopError):
        interrupted()
    stored.assert_only_checkpoint(tmp_path / "x")


def test_abandoned_writer_leaves_nothing_and_refuses_everything(tmp_path):
    writer = tb.CheckpointWriter(tmp_path / "x", shards=2)
    writer.add_many({"a": 1, "b": 2})
    writer.abandon()
    writer.abandon()
    assert stored.files(tmp_path) == {}
    calls = [
        lambda: writer.add("c", 1),
        lambda: writer.add_many({"c": 1}),
        lambda: writer.add_slice("c", [1], [1], [0]),
        lambda: writer.add_chunks("c", "int8", [1], [np.int8(1)]),
        writer.finish,
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"/x: the checkpoint was abandoned$"):
            call()
    assert stored.files(tmp_path) == {}


def test_finished_writer_refuses_everything(tmp_path):
    writer = tb.CheckpointWriter(tmp_path / "x")
    writer.add("a", 1)
    writer.finish()
    before = stored.files(tmp_path)
    calls = [
        lambda: writer.add("c", 1),
        lambda: writer.add_many({"c": 1}),
        lambda: writer.add_slice("c", [1], [1], [0]),
        lambda: writer.add_chunks("c", "int8", [1], [np.int8(1)]),
        writer.finish,
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"/x: the checkpoint was finished already$"):
            call()
    writer.abandon()
    assert stored.files(tmp_path) == before
    assert writer.path == str(tmp_path / "x")


def test_nothing_added_is_no_checkpoint(tmp_path):
    with (
        pytest.raises(ValueError, match=r"/x: a checkpoint holds at least one tensor$") as raised,
        tb.CheckpointWriter(tmp_path / "x"),
    ):
        pass
    assert raised.value is not None
    assert stored.files(tmp_path) == {}
    writer = tb.CheckpointWriter(tmp_path / "x")
    with pytest.raises(ValueError, match=r"a checkpoint holds at least one tensor$"):
        writer.finish()
    writer.add("w", 1)
    writer.finish()
    stored.assert_only_checkpoint(tmp_path / "x")


def test_failure_of_the_system_ends_the_writer(tmp_path):
    writer = tb.CheckpointWriter(tmp_path / "x")
    writer.add("w", 1)
    (tmp_path / "x.index").mkdir()  # In the meantime.
    with pytest.raises(OSError, match="index") as raised:
        writer.finish()
    with pytest.raises(type(raised.value)):
        writer.finish()
    assert list(tmp_path.iterdir()) == [tmp_path / "x.index"]


def test_writer_that_is_forgotten_leaves_nothing(tmp_path):
    writer = tb.CheckpointWriter(tmp_path / "x", shards=3)
    writer.add_many({f"w{number}": np.zeros(100) for number in range(10)})
    assert len(stored.files(tmp_path)) == 3
    del writer
    gc.collect()
    assert stored.files(tmp_path) == {}


def test_writer_that_could_not_be_made_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="power of two"):
        tb.CheckpointWriter(tmp_path / "sub" / "x", alignment=3)
    with pytest.raises(TypeError, match="progress"):
        tb.CheckpointWriter(tmp_path / "sub" / "x", progress="yes")
    assert stored.files(tmp_path) == {}


def test_two_writers_at_one_prefix(tmp_path):
    first, second = tb.CheckpointWriter(tmp_path / "x"), tb.CheckpointWriter(tmp_path / "x")
    first.add_many({"first": np.arange(5), "v": 1})
    second.add_many({"second": np.arange(6), "v": 2})
    second.finish()
    with tb.open(tmp_path / "x") as ckpt:
        first.finish()
        assert_same_bits(ckpt["second"], np.arange(6))
    with tb.open(tmp_path / "x") as ckpt:
        assert list(ckpt) == ["first", "v"]
        assert ckpt.verify()
    stored.assert_only_checkpoint(tmp_path / "x")


# Threads, processes and callbacks.


def test_threads_share_a_writer(tmp_path):
    with tb.CheckpointWriter(tmp_path / "x", shards=2) as writer, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: writer.add(f"w{number}", np.full(number, number)), range(100)))
        rows = [(row, np.full((1, 5), row)) for row in range(20)]
        list(pool.map(lambda row: writer.add_slice("rows", row[1], (20, 5), (row[0], 0)), rows))
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.verify().checked == 101
        assert all((ckpt[f"w{number}"] == number).all() for number in range(100))
        assert_same_bits(ckpt["rows"], np.arange(20).repeat(5).reshape(20, 5))


BUSY = r"^a CheckpointWriter can't be used by what one of its own calls has called$"


def test_chunks_can_not_use_their_writer(tmp_path):
    def chunks() -> Iterator[np.ndarray]:
        yield np.zeros(1)
        writer.add("v", 1)

    with pytest.raises(RuntimeError, match=BUSY), tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add_chunks("w", float, (2,), chunks())
    assert stored.files(tmp_path) == {}


def test_items_can_not_use_their_writer(tmp_path):
    def items() -> Iterator[tuple[str, Any]]:
        yield "a", 1
        with pytest.raises(RuntimeError, match=BUSY):
            writer.add("b", 1)
        with pytest.raises(RuntimeError, match=BUSY):
            writer.abandon()
        yield "c", 1

    with tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add_many(items())
    assert list(stored.entries(tmp_path / "x")) == [b"a", b"c"]


@pytest.mark.parametrize("call", ["add", "finish", "abandon"])
def test_progress_function_can_not_use_its_writer(tmp_path, call):
    def progress(done: int, total: int, name: str) -> None:
        getattr(writer, call)(*(("v", 1) if call == "add" else ()))

    with pytest.raises(RuntimeError, match=BUSY), tb.CheckpointWriter(tmp_path / "x", progress=progress) as writer:
        writer.add("w", 1)
    assert stored.files(tmp_path) == {}


def test_progress_of_each_call(tmp_path):
    calls: list[tuple[int, int, str]] = []

    def progress(*call: Any) -> None:
        calls.append(call)

    with tb.CheckpointWriter(tmp_path / "x", progress=progress) as writer:
        writer.add("a", np.zeros(10))
        writer.add_many({"b": np.zeros(5), "c": np.zeros(5)})
        writer.add_slice("d", np.zeros(3), (4,), (0,))
        writer.add_slice("d", np.zeros(1), (4,), (3,))
        writer.add_chunks("e", float, (6,), [np.zeros(4), np.zeros(2)])
    assert [call[:2] for call in calls] == [(size, size) for size in (80, 80, 24, 8, 32, 16)]
    assert [call[2] for call in calls if call[2] not in "bc"] == ["a", "d", "d", "e", "e"]


FORKING = r"""
import gc, os, re, sys
import numpy as np
import pytest
import tensorbundle as tb

folder, way = sys.argv[1:]
writer = tb.CheckpointWriter(folder + "/x", threads=1)
writer.add("w", np.arange(1000))
parent, child = os.getpid(), os.fork()
if child == 0:
    why = re.escape(f"opened by process {parent}, and this is process {os.getpid()}: a forked child can only abandon")
    if way == "adds":
        with pytest.raises(ValueError, match=why):
            writer.add("of the child", np.zeros(1000))
    elif way == "finishes":
        with pytest.raises(ValueError, match=why):
            writer.finish()
    elif way == "leaves the block":
        with pytest.raises(ValueError, match=why), writer:
            pass
        writer.abandon()
    elif way == "leaves the block with an exception":
        with pytest.raises(ZeroDivisionError), writer:
            raise ZeroDivisionError
    elif way == "abandons":
        writer.abandon()
    elif way == "forgets":
        del writer
        gc.collect()
    elif way == "ends":
        sys.exit(0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
writer.add("v", 1)
writer.finish()
print(sorted(os.listdir(folder)))
with tb.open(folder + "/x") as ckpt:
    print(bool(ckpt.verify()), sorted(ckpt), int(ckpt["w"].sum()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.parametrize(
    "way",
    ["forgets", "abandons", "ends", "adds", "finishes", "leaves the block", "leaves the block with an exception"],
)
def test_forked_child_neither_writes_nor_commits_nor_removes(tmp_path, way):
    printed = run_python(FORKING, tmp_path, way).splitlines()
    assert printed == ["['x.data-00000-of-00001', 'x.index']", "True ['v', 'w'] 499500"]


KILLED = r"""
import sys
import numpy as np
import tensorbundle as tb

writer = tb.CheckpointWriter(sys.argv[1] + "/x", shards=2)
writer.add_many({"v": 1, "w": np.arange(1000)})
if len(sys.argv) > 2:
    sys.exit(0)
print("written", flush=True)
sys.stdin.read()
"""


def test_killed_writer_leaves_what_the_next_one_removes(tmp_path):
    tb.save(tmp_path / "x", {"old": 1})
    before = stored.files(tmp_path)
    with start_python(KILLED, tmp_path) as process:
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = stored.files(tmp_path).keys() - before.keys()
    assert len(left) == 2
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt["old"] == 1
    tb.save(tmp_path / "x", {"new": 2, "newer": 3})
    stored.assert_only_checkpoint(tmp_path / "x")


def test_files_of_a_living_writer_stay(tmp_path):
    with start_python(KILLED, tmp_path) as process:
        assert process.stdout.readline() == "written\n"
        others = stored.files(tmp_path)
        assert len(others) == 2
        tb.save(tmp_path / "x", {"new": 2})
        assert others.items() <= stored.files(tmp_path).items()
        process.communicate("")
    stored.assert_only_checkpoint(tmp_path / "x")


def test_end_of_the_interpreter_leaves_nothing(tmp_path):
    assert run_python(KILLED, tmp_path, "exit") == ""
    assert stored.files(tmp_path) == {}


REFERRED_TO = r"""
import builtins, os, sys
import numpy as np
import tensorbundle as tb

class Model:
    def __init__(self, path):
        self.writer = tb.CheckpointWriter(path, progress=self.report)
    def report(self, *_):
        self.reported = True

builtins.model = model = Model(sys.argv[1] + "/x")
model.writer.add("w", np.arange(1000))
print(model.reported, len(os.listdir(sys.argv[1])))
if len(sys.argv) > 2 and os.fork() != 0:
    os.wait()
    print(len(os.listdir(sys.argv[1])), flush=True)
"""


def test_end_of_the_interpreter_ends_what_something_refers_to(tmp_path):
    assert run_python(REFERRED_TO, tmp_path) == "True 1\n"
    assert stored.files(tmp_path) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_end_of_a_forked_child_ends_nothing_of_its_parents(tmp_path):
    assert run_python(REFERRED_TO, tmp_path, "fork").splitlines()[-1] == "1"
    assert stored.files(tmp_path) == {}


def test_progress_that_refers_to_the_writer_keeps_nothing(tmp_path):
    class Model:
        def __init__(self) -> None:
            self.writer = tb.CheckpointWriter(tmp_path / "x", progress=self.report)

        def report(self, *_: object) -> None:
            self.reported = True

    model = Model()
    model.writer.add("w", np.arange(1000))
    assert model.reported
    assert len(stored.files(tmp_path)) == 1
    del model
    gc.collect()
    assert stored.files(tmp_path) == {}


def test_working_directory_may_change_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with tb.CheckpointWriter("x", shards=2) as writer:
        writer.add("v", 1)
        monkeypatch.chdir("elsewhere")
        writer.add("w", 2)
    assert writer.path == "x"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert tb.load(tmp_path / "x") == {"v": 1, "w": 2}


# Memory.

MEASURE = r"""
import re, sys
import numpy as np
import tensorbundle as tb

def anonymous():
    with open("/proc/self/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1]) << 10

path, way = sys.argv[1:]
block = np.ones((1 << 11, 1 << 10), "f4")  # 8 MiB
with tb.CheckpointWriter(path + "/small", threads=2, durable=False) as writer:  # What is imported and allocated once.
    writer.add_chunks("w", "float32", block.shape, [block, block[:0]])
before, most, blocks = anonymous(), 0, 128

def watch(*_):
    global most
    most = max(most, anonymous() - before)

def chunks():
    for number in range(blocks):
        watch()
        yield block * np.float32(number)

shape = (blocks << 11, 1 << 10)
with tb.CheckpointWriter(path + "/x", threads=2, durable=False, max_shard_bytes=300 << 20, progress=watch) as writer:
    if way == "chunks":
        writer.add_chunks("w", "float32", shape, chunks())
    else:
        for number, chunk in enumerate(chunks()):
            writer.add_slice("w", chunk, shape, (number << 11, 0))
watch()
with tb.open(path + "/x") as ckpt:
    rows = [float(ckpt.read("w", index=(number << 11, 5))) for number in range(blocks)]
    assert rows == [float(number) for number in range(blocks)], rows
print(most)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("way", ["chunks", "slices"])
def test_variable_of_any_size_takes_the_memory_of_a_part(tmp_path, way):
    # One of 1 GiB; where there is room in memory, no disk has to take it.
    shared = Path("/dev/shm")
    folder = tmp_path
    if shared.is_dir() and os.access(shared, os.W_OK):
        usage = os.statvfs(shared)
        if usage.f_bavail * usage.f_frsize > 2048 * MIB:
            folder = shared / f"tensorbundle-{os.getpid()}-{way}"
            folder.mkdir()
    try:
        assert int(run_python(MEASURE, folder, way)) < 64 * MIB
        sizes = [path.stat().st_size for path in stored.data_files(folder / "x")]
        assert (sum(sizes), max(sizes)) == (1024 * MIB, max(sizes))
        assert max(sizes) <= 300 * MIB
    finally:
        for path in folder.iterdir():
            path.unlink()
        if folder != tmp_path:
            folder.rmdir()


def test_no_room_is_asked_for_before_the_chunks_come(tmp_path):
    # There is none for so many bytes.
    writer = tb.CheckpointWriter(tmp_path / "x")
    with pytest.raises(ValueError, match=rf"^tensor 'w': the chunks have {2**63 - 4} elements fewer than its shape$"):
        writer.add_chunks("w", "int8", (2**63 - 1,), [np.zeros(3, "i1")])
    assert stored.files(tmp_path) == {}
