"""What salvage and average write, restored by TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
from support import stored, tensorflow_oracle
from support.hashing import assert_same_bits

import tensorbundle as tb

pytestmark = pytest.mark.usefixtures("tensorflow")


def model(tf, value):
    """Two variables and a counter, as tf.train.Checkpoint sees them."""
    kernel = tf.Variable(np.full((3, 4), value, np.float32))
    bias = tf.Variable(np.full(4, value + 1, np.float32))
    return tf.train.Checkpoint(kernel=kernel, bias=bias, step=tf.Variable(int(value), dtype=tf.int64))


def flip(prefix, name):
    with tb.open(prefix) as ckpt:
        entry = ckpt.entry(name)
    path = stored.data_files(prefix)[entry.shard]
    data = bytearray(path.read_bytes())
    data[entry.offset] ^= 1
    path.write_bytes(bytes(data))


def test_objects_restore_what_was_salvaged(tmp_path, tensorflow):
    prefix = model(tensorflow, 5).write(str(tmp_path / "src"))
    flip(prefix, "bias/.ATTRIBUTES/VARIABLE_VALUE")
    report = tb.salvage(prefix, tmp_path / "dst")
    assert (report.object_graph, len(report.lost)) == ("edited", 1)
    restored = model(tensorflow, 0)
    restored.read(str(tmp_path / "dst")).expect_partial()
    assert (restored.kernel.numpy() == 5).all()
    assert (restored.bias.numpy() == 1).all()
    assert restored.step.numpy() == 5


def test_tensors_of_a_salvaged_checkpoint(tmp_path):
    rows = [("w", np.arange(6, dtype=np.float32)), ("bad", np.ones(3)), ("s", [b"a", b"bc"]), ("n", np.array(7))]
    tensorflow_oracle.save(tmp_path / "src", rows)
    flip(tmp_path / "src", "bad")
    tb.salvage(tmp_path / "src", tmp_path / "dst", shards=2)
    found = tensorflow_oracle.read(tmp_path / "dst")
    assert sorted(found) == ["n", "s", "w"]
    for name, value in rows:
        if name != "bad":
            expected = np.array(value, object) if name == "s" else value
            assert_same_bits(found[name], expected, name)


def test_objects_restore_an_average(tmp_path, tensorflow):
    prefixes = [model(tensorflow, value).write(str(tmp_path / str(value))) for value in (1, 2, 6)]
    tb.average(prefixes, tmp_path / "mean")
    restored = model(tensorflow, 0)
    restored.read(str(tmp_path / "mean")).assert_consumed()
    assert (restored.kernel.numpy() == 3).all()
    assert (restored.bias.numpy() == 4).all()
    assert restored.step.numpy() == 6


def test_means_are_those_of_tensorflow(tmp_path, tensorflow):
    rng = np.random.default_rng(0)
    saves = [rng.standard_normal((50, 60)).astype(np.float32) for _ in range(4)]
    for number, array in enumerate(saves):
        tensorflow_oracle.save(tmp_path / str(number), [("w", array)])
    tb.average([tmp_path / str(number) for number in range(4)], tmp_path / "mean")
    expected = tensorflow.reduce_mean(tensorflow.stack([array.astype(np.float64) for array in saves]), axis=0)
    assert_same_bits(tensorflow_oracle.read(tmp_path / "mean")["w"], expected.numpy().astype(np.float32), "w")
