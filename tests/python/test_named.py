"""``named``: the same checkpoint under the names that its objects give."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from support import corpus
from support.bundle_writer import write_bundle
from support.golden import checkpoint

import tensorbundle as tb
from tensorbundle import _core

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def graph_of(*nodes):
    """A record: of each node children, attributes and slots."""
    return _core.encode_object_graph([(list(c), list(a), list(s), True) for c, a, s in nodes])


def leaf(key, full_name=""):
    return (), [("VARIABLE_VALUE", full_name, key)], ()


@pytest.fixture
def keras(tmp_path):
    """A model and its optimizer as Keras 3 has them: the shortest path to a weight is through the optimizer's list."""
    list_key = "optimizer/_trainable_variables/0"
    record = graph_of(
        ([("model", 1), ("optimizer", 2)], (), ()),
        ([("_functional", 3), ("optimizer", 2)], (), ()),
        ([("_variables", 4), ("_trainable_variables", 5), ("_momentums", 6)], (), ()),
        ([("_operations", 7)], (), ()),
        ([("0", 8)], (), ()),
        ([("0", 9)], (), ()),
        ([("0", 8)], (), ()),
        ([("1", 10)], (), ()),
        leaf(f"optimizer/_variables/0{VALUE}", "adam/momentum"),
        leaf(f"{list_key}{VALUE}", "dense/kernel"),
        ([("_kernel", 9), ("again", 9)], (), ()),
    )
    tensors = {
        GRAPH: record,
        f"{list_key}{VALUE}": np.arange(6.0).reshape(2, 3),
        f"optimizer/_variables/0{VALUE}": np.ones(2),
        "unknown": np.int32(5),
    }
    with tb.open(write_bundle(tmp_path / "ckpt", tensors).prefix) as ckpt:
        yield ckpt


def test_weights_are_named_by_the_model_and_not_by_the_optimizer(keras):
    named = keras.named(by="path")
    assert list(named) == [GRAPH, "model/_functional/_operations/1/_kernel", "optimizer/_momentums/0", "unknown"]
    assert named.key("optimizer/_momentums/0") == f"optimizer/_variables/0{VALUE}"
    assert list(keras.named("full_name")) == [GRAPH, "adam/momentum", "dense/kernel", "unknown"]
    assert list(keras.named("key")) == list(keras)


def test_reads_as_the_checkpoint_does(keras):
    named = keras.named("path")
    kernel = "model/_functional/_operations/1/_kernel"
    assert isinstance(named, tb.Checkpoint)
    assert len(named) == 4
    assert kernel in named
    assert f"optimizer/_variables/0{VALUE}" not in named
    assert named[kernel].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert named.read(kernel, index=np.s_[1]).tolist() == [3, 4, 5]
    assert named.lazy(kernel)[0, 1:].tolist() == [1, 2]
    assert named.entry(kernel).name == kernel
    assert list(named.load(include="^model/", copy=True)) == [kernel]
    assert list(named.load(exclude="^model/|GRAPH")) == ["optimizer/_momentums/0", "unknown"]
    out = np.zeros((2, 3))
    assert named.load([kernel], out={kernel: out})[kernel] is out
    assert named.verify().checked == 4
    with pytest.raises(tb.errors.NotFoundError, match="'model/_functional/_operations/1/_kernel'"):
        named["_kernel"]


def test_is_a_handle_of_its_own(keras):
    named = keras.named("path")
    assert repr(named) == f"<tensorbundle.Checkpoint {keras.path!r} named by path: 4 tensors>"
    again = pickle.loads(pickle.dumps(named))
    assert list(again) == list(named)
    assert list(named.named("full_name").named("path").named("key")) == list(keras)
    named.close()
    assert not keras.closed
    assert again["unknown"] == 5


def test_wrong_names_are_refused(keras):
    with pytest.raises(ValueError, match=r"^by is 'path', 'full_name' or 'key', not 'name'$"):
        keras.named("name")


def test_what_is_saved_under_other_names(keras, tmp_path):
    tb.save(tmp_path / "renamed", keras.named("path"))
    assert list(tb.open(tmp_path / "renamed")) == list(keras.named("path"))


def test_slots_are_under_their_variable():
    with tb.open(checkpoint("2.21.0/objects").prefix) as ckpt:
        names = list(ckpt.named("path"))
    assert [name for name in names if name.startswith("model/layer/kernel")] == [
        "model/layer/kernel",
        "model/layer/kernel/.OPTIMIZER_SLOT/optimizer/m",
        "model/layer/kernel/.OPTIMIZER_SLOT/optimizer/v",
    ]
    assert "note/.ATTRIBUTES/py_state" in names


def test_without_a_graph_names_are_keys(tmp_path):
    with tb.open(write_bundle(tmp_path / "ckpt", {"w": np.int8(1)}).prefix) as ckpt:
        assert list(ckpt.named("path")) == list(ckpt.named("full_name")) == ["w"]
        assert ckpt.object_graph is None


def test_without_a_readable_graph_all_else_reads(tmp_path):
    with tb.open(write_bundle(tmp_path / "ckpt", {GRAPH: b"\xff", "w": np.int8(1)}).prefix) as ckpt:
        assert ckpt["w"] == 1
        for read in (lambda: ckpt.object_graph, lambda: ckpt.named("path")):
            with pytest.raises(tb.errors.DataLossError, match=f'tensor "{GRAPH}": malformed protobuf message'):
                read()


@pytest.mark.parametrize("by", ["path", "full_name"])
def test_a_shared_name_names_nothing(tmp_path, by):
    record = graph_of(
        ([("a", 1), ("b", 2), ("c", 3)], (), ()), leaf("1", "Variable"), leaf("2", "Variable"), leaf("3", "2")
    )
    tensors = {GRAPH: record, "1": np.int8(1), "2": np.int8(2), "3": np.int8(3)}
    with tb.open(write_bundle(tmp_path / "ckpt", tensors).prefix) as ckpt:
        names = {"path": [GRAPH, "a", "b", "c"], "full_name": ["1", "2", "3", GRAPH]}
        assert list(ckpt.named(by)) == names[by]


@pytest.mark.skipif(not corpus.checkpoints(), reason="the open corpus is absent")
def test_every_object_based_checkpoint_of_the_corpus_keeps_all_it_has():
    seen = 0
    for sample in corpus.checkpoints():
        if GRAPH not in sample.tensors or not sample.complete:
            continue
        seen += 1
        with tb.open(sample.prefix) as ckpt:
            values = [key for key in ckpt if key.endswith(VALUE)]
            named = ckpt.named("path")
            assert {named.key(name) for name in named} == set(sample.tensors)
            by_key = {named.key(name): name for name in named}
            assert all(not by_key[key].endswith(VALUE) for key in values), sample.id
            for name, key in zip(by_key.values(), by_key, strict=True):
                assert named.entry(name).crc32c == ckpt.entry(key).crc32c
            # Any path to an object finds it, and the object its tensor.
            graph = ckpt.object_graph
            own = {path: key for path, key in graph.variables.items() if ".OPTIMIZER_SLOT" not in path}
            assert {path: graph.find(path).key for path in own} == own
            assert str(graph).startswith("root")
    assert seen >= 30
