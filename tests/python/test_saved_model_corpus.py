"""Every SavedModel of the open corpus is what the manifest says TensorFlow makes of it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from support import saved_models
from support.hashing import tensor_hash

from tensorbundle import saved_model
from tensorbundle.protos import messages

MODELS = pytest.mark.parametrize("model", saved_models.from_corpus(), ids=lambda model: model.id)
DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}


def each_meta_graph(model):
    for described in model.manifest["meta_graphs"]:
        with saved_model.load(model.directory, described["tags"]) as loaded:
            yield described, loaded


def described_tensor(info):
    """A ``TensorInfo`` as the manifest describes it."""
    enum = messages.DataType.Name(info.dtype)
    shape = None if info.tensor_shape.unknown_rank else [dim.size for dim in info.tensor_shape.dim]
    encoding = info.WhichOneof("encoding")
    dtype = DTYPES.get(enum, enum.removeprefix("DT_").lower()) if info.dtype else None
    found = {"dtype": dtype, "encoding": encoding, "shape": shape}
    if encoding == "name":
        found["name"] = info.name
    return found


def described_signature(signature):
    return {
        "method_name": signature.method_name,
        "inputs": {name: described_tensor(info) for name, info in signature.inputs.items()},
        "outputs": {name: described_tensor(info) for name, info in signature.outputs.items()},
    }


@MODELS
def test_tags_and_versions(model):
    for described, loaded in each_meta_graph(model):
        assert sorted(loaded.tags) == sorted(described["tags"])
        assert loaded.schema_version == model.manifest["schema_version"]
        info = loaded.meta_graph.meta_info_def
        assert info.tensorflow_version == described["tensorflow_version"]
        assert [set(tags) for tags in loaded.tag_sets] == [set(g["tags"]) for g in model.manifest["meta_graphs"]]


@MODELS
def test_graph(model):
    for described, loaded in each_meta_graph(model):
        meta_graph = loaded.meta_graph
        assert len(meta_graph.graph_def.node) == described["graph_nodes"]
        assert len(meta_graph.graph_def.library.function) == described["functions"]
        assert sorted(meta_graph.collection_def) == described["collections"]
        has_objects = described["object_graph_nodes"] is not None
        assert (len(meta_graph.object_graph_def.nodes) if has_objects else None) == described["object_graph_nodes"]


@MODELS
def test_signatures(model):
    for described, loaded in each_meta_graph(model):
        found = {key: described_signature(signature) for key, signature in loaded.signatures.items()}
        assert found == described["signatures"]


def test_what_signatures_have_besides():
    models = {model.id: model for model in saved_models.from_corpus()}
    if not models:
        pytest.skip("no corpus")
    signatures = saved_model.load(models["serving-half-plus-two-tf2-cpu/00000123"].directory).signatures
    assert signatures["serving_default"].defaults["x"].float_val == [0]
    signatures = saved_model.load(models["tfx-transform-fn-202003"].directory).signatures
    sparse = signatures["transform_signature"].inputs["company"].coo_sparse
    names = sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name
    assert names == tuple(f"transform/inputs/company/{part}:0" for part in ("values", "indices", "shape"))


@MODELS
def test_assets(model):
    for described, loaded in each_meta_graph(model):
        expected = {asset["tensor"]: asset["filename"] for asset in described["assets"]}
        assert loaded.assets == {tensor: str(model.directory / "assets" / name) for tensor, name in expected.items()}


@MODELS
def test_variables(model):
    for _, loaded in each_meta_graph(model):
        if model.checkpoint is None:
            with pytest.raises(FileNotFoundError, match="this SavedModel has no variables"):
                _ = loaded.variables
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            variables = loaded.variables
        expected = model.checkpoint.tensors
        assert set(variables) == set(expected)
        sound = {name: tensor for name, tensor in expected.items() if tensor.error is None}
        assert {name: tensor_hash(variables[name]) for name in sound} == {n: t.sha256 for n, t in sound.items()}


@MODELS
def test_every_variable_is_found_under_its_names(model):
    for _, loaded in each_meta_graph(model):
        if model.checkpoint is None or not model.checkpoint.complete:
            continue
        variables = loaded.variables
        for by in ("path", "full_name", "key"):
            named = variables.named(by=by)
            for name in named:
                assert loaded.variable_key(name) == named.key(name)
        objects = loaded.object_graph
        if objects is not None:
            assert {loaded.variable_key(path): key for path, key in objects.variables.items()} == {
                key: key for key in objects.variables.values()
            }
        assert all(np.array_equal(loaded.variable(f"{key}:0"), variables[key]) for key in variables)


@MODELS
def test_nothing_is_wrong(model):
    for _, loaded in each_meta_graph(model):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problems = loaded.problems()
        whole = model.checkpoint is None or model.checkpoint.complete
        assert list(problems) == ([] if whole else ["object_graph"])


@MODELS
def test_fingerprint(model):
    loaded = saved_model.load(model.directory, model.manifest["meta_graphs"][0]["tags"])
    expected = model.manifest.get("fingerprint")
    found = loaded.fingerprint
    assert (found is None) == (expected is None)
    if expected is not None:
        assert str(found.saved_model_checksum) == expected["saved_model_checksum"]
        assert str(found.checkpoint_hash) == expected["checkpoint_hash"]
        assert found.uuid == expected["uuid"]
