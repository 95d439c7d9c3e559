"""``object_graph``: the objects that were saved, as data and as a tree for people."""

from __future__ import annotations

import time

import pytest
from support.golden import checkpoint
from support.wire import bytes_field, int_field

import tensorbundle as tb
from tensorbundle import _core

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def record_of(*edges, nodes):
    """A graph of so many nodes and (from, to, name) edges, each node but the root a variable."""
    children = [[] for _ in range(nodes)]
    for start, end, name in edges:
        children[start].append((name, end))
    return _core.encode_object_graph(
        [
            (children[node], [("VARIABLE_VALUE", "", f"key{node}{VALUE}")] if node else [], [], True)
            for node in range(nodes)
        ]
    )


@pytest.fixture(scope="module")
def golden():
    with tb.open(checkpoint("2.21.0/objects").prefix) as ckpt:
        yield ckpt.object_graph


def test_nodes_children_variables_and_slots(golden):
    assert len(golden) == len(golden.nodes) == 18
    assert golden.root == golden.nodes[0]
    assert golden.root.path == ""
    assert list(golden.root.children) == ["model", "note", "optimizer", "step"]
    kernel = golden.root.children["model"].children["layer"].children["kernel"]
    assert kernel is not golden.nodes[9]
    assert kernel == golden.nodes[9]
    assert len({kernel, golden.nodes[9]}) == 1
    assert (kernel.path, kernel.key) == ("model/layer/kernel", f"model/layer/kernel{VALUE}")
    assert kernel.attributes == (("VARIABLE_VALUE", "kernel", kernel.key),)
    assert kernel.has_checkpoint_values is True
    assert kernel.registered_saver is None
    assert golden.find("model/shared/kernel") == kernel
    assert golden.variables["step"] == f"step{VALUE}"
    assert len(golden.variables) == 11
    slot = golden.slots[0]
    assert (slot.name, slot.variable, slot.optimizer.path) == ("m", kernel, "optimizer")
    assert slot.value.path == "model/layer/kernel/.OPTIMIZER_SLOT/optimizer/m"
    assert golden.find("optimizer").slots == golden.slots
    assert repr(golden) == "<tensorbundle.ObjectGraph: 18 objects, 12 of them with values>"
    assert repr(kernel) == "<ObjectNode 9: 'model/layer/kernel'>"


def test_tree(golden):
    assert str(golden) == (
        "root\n"
        "├─ model\n"
        "│  ├─ layer\n"
        "│  │  ├─ kernel: variable\n"
        "│  │  │  ├─ .m of optimizer: variable\n"
        "│  │  │  └─ .v of optimizer: variable\n"
        "│  │  ├─ bias: variable\n"
        "│  │  │  ├─ .m of optimizer: variable\n"
        "│  │  │  └─ .v of optimizer: variable\n"
        "│  │  └─ history\n"
        "│  │     ├─ 0: variable\n"
        "│  │     └─ 1: variable\n"
        "│  └─ (1 without values of their own)\n"
        "├─ note: py_state\n"
        "├─ optimizer\n"
        "│  ├─ beta1_power: variable\n"
        "│  └─ beta2_power: variable\n"
        "└─ step: variable"
    )
    assert "│  └─ shared\n│     └─ kernel -> model/layer/kernel\n" in golden.tree(values_only=False)
    assert golden.tree(max_lines=2) == "root\n├─ model\n... (the first 2 lines; tree(max_lines=None) has all)"


def test_cycles_and_strange_names():
    graph = tb.ObjectGraph.parse(record_of((0, 1, "a/b"), (1, 0, "up"), (1, 1, "self"), (0, 2, "\udcff\n"), nodes=3))
    assert graph.find("a.Sb/self/up/a.Sb").id == 1
    assert graph.nodes[2].path == "\udcff\n"
    assert str(graph).splitlines() == [
        "root",
        f"├─ a/b: variable at key1{VALUE}",
        "│  ├─ up -> root",
        "│  └─ self -> a.Sb",
        f"└─ '\\udcff\\n': variable at key2{VALUE}",
    ]
    with pytest.raises(tb.errors.NotFoundError, match=r"^no object at 'a.Sb/c': 'a.Sb' has no 'c', but 'up', 'self'$"):
        graph.find("a.Sb/c")


def test_a_graph_of_any_depth():
    count = 300_000
    steps = (bytes_field(1, int_field(1, node + 1) + bytes_field(2, b"x")) for node in range(count - 1))
    end = bytes_field(2, bytes_field(1, b"VARIABLE_VALUE") + bytes_field(3, b"k"))
    record = b"".join(bytes_field(1, node) for node in (*steps, end))
    start = time.process_time()
    graph = tb.ObjectGraph.parse(record)
    assert len(graph) == count
    assert graph.variables == {"/".join(["x"] * (count - 1)): "k"}
    assert len(str(graph).splitlines()) == 1001
    assert time.process_time() - start < 20


def test_paths_of_some_objects(golden):
    assert golden.paths([0, 1]) == {0: "", 1: golden.nodes[1].path}
    assert tb.ObjectGraph.parse(record_of(nodes=2)).paths([0, 1]) == {0: ""}


def test_a_small_graph_of_long_paths():
    depth = 8000
    steps = [(node, node + 1, "x" * 30) for node in range(depth)]
    lists = [(0, depth, f"{number} variables") for number in range(1200)]
    graph = tb.ObjectGraph.parse(record_of(*lists, *steps, nodes=depth + 1))
    path = "/".join(["x" * 30] * depth)
    assert graph.nodes[depth].path == path
    with pytest.raises(
        tb.errors.LimitError, match=r"^the paths of the variables take 992116000 bytes, more than 34\d{6}$"
    ):
        graph.variables  # noqa: B018
    with pytest.raises(tb.errors.LimitError, match=r"^these paths take 24799900 bytes, more than 16777216$"):
        graph.paths([depth] * 100)
    assert str(graph).splitlines()[1] == f"├─ 0 variables -> {path[:200]}...{path[-200:]}"
    assert len(str(graph)) < 1_000_000


def test_names_are_printed_without_what_a_terminal_would_obey():
    graph = tb.ObjectGraph.parse(record_of((0, 1, "\x1b[31m"), (1, 1, "self"), (0, 2, "z"), (2, 1, "y"), nodes=3))
    assert "\x1b" not in str(graph)
    assert "│  └─ self -> '\\x1b[31m'" in str(graph)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"", "the object graph has no nodes"),
        (b"\xff", "malformed protobuf message: byte 0: a tag is cut short or has more than 32 bits"),
        (
            record_of((0, 7, "x"), nodes=2),
            'node 0 of the object graph: its child "x" is node 7, where the graph has 2 nodes',
        ),
        (
            record_of((1, -1, "x"), nodes=2),
            'node 1 of the object graph: its child "x" is node -1, where the graph has 2 nodes',
        ),
    ],
)
def test_damage_is_said(record, message):
    with pytest.raises(tb.errors.DataLossError) as caught:
        tb.ObjectGraph.parse(record)
    assert str(caught.value) == message


def test_the_last_of_equal_names_counts():
    graph = tb.ObjectGraph.parse(record_of((0, 1, "a"), (0, 2, "a"), nodes=3))
    assert {name: node.id for name, node in graph.root.children.items()} == {"a": 2}
    assert graph.nodes[1].path is None


def test_keys_of_a_record_are_edited():
    record = record_of((0, 1, "a"), (0, 2, "b"), nodes=3)
    keys = [f"key1{VALUE}", f"key2{VALUE}"]
    assert _core.edit_object_graph(record, keys, keys) is None
    edited = _core.ObjectGraph.parse(_core.edit_object_graph(record, keys, [f"new{VALUE}", None]))
    assert edited.attributes(1) == [("VARIABLE_VALUE", "", f"new{VALUE}")]
    assert edited.attributes(2) == []
    assert edited.children(0) == [("a", 1), ("b", 2)]
    with pytest.raises(ValueError, match="by which TensorFlow finds the value"):
        _core.edit_object_graph(record, keys, ["new", None])
    with pytest.raises(ValueError, match=r"^there must be a new key, or None, for each key$"):
        _core.edit_object_graph(record, keys, [None])
    with pytest.raises(tb.errors.DataLossError):
        _core.edit_object_graph(record[:-3], keys, [f"new{VALUE}", None])
