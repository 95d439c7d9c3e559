"""Conversions as others see them: TensorFlow reads the checkpoints, and the safetensors package the safetensors."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from support import golden
from support.dtypes import BY_NAME, FIXED
from support.hashing import assert_same_bits
from support.tensors import Typed
from support.values import filled

import tensorbundle as tb
from tensorbundle.formats.safetensors import can_hold

safetensors = pytest.importorskip("safetensors")
BOTH = [dtype for dtype in FIXED if can_hold(dtype.name)]


def package_reads(path) -> dict[str, tuple[str, list[int], bytes]]:
    """Type, shape and bytes of each tensor of a file, by the safetensors package."""
    return {
        name: (tensor["dtype"], tensor["shape"], bytes(tensor["data"]))
        for name, tensor in safetensors.deserialize(path.read_bytes())
    }


@pytest.fixture
def every_type(write_bundle):
    tensors = {}
    for dtype in BOTH:
        tensors[f"matrix/{dtype.name}"] = Typed(filled(dtype.name, (7, 37)), dtype.name)
        tensors[f"scalar/{dtype.name}"] = Typed(filled(dtype.name, (), 3), dtype.name)
        tensors[f"empty/{dtype.name}"] = Typed(filled(dtype.name, (0, 2)), dtype.name)
    return write_bundle(tensors).prefix


def test_safetensors_reads_every_type_bit_by_bit(every_type, tmp_path):
    tb.convert(every_type, tmp_path / "a.safetensors")
    found = package_reads(tmp_path / "a.safetensors")
    with tb.open(every_type) as ckpt:
        assert sorted(found) == sorted(ckpt)
        for name, value in ckpt.items():
            _, shape, content = found[name]
            assert tuple(shape) == value.shape
            assert content == np.ascontiguousarray(value).tobytes(), name


def test_safetensors_makes_the_same_file(tmp_path):
    from safetensors.numpy import load_file, save_file

    tensors = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array([1, 2], np.int64),
        "c/d": np.array([True]),
        "e": np.zeros((0, 4), np.float16),
    }
    tb.save(tmp_path / "ckpt", tensors, durable=False)
    tb.convert(tmp_path / "ckpt", tmp_path / "ours.safetensors", metadata={"format": "np"})
    save_file(tensors, tmp_path / "theirs.safetensors", metadata={"format": "np"})
    assert (tmp_path / "ours.safetensors").read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()
    for name, value in load_file(tmp_path / "ours.safetensors").items():
        assert_same_bits(value, tensors[name])


@pytest.mark.parametrize("shards", [None, 3])
def test_tensorflow_reads_what_comes_back(tensorflow, every_type, tmp_path, shards):
    tb.convert(every_type, tmp_path / "a.safetensors", shards=shards)
    way = tmp_path / ("a.safetensors" if shards is None else "a.safetensors.index.json")
    tb.convert(way, tmp_path / "back", shards=shards)
    reader = tensorflow.train.load_checkpoint(str(tmp_path / "back"))
    original = tensorflow.train.load_checkpoint(str(every_type))
    shapes = original.get_variable_to_shape_map()
    assert reader.get_variable_to_shape_map() == shapes
    assert reader.get_variable_to_dtype_map() == original.get_variable_to_dtype_map()
    for name in shapes:
        dtype = BY_NAME[name.rpartition("/")[2]]
        if dtype.name.startswith("float8_") and dtype.name.endswith("uz"):
            continue  # TensorFlow's reader makes no arrays of these.
        assert_same_bits(reader.get_tensor(name), original.get_tensor(name), name)


def test_tensorflow_reads_casts_slices_and_shards(tensorflow, tmp_path):
    tensors = {"kernel": np.linspace(-3, 3, 4000, dtype=np.float32).reshape(40, 100), "step": np.array(5)}
    with tb.CheckpointWriter(tmp_path / "in", durable=False) as writer:
        writer.add("step", tensors["step"])
        writer.add_slice("kernel", tensors["kernel"][:17], (40, 100), (0, 0))
        writer.add_slice("kernel", tensors["kernel"][17:], (40, 100), (17, 0))
    tb.convert(tmp_path / "in", tmp_path / "out", cast="bfloat16", transpose="kernel", shards=2)
    reader = tensorflow.train.load_checkpoint(str(tmp_path / "out"))
    expected = tensorflow.cast(tensors["kernel"].T, tensorflow.bfloat16).numpy()
    assert_same_bits(reader.get_tensor("kernel"), expected)
    assert reader.get_tensor("step") == 5


def test_tensorflow_restores_objects_under_their_new_keys(tensorflow, tmp_path):
    tf = tensorflow
    model = tf.train.Checkpoint(net=tf.train.Checkpoint(kernel=tf.Variable([[1.0, 2.0]])), step=tf.Variable(3))
    path = model.save(str(tmp_path / "ckpt"))
    tb.convert(path, tmp_path / "out", rename=[("^net/", "body/")], cast="float64", shards=2)
    other = tf.train.Checkpoint(
        net=tf.train.Checkpoint(kernel=tf.Variable([[0.0, 0.0]], dtype=tf.float64)), step=tf.Variable(0)
    )
    other.restore(str(tmp_path / "out")).assert_existing_objects_matched()
    assert other.net.kernel.numpy().tolist() == [[1.0, 2.0]]
    assert other.step.numpy() == 3


@pytest.mark.parametrize("checkpoint", golden.checkpoints() + golden.checkpoints("V1"), ids=lambda each: each.id)
def test_tensorflow_reads_what_golden_checkpoints_become(tensorflow, checkpoint, tmp_path):
    tb.convert(checkpoint.prefix, tmp_path / "out", alignment=128)
    reader = tensorflow.train.load_checkpoint(str(tmp_path / "out"))
    with tb.open(tmp_path / "out") as made:
        for name, value in made.items():
            if name.isascii() and made.entry(name).tf_dtype not in UNREADABLE:
                assert_same_bits(reader.get_tensor(name), value, name)


# TensorFlow makes no arrays of these.
UNREADABLE = frozenset({"variant", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz"})


def test_index_is_as_transformers_writes_it(tmp_path):
    tb.save(tmp_path / "ckpt", {"a": np.zeros(3, np.float32), "b": np.zeros(2, np.float32)}, durable=False)
    tb.convert(tmp_path / "ckpt", f"{tmp_path}/out/", shards=2)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index == {
        "metadata": {"total_size": 20},
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
    }
    assert sorted(os.listdir(tmp_path / "out")) == [
        *sorted(index["weight_map"].values()),
        "model.safetensors.index.json",
    ]
