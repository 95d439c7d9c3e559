"""What TensorFlow writes here and now is read: what it reads back itself, or, where it can't, what was written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import dtypes, slices, tensorflow_oracle, values
from support.hashing import as_array, assert_same_bits
from support.tensors import Typed

import tensorbundle as tb

pytestmark = pytest.mark.usefixtures("tensorflow")

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
SHAPES = [(), (0,), (0, 3), (3,), (2, 3), (1, 1, 1), (40, 25)]
WRITABLE = [dtype.name for dtype in dtypes.DTYPES if dtype.name != "variant"]


def assert_reads(prefix: Path, expected: Mapping[str, tuple[str, Any]], mmap: bool) -> None:
    """Names, dtypes, shapes and every bit, in every way of reading."""
    with tb.open(prefix, mmap=mmap) as ckpt:
        assert list(ckpt) == sorted(expected, key=lambda name: name.encode("utf-8", "surrogateescape"))
        assert {entry.name: entry.tf_dtype for entry in ckpt.entries()} == {
            name: dtype for name, (dtype, _) in expected.items()
        }
        assert ckpt.verify()
        loads = [ckpt.load(), ckpt.load(copy=True), dict(ckpt.items()), {name: ckpt.lazy(name)[...] for name in ckpt}]
    for name, (_, value) in expected.items():
        for arrays in loads:
            assert_same_bits(arrays[name], value, name)


def read_back(prefix: Path) -> dict[str, tuple[str, np.ndarray]]:
    """Name -> dtype and value of all that TensorFlow reads."""
    kinds = tensorflow_oracle.names(prefix)
    return {name: (kinds[name], array) for name, array in tensorflow_oracle.read(prefix).items()}


# One save.


@MODES
@pytest.mark.parametrize("dtype", WRITABLE)
def test_every_dtype(tmp_path, dtype, mmap):
    tensors = {f"{shape}": values.filled(dtype, shape, 1) for shape in SHAPES} | {"all": values.interesting(dtype)}
    tensorflow_oracle.save(tmp_path / "x", [(name, Typed(array, dtype)) for name, array in tensors.items()])
    expected = read_back(tmp_path / "x")
    for name, array in tensors.items():
        assert_same_bits(expected[name][1], array)
    assert_reads(tmp_path / "x", expected, mmap)


@MODES
def test_all_dtypes_in_one_file(tmp_path, mmap):
    # Of sizes that leave most of them misaligned.
    rows = [(name, Typed(values.filled(name, (3, 7)), name)) for name in WRITABLE]
    tensorflow_oracle.save(tmp_path / "x", rows)
    expected = read_back(tmp_path / "x")
    assert expected.keys() == set(WRITABLE)
    assert_reads(tmp_path / "x", expected, mmap)
    with tb.open(tmp_path / "x", mmap=True) as ckpt:
        aligned = {entry.name: entry.aligned for entry in ckpt.entries() if entry.dtype != object}
        assert set(aligned.values()) == {True, False}
        for name, is_aligned in aligned.items():
            if is_aligned:
                assert not ckpt[name].flags.owndata
                continue
            assert ckpt[name].flags.owndata
            assert not ckpt.read(name, copy=False).flags.aligned


@MODES
@pytest.mark.parametrize("length", [0, 1, 127, 128, 16384, 3_000_000])
def test_strings(tmp_path, length, mmap):
    rows = [
        ("s", b"x" * length),
        ("many", [b"", b"y" * length, b"\0\xff"]),
        ("grid", np.full((2, 3), b"z" * length, object)),
    ]
    tensorflow_oracle.save(tmp_path / "x", rows)
    assert_reads(tmp_path / "x", {name: ("string", as_array(value)) for name, value in rows}, mmap)


@MODES
def test_variants(tmp_path, tensorflow, mmap):
    rows = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    lists = [tensorflow.raw_ops.TensorListFromTensor(tensor=row, element_shape=[2]) for row in rows]
    tensors = {"one": lists[0], "two": tensorflow.stack(lists), "none": tensorflow.stack(lists)[:0]}
    tensorflow_oracle.save(tmp_path / "x", tensors.items())
    expected = {
        name: ("variant", tensorflow_oracle.to_array(tensorflow_oracle.restore_tensor(tmp_path / "x", name, "variant")))
        for name in tensors
    }
    assert_reads(tmp_path / "x", expected, mmap)


@MODES
def test_12001_keys(tmp_path, mmap):
    rows = [(f"layer_{number % 97:03d}/weight_{number:06d}", np.float32(number)) for number in range(12001)]
    tensorflow_oracle.save(tmp_path / "x", rows)
    assert os.path.getsize(tmp_path / "x.index") > 262144  # More than one block.
    with tb.open(tmp_path / "x", mmap=mmap) as ckpt:
        assert len(ckpt) == 12001
        assert list(ckpt) == sorted(name for name, _ in rows)
        loaded = ckpt.load()
        assert ckpt.verify()
    assert {name: float(array) for name, array in loaded.items()} == {name: float(value) for name, value in rows}
    for name, value in rows[::1000]:
        assert_same_bits(tensorflow_oracle.restore(tmp_path / "x", name, "float32"), value)


@MODES
def test_keys_of_700_kilobytes(tmp_path, mmap):
    names = [b"a", b"b" * 700_000, b"b" * 700_000 + b"c", b"c" * 300_000, b"d", b"e" * 524_288, b"f"]
    tensorflow_oracle.save(tmp_path / "x", [(name, np.int8(number)) for number, name in enumerate(names)])
    expected = {name.decode(): ("int8", np.int8(number)) for number, name in enumerate(names)}
    assert read_back(tmp_path / "x") == expected
    assert_reads(tmp_path / "x", expected, mmap)


@MODES
def test_names_that_are_not_text(tmp_path, mmap):
    names = [b"\xff\xfe", b"nul\0inside", b"\x01", "\U0001f600".encode(), b"x\xed\xa0\x80", b"line\nbreak"]
    tensorflow_oracle.save(tmp_path / "x", [(name, np.int32(number)) for number, name in enumerate(names)])
    for number, name in enumerate(names):
        assert tensorflow_oracle.restore(tmp_path / "x", name, "int32") == number
    expected = {name.decode("utf-8", "surrogateescape"): ("int32", np.int32(i)) for i, name in enumerate(names)}
    assert_reads(tmp_path / "x", expected, mmap)


# Several pieces, several shards.

PARTITIONED = [
    ("float32", (4, 3), ["0,2:-", "2,2:0,3"]),
    ("float32", (70, 5), ["0,30:0,5", "30,40:-"]),
    ("float64", (2, 3, 2, 2), ["0,1:-:0,2:-", "1,1:0,1:-:-", "1,1:1,2:-:0,1", "1,1:1,2:0,2:1,1"]),
    ("int64", (5, 4), ["3,2:2,2", "0,3:2,2", "3,2:0,2", "0,3:0,2"]),
    ("int8", (20000,), ["0,63", "63,1", "64,8127", "8191,1", "8192,11808"]),
    ("int4", (2,) * 8, ["0,1" + ":-" * 7, "1,1:0,2" + ":-" * 6]),
    ("bool", (3, 2), ["-:0,1", "-:1,1"]),
    ("complex128", (5,), ["0,2", "2,3"]),
    ("bfloat16", (3, 2), ["-:0,2"]),
    # TensorFlow reads each piece of these, and can't put them together.
    ("string", (5,), ["3,2", "0,2", "2,1"]),
    ("float16", (6, 2), ["0,4:-", "4,2:-"]),
    ("qint16", (2, 2, 2), ["-:-:0,1", "-:0,1:1,1", "0,2:1,1:1,1"]),
    ("uint64", (9,), ["0,8", "8,1"]),
    ("float8_e4m3fn", (4,), ["0,1", "1,3"]),
    ("int2", (8,), ["0,5", "5,3"]),
    # Nor anything of more than eight dimensions.
    ("int32", (2,) * 9, ["0,1" + ":-" * 8, "1,1" + ":0,2" * 8]),
]


@MODES
@pytest.mark.parametrize(("dtype", "shape", "pieces"), PARTITIONED, ids=lambda part: str(part)[:20])
def test_pieces(tmp_path, dtype, shape, pieces, mmap):
    array = values.filled(dtype, shape)
    cuts = [slices.parse_slice(piece) for piece in pieces]
    rows = [("w", Typed(array[slices.indices(cut)], dtype), slices.save_spec(shape, cut)) for cut in cuts]
    tensorflow_oracle.save(tmp_path / "x", [*rows, ("plain", b"p")])
    if dtypes.BY_NAME[dtype].assembles and len(shape) <= 8:
        assert_same_bits(tensorflow_oracle.restore(tmp_path / "x", "w", dtype), array)
    assert_reads(tmp_path / "x", {"w": (dtype, array), "plain": ("string", as_array(b"p"))}, mmap)
    with tb.open(tmp_path / "x", mmap=mmap) as ckpt:
        for cut, (_, _, spec) in zip(cuts, rows):
            part = ckpt.read("w", index=slices.indices(cut))
            if len(shape) <= 8:
                assert_same_bits(
                    np.ascontiguousarray(part), tensorflow_oracle.restore(tmp_path / "x", "w", dtype, spec)
                )
            assert_same_bits(np.ascontiguousarray(part), np.ascontiguousarray(array[slices.indices(cut)]))


@MODES
def test_merged_shards(tmp_path, mmap):
    w = np.arange(24, dtype="<f4").reshape(6, 4)
    parts = [
        [("b", np.float32(1)), ("z", [b"s", b""]), ("w", w[:2], "6 4 0,2:-")],
        [("a", np.zeros(0, np.int64)), ("w", w[2:5], "6 4 2,3:0,4"), ("y", np.arange(5))],
        [("c", np.int8(3)), ("w", w[5:], "6 4 5,1:-")],
    ]
    prefixes = [tmp_path / "parts" / f"part-{number}" for number in range(3)]
    for prefix, part in zip(prefixes, parts):
        tensorflow_oracle.save(prefix, part)
    tensorflow_oracle.merge(prefixes, tmp_path / "x")
    expected = read_back(tmp_path / "x")
    assert_same_bits(expected["w"][1], w)
    assert_reads(tmp_path / "x", expected, mmap)
    with tb.open(tmp_path / "x", mmap=mmap) as ckpt:
        assert ckpt.num_shards == 3
        assert {ckpt.entry(name).shard for name in "byc"} == {0, 1, 2}
        assert ckpt.entry("w").slices == (
            (slice(0, 2), slice(0, 4)),
            (slice(2, 5), slice(0, 4)),
            (slice(5, 6), slice(0, 4)),
        )


# Object-based checkpoints.


def objects(tf: Any) -> Any:
    kernel = tf.Variable(np.arange(12, dtype="<f4").reshape(4, 3), name="kernel")
    bias = tf.Variable([0.25, 0.75], name="bias")
    optimizer = tf.compat.v1.train.AdamOptimizer(0.125)
    optimizer.apply_gradients([(tf.ones_like(kernel), kernel), (tf.ones_like(bias), bias)])
    layer = tf.Module(name="layer")
    layer.kernel, layer.bias, layer.history = kernel, bias, [tf.Variable(1), tf.Variable(b"two")]
    return tf.train.Checkpoint(layer=layer, optimizer=optimizer, step=tf.Variable(7, dtype=tf.int64))


@MODES
def test_objects(tmp_path, tensorflow, mmap):
    path = objects(tensorflow).save(str(tmp_path / "ckpt"))
    expected = read_back(Path(path))
    assert {"_CHECKPOINTABLE_OBJECT_GRAPH", "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE"} < expected.keys()
    assert len(expected) >= 12
    assert_reads(Path(path), expected, mmap)
    # Saving wrote a state file, which names it.
    with tb.open(tmp_path, mmap=mmap) as ckpt:
        assert ckpt.path == path
        assert ckpt["step/.ATTRIBUTES/VARIABLE_VALUE"][()] == 7


@MODES
@pytest.mark.parametrize("size", [64, 1000])
def test_objects_whose_variables_are_cut(tmp_path, tensorflow, size, mmap):
    policy = tensorflow.train.experimental.MaxShardSizePolicy(max_shard_size=size)
    options = tensorflow.train.CheckpointOptions(experimental_sharding_callback=policy)
    w = np.random.default_rng(0).normal(size=(37, 5, 3)).astype("<f4")
    checkpoint = tensorflow.train.Checkpoint(
        w=tensorflow.Variable(w), b=tensorflow.Variable(w[0]), step=tensorflow.Variable(3)
    )
    path = Path(checkpoint.write(str(tmp_path / "ckpt"), options=options))
    expected = read_back(path)
    assert_same_bits(expected["w/.ATTRIBUTES/VARIABLE_VALUE"][1], w)
    assert_reads(path, expected, mmap)
    with tb.open(path, mmap=mmap) as ckpt:
        entry = ckpt.entry("w/.ATTRIBUTES/VARIABLE_VALUE")
        assert len(entry.slices) >= w.nbytes // size
        assert ckpt.num_shards >= 2
        lazy = ckpt.lazy(entry.name)
        assert_same_bits(np.ascontiguousarray(lazy[::-3, 2, 1:]), np.ascontiguousarray(w[::-3, 2, 1:]))


@MODES
def test_saved_model(tmp_path, tensorflow, mmap):
    module = tensorflow.Module()
    module.w = tensorflow.Variable(np.arange(6, dtype="<f4").reshape(2, 3))
    tensorflow.saved_model.save(module, str(tmp_path / "model"))
    prefix = tmp_path / "model" / "variables" / "variables"
    expected = read_back(prefix)
    assert_reads(prefix, expected, mmap)
    with tb.open(tmp_path / "model", mmap=mmap) as ckpt:
        assert ckpt.path == str(prefix)
        assert_same_bits(ckpt["w/.ATTRIBUTES/VARIABLE_VALUE"], module.w.numpy())


@MODES
def test_saver_of_graphs(tmp_path, tensorflow, mmap):
    v1 = tensorflow.compat.v1
    w = np.arange(30, dtype="<f4").reshape(10, 3)
    with tensorflow.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope("model", partitioner=v1.fixed_size_partitioner(4)):
            v1.get_variable(
                "w",
                initializer=lambda shape, dtype, partition_info: _cut(w, shape, partition_info),
                shape=(10, 3),
                use_resource=True,
            )
        v1.get_variable("step", initializer=np.int64(5), use_resource=True)
        session.run(v1.global_variables_initializer())
        path = v1.train.Saver(sharded=True).save(session, str(tmp_path / "model"), global_step=5)
    expected = read_back(Path(path))
    assert_same_bits(expected["model/w"][1], w)
    assert_reads(Path(path), expected, mmap)
    with tb.open(tmp_path, mmap=mmap) as ckpt:
        assert (ckpt.path, len(ckpt.entry("model/w").slices)) == (path, 4)


def _cut(whole: np.ndarray, shape: Any, partition_info: Any) -> np.ndarray:
    start = partition_info.var_offset
    return whole[tuple(slice(begin, begin + size) for begin, size in zip(start, shape))]
