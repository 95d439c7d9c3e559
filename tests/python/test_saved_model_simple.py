"""``simple_save`` and ``save_variables``: a whole model by one call, or nothing at all."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support import graphs
from support.graphs import WEIGHTS, add, matmul, predict, shape, signature, tensor_info
from support.paths import REPOSITORY

import tensorbundle as tb
from tensorbundle import errors
from tensorbundle.protos import messages
from tensorbundle.protos.convert import read_file
from tensorbundle.protos.text import parse_text
from tensorbundle.saved_model import save_variables, simple_save

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def read(directory: Path):
    (meta_graph,) = read_file(messages.SavedModel, str(directory / "saved_model.pb")).meta_graphs
    return meta_graph


def nodes(meta_graph):
    return {node.name: node for node in meta_graph.graph_def.node}


# simple_save.


def test_simple_save(tmp_path):
    graph = matmul(device="/device:GPU:0")
    infos = dict(predict().inputs), dict(predict().outputs)
    assert simple_save(tmp_path / "1", graph, {"w": WEIGHTS}, *infos) == str(tmp_path / "1" / "saved_model.pb")
    meta_graph = read(tmp_path / "1")
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    assert dict(meta_graph.signature_def) == {"serving_default": predict()}
    assert {node.device for node in meta_graph.graph_def.node} == {""}
    assert np.array_equal(tb.load(tmp_path / "1")["w"], WEIGHTS)


def test_a_refused_model_leaves_nothing(tmp_path):
    infos = dict(predict().inputs), dict(predict().outputs)
    for directory in (tmp_path / "a" / "b" / "1", tmp_path):
        with pytest.raises(errors.BuilderError, match=r"^variable 'w' is float32"):
            simple_save(directory, matmul(), {"w": WEIGHTS.T}, *infos)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"needs outputs$"):
        simple_save(tmp_path, matmul(), {"w": WEIGHTS}, infos[0], {})


def test_what_fails_at_the_end_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorbundle.saved_model.builder.files.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        save_variables(tmp_path / "1", {"w": WEIGHTS})
    assert list(tmp_path.iterdir()) == []


# save_variables.


def test_arrays_become_objects(tmp_path):
    tree = {"w": WEIGHTS, "d": {"a/b": np.int64(1), "l": [b"text"]}}
    assert save_variables(tmp_path, tree) == str(tmp_path / "saved_model.pb")
    meta_graph = read(tmp_path)
    expected = """
      nodes { children { node_id: 1 local_name: "d" } children { node_id: 2 local_name: "w" }
              user_object { identifier: "_generic_user_object" version { producer: 1 min_consumer: 1 } } }
      nodes { children { node_id: 3 local_name: "a/b" } children { node_id: 4 local_name: "l" }
              user_object { identifier: "_generic_user_object" version { producer: 1 min_consumer: 1 } } }
      nodes { variable { dtype: DT_FLOAT shape { dim { size: 2 } dim { size: 3 } } trainable: true name: "w" } }
      nodes { variable { dtype: DT_INT64 shape { } trainable: true name: "d/a/b" } }
      nodes { children { node_id: 5 local_name: "0" }
              user_object { identifier: "_generic_user_object" version { producer: 1 min_consumer: 1 } } }
      nodes { variable { dtype: DT_STRING shape { } trainable: true name: "d/l/0" } }
    """
    assert meta_graph.object_graph_def == parse_text(messages.SavedObjectGraph, expected, "here")
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    keys = nodes(meta_graph)["save/tensor_names"].attr["value"].tensor.string_val
    assert sorted(keys) == [f"{name}{VALUE}".encode() for name in ("d/a.Sb", "d/l/0", "w")]
    with tb.saved_model.load(tmp_path) as model:
        assert np.array_equal(model.variable("w"), WEIGHTS)
        assert model.variable("d/a.Sb") == 1


def test_names_that_nodes_cannot_have(tmp_path):
    save_variables(tmp_path, {"é": 1, "è": 2, "_w": 3, "a": {"b": 4}, "a/b": 5})
    variables = {node.name for node in read(tmp_path).graph_def.node if node.op == "VarHandleOp"}
    assert variables == {"v_", "v__1", "v_w", "a/b", "a/b_1"}
    with tb.saved_model.load(tmp_path) as model:
        names = {"v_": 2, "v__1:0": 1, "v_w": 3, "_w": 3, "a/b": 4, "a/b_1": 4, "a.Sb": 5}
        assert {name: int(model.variable(name)) for name in names} == names


def with_signature(directory: Path, graph, made=None, variables=None, **options):
    variables = {"w": WEIGHTS} if variables is None else variables
    save_variables(directory, variables, graph=graph, signature_def_map={"s": made or predict()}, **options)
    return read(directory)


def test_signatures_become_functions(tmp_path):
    graph = matmul()
    add(graph, "first", "NoOp", "^x", "^w")
    graph.node[3].input.append("^first")
    meta_graph = with_signature(tmp_path, graph, tags=["a", "b"])
    assert list(meta_graph.meta_info_def.tags) == ["a", "b"]
    assert dict(meta_graph.signature_def) == {"s": predict()}
    function = """
      signature { name: "__inference_signature_wrapper_1"
        input_arg { name: "x" type: DT_FLOAT } input_arg { name: "w_1" type: DT_RESOURCE }
        output_arg { name: "y_1" type: DT_FLOAT } is_stateful: true }
      node_def { name: "read" op: "ReadVariableOp" input: "w_1" attr { key: "dtype" value { type: DT_FLOAT } } }
      node_def { name: "y" op: "MatMul" input: "x" input: "read:value:0" input: "^first"
        attr { key: "T" value { type: DT_FLOAT } } attr { key: "transpose_a" value { b: false } } }
      node_def { name: "first" op: "NoOp" }
      node_def { name: "identity" op: "Identity" input: "y:product:0" attr { key: "T" value { type: DT_FLOAT } } }
      ret { key: "y_1" value: "identity:output:0" }
    """
    (found,) = meta_graph.graph_def.library.function
    assert found == parse_text(messages.FunctionDef, function, "here")
    objects = meta_graph.object_graph_def
    concrete = """
      bound_inputs: 1
      canonicalized_input_signature { tuple_value {
        values { tuple_value { } }
        values { dict_value { fields { key: "x" value { tensor_spec_value {
          name: "x" shape { dim { size: -1 } dim { size: 2 } } dtype: DT_FLOAT } } } } } } }
      output_signature { dict_value { fields { key: "y" value { tensor_spec_value {
        name: "y" shape { dim { size: -1 } dim { size: 3 } } dtype: DT_FLOAT } } } } }
    """
    wanted = parse_text(messages.SavedConcreteFunction, concrete, "here")
    assert dict(objects.concrete_functions) == {"__inference_signature_wrapper_1": wanted}
    assert [(child.local_name, child.node_id) for child in objects.nodes[0].children] == [("w", 1), ("signatures", 2)]
    assert objects.nodes[2].user_object.identifier == "signature_map"
    assert [(child.local_name, child.node_id) for child in objects.nodes[2].children] == [("s", 3)]
    bare = objects.nodes[3].bare_concrete_function
    assert bare.concrete_function_name == "__inference_signature_wrapper_1"
    assert (list(bare.argument_keywords), bare.allowed_positional_arguments) == (["x"], 1)


def test_functions_call_those_of_the_graph(tmp_path):
    graph = matmul()
    function = graph.library.function.add()
    function.signature.name = "__inference_signature_wrapper_1"
    function.signature.input_arg.add(name="a", type=1)
    function.signature.output_arg.add(name="b", type=1)
    add(graph, "called", "__inference_signature_wrapper_1", "y")
    made = signature({"x": tensor_info("x:0")}, {"c": tensor_info("called:0"), "x": tensor_info("x:0")})
    found = with_signature(tmp_path, graph, made).graph_def.library.function[1]
    assert found.signature.name == "__inference_signature_wrapper_2"
    inputs = {node.name: list(node.input) for node in found.node_def}
    assert inputs["called"] == ["y:product:0"]
    assert inputs["identity"] == ["called:b:0"]
    assert inputs["identity_1"] == [found.signature.input_arg[0].name]  # What is fed is returned.


def test_inputs_may_be_in_the_middle(tmp_path):
    graph = matmul()
    add(graph, "z", "Neg", "y", T="float32")
    (found,) = with_signature(tmp_path, graph, signature({"in": "y:0"}, {"out": "z:0"})).graph_def.library.function
    assert [node.op for node in found.node_def] == ["Neg", "Identity"]
    assert [argument.name for argument in found.signature.input_arg] == ["in"]


def test_variables_that_the_graph_lacks_are_added(tmp_path):
    meta_graph = with_signature(tmp_path, matmul(), variables={"w": WEIGHTS, "step": 7})
    assert nodes(meta_graph)["step"].op == "VarHandleOp"
    assert nodes(meta_graph)["step/Read/ReadVariableOp"].input == ["step"]
    assert nodes(meta_graph)["save/restore_all"].input == ["^save/Assign_0", "^save/Assign_1"]


def test_a_graph_that_brings_a_saver_gets_another(tmp_path):
    whole = messages.MetaGraphDef(graph_def=matmul())
    whole.saver_def.restore_op_name = "elsewhere"
    assert with_signature(tmp_path, whole).saver_def.restore_op_name == "save/restore_all"


def refused(directory: Path, message: str, graph=None, made=None, variables=None, error=errors.BuilderError, **options):
    variables = {"w": WEIGHTS} if variables is None else variables
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        save_variables(directory, variables, graph=graph, signature_def_map=made and {"s": made}, **options)
    assert not directory.exists()


def test_what_cannot_be_variables(tmp_path):
    refused(tmp_path / "1", "TensorFlow has a use of its own for the name 'signatures'", variables={"signatures": 1})
    refused(tmp_path / "1", "there is no array in the tree", variables={}, error=ValueError)
    refused(tmp_path / "1", "tree must be a mapping, not list", variables=[1], error=TypeError)
    refused(tmp_path / "1", "tags must be a list of them, not str: 'serve'", tags="serve", error=TypeError)
    message = "variable 'v' of the graph is none of the variables given, or two of them"
    refused(tmp_path / "1", message, matmul(variable="v"))
    variables = {"a/b": 1.0, "a": {"b": 2.0}}
    message = "variable 'a/b' of the graph is none of the variables given, or two of them"
    refused(tmp_path / "1", message, matmul(variable="a/b"), variables=variables)
    message = f"variable 'w' is float32[3, 3], the tensor given for it, 'w{VALUE}', is float32[2, 3]"
    refused(tmp_path / "1", message, matmul(sizes=(3, 3)))
    whole = messages.MetaGraphDef()
    whole.object_graph_def.nodes.add()
    refused(tmp_path / "1", "the meta graph has objects already: Builder writes it, with the variables of these", whole)


def test_float8_types_without_variables_are_refused(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.zeros(2, ml_dtypes.float8_e5m2fnuz)
    refused(tmp_path / "1", "variable 'v': TensorFlow has no variables of float8_e5m2fnuz", variables={"v": array})


def sparse():
    info = messages.TensorInfo(dtype=1)
    info.coo_sparse.values_tensor_name = info.coo_sparse.indices_tensor_name = "x:0"
    info.coo_sparse.dense_shape_tensor_name = "x:0"
    return info


@pytest.mark.parametrize(
    ("node", "made", "message"),
    [
        (
            ("z", "NoOp"),
            signature({"x": "x:0"}, {"y": "gone:0"}),
            "signature 's': output 'y' is 'gone:0', and the graph has no node 'gone'",
        ),
        (
            ("z", "NoOp"),
            signature({"x": sparse()}, {"y": "y:0"}),
            "signature 's': input 'x' is no dense tensor, and functions take no others",
        ),
        (
            ("z", "Add", "y", "x"),
            signature({}, {"z": "z:0"}),
            "signature 's' can't be a function: it needs placeholder 'x', which is none of its inputs",
        ),
        (
            ("z", "Unknown", "x"),
            signature({"x": "x:0"}, {"z": "z:0"}),
            "signature 's' can't be a function: it needs 'z', of an operation that is not known: Unknown",
        ),
        (
            ("z", "HashTableV2"),
            signature({}, {"z": "z:0"}),
            "signature 's' can't be a function: it needs 'z', a HashTableV2: it would not be initialized",
        ),
        (
            ("z", "Neg", "gone"),
            signature({}, {"z": "z:0"}),
            "signature 's' can't be a function: it needs 'gone', which the graph lacks",
        ),
        (
            ("z", "Neg", "y:3"),
            signature({"x": "x:0"}, {"z": "z:0"}),
            "signature 's' can't be a function: it needs 'y:3', and the node has 1 outputs",
        ),
    ],
)
def test_what_cannot_be_a_function(tmp_path, node, made, message):
    graph = matmul()
    add(graph, *node)
    refused(tmp_path / "1", message, graph, made)


def test_reference_variables_cannot_be_captured(tmp_path):
    graph = messages.GraphDef()
    add(graph, "w", "VariableV2", dtype="float32", shape=shape(2, 3))
    message = "signature 's' can't be a function: it needs 'w', a VariableV2: functions take resource variables"
    refused(tmp_path / "1", message, graph, signature({}, {"w": "w:0"}))
    assert graphs.NUMBERS["float32"] == messages.DataType.Value("DT_FLOAT")


def test_the_page_about_building_is_right(tmp_path, monkeypatch):
    page = (REPOSITORY / "docs" / "saved_model_building.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec("".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), names)
    assert sorted(path.name for path in Path("export").iterdir()) == ["1", "2", "3"]
    assert np.array_equal(tb.saved_model.load("export/3").variable("dense/bias"), np.ones(3))
    assert np.array_equal(tb.saved_model.load("export/2", ["serve", "gpu"]).variable("w"), names["kernel"])
