"""Checkpoints of the V1 format that TensorFlow writes here and now, and what it makes of those of our own encoder."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from support import slices, tensorflow_oracle, v1_writer, values
from support.hashing import assert_same_bits
from support.tensors import Typed
from support.v1_writer import FIELDS, Row

import tensorbundle as tb

pytestmark = pytest.mark.usefixtures("tensorflow")

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
SHAPES = [(), (0,), (0, 3), (3,), (2, 3), (1, 1, 1), (40, 25)]
# What TensorFlow restores in slices; the others it saves, and refuses to put together.
ASSEMBLED = [dtype for dtype in FIELDS if dtype not in ("string", "uint16", "float16")]


W = np.arange(20, dtype=np.float32).reshape(10, 2)


def save(path, rows):
    """Rows of (name, array, dtype) by the op that ``Saver`` uses."""
    tf = tensorflow_oracle.load()
    tf.raw_ops.Save(
        filename=str(path),
        tensor_names=[name for name, _, _ in rows],
        data=[tensorflow_oracle.to_tensor(Typed(array, dtype)) for _, array, dtype in rows],
    )


def save_slices(path, rows):
    """Rows of (name, whole array, dtype, piece), each as the part that it has."""
    tf = tensorflow_oracle.load()
    tf.raw_ops.SaveSlices(
        filename=str(path),
        tensor_names=[name for name, *_ in rows],
        shapes_and_slices=[slices.save_spec(array.shape, piece) for _, array, _, piece in rows],
        data=[
            tensorflow_oracle.to_tensor(Typed(np.ascontiguousarray(array[slices.indices(piece)]), dtype))
            for _, array, dtype, piece in rows
        ],
    )


def restore(path, name, dtype):
    tf = tensorflow_oracle.load()
    tensor = tf.raw_ops.RestoreV2(
        prefix=str(path), tensor_names=[name], shape_and_slices=[""], dtypes=[tf.dtypes.as_dtype(dtype)]
    )
    return tensorflow_oracle.to_array(tensor[0])


@MODES
def test_every_dtype_and_shape(tmp_path, mmap):
    rows = [(f"{dtype}{shape}", values.filled(dtype, shape, 1), dtype) for dtype in FIELDS for shape in SHAPES]
    rows += [(f"{dtype}/all", values.interesting(dtype), dtype) for dtype in FIELDS]
    save(tmp_path / "v1", rows)
    with tb.open(tmp_path / "v1", mmap=mmap) as ckpt:
        assert len(ckpt) == len(rows)
        assert ckpt.verify()
        loaded = ckpt.load()
        for name, array, dtype in rows:
            assert ckpt.entry(name).tf_dtype == dtype
            assert_same_bits(loaded[name], array, name)
            assert_same_bits(ckpt[name], array, name)
            if array.size:  # TensorFlow's op has no answer for an empty one.
                assert_same_bits(loaded[name], restore(tmp_path / "v1", name, dtype), name)


@MODES
@pytest.mark.parametrize("dtype", [dtype for dtype in FIELDS if dtype != "string"])
def test_slices_over_three_files(tmp_path, dtype, mmap):
    array = values.filled(dtype, (6, 4))
    pieces = ["0,2:-", "2,4:0,1", "2,4:1,3"]
    for shard, piece in enumerate(pieces):
        save_slices(tmp_path / f"m-0000{shard}-of-00003", [("w", array, dtype, piece)])
    with tb.open(tmp_path / "m-?????-of-00003", mmap=mmap) as ckpt:
        assert_same_bits(ckpt["w"], array)
        assert_same_bits(ckpt.read("w", index=np.s_[1:5, ::2]), array[1:5, ::2])
    if dtype in ASSEMBLED:
        assert_same_bits(restore(tmp_path / "m-?????-of-00003", "w", dtype), array)


@MODES
def test_large_tensors(tmp_path, mmap):
    rng = np.random.default_rng(5)
    rows = [
        ("floats", rng.random((1000, 700), np.float32), "float32"),
        ("complex", (rng.random((300, 200)) + 1j * rng.random((300, 200))), "complex128"),
        ("integers", rng.integers(-(2**62), 2**62, (400, 300)), "int64"),
        ("small", np.arange(10, dtype=np.float32), "float32"),
    ]
    save(tmp_path / "v1", rows)
    with tb.open(tmp_path / "v1", mmap=mmap) as ckpt:
        for name, array, _ in rows:
            assert_same_bits(ckpt[name], array)
            assert_same_bits(ckpt.read(name, index=np.s_[3:7]), array[3:7])
        assert ckpt.verify()


@pytest.mark.parametrize("sharded", [False, True])
def test_saver(tmp_path, tensorflow, sharded):
    v1 = tensorflow.compat.v1
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int64(7), "s": np.array([b"x", b"yy"])}
    with tensorflow.Graph().as_default(), v1.Session() as session:
        for name, array in arrays.items():
            v1.get_variable(name, initializer=array, use_resource=True)
        with v1.variable_scope("model", partitioner=v1.fixed_size_partitioner(3)):
            parts = v1.get_variable("w", shape=(10, 2), use_resource=True)
        session.run(v1.global_variables_initializer())
        for part, values_of_part in zip(parts, np.split(W, [4, 7]), strict=True):
            session.run(part.assign(values_of_part))
        saver = v1.train.Saver(sharded=sharded, write_version=v1.train.SaverDef.V1)
        path = saver.save(session, str(tmp_path / "model"), global_step=3)
    expected = {**arrays, "model/w": W}
    for given in (path, tmp_path, tmp_path / "checkpoint"):
        with tb.open(given) as ckpt:
            assert ckpt.path == path
            assert list(ckpt) == sorted(expected)
            for name, array in ckpt.items():
                assert_same_bits(array, expected[name], name)


# What our encoder makes is what the tests of this format rest on, so TensorFlow has a look at it.


@pytest.mark.parametrize(
    "options", [{}, {"snappy": "copies"}, {"block_size": 1}, {"snappy": "literal", "block_size": 300}]
)
def test_tensorflow_reads_what_the_encoder_writes(tmp_path, options):
    rows = [Row(dtype.encode(), values.filled(dtype, (2, 3)), dtype) for dtype in FIELDS]
    path = v1_writer.write(tmp_path / "v1", rows, **options)
    for row in rows:
        assert_same_bits(restore(path, row.name.decode(), row.dtype), row.value, row.name)


def test_the_encoder_writes_tensorflows_bytes(tmp_path):
    rows = [(dtype, values.filled(dtype, (2, 3)), dtype) for dtype in sorted(FIELDS)]
    save(tmp_path / "v1", rows)
    encoded = [Row(name.encode(), array, dtype) for name, array, dtype in rows]
    metadata = v1_writer.encode_metadata(encoded)
    assert v1_writer.encode(encoded, metadata=metadata) == (tmp_path / "v1").read_bytes()


# Where TensorFlow fails, and how.


def test_phrases_of_errors(tmp_path, tensorflow):
    array = np.arange(3, dtype=np.float32)
    wrong = Row(b"w", array)
    wrong.record = v1_writer.encode_record(wrong, v1_writer.encode_values(array[:2], "float32"))
    content = Row(b"w", array)
    content.record = v1_writer.encode_record(content, b"\x22\x0c" + array.tobytes())
    missing = Row(b"w", array, record=b"")
    for row, number in zip((wrong, content, missing), itertools.count()):
        path = v1_writer.write(tmp_path / f"v1-{number}", [row, Row(b"x", array)])
        with pytest.raises(tensorflow.errors.InvalidArgumentError, match="Error copying slice data"):
            restore(path, "w", "float32")
        with pytest.raises(tb.errors.DataLossError, match="Error copying slice data"):
            tb.load(path)
    nothing = v1_writer.write(tmp_path / "nothing", [], metadata=b"\x0a\x05")
    phrase = "Failed to find the saved tensor slices at the beginning of the checkpoint file"
    with pytest.raises(tensorflow.errors.OpError, match=phrase):
        restore(nothing, "w", "float32")
    with pytest.raises(tb.errors.DataLossError, match=re.escape(phrase)):
        tb.open(nothing)
