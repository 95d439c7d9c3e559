"""TensorFlow restores what is saved, and where it writes the same itself, it writes the same bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import dtypes, slices, stored, tensorflow_oracle, values
from support.hashing import as_array, assert_same_bits
from support.tensors import Typed

import tensorbundle as tb

pytestmark = pytest.mark.usefixtures("tensorflow")

SHAPES = [(), (0,), (0, 3), (3,), (2, 3), (1, 1, 1), (40, 25)]
WRITABLE = [dtype for dtype in dtypes.DTYPES if dtype.name != "variant"]
DTYPE = pytest.mark.parametrize("dtype", WRITABLE, ids=lambda dtype: dtype.name)
LAYOUTS = pytest.mark.parametrize(
    "layout",
    [{"alignment": 1}, {"alignment": 64}, {"alignment": 4096}, {"shards": 3}, {"shards": 5, "alignment": 1}],
    ids=str,
)


def save(prefix: Path, tensors: Mapping[str, Any], **options: Any) -> None:
    """Arrays and ``Typed`` ones, in one batch or, if one needs its type to be said, one by one."""
    if not any(isinstance(value, Typed) for value in tensors.values()):
        tb.save(prefix, tensors, **options)
        return
    with tb.CheckpointWriter(prefix, **options) as writer:
        for name, value in tensors.items():
            if isinstance(value, Typed):
                writer.add(name, value.array, dtype=value.dtype)
            else:
                writer.add(name, value)


def assert_restores(prefix: Path, tensors: Mapping[str, Any]) -> None:
    """TensorFlow finds these tensors and no others, with every bit."""
    kinds = {name: value.dtype if isinstance(value, Typed) else tf_name(value) for name, value in tensors.items()}
    assert tensorflow_oracle.names(prefix) == kinds
    for name, value in tensors.items():
        array = value.array if isinstance(value, Typed) else value
        assert_same_bits(tensorflow_oracle.restore(prefix, name, kinds[name]), array, name)


def tf_name(value: Any) -> str:
    return dtypes.of_array(as_array(value)).name


# Every type, every way of laying it out.


@LAYOUTS
@DTYPE
def test_every_dtype_is_restored(tmp_path, dtype, layout):
    tensors = {f"{shape}": Typed(values.filled(dtype.name, shape, 1), dtype.name) for shape in SHAPES}
    tensors["all"] = Typed(values.interesting(dtype.name), dtype.name)
    save(tmp_path / "x", tensors, **layout)
    assert_restores(tmp_path / "x", tensors)


@LAYOUTS
def test_all_dtypes_together_are_restored(tmp_path, layout):
    tensors = {dtype.name: Typed(values.filled(dtype.name, (3, 7)), dtype.name) for dtype in WRITABLE}
    save(tmp_path / "x", tensors, **layout)
    assert_restores(tmp_path / "x", tensors)


@pytest.mark.parametrize("dtype", ["float32", "int4", "bfloat16", "complex128"])
def test_arrays_of_any_layout_are_restored(tmp_path, dtype):
    whole = values.filled(dtype, (6, 7, 5))
    tensors = {
        "transposed": whole.T,
        "backwards": whole[::-1, ::-2],
        "broadcast": np.broadcast_to(whole[:1], (6, 7, 5)),
        "swapped": whole.astype(whole.dtype.newbyteorder(">")),
    }
    tb.save(tmp_path / "x", tensors)
    tensors["swapped"] = whole
    assert_restores(tmp_path / "x", {name: np.ascontiguousarray(value) for name, value in tensors.items()})


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16384, 3_000_000])
def test_strings_are_restored(tmp_path, length):
    tensors = {
        "s": as_array(b"x" * length),
        "many": as_array([b"", b"y" * length, b"\0\xff"]),
        "grid": np.full((2, 3), b"z" * length, object),
    }
    tb.save(tmp_path / "x", tensors)
    assert_restores(tmp_path / "x", tensors)


def test_reader_of_tensorflows(tmp_path, tensorflow):
    tensors = {"w": values.filled("float32", (4, 3)), "s": as_array([b"a", b"b"]), "scalar": np.int64(7)}
    tb.save(tmp_path / "x", tensors, shards=2)
    reader = tensorflow.train.load_checkpoint(str(tmp_path / "x"))
    assert reader.get_variable_to_shape_map() == {"w": [4, 3], "s": [2], "scalar": []}
    assert {name: dtype.name for name, dtype in reader.get_variable_to_dtype_map().items()} == {
        "w": "float32",
        "s": "string",
        "scalar": "int64",
    }
    assert not reader.has_tensor("v")
    for name, value in tensors.items():
        assert_same_bits(as_array(reader.get_tensor(name)), value)
    assert tensorflow.train.list_variables(str(tmp_path / "x")) == [("s", [2]), ("scalar", []), ("w", [4, 3])]


def test_names_of_any_bytes_are_restored(tmp_path):
    names = [
        b"\xff\xfe",
        b"nul\0inside",
        b"\x01",
        "\U0001f600".encode(),
        b"x\xed\xa0\x80",
        b"line\nbreak",
        b"n" * 700_000,
    ]
    tb.save(tmp_path / "x", {name.decode("utf-8", "surrogateescape"): np.int32(i) for i, name in enumerate(names)})
    for number, name in enumerate(names):
        assert tensorflow_oracle.restore(tmp_path / "x", name, "int32") == number


# Parts.


@pytest.mark.parametrize("dtype", [dtype for dtype in WRITABLE if dtype.assembles], ids=lambda dtype: dtype.name)
def test_parts_of_a_tensor_are_restored(tmp_path, dtype):
    whole = values.filled(dtype.name, (7, 5))
    save(tmp_path / "x", {"w": Typed(whole, dtype.name)})
    for piece in ("0,2:-", "3,4:1,2", "-:4,1", "6,1:0,5"):
        cut = slices.parse_slice(piece)
        part = tensorflow_oracle.restore(tmp_path / "x", "w", dtype.name, slices.save_spec((7, 5), cut))
        assert_same_bits(part, np.ascontiguousarray(whole[slices.indices(cut)]), piece)


@pytest.mark.parametrize("dtype", [dtype for dtype in WRITABLE if dtype.assembles], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize(
    ("shape", "rows"), [((10, 7), 3), ((4, 3, 5), 1), ((3,) * 4, 1), ((2,) * 8, 1), ((1000,), 64)], ids=str
)
def test_tensors_larger_than_the_limit_are_restored(tmp_path, dtype, shape, rows):
    whole = values.filled(dtype.name, shape)
    limit = rows * dtype.size * int(np.prod(shape[1:]))
    tensors = {"before": np.int8(1), "w": Typed(whole, dtype.name), "after": as_array(b"x")}
    save(tmp_path / "x", tensors, max_shard_bytes=max(limit, 6))
    assert len(stored.entries(tmp_path / "x")[b"w"].slices) > 1
    assert_restores(tmp_path / "x", tensors)
    piece = slices.parse_slice("1,1" + ":-" * (len(shape) - 1))
    part = tensorflow_oracle.restore(tmp_path / "x", "w", dtype.name, slices.save_spec(shape, piece))
    assert_same_bits(part, np.ascontiguousarray(whole[slices.indices(piece)]))


def test_tensors_cut_within_rows_are_restored(tmp_path):
    whole = np.arange(4 * 3 * 10, dtype="f4").reshape(4, 3, 10)
    for limit in (4, 12, 39, 40, 79, 119, 479):
        prefix = tmp_path / f"{limit}"
        tb.save(prefix, {"w": whole}, max_shard_bytes=limit, alignment=1)
        assert_restores(prefix, {"w": whole})


@pytest.mark.parametrize("dtype", [dtype for dtype in WRITABLE if not dtype.assembles], ids=lambda dtype: dtype.name)
def test_what_tensorflow_does_not_put_together_stays_whole(tmp_path, dtype):
    whole = values.filled(dtype.name, (10, 7))
    with pytest.warns(UserWarning, match="stays whole"):
        save(tmp_path / "x", {"v": np.int8(1), "w": Typed(whole, dtype.name)}, max_shard_bytes=7)
    assert_restores(tmp_path / "x", {"v": np.int8(1), "w": Typed(whole, dtype.name)})


# Objects.


def objects(tf: Any, factor: int) -> Any:
    kernel = tf.Variable(factor * np.arange(12, dtype="<f4").reshape(4, 3), name="kernel")
    bias = tf.Variable([0.25 * factor, 0.75], name="bias")
    half = tf.Variable(tf.cast(kernel, tf.bfloat16), name="half")
    optimizer = tf.compat.v1.train.AdamOptimizer(0.125)
    optimizer.apply_gradients([(factor * tf.ones_like(kernel), kernel), (tf.ones_like(bias), bias)])
    layer = tf.Module(name="layer")
    layer.kernel, layer.bias, layer.half = kernel, bias, half
    layer.history = [tf.Variable(factor), tf.Variable(b"two" * factor)]
    return tf.train.Checkpoint(layer=layer, optimizer=optimizer, step=tf.Variable(7 * factor, dtype=tf.int64))


@pytest.mark.parametrize(
    "options",
    [{}, {"alignment": 1}, {"shards": 3, "alignment": 4096}, {"max_shard_bytes": 4000}],
    ids=str,
)
@pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
def test_objects_are_restored(tmp_path, tensorflow, options, mmap):
    written = objects(tensorflow, 3)
    path = written.write(str(tmp_path / "theirs"))
    with tb.open(path, mmap=mmap) as ckpt:
        tb.save(tmp_path / "ours", ckpt, **options)
        expected = ckpt.load(copy=True)
    restored = objects(tensorflow, 1)
    restored.read(str(tmp_path / "ours")).assert_consumed()
    again = restored.write(str(tmp_path / "again"))
    with tb.open(again) as ckpt:
        assert list(ckpt) == list(expected)
        for name, value in expected.items():
            if name != "_CHECKPOINTABLE_OBJECT_GRAPH":  # A message, whose maps have no order.
                assert_same_bits(ckpt[name], value, name)
    assert restored.layer.history[1].numpy() == b"twotwotwo"


def test_cut_objects_are_restored(tmp_path, tensorflow):
    w = np.random.default_rng(0).normal(size=(37, 5, 3)).astype("<f4")
    written = tensorflow.train.Checkpoint(w=tensorflow.Variable(w), step=tensorflow.Variable(3))
    path = written.write(str(tmp_path / "theirs"))
    with tb.open(path) as ckpt:
        tb.save(tmp_path / "ours", ckpt, max_shard_bytes=800)
    assert len(stored.entries(tmp_path / "ours")[b"w/.ATTRIBUTES/VARIABLE_VALUE"].slices) == 3
    restored = tensorflow.train.Checkpoint(w=tensorflow.Variable(0 * w), step=tensorflow.Variable(0))
    restored.read(str(tmp_path / "ours")).assert_consumed()
    assert_same_bits(restored.w.numpy(), w)


def test_saver_of_graphs_restores(tmp_path, tensorflow):
    v1 = tensorflow.compat.v1
    w, half = np.arange(30, dtype="<f4").reshape(10, 3), values.filled("bfloat16", (3, 2))
    tensors = {"model/w": w, "half": half, "step": np.int64(5), "text": as_array([b"a", b"\0"])}
    tb.save(tmp_path / "model-5", tensors, shards=2)
    with tensorflow.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope("model", partitioner=v1.fixed_size_partitioner(4)):
            parts = v1.get_variable("w", shape=(10, 3), initializer=v1.zeros_initializer(), use_resource=True)
        others = {
            "half": v1.get_variable("half", initializer=np.zeros_like(half), use_resource=True),
            "step": v1.get_variable("step", initializer=np.int64(0), use_resource=True),
            "text": v1.get_variable("text", initializer=np.array([b"", b""]), use_resource=True),
        }
        v1.train.Saver().restore(session, str(tmp_path / "model-5"))
        # Each part of the partitioned variable asks for its slice.
        assert_same_bits(np.concatenate(session.run(list(parts))), w)
        for name, variable in others.items():
            assert_same_bits(as_array(session.run(variable)), tensors[name])


def test_saved_model_is_loaded_after_its_variables_were_saved_again(tmp_path, tensorflow):
    module = tensorflow.Module()
    module.w = tensorflow.Variable(np.arange(6, dtype="<f4").reshape(2, 3))
    module.s = tensorflow.Variable(b"text")
    tensorflow.saved_model.save(module, str(tmp_path / "model"))
    prefix = tmp_path / "model" / "variables" / "variables"
    for _ in range(2):
        with tb.open(prefix) as ckpt:
            tb.save(prefix, ckpt)
    loaded = tensorflow.saved_model.load(str(tmp_path / "model"))
    assert_same_bits(loaded.w.numpy(), module.w.numpy())
    assert loaded.s.numpy() == b"text"


def test_variants_are_restored(tmp_path, tensorflow):
    rows = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    lists = [tensorflow.raw_ops.TensorListFromTensor(tensor=row, element_shape=[2]) for row in rows]
    tensors = {"one": lists[0], "two": tensorflow.stack(lists), "none": tensorflow.stack(lists)[:0]}
    tensorflow_oracle.save(tmp_path / "theirs" / "x", sorted(tensors.items()))
    with tb.open(tmp_path / "theirs" / "x") as ckpt:
        tb.save(tmp_path / "ours" / "x", ckpt, alignment=1)
    assert stored.files(tmp_path / "ours") == stored.files(tmp_path / "theirs")
    restored = tensorflow_oracle.restore_tensor(tmp_path / "ours" / "x", "one", "variant")
    stacked = tensorflow.raw_ops.TensorListStack(input_handle=restored, element_shape=[2], element_dtype="float32")
    assert stacked.numpy().tolist() == rows[0]


# Overwriting.


def test_saving_over_and_over_is_restored(tmp_path):
    for number in range(5):
        tensors = {"w": np.full((30, number + 1), number, "f4"), f"only{number}": as_array([b"%d" % number])}
        tb.save(tmp_path / "x", tensors, shards=1 + number % 2)
        assert_restores(tmp_path / "x", tensors)
        stored.assert_only_checkpoint(tmp_path / "x")


def test_each_writes_over_the_other(tmp_path):
    for number in range(4):
        tensors = {"v": np.full(3, number), "w": np.full((30, number + 1), number, "f4")}
        if number % 2:
            tb.save(tmp_path / "x", tensors)
            stored.assert_only_checkpoint(tmp_path / "x")
        else:
            tensorflow_oracle.save(tmp_path / "x", tensors.items())
        assert_restores(tmp_path / "x", tensors)
        with tb.open(tmp_path / "x") as ckpt:
            assert ckpt.verify().checked == 2
            assert_same_bits(ckpt["w"], tensors["w"])


def test_merging_after_overwriting(tmp_path):
    parts = [{"a": np.arange(5), "b": as_array(b"b")}, {"c": np.arange(7), "d": as_array(b"d")}]
    prefixes = [tmp_path / "parts" / f"part-{number}" for number in range(2)]
    for prefix, part in zip(prefixes, parts):
        tb.save(prefix, {"old": np.zeros(3)})
        tb.save(prefix, part)
        assert stored.num_shards(prefix) == 2
    tensorflow_oracle.merge(prefixes, tmp_path / "merged")
    assert_restores(tmp_path / "merged", {**parts[0], **parts[1]})
    with tb.open(tmp_path / "merged") as ckpt:
        assert (ckpt.num_shards, ckpt.verify().checked) == (4, 4)


# Byte for byte.


def assert_same_files(folder: Path, rows: Sequence[tuple[Any, ...]], tensors: Mapping[str, Any]) -> None:
    """What TensorFlow writes for ``rows`` is what is written for ``tensors``."""
    tensorflow_oracle.save(folder / "theirs" / "x", rows)
    save(folder / "ours" / "x", tensors, alignment=1)
    assert stored.files(folder / "ours") == stored.files(folder / "theirs")


@DTYPE
def test_every_dtype_is_saved_the_same(tmp_path, dtype):
    tensors = {f"{shape}": Typed(values.filled(dtype.name, shape, 1), dtype.name) for shape in sorted(SHAPES, key=str)}
    tensors["all"] = Typed(values.interesting(dtype.name), dtype.name)
    assert_same_files(tmp_path, list(tensors.items()), tensors)


def test_all_dtypes_are_saved_the_same(tmp_path):
    names = sorted(dtype.name for dtype in WRITABLE)
    tensors = {name: Typed(values.filled(name, (5, 7)), name) for name in names}
    assert_same_files(tmp_path, list(tensors.items()), tensors)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16383, 16384, 2097152])
def test_strings_are_saved_the_same(tmp_path, length):
    rows = [("s", [b"x" * length]), ("t", b"y" * length), ("u", [b"", b"z" * length, b""])]
    assert_same_files(tmp_path, rows, {name: as_array(value) for name, value in rows})


def test_names_of_any_bytes_are_saved_the_same(tmp_path):
    names = [b"\xff" * n for n in range(1, 5)] + [bytes([byte]) + b"x" for byte in range(1, 256)]
    names = sorted([*names, b"a\0b", b"k" * 3000])
    rows = [(name, np.int32(number)) for number, name in enumerate(names)]
    assert_same_files(tmp_path, rows, {name.decode("utf-8", "surrogateescape"): value for name, value in rows})


def test_12001_keys_are_saved_the_same(tmp_path):
    rows = sorted((f"layer_{number % 97:03d}/weight_{number:06d}", np.float32(number)) for number in range(12001))
    assert_same_files(tmp_path, rows, dict(rows))
    assert os.path.getsize(tmp_path / "ours" / "x.index") > 262144  # More than one block.


def test_keys_of_700_kilobytes_are_saved_the_same(tmp_path):
    names = ["a", "b" * 700_000, "b" * 700_000 + "c", "c" * 300_000, "d", "e" * 524_288, "f"]
    rows = [(name, np.int8(number)) for number, name in enumerate(names)]
    assert_same_files(tmp_path, rows, dict(rows))


def test_tensor_of_many_blocks_is_saved_the_same(tmp_path):
    whole = np.random.default_rng(0).normal(size=(1200, 1001))
    tensorflow_oracle.save(tmp_path / "theirs" / "x", [("a", np.int8(1)), ("w", whole)])
    tb.save(tmp_path / "ours" / "x", {"a": np.int8(1), "w": whole.astype(">f8").T.copy().T}, alignment=1, threads=3)
    assert stored.files(tmp_path / "ours") == stored.files(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("dtype", "shape", "pieces"),
    [
        ("float32", (4, 3), ["0,2:0,3", "2,2:0,3"]),
        ("float32", (70, 5), ["0,30:0,5", "30,40:0,5"]),
        ("float64", (2, 3, 2, 2), ["0,1:0,3:0,2:0,2", "1,1:0,1:0,2:0,2", "1,1:1,2:0,2:0,1", "1,1:1,2:0,2:1,1"]),
        ("int64", (5, 4), ["3,2:2,2", "0,3:2,2", "3,2:0,2", "0,3:0,2"]),
        ("int8", (20000,), ["0,63", "63,1", "64,8127", "8191,1", "8192,11808"]),
        ("int4", (2,) * 8, ["0,1" + ":0,2" * 7, "1,1" + ":0,2" * 7]),
        ("bool", (3, 2), ["0,3:0,1", "0,3:1,1"]),
        ("bfloat16", (3, 2), ["0,3:0,2"]),
        ("string", (5,), ["3,2", "0,2", "2,1"]),
        ("qint16", (2, 2, 2), ["0,2:0,2:0,1", "0,2:0,1:1,1", "0,2:1,1:1,1"]),
        ("float8_e4m3fn", (4,), ["0,1", "1,3"]),
    ],
    ids=lambda part: str(part)[:20],
)
def test_slices_are_saved_the_same(tmp_path, dtype, shape, pieces):
    whole = values.filled(dtype, shape)
    cuts = [slices.parse_slice(piece) for piece in pieces]
    rows = [("w", Typed(whole[slices.indices(cut)], dtype), slices.save_spec(shape, cut)) for cut in cuts]
    tensorflow_oracle.save(tmp_path / "theirs" / "x", [("plain", b"p"), *rows])
    with tb.CheckpointWriter(tmp_path / "ours" / "x", alignment=1) as writer:
        writer.add("plain", b"p")
        for cut in cuts:
            start = [extent[0] for extent in cut]
            writer.add_slice("w", whole[slices.indices(cut)], shape, start, dtype=dtype)
    assert stored.files(tmp_path / "ours") == stored.files(tmp_path / "theirs")


def test_chunks_are_saved_the_same(tmp_path):
    whole = values.filled("int4", (300, 7))
    tensorflow_oracle.save(tmp_path / "theirs" / "x", [("a", whole), ("b", np.float32(1))])
    with tb.CheckpointWriter(tmp_path / "ours" / "x", alignment=1) as writer:
        writer.add_chunks("a", "int4", (300, 7), (whole[start : start + 11] for start in range(0, 300, 11)))
        writer.add("b", np.float32(1))
    assert stored.files(tmp_path / "ours") == stored.files(tmp_path / "theirs")


# TensorFlow's own tensors as what is saved.


@pytest.mark.parametrize("dtype", [dtype for dtype in WRITABLE if not dtype.name.startswith("q")], ids=lambda d: d.name)
def test_tensors_of_tensorflows_are_saved(tmp_path, tensorflow, dtype):
    tensors = {"w": values.filled(dtype.name, (2, 70)), "s": values.interesting(dtype.name)[1]}
    tb.save(
        tmp_path / "x",
        {name: tensorflow_oracle.to_tensor(Typed(value, dtype.name)) for name, value in tensors.items()},
    )
    assert_restores(tmp_path / "x", tensors)


def test_variables_of_tensorflows_are_saved(tmp_path, tensorflow):
    values_of = {"w": np.array([[1.5, 2.5]], "f4"), "s": as_array([b"a\0", b""]), "text": as_array(b"a\0")}
    tb.save(tmp_path / "x", {name: tensorflow.Variable(value.tolist()) for name, value in values_of.items()})
    assert_restores(tmp_path / "x", values_of)


def test_tensors_that_are_no_arrays_are_refused(tmp_path, tensorflow):
    with tensorflow.Graph().as_default():
        symbolic = tensorflow.constant(1.0)
    for value in (tensorflow.ragged.constant([[1, 2], [3]]), tensorflow.sparse.from_dense([0, 1]), symbolic):
        with pytest.raises(TypeError, match=r"^tensor 'w': "):
            tb.save(tmp_path / "x", {"w": value})
    # TensorFlow ends the process if it is asked for these in another way.
    for value in (tensorflow.raw_ops.EmptyTensorList(element_shape=[2], max_num_elements=2, element_dtype="int32"),):
        with pytest.raises(tensorflow.errors.InvalidArgumentError, match="dtype variant to a NumPy array"):
            tb.save(tmp_path / "x", {"w": value})
    assert stored.files(tmp_path) == {}
