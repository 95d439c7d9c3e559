"""``save_objects``: nested structures of arrays as the objects that TensorFlow restores."""

from __future__ import annotations

import os

import numpy as np
import pytest

import tensorbundle as tb

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def test_structures_become_objects(tmp_path):
    tree = {"b": {"z": np.float32([1, 2]), "a.b/c": [1, (2.5, "text")], "empty": {}}, "a": b"bytes"}
    prefix = tb.save_objects(tmp_path / "ckpt", tree, save_counter=3, shards=2)
    with tb.open(prefix) as ckpt:
        assert ckpt.num_shards == 2
        named = ckpt.named("path")
        assert list(named) == [GRAPH, "a", "b/a..b.Sc/0", "b/a..b.Sc/1/0", "b/a..b.Sc/1/1", "b/z", "save_counter"]
        assert list(ckpt.named("full_name")) == list(named)
        assert list(ckpt) == [GRAPH, *(name + VALUE for name in list(named)[1:])]
        assert named["a"][()] == b"bytes"
        assert named["b/a..b.Sc/1/1"][()] == b"text"
        assert named["save_counter"] == 3
        assert named["save_counter"].dtype == np.int64
        graph = ckpt.object_graph
        assert list(graph.root.children) == ["a", "b", "save_counter"]  # Sorted, as keyword arguments are.
        assert list(graph.find("b").children) == ["z", "a.b/c", "empty"]
        assert graph.find("b/empty").has_checkpoint_values is False
        assert graph.find("b/a..b.Sc/1").has_checkpoint_values is True


def test_slots(tmp_path):
    tree = {"m": {"w": np.ones(2), "b": 1.0}, "opt": {}}
    slots = {"opt": {"v": {"m/w": np.zeros(2)}, "m.": {"m/b": 2.0, "m/w": np.full(2, 3.0)}}}
    with tb.open(tb.save_objects(tmp_path / "ckpt", tree, slots=slots, save_counter=None)) as ckpt:
        assert list(ckpt.named("path"))[1:] == [
            "m/b",
            "m/b/.OPTIMIZER_SLOT/opt/m..",
            "m/w",
            "m/w/.OPTIMIZER_SLOT/opt/m..",
            "m/w/.OPTIMIZER_SLOT/opt/v",
        ]
        assert [(slot.name, slot.variable.path) for slot in ckpt.object_graph.slots] == [
            ("m.", "m/w"),
            ("m.", "m/b"),
            ("v", "m/w"),
        ]
        assert ckpt.named("full_name")["opt/m/b/m.."] == 2


def cyclic():
    inner = {"w": 1}
    inner["again"] = inner
    return {"a": inner}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tree": [1]}, TypeError, "tree must be a mapping, not list"),
        ({"tree": {}}, ValueError, "there is no array in the tree"),
        ({"tree": {"a": {1: 2}}}, TypeError, "tree at 'a': names are str, not int: 1"),
        ({"tree": {"": 1}}, ValueError, "tree: a name is empty"),
        ({"tree": cyclic()}, ValueError, "tree: the dict at 'a' contains itself, at 'a/again'"),
        ({"tree": {"a": {1, 2}}}, TypeError, "object arrays may hold bytes and str only"),
        ({"tree": {"save_counter": 1}}, ValueError, "tree has a 'save_counter' of its own"),
        ({"tree": {"a": 1}, "save_counter": 1.5}, TypeError, "save_counter must be None or an integer, not 1.5"),
        (
            {"tree": {"a": 1}, "slots": {"o": {}}},
            ValueError,
            "slots: there is no optimizer 'o' in the tree; it has",
        ),
        (
            {"tree": {"a": 1, "o": {}}, "slots": {"o": {"m": {"b": 1}}}},
            ValueError,
            "slots: there is no variable 'b' in the tree",
        ),
        ({"tree": {"a": 1, "o": {}}, "slots": {"o": {"m": {"o": 1}}}}, ValueError, "slots: 'o' is no variable"),
        ({"tree": {"a": 1, "o": {}}, "slots": {"o": {"m": 1}}}, TypeError, r"slots\['o'\]\['m'\] must be a mapping"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        tb.save_objects(tmp_path / "ckpt", **arguments)
    assert os.listdir(tmp_path) == []


def test_a_tree_may_have_a_counter_of_its_own(tmp_path):
    prefix = tb.save_objects(tmp_path / "ckpt", {"save_counter": np.int64(9)}, save_counter=None)
    assert tb.load(prefix)[f"save_counter{VALUE}"] == 9
