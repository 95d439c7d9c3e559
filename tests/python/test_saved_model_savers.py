"""``Builder``: the savers that graphs get, and those that they bring along."""

from __future__ import annotations

import numpy as np
from support import graphs
from support.building import built, nodes, refused
from support.graphs import WEIGHTS, add, matmul, shape, strings, types

from tensorbundle.protos import messages


def test_nodes_that_restore_are_added(tmp_path):
    graph = messages.GraphDef()
    add(graph, "scope/a", "VarHandleOp", dtype="float32", shape=shape(2, 3))
    add(graph, "b", "VariableV2", dtype="int64", shape=shape())
    add(graph, "save/taken", "NoOp")
    meta_graph = built(tmp_path, graph, {"scope/a": WEIGHTS, "b": np.int64(5)})
    found = nodes(meta_graph)
    assert {name: (node.op, list(node.input)) for name, node in found.items() if name.startswith("save_1")} == {
        "save_1/filename/default": ("Const", []),
        "save_1/Const": ("PlaceholderWithDefault", ["save_1/filename/default"]),
        "save_1/tensor_names": ("Const", []),
        "save_1/shape_and_slices": ("Const", []),
        "save_1/Read_0": ("ReadVariableOp", ["scope/a"]),
        "save_1/Read_1": ("Identity", ["b"]),
        "save_1/SaveV2": (
            "SaveV2",
            ["save_1/Const", "save_1/tensor_names", "save_1/shape_and_slices", "save_1/Read_0", "save_1/Read_1"],
        ),
        "save_1/control_dependency": ("Identity", ["save_1/Const", "^save_1/SaveV2"]),
        "save_1/RestoreV2": ("RestoreV2", ["save_1/Const", "save_1/tensor_names", "save_1/shape_and_slices"]),
        "save_1/Assign_0": ("AssignVariableOp", ["scope/a", "save_1/RestoreV2"]),
        "save_1/Assign_1": ("Assign", ["b", "save_1/RestoreV2:1"]),
        "save_1/restore_all": ("NoOp", ["^save_1/Assign_0", "^save_1/Assign_1"]),
    }
    assert found["save_1/tensor_names"].attr["value"].tensor.string_val == [b"scope/a", b"b"]
    assert found["save_1/RestoreV2"].attr["dtypes"] == types("float32", "int64")
    saver = meta_graph.saver_def
    assert saver.filename_tensor_name == "save_1/Const:0"
    assert saver.save_tensor_name == "save_1/control_dependency:0"
    assert saver.restore_op_name == "save_1/restore_all"
    assert saver.version == messages.SaverDef.V2


def test_resources_get_names_of_their_own(tmp_path):
    graph = matmul()
    add(graph, "named", "VarHandleOp", dtype="float32", shape=shape(2, 3), shared_name=b"name")
    found = nodes(built(tmp_path, graph, {"w": WEIGHTS, "named": WEIGHTS}))
    assert found["w"].attr["shared_name"].s == b"w"
    assert found["named"].attr["shared_name"].s == b"name"


def test_variables_are_listed_for_tensorflow_1(tmp_path):
    meta_graph = built(tmp_path)
    (record,) = meta_graph.collection_def["variables"].bytes_list.value
    listed = messages.VariableDef.FromString(record)
    found = nodes(meta_graph)
    assert (listed.variable_name, listed.is_resource, listed.trainable) == ("w:0", True, True)
    assert found[listed.initializer_name].op == "AssignVariableOp"
    assert found[listed.initial_value_name.removesuffix(":0")].op == "Placeholder"
    assert found[listed.snapshot_name.removesuffix(":0")].op == "ReadVariableOp"


def listing(meta_graph, collection: str, *definitions):
    for each in definitions:
        meta_graph.collection_def[collection].bytes_list.value.append(each.SerializeToString())


def test_listed_variables_are_those_that_must_be_there(tmp_path):
    whole = messages.MetaGraphDef(graph_def=matmul())
    add(whole.graph_def, "counter", "VarHandleOp", dtype="int64", shape=shape())
    refused(tmp_path / "1", "variable 'counter' is restored from 'counter', and no tensor of that name is given", whole)
    listing(whole, "local_variables", messages.VariableDef(variable_name="counter:0"))
    built(tmp_path / "2", whole)
    listing(whole, "variables", messages.VariableDef(variable_name="w:0"))
    del whole.collection_def["local_variables"]
    meta_graph = built(tmp_path / "3", whole)
    assert len(meta_graph.collection_def["variables"].bytes_list.value) == 1
    meta_graph = built(tmp_path / "4", whole, {"w": WEIGHTS, "counter": np.int64(1)})
    assert nodes(meta_graph)["save/tensor_names"].attr["value"].tensor.string_val == [b"w", b"counter"]


def test_partitioned_variables_are_restored_from_one_tensor(tmp_path):
    whole = messages.MetaGraphDef()
    for number, start in enumerate((0, 2)):
        add(whole.graph_def, f"p/part_{number}", "VariableV2", dtype="float32", shape=shape(2, 3))
        definition = messages.VariableDef(variable_name=f"p/part_{number}:0")
        part = definition.save_slice_info_def
        part.full_name = "p"
        part.full_shape.extend([4, 3])
        part.var_offset.extend([start, 0])
        part.var_shape.extend([2, 3])
        listing(whole, "variables", definition)
    found = nodes(built(tmp_path / "1", whole, {"p": np.zeros((4, 3), np.float32)}))
    assert found["save/tensor_names"].attr["value"].tensor.string_val == [b"p", b"p"]
    assert found["save/shape_and_slices"].attr["value"].tensor.string_val == [b"4 3 0,2:0,3", b"4 3 2,2:0,3"]
    message = "variable 'p/part_0' is float32[4, 3], the tensor given for it, 'p', is float32[2, 3]"
    refused(tmp_path / "2", message, whole, {"p": WEIGHTS})


def with_saver(restore: str = "RestoreV2", key: str = "key/of/w"):
    """A meta graph that brings its own saver, through an ``Identity``."""
    whole = messages.MetaGraphDef(graph_def=matmul())
    graph = whole.graph_def
    add(graph, "file", "Const", dtype="string", value=strings("model", scalar=True))
    add(graph, "names", "Const", dtype="string", value=strings(key))
    add(graph, "slices", "Const", dtype="string", value=strings(""))
    add(graph, "saved", "Identity", "file", T="string")
    add(graph, "restore", restore, "file", "names", "slices", dtypes=types("float32"))
    add(graph, "same", "Identity", "restore:0", T="float32")
    add(graph, "assign", "AssignVariableOp", "w", "same", dtype="float32")
    add(graph, "all", "NoOp", "^assign")
    saver = whole.saver_def
    saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name = "file:0", "saved:0", "all"
    return whole


def test_a_saver_that_is_there_is_kept_and_checked(tmp_path):
    whole = with_saver()
    assert built(tmp_path / "1", whole, {"key/of/w": WEIGHTS}).graph_def == whole.graph_def
    message = "variable 'w' is restored from 'key/of/w', and no tensor of that name is given"
    refused(tmp_path / "2", message, whole)
    message = "variable 'w' is float32[2, 3], the tensor given for it, 'key/of/w', is float32[3, 2]"
    refused(tmp_path / "3", message, whole, {"key/of/w": WEIGHTS.T})
    for field in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
        broken = with_saver()
        setattr(broken.saver_def, field, "gone:0")
        refused(tmp_path / field, f"saver_def.{field} is 'gone:0', and the graph has no such node", broken)


def test_a_saver_of_the_old_format_is_replaced(tmp_path):
    meta_graph = built(tmp_path, with_saver("RestoreSlice"))
    assert meta_graph.saver_def.restore_op_name == "save/restore_all"


def test_an_empty_saver_is_none(tmp_path):
    whole = messages.MetaGraphDef(graph_def=matmul())
    whole.saver_def.version = messages.SaverDef.V2
    assert built(tmp_path / "1", whole).saver_def.restore_op_name == "save/restore_all"
    del whole.graph_def.node[1:]
    assert not built(tmp_path / "2", whole, {}).HasField("saver_def")


def test_a_saver_in_a_function_is_checked(tmp_path):
    whole = messages.MetaGraphDef(graph_def=matmul())
    function = whole.graph_def.library.function.add()
    function.signature.name = "__inference_restore_1"
    function.signature.input_arg.add(name="prefix", type=graphs.NUMBERS["string"])
    function.signature.input_arg.add(name="variable", type=graphs.NUMBERS["resource"])
    for name, op, inputs, attrs in (
        ("names", "Const", [], {"dtype": "string", "value": strings("w/.ATTRIBUTES/VARIABLE_VALUE")}),
        ("slices", "Const", [], {"dtype": "string", "value": strings("")}),
        ("restore", "RestoreV2", ["prefix", "names:output:0", "slices:output:0"], {"dtypes": types("float32")}),
        ("same", "Identity", ["restore:tensors:0"], {"T": "float32"}),
        ("assign", "AssignVariableOp", ["variable", "same:output:0"], {"dtype": "float32"}),
    ):
        graphs.set_attrs(function.node_def.add(name=name, op=op, input=inputs), attrs)
    add(whole.graph_def, "file", "Placeholder", dtype="string")
    call = messages.AttrValue()
    call.func.name = function.signature.name
    add(whole.graph_def, "restore", "StatefulPartitionedCall", "file", "w", f=call)
    whole.saver_def.filename_tensor_name = whole.saver_def.save_tensor_name = "file:0"
    whole.saver_def.restore_op_name = "restore"
    key = "w/.ATTRIBUTES/VARIABLE_VALUE"
    built(tmp_path / "1", whole, {key: WEIGHTS})
    message = f"variable 'w' is float32[2, 3], the tensor given for it, {key!r}, is float32[3, 2]"
    refused(tmp_path / "2", message, whole, {key: WEIGHTS.T})
