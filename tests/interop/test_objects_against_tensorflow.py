"""Object-based checkpoints: TensorFlow restores what we save and edit, and we name what it saves."""

from __future__ import annotations

import numpy as np
import pytest
from support import tensorflow_oracle

import tensorbundle as tb

tf = tensorflow_oracle.require()

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def variables(tree, path=""):
    """The same structure with a variable for each array, called what its path is."""
    if isinstance(tree, dict):
        return {name: variables(value, f"{path}/{name}" if path else name) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(variables(value, f"{path}/{number}") for number, value in enumerate(tree))
    return tf.Variable(tree, name=path)


def zeros(tree):
    if isinstance(tree, dict):
        return {name: zeros(value) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(zeros, tree))
    return tf.Variable(tf.zeros_like(tree))


def leaves(tree):
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in leaves(tree[name])]
    return [leaf for each in tree for leaf in leaves(each)] if isinstance(tree, (list, tuple)) else [np.asarray(tree)]


TREES = {
    "flat": {"w": np.float32([1, 2]), "step": np.int64(3)},
    "nested": {"model": {"z": np.float32(1), "a": {"k": np.ones((2, 3), np.float16)}}, "b": np.uint8([1])},
    "lists": {"l": [np.float32(1), (np.float64(2), {"x": np.int32(3)})], "empty": {}, "none": []},
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_the_graph_is_tensorflows_byte_for_byte(tmp_path, tree):
    ours = tb.load(tb.save_objects(tmp_path / "ours", tree))
    theirs = tb.load(tf.train.Checkpoint(**variables(tree)).save(tmp_path / "theirs"))
    assert list(ours) == list(theirs)
    assert ours[GRAPH][()] == theirs[GRAPH][()]
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("counted", [True, False])
def test_restores_what_we_save(tmp_path, tree, counted):
    prefix = tb.save_objects(tmp_path / "ours", tree, save_counter=5 if counted else None)
    targets = zeros(tree)
    checkpoint = tf.train.Checkpoint(**targets)
    (checkpoint.restore if counted else checkpoint.read)(prefix).assert_consumed()
    assert all(map(np.array_equal, leaves(tree), leaves(targets)))
    if counted:
        assert checkpoint.save_counter.numpy() == 5


def test_names_that_need_escapes(tmp_path):
    prefix = tb.save_objects(tmp_path / "ours", {"d": {"a/b.c": np.float32(7), ".S": np.float32(8)}})
    targets = zeros({"d": {"a/b.c": np.float32(0), ".S": np.float32(0)}})
    tf.train.Checkpoint(**targets).restore(prefix).assert_consumed()
    assert (targets["d"]["a/b.c"].numpy(), targets["d"][".S"].numpy()) == (7, 8)


def stepped_adam(variable):
    optimizer = tf.compat.v1.train.AdamOptimizer(0.1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(variable * variable)
    optimizer.apply_gradients([(tape.gradient(loss, variable), variable)])
    return optimizer


def test_slots(tmp_path):
    w = tf.Variable([1.0, 2.0], name="model/w")
    optimizer = stepped_adam(w)
    m, v = (optimizer.get_slot(w, name).numpy() for name in ("m", "v"))
    tree = {
        "model": {"w": np.float32([5, 6])},
        "opt": {"beta1_power": np.float32(0.5), "beta2_power": np.float32(0.25)},
    }
    slots = {"opt": {"m": {"model/w": m + 1}, "v": {"model/w": v + 2}}}
    prefix = tb.save_objects(tmp_path / "ours", tree, slots=slots)
    tf.train.Checkpoint(model={"w": w}, opt=optimizer).restore(prefix).assert_consumed()
    assert w.numpy().tolist() == [5, 6]
    assert np.array_equal(optimizer.get_slot(w, "m"), m + 1)
    assert np.array_equal(optimizer.get_slot(w, "v"), v + 2)
    # Saved again by TensorFlow, the same tensors are at the same places.
    again = tb.open(tf.train.Checkpoint(model={"w": w}, opt=optimizer).save(tmp_path / "theirs"))
    assert list(again) == list(tb.open(prefix))
    assert list(again.named("path")) == list(tb.open(prefix).named("path"))


@pytest.mark.parametrize("to_another", [False, True])
def test_restores_what_we_edit(tmp_path, to_another):
    tree = {"model": {"w": np.float32([1, 2]), "b": np.float32(3)}, "extra": np.float32(4)}
    source = tf.train.Checkpoint(**variables(tree)).write(str(tmp_path / "ckpt"))
    prefix = tb.edit(
        source, tmp_path / "copy" if to_another else None, rename=[("^model/w", "renamed/x/y")], drop="^extra"
    )
    kept = zeros({"model": tree["model"]})
    tf.train.Checkpoint(**kept).read(prefix).assert_consumed()
    assert kept["model"]["w"].numpy().tolist() == [1, 2]
    assert kept["model"]["b"].numpy() == 3
    extra = tf.Variable(9.0)
    tf.train.Checkpoint(extra=extra).read(prefix).expect_partial()
    assert extra.numpy() == 9


def test_dropped_slots_are_not_looked_for(tmp_path):
    w = tf.Variable([1.0, 2.0])
    source = tf.train.Checkpoint(w=w, opt=stepped_adam(w)).write(str(tmp_path / "ckpt"))
    prefix = tb.edit(source, drop=r"\.OPTIMIZER_SLOT")
    assert tb.open(prefix).object_graph.slots == ()
    restored = tf.Variable([0.0, 0.0])
    tf.train.Checkpoint(w=restored, opt=stepped_adam(restored)).read(prefix).expect_partial()
    assert np.array_equal(restored, w)


def test_a_table_is_renamed_as_a_whole(tmp_path):
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    table.insert(tf.constant(["a"]), tf.constant([5], tf.int64))
    prefix = tb.edit(tf.train.Checkpoint(t=table).write(str(tmp_path / "ckpt")), rename=[("^t/", "u/")])
    named = tb.open(prefix).named("path")
    assert [name for name in named if name != GRAPH] == ["t/.ATTRIBUTES/table-keys", "t/.ATTRIBUTES/table-values"]
    again = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    tf.train.Checkpoint(t=again).read(prefix).assert_consumed()
    assert again.lookup(tf.constant(["a"])).numpy().tolist() == [5]


def test_a_saver_finds_variables_by_their_full_names(tmp_path):
    prefix = tb.save_objects(tmp_path / "ours", {"model": {"w": np.float32([1, 2])}})
    assert "model/w" in tb.open(prefix).named("full_name")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        w = tf.compat.v1.get_variable("model/w", [2])
        tf.compat.v1.train.Saver([w]).restore(session, prefix)
        assert session.run(w).tolist() == [1, 2]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def test_weights_of_a_keras_model_are_named_by_the_model(tmp_path, keras):
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(2, name="second")(keras.layers.Dense(3, name="first")(inputs))
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    prefix = tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / "ckpt"))
    with tb.open(prefix) as ckpt:
        named = ckpt.named("path")
        kernel = "model/_operations/1/_kernel"
        assert ckpt.named("path").key(kernel).startswith("optimizer/_trainable_variables/")
        assert np.array_equal(named[kernel], model.get_layer("first").kernel)
        assert [name for name in named if "trainable_variables" in name or "/_variables/" in name] == []
        full = ckpt.named("full_name")
        assert np.array_equal(full["second/bias"], model.get_layer("second").bias)


def test_a_keras_model_restores_what_we_save(tmp_path, keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    kernel, bias = np.float32(np.arange(12)).reshape(4, 3), np.float32([1, 2, 3])
    layer = {"_kernel": kernel, "bias": bias}
    prefix = tb.save_objects(tmp_path / "ours", {"model": {"_functional": {"_operations": {"1": layer}}}})
    tf.train.Checkpoint(model=model).restore(prefix).assert_consumed()
    assert np.array_equal(model.layers[0].kernel, kernel)
    assert np.array_equal(model.layers[0].bias, bias)


def test_names_what_a_module_saves(tmp_path):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(1.0)
            self.again = self.w
            self.d = {"a/b": tf.Variable(2.0), "l": [tf.Variable(3.0)]}

    with tb.open(tf.train.Checkpoint(m=Module()).write(str(tmp_path / "ckpt"))) as ckpt:
        assert list(ckpt.named("path")) == [GRAPH, "m/d/a.Sb", "m/d/l/0", "m/w"]
        graph = ckpt.object_graph
        assert graph.find("m/again") == graph.find("m/w")
