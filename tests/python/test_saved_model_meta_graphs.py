"""``Builder``: signatures, main operations, assets, devices and attributes of a meta graph."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import graphs
from support.building import built, nodes, read, refused
from support.graphs import WEIGHTS, add, matmul, predict, shape, signature, strings, tensor_info

from tensorbundle import errors
from tensorbundle.protos import messages
from tensorbundle.protos.convert import serialize
from tensorbundle.saved_model import Builder, builder

# Signatures.


def test_signatures_must_be_complete(tmp_path):
    info = tensor_info("x:0")
    info.ClearField("dtype")
    refused(
        tmp_path / "1", "signature 's': input 'x' has no dtype", signature_def_map={"s": signature({"x": info}, {})}
    )
    info = tensor_info("")
    info.ClearField("name")
    message = "signature 's': output 'y' names no tensor: set one of name, coo_sparse and composite_tensor"
    refused(tmp_path / "2", message, signature_def_map={"s": signature({}, {"y": info})})
    composite = messages.TensorInfo()
    composite.composite_tensor.components.add(name="x:0")
    message = "signature 's': input 'x', component 0 has no dtype"
    refused(tmp_path / "3", message, signature_def_map={"s": signature({"x": composite}, {})})


@pytest.mark.parametrize("key", ["__saved_model_init_op", "__saved_model_train_op"])
def test_reserved_keys(tmp_path, key):
    message = f"signature key {key!r} is reserved: use main_op for what initializes a graph"
    error = refused(tmp_path, message, signature_def_map={key: predict()}, error=errors.ReservedKeyError)
    assert isinstance(error, (KeyError, AssertionError))


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        ("z:0", "the graph has no node 'z'"),
        ("y:1", "the node, MatMul, has 1 outputs"),
        ("y", "a tensor is called 'node:0', with the number of the output"),
        ("y:" + "9" * 5000, "a tensor is called 'node:0', with the number of the output"),
        ("y:-1", "a tensor is called 'node:0', with the number of the output"),
    ],
)
def test_signatures_name_tensors_of_the_graph(tmp_path, tensor, problem):
    message = f"signature 's': output 'y' is {tensor!r}, and {problem}"
    error = refused(tmp_path / "1", message, signature_def_map={"s": signature({"x": "x:0"}, {"y": tensor})})
    assert error.tensor == tensor
    whole = messages.MetaGraphDef(graph_def=matmul())
    whole.signature_def["s"].CopyFrom(signature({}, {"y": tensor}))
    refused(tmp_path / "2", message, whole)


def test_as_many_outputs_as_the_node_says(tmp_path):
    graph = matmul()
    add(graph, "two", "Split", "x", "y", num_split=2)
    add(graph, "all", "Split", "x", "y", num_split=2**62)
    add(graph, "none", "Split", "x", "y", num_split=-1)
    built(tmp_path / "1", graph, signature_def_map={"s": signature({}, {"a": "two:1", "b": "all:999999999"})})
    for tensor, count in {"two:2": 2, "none:0": 0}.items():
        message = f"signature 's': output 'y' is {tensor!r}, and the node, Split, has {count} outputs"
        refused(tmp_path / tensor, message, graph, signature_def_map={"s": signature({}, {"y": tensor})})


def test_parts_of_sparse_tensors_are_looked_for(tmp_path):
    info = messages.TensorInfo(dtype=1)
    info.coo_sparse.values_tensor_name = "x:0"
    info.coo_sparse.indices_tensor_name = "gone:0"
    message = "signature 's': input 'x' is 'gone:0', and the graph has no node 'gone'"
    refused(tmp_path, message, signature_def_map={"s": signature({"x": info}, {})})


# Main operations.


def test_main_op(tmp_path):
    meta_graph = built(tmp_path / "1", main_op="y")
    assert list(meta_graph.collection_def["saved_model_main_op"].node_list.value) == ["y"]
    refused(tmp_path / "2", "main_op is 'z', and the graph has no such node", main_op="z")
    whole = messages.MetaGraphDef(graph_def=matmul())
    for collection in ("saved_model_main_op", "legacy_init_op"):
        whole.collection_def[collection].node_list.value.append("y")
        refused(tmp_path / collection, "the meta graph has a main operation already, 'y'", whole, main_op="x")
        built(tmp_path / f"{collection} alone", whole)
        whole.collection_def.clear()
    whole.collection_def["saved_model_main_op"].node_list.value.extend(["x", "y"])
    message = "'the meta graph': Expected exactly one SavedModel init op. "
    message += "The collection 'saved_model_main_op' has 2: ['x', 'y']"
    refused(tmp_path / "3", message, whole)


# Assets.


def with_assets(*names: str):
    graph = matmul()
    for name in names or ("a", "b", "c", "d"):
        add(graph, name, "Const", dtype="string", value=strings("old/path", scalar=True))
    return graph


def write(directory: Path, files: dict[str, str]) -> dict[str, str]:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return {name: str(directory / name) for name in files}


def listed_assets(meta_graph) -> dict[str, str]:
    values = meta_graph.collection_def["saved_model_assets"].any_list.value
    assert {value.type_url for value in values} <= {"type.googleapis.com/tensorflow.AssetFileDef"}
    collected = [messages.AssetFileDef.FromString(value.value) for value in values]
    return {each.tensor_info.name: each.filename for each in collected}


def test_assets_are_named_and_copied(tmp_path):
    paths = write(tmp_path / "in", {"v.txt": "1", "other/v.txt": "2", "same/v.txt": "1", "third/v.txt": "3"})
    assets = dict(zip(("a", "b:0", "c", "d"), paths.values()))
    meta_graph = built(tmp_path / "1", with_assets(), assets=assets)
    assert listed_assets(meta_graph) == {"a:0": "v.txt", "b:0": "v.txt_1", "c:0": "v.txt", "d:0": "v.txt_2"}
    copied = {path.name: path.read_text() for path in (tmp_path / "1" / "assets").iterdir()}
    assert copied == {"v.txt": "1", "v.txt_1": "2", "v.txt_2": "3"}


def test_the_first_version_of_an_asset_is_kept(tmp_path):
    paths = write(tmp_path / "in", {"v.txt": "first", "again/v.txt": "second", "new.txt": "new"})
    made = Builder(tmp_path / "1", durable=False)
    made.add_meta_graph_and_variables(with_assets(), {"w": WEIGHTS}, ["a"], assets={"a": paths["v.txt"]})
    more = {"a": paths["again/v.txt"], "b": paths["new.txt"]}
    made.add_meta_graph(with_assets(), ["b"], assets=more)
    (tmp_path / "in" / "v.txt").unlink()
    made.add_meta_graph(with_assets(), ["c"], assets={"c": paths["v.txt"]})
    made.save()
    copied = {path.name: path.read_text() for path in (tmp_path / "1" / "assets").iterdir()}
    assert copied == {"v.txt": "first", "new.txt": "new"}
    found = [listed_assets(meta_graph) for meta_graph in read(tmp_path / "1").meta_graphs]
    assert found == [{"a:0": "v.txt"}, {"a:0": "v.txt", "b:0": "new.txt"}, {"c:0": "v.txt"}]


def test_assets_that_a_meta_graph_lists_keep_their_places(tmp_path):
    paths = write(tmp_path / "in", {"v.txt": "1", "u.txt": "2", "w.txt": "3"})
    whole = messages.MetaGraphDef(graph_def=with_assets())
    for tensor, name in (("b:0", "u.txt"), ("a:0", "v.txt")):
        whole.asset_file_def.add(filename=name).tensor_info.name = tensor
    refused(tmp_path / "1", "the meta graph has an asset 'u.txt': give its file, in assets", whole)
    assets = {"c": paths["w.txt"], "a": paths["v.txt"], "b": paths["u.txt"]}
    meta_graph = built(tmp_path / "2", whole, assets=assets)
    found = [(each.tensor_info.name, each.filename) for each in meta_graph.asset_file_def]
    assert found == [("b:0", "u.txt"), ("a:0", "v.txt"), ("c:0", "w.txt")]
    assert "saved_model_assets" not in meta_graph.collection_def


def test_assets_stay_in_their_directory(tmp_path):
    paths = write(tmp_path / "in", {"v.txt": "1"})
    whole = messages.MetaGraphDef(graph_def=with_assets())
    whole.asset_file_def.add(filename="../../v.txt").tensor_info.name = "a:0"
    refused(tmp_path / "1", "the meta graph has an asset '../../v.txt': give its file, in assets", whole)
    meta_graph = built(tmp_path / "2", whole, assets={"a:0": paths["v.txt"]})
    assert [each.filename for each in meta_graph.asset_file_def] == ["v.txt"]
    assert (tmp_path / "2" / "assets" / "v.txt").read_text() == "1"


def test_assets_are_listed_where_they_were(tmp_path):
    paths = write(tmp_path / "in", {"v.txt": "1"})
    first = built(tmp_path / "1", with_assets(), assets={"a": paths["v.txt"]})
    assert not first.asset_file_def
    again = built(tmp_path / "2", first, assets={"a:0": paths["v.txt"]})
    assert serialize(again) == serialize(first)
    first.asset_file_def.add(filename="v.txt").tensor_info.name = "a:0"
    again = built(tmp_path / "3", first, assets={"a:0": paths["v.txt"]})
    assert serialize(again) == serialize(first)


@pytest.mark.parametrize(
    ("assets", "error", "message"),
    [
        ({"z": "v.txt"}, errors.BuilderError, "an asset is given for 'z:0', and the graph has no such node"),
        ({"x": "v.txt"}, errors.BuilderError, "an asset is given for 'x:0', which holds no string"),
        ({"a": "dir/"}, ValueError, "an asset is a file, and 'dir/' ends in no file name"),
        ({"a": ".."}, ValueError, "an asset is a file, and '..' ends in no file name"),
        (["a"], TypeError, "assets must be a mapping from tensors to files, not list"),
        ({"a": "gone"}, FileNotFoundError, "[Errno 2] No such file or directory: 'gone'"),
    ],
)
def test_assets_that_cannot_be(tmp_path, monkeypatch, assets, error, message):
    (tmp_path / "v.txt").touch()
    monkeypatch.chdir(tmp_path)
    refused(tmp_path / "1", message, with_assets(), error=error, assets=assets)


def test_what_fails_later_leaves_no_assets(tmp_path, monkeypatch):
    paths = write(tmp_path / "in", {"v.txt": "1"})

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(builder, "save", fail)
    refused(
        tmp_path / "1",
        "[Errno 28] No space left on device",
        with_assets(),
        error=OSError,
        assets={"a": paths["v.txt"]},
    )


# Devices and default attributes.


def test_devices_are_kept_or_cleared(tmp_path):
    graph = matmul(device="/device:GPU:0")
    assert nodes(built(tmp_path / "1", graph))["w"].device == "/device:GPU:0"
    assert {node.device for node in built(tmp_path / "2", graph, clear_devices=True).graph_def.node} == {""}
    assert graph.node[1].device == "/device:GPU:0"


def test_default_attributes_are_stripped(tmp_path):
    whole = messages.MetaGraphDef(graph_def=matmul())
    graph = whole.graph_def
    add(graph, "new", "OfTheUser", size=5, other=6)
    add(graph, "unknown", "NobodyKnowsIt", size=5)
    add(graph, "call", "function", size=5)
    add(graph, "w2", "VarHandleOp", dtype="float32", shape=shape(2, 3), container=b"", shared_name=b"s", _class=b"")
    op = whole.meta_info_def.stripped_op_list.op.add(name="OfTheUser")
    op.attr.add(name="size", type="int").default_value.i = 5
    op.attr.add(name="other", type="int").default_value.i = 5
    function = graph.library.function.add()
    function.signature.name = "function"
    graphs.set_attrs(
        function.node_def.add(name="mm", op="MatMul"), {"T": "float32", "transpose_a": False, "transpose_b": True}
    )
    kept = built(tmp_path / "1", whole, {"w": WEIGHTS, "w2": WEIGHTS})
    assert not kept.meta_info_def.stripped_default_attrs
    assert sorted(nodes(kept)["y"].attr) == ["T", "transpose_a"]
    stripped = built(tmp_path / "2", whole, {"w": WEIGHTS, "w2": WEIGHTS}, strip_default_attrs=True)
    assert stripped.meta_info_def.stripped_default_attrs
    found = nodes(stripped)
    assert sorted(found["y"].attr) == ["T"]
    assert dict(found["new"].attr) == {"other": messages.AttrValue(i=6)}
    assert sorted(found["unknown"].attr) == ["size"]
    assert sorted(found["call"].attr) == ["size"]
    assert sorted(found["w2"].attr) == ["_class", "dtype", "shape", "shared_name"]
    assert sorted(stripped.graph_def.library.function[0].node_def[0].attr) == ["T", "transpose_b"]
