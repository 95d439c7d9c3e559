"""Variables of a SavedModel under all of their names, the objects that lead to them, and names under a scope."""

from __future__ import annotations

import numpy as np
import pytest
from support import saved_models
from support.graphs import WEIGHTS, matmul, predict
from support.saved_models import add_asset, add_object, add_variable, meta_graph, write

import tensorbundle as tb
from tensorbundle import errors, saved_model
from tensorbundle.protos import messages
from tensorbundle.protos.convert import serialize

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """A model of TensorFlow 2: a layer that is shared and has a cycle, an optimizer with a slot, odd names.

    The checkpoint numbers its objects otherwise than the model does, and leaves out those without values.
    """
    directory = tmp_path_factory.mktemp("objects")
    tree = {"model": {"kernel": np.float32([1, 2]), "a/b.c": np.float32(3)}, "optimizer": {"step": np.int64(7)}}
    slots = {"optimizer": {"m": {"model/kernel": np.float32([5, 6])}}}
    tb.save_objects(directory / "variables" / "variables", tree, slots=slots, save_counter=None)
    made = meta_graph()
    add_object(made, children={"signatures": 1, "layers": 2, "model": 3, "optimizer": 6})
    add_object(made, "function")
    add_object(made, children={"0": 3})
    add_object(made, children={"kernel": 4, "a/b.c": 5, "call": 1, "parent": 0})
    add_object(made, "variable", name="dense/kernel")
    add_object(made, "variable", name="dense/odd")
    optimizer = add_object(made, children={"step": 7})
    add_object(made, "variable", name="step")
    add_object(made, "variable", name="dense/kernel/m")
    optimizer.slot_variables.add(original_variable_node_id=4, slot_name="m", slot_variable_node_id=8)
    return write(directory, made)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"model/kernel{VALUE}", [1, 2]),
        ("model/kernel", [1, 2]),
        ("model/kernel:0", [1, 2]),
        ("layers/0/kernel", [1, 2]),  # A path that the checkpoint does not have.
        ("layers/0/parent/model/parent/layers/0/kernel", [1, 2]),
        ("model/a.Sb..c", 3),
        ("optimizer/step", 7),
        ("optimizer/step:0", 7),
        ("model/kernel/.OPTIMIZER_SLOT/optimizer/m", [5, 6]),
        ("layers/0/kernel/.OPTIMIZER_SLOT/optimizer/m", [5, 6]),
        ("optimizer/model/kernel/m", [5, 6]),  # Its full name in the checkpoint.
    ],
)
def test_names_of_objects(objects, name, value):
    with saved_model.load(objects) as loaded:
        assert loaded.variable(name).tolist() == value
        assert loaded.variables[loaded.variable_key(name)].tolist() == value


def test_the_object_graph(objects):
    with saved_model.load(objects) as loaded:
        graph = loaded.object_graph
        assert isinstance(graph, tb.ObjectGraph)
        assert len(graph) == len(loaded.meta_graph.object_graph_def.nodes) == 9
        assert graph.variables == {
            "model/kernel": f"model/kernel{VALUE}",
            "model/a.Sb..c": f"model/a.Sb..c{VALUE}",
            "optimizer/step": f"optimizer/step{VALUE}",
            "model/kernel/.OPTIMIZER_SLOT/optimizer/m": f"model/kernel/.OPTIMIZER_SLOT/optimizer/m{VALUE}",
        }
        assert graph.find("layers/0/kernel") == graph.find("model/kernel") == graph.nodes[4]
        assert [each.has_checkpoint_values for each in graph.nodes] == [
            True, False, True, True, True, True, True, True, True
        ]  # fmt: skip
        (slot,) = graph.slots
        assert (slot.name, slot.optimizer.id, slot.variable.id, slot.value.id) == ("m", 6, 4, 8)
        assert loaded.object_graph is graph


def test_names_that_are_not_there(objects):
    with saved_model.load(objects) as loaded:
        with pytest.raises(errors.NotFoundError, match=r"the nearest names are .*'model/kernel'") as caught:
            loaded.variable("model/kernle")
        assert caught.value.tensor == "model/kernle"
        for name in ("model", "model/kernel/m", "model/kernel/.OPTIMIZER_SLOT/optimizer/v", "", "signatures", ":0"):
            with pytest.raises(errors.NotFoundError):
                loaded.variable(name)
        with pytest.raises(TypeError, match="names of variables are str, not bytes: b'model'"):
            loaded.variable(b"model")


def test_a_name_of_several(tmp_path):
    """Variables of a module that nobody gave a name have one and the same."""
    record = saved_models.objects_record({"a": ("Variable", "a" + VALUE), "b": ("Variable", "b" + VALUE)})
    tensors = {"a" + VALUE: np.float32(1), "b" + VALUE: np.float32(2), "_CHECKPOINTABLE_OBJECT_GRAPH": record}
    tb.save(tmp_path / "variables" / "variables", tensors)
    loaded = saved_model.load(write(tmp_path, meta_graph()))
    assert loaded.variable("b").tolist() == 2
    with pytest.raises(errors.NotFoundError) as caught:
        loaded.variable("Variable:0")
    keys = f"'a{VALUE}', 'b{VALUE}'"
    assert str(caught.value) == f"'Variable' is what 2 variables are called: their keys are {keys}"


def test_objects_whose_variables_were_saved_by_name(tmp_path):
    tb.save(tmp_path / "variables" / "variables", {"dense/kernel": np.float32([1])})
    made = meta_graph()
    add_object(made, children={"kernel": 1, "gone": 2})
    add_object(made, "variable", name="dense/kernel")
    add_object(made, "variable", name="dense/gone")
    loaded = saved_model.load(write(tmp_path, made))
    assert loaded.object_graph.variables == {"kernel": "dense/kernel"}
    assert loaded.variable("kernel").tolist() == [1]


def test_objects_without_a_checkpoint(tmp_path):
    made = meta_graph()
    add_object(made, children={"kernel": 1})
    add_object(made, "variable", name="dense/kernel")
    loaded = saved_model.load(write(tmp_path, made))
    assert loaded.object_graph.variables == {}
    assert loaded.object_graph.find("kernel").id == 1
    assert list(loaded.problems()) == ["variables"]


def test_of_children_of_one_name_the_last_stays(tmp_path):
    tb.save_objects(tmp_path / "variables" / "variables", {"v": np.float32(1)}, save_counter=None)
    made = meta_graph()
    root = add_object(made, children={"v": 1})
    root.children.add(node_id=2, local_name="v")
    add_object(made, "variable", name="first")
    add_object(made, "variable", name="last")
    graph = saved_model.load(write(tmp_path, made)).object_graph
    assert [bool(node.attributes) for node in graph.nodes] == [False, False, True]


def test_deep_objects(tmp_path):
    """Without recursion."""
    tb.save(tmp_path / "variables" / "variables", {"v": np.float32(1)})
    made = meta_graph()
    for number in range(20_000):
        add_object(made, children={"n": number + 1})
    add_object(made, "variable", name="v")
    loaded = saved_model.load(write(tmp_path, made))
    assert loaded.variable("/".join(["n"] * 20_000)).tolist() == 1
    assert loaded.object_graph.root.has_checkpoint_values


# Models of TensorFlow 1.


@pytest.fixture
def partitioned(tmp_path):
    """Two variables, one of them in parts."""
    with tb.CheckpointWriter(tmp_path / "variables" / "variables") as writer:
        writer.add("w", np.float32([1, 2]))
        whole = np.arange(8, dtype=np.float32).reshape(4, 2)
        writer.add_slice("emb", whole[:3], (4, 2), (0, 0))
        writer.add_slice("emb", whole[3:], (4, 2), (3, 0))
    made = meta_graph(nodes={"w": "VariableV2", "emb/part_0": "VariableV2", "emb/part_1": "VariableV2"})
    add_variable(made, "w")
    add_variable(made, "emb/part_0", ("emb", [4, 2], [0, 0], [3, 2]))
    add_variable(made, "emb/part_1", ("emb", [4, 2], [3, 0], [1, 2]))
    return write(tmp_path, made)


@pytest.mark.parametrize("scope", [None, "scope", "a/b/"])
def test_partitioned_variables(partitioned, scope):
    whole = [[0, 1], [2, 3], [4, 5], [6, 7]]
    prefix = f"{scope.rstrip('/')}/" if scope else ""
    with saved_model.load(partitioned, import_scope=scope) as loaded:
        for before in {"", prefix}:  # The keys of the checkpoint have no scope.
            assert loaded.variable(f"{before}w").tolist() == [1, 2]
            assert loaded.variable(f"{before}w:0").tolist() == [1, 2]
            assert loaded.variable(f"{before}emb").tolist() == whole
            assert loaded.variable(f"{before}emb:0").tolist() == whole
            assert loaded.variable(f"{before}emb/part_0").tolist() == whole[:3]
            assert loaded.variable(f"{before}emb/part_1:0").tolist() == whole[3:]
            assert loaded.variable_key(f"{before}emb/part_1") == "emb"


def test_a_variable_that_was_saved_under_another_name(tmp_path):
    """As savers of moving averages do, and as it is once a graph was put under a scope."""
    saved_model.simple_save(tmp_path / "a", matmul(), {"w": WEIGHTS}, predict().inputs, predict().outputs)
    with saved_model.load(tmp_path / "a", import_scope="s") as scoped:
        builder = saved_model.Builder(tmp_path / "b")
        builder.add_meta_graph_and_variables(scoped.meta_graph, scoped.variables, scoped.tags)
        builder.save()
    with saved_model.load(tmp_path / "b") as loaded:
        assert list(loaded.variables) == ["w"]
        assert loaded.variable_key("s/w:0") == loaded.variable_key("s/w") == "w"
        assert np.array_equal(loaded.variable("s/w"), WEIGHTS)
        with pytest.raises(errors.NotFoundError, match=r"the nearest names are 's/w'$"):
            loaded.variable("s/v")


def test_a_variable_of_a_collection_that_was_not_saved(tmp_path):
    tb.save(tmp_path / "variables" / "variables", {"w": np.float32(1)})
    made = meta_graph()
    add_variable(made, "gone")
    with pytest.raises(errors.NotFoundError, match="Key 'gone:0' not found in checkpoint"):
        saved_model.load(write(tmp_path, made)).variable("gone:0")


# Scopes.


def test_names_under_a_scope(tmp_path):
    made = meta_graph(collections={"saved_model_main_op": ["init"]})
    made.graph_def.node.add(name="init", op="NoOp", input=["^w/Assign"])
    node = made.graph_def.node.add(name="w/read", op="Identity", input=["w", "x:1", "^init"])
    node.attr["_class"].list.s.extend([b"loc:@w", b"other"])
    made.graph_def.library.function.add().node_def.add(name="inner", input=["a"])
    made.saver_def.filename_tensor_name = "save/Const:0"
    made.saver_def.restore_op_name = "save/restore_all"
    signature = made.signature_def["serving_default"]
    signature.inputs["x"].name = "x:0"
    sparse = signature.inputs["s"].coo_sparse
    sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name = "v:0", "i:0", "d:0"
    signature.outputs["r"].composite_tensor.components.add().name = "c:0"
    made.collection_def["saved_model_assets"].any_list.value.add().Pack(
        messages.AssetFileDef(filename="a.txt", tensor_info=messages.TensorInfo(name="file:0"))
    )
    made.collection_def["losses"].bytes_list.value.append(b"any bytes")
    made.collection_def["steps"].int64_list.value.append(5)
    add_variable(made, "w")
    directory = write(tmp_path, made)

    loaded = saved_model.load(directory, import_scope="s")
    init, read = loaded.meta_graph.graph_def.node
    assert (init.name, list(init.input)) == ("s/init", ["^s/w/Assign"])
    assert (read.name, list(read.input)) == ("s/w/read", ["s/w", "s/x:1", "^s/init"])
    assert list(read.attr["_class"].list.s) == [b"loc:@s/w", b"other"]
    assert loaded.meta_graph.graph_def.library == made.graph_def.library
    saver = loaded.meta_graph.saver_def
    assert (saver.filename_tensor_name, saver.save_tensor_name) == ("s/save/Const:0", "")
    assert saver.restore_op_name == "s/save/restore_all"
    signature = loaded.signatures["serving_default"]
    sparse = signature.inputs["s"].coo_sparse
    names = sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name
    assert names == ("s/v:0", "s/i:0", "s/d:0")
    assert signature.inputs["x"].name == "s/x:0"
    assert signature.outputs["r"].composite_tensor.components[0].name == "s/c:0"
    assert loaded.assets == {"s/file:0": f"{directory}/assets/a.txt"}
    assert loaded.main_op == "s/init"
    collections = loaded.meta_graph.collection_def
    assert collections["losses"] == made.collection_def["losses"]
    assert collections["steps"] == made.collection_def["steps"]
    variable = messages.VariableDef.FromString(collections["variables"].bytes_list.value[0])
    names = variable.variable_name, variable.initializer_name, variable.snapshot_name, variable.initial_value_name
    assert names == ("s/w:0", "s/w/Assign", "s/w", "")
    for scope, expected in (("s/", loaded.meta_graph), ("", made)):
        assert serialize(saved_model.load(directory, import_scope=scope).meta_graph) == serialize(expected)
    add_asset(made, "other:0", "b.txt")
    assert list(saved_model.load(write(tmp_path, made), import_scope="s").assets) == ["s/other:0"]


@pytest.mark.parametrize("scope", ["/", "/a", "^a", "a:0", "a\0", "_a", "-a"])
def test_scopes_that_no_name_begins_with(scope):
    with pytest.raises(ValueError, match="can't begin the name of a node"):
        saved_model.load("nowhere", import_scope=scope)


def test_scopes_of_other_types():
    with pytest.raises(TypeError, match="import_scope must be None or a str, not bytes"):
        saved_model.load("nowhere", import_scope=b"a")
