"""``Builder``: in which order it writes what, and what it takes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support import processes
from support.building import built, files_in, nodes, read, refused
from support.graphs import WEIGHTS, add, matmul, predict, shape, strings

import tensorbundle as tb
from tensorbundle import errors, files
from tensorbundle.protos import messages
from tensorbundle.protos.text import parse_text
from tensorbundle.saved_model import Builder, SavedModelBuilder, builder

# Directory and order.


def test_files_come_in_order_and_the_model_last(tmp_path):
    export = tmp_path / "a" / "1"
    made = Builder(export)
    assert files_in(export) == []
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"], {"serving_default": predict()})
    variables = ["variables", "variables/variables.data-00000-of-00001", "variables/variables.index"]
    assert files_in(export) == variables
    made.add_meta_graph(matmul(), ["serve", "gpu"])
    assert files_in(export) == variables
    assert made.save() == str(export / "saved_model.pb")
    assert files_in(export) == ["saved_model.pb", *variables]
    saved = read(export)
    assert saved.saved_model_schema_version == 1
    assert [list(meta_graph.meta_info_def.tags) for meta_graph in saved.meta_graphs] == [["serve"], ["serve", "gpu"]]
    assert saved.meta_graphs[0].signature_def["serving_default"] == predict()
    assert saved.meta_graphs[1].saver_def == saved.meta_graphs[0].saver_def
    assert np.array_equal(tb.load(export)["w"], WEIGHTS)


def test_same_input_same_bytes(tmp_path):
    for name in ("a", "b"):
        built(tmp_path / name, signature_def_map={"b": predict(), "a": predict()})
    for file in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_text_says_the_same(tmp_path):
    made = Builder(tmp_path)
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"])
    assert made.save(as_text=True) == str(tmp_path / "saved_model.pbtxt")
    text = parse_text(messages.SavedModel, (tmp_path / "saved_model.pbtxt").read_text(), "saved_model.pbtxt")
    # What is saved last is what loaders find: they take the binary file where there are both.
    assert made.save() == str(tmp_path / "saved_model.pb")
    assert not (tmp_path / "saved_model.pbtxt").exists()
    assert read(tmp_path) == text


def test_a_directory_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(errors.BuilderError, match=r"already exists, and isn't empty$") as caught:
        Builder(tmp_path)
    assert caught.value.path == str(tmp_path)
    assert isinstance(caught.value, AssertionError)
    with pytest.raises(FileExistsError):
        Builder(tmp_path / "x")


def test_variables_come_first_and_once(tmp_path):
    made = Builder(tmp_path)
    with pytest.raises(
        errors.BuilderError, match=r"^no variables have been saved yet: use add_meta_graph_and_variables\(\) first$"
    ):
        made.add_meta_graph(matmul(), ["serve"])
    with pytest.raises(
        errors.BuilderError, match=r"^no meta graph has been added: use add_meta_graph_and_variables\(\) first$"
    ):
        made.save()
    assert files_in(tmp_path) == []
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"])
    with pytest.raises(errors.BuilderError, match=r"^the variables have been saved already: use add_meta_graph\(\)$"):
        made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["gpu"])


def test_a_refused_call_can_be_made_again(tmp_path):
    made = Builder(tmp_path)
    with pytest.raises(errors.BuilderError):
        made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS.T}, ["serve"])
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"])
    with pytest.raises(errors.BuilderError):
        made.add_meta_graph(matmul(sizes=(3, 3)), ["gpu"])
    made.save()
    assert len(read(tmp_path).meta_graphs) == 1


def test_a_failure_leaves_no_model(tmp_path, monkeypatch):
    made = Builder(tmp_path)
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"])
    before = files_in(tmp_path)

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        made.save()
    assert files_in(tmp_path) == before


def test_what_is_abandoned_is_gone(tmp_path):
    made = Builder(tmp_path / "a" / "1")
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"])
    made.save()
    made.abandon()
    assert files_in(tmp_path) == []
    made.abandon()
    made = Builder(tmp_path)
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"])
    made.abandon()
    assert files_in(tmp_path) == []


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from support.graphs import WEIGHTS, matmul
from tensorbundle import files, saved_model
made = saved_model.Builder(sys.argv[1])
made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"])
files.os.replace = lambda *paths: os._exit(0)
made.save()
"""


def test_a_killed_process_leaves_no_model(tmp_path):
    processes.run_python(KILLED, tmp_path / "1", Path(__file__).parent)
    assert not tb.saved_model.contains_saved_model(tmp_path / "1")
    with pytest.raises(FileNotFoundError):
        tb.saved_model.load(tmp_path / "1")


def test_more_than_two_gibibytes_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "MOST_BYTES", 3000)
    graph = matmul()
    add(graph, "large", "Const", dtype="string", value=strings("x" * 3000, scalar=True))
    made = Builder(tmp_path)
    with pytest.raises(errors.LimitError, match=r"^saved_model.pb would take \d+ bytes, more than protobuf's 3000$"):
        made.add_meta_graph_and_variables(graph, {"w": WEIGHTS}, ["serve"])
    assert files_in(tmp_path) == []
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"])
    made.add_meta_graph(matmul(), ["serve"])
    with pytest.raises(errors.LimitError):
        made.add_meta_graph(matmul(), ["serve"])
    made.save()
    assert (tmp_path / "saved_model.pb").stat().st_size <= 3000


def test_the_other_name():
    assert SavedModelBuilder is Builder


# What is given.


def test_graphs_of_every_kind(tmp_path):
    whole = messages.MetaGraphDef(graph_def=matmul())
    whole.meta_info_def.tags.append("old")
    whole.meta_info_def.tensorflow_version = "1.15"
    whole.signature_def["kept"].CopyFrom(predict())
    whole.signature_def["replaced"].method_name = "old"
    before = whole.SerializeToString(deterministic=True)
    given = {"message": matmul(), "bytes": matmul().SerializeToString(), "whole": whole}
    found = {
        name: built(tmp_path / name, graph, signature_def_map={"replaced": predict()}) for name, graph in given.items()
    }
    assert found["bytes"] == found["message"]
    assert whole.SerializeToString(deterministic=True) == before
    assert found["whole"].meta_info_def.tensorflow_version == "1.15"
    assert list(found["whole"].meta_info_def.tags) == ["serve"]
    assert dict(found["whole"].signature_def) == {"kept": predict(), "replaced": predict()}
    del found["whole"].signature_def["kept"]
    found["whole"].meta_info_def.tensorflow_version = ""
    assert found["whole"] == found["message"]


def test_unknown_fields_are_kept(tmp_path):
    whole = messages.MetaGraphDef(graph_def=matmul())
    data = whole.SerializeToString() + b"\xfa\x3f\x05later"  # Field 1023.
    meta_graph = built(tmp_path, messages.MetaGraphDef.FromString(data))
    assert b"\xfa\x3f\x05later" in meta_graph.SerializeToString()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"graph": 5}, TypeError, "expected a GraphDef or its bytes, not an instance of int"),
        ({"variables": [1]}, TypeError, "variables must be a mapping from names to arrays, not list"),
        ({"tags": "serve"}, TypeError, "tags must be a list of them, not str: 'serve'"),
        ({"tags": [1]}, TypeError, "a tag is a str, not int: 1"),
        ({"main_op": 5}, TypeError, "main_op is the name of an operation, not int"),
        (
            {"signature_def_map": {"a": 5}},
            TypeError,
            "signature 'a': expected a SignatureDef or its bytes, not an instance of int",
        ),
        ({"signature_def_map": [5]}, TypeError, "signature_def_map must be a mapping from keys to messages, not list"),
        ({"signature_def_map": {5: predict()}}, TypeError, "the key of a signature is a str, not int: 5"),
    ],
)
def test_wrong_types(tmp_path, options, error, message):
    arguments = {"graph": matmul(), "variables": {"w": WEIGHTS}, "tags": ["serve"], **options}
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Builder(tmp_path).add_meta_graph_and_variables(**arguments)
    assert files_in(tmp_path) == []


def test_tags_in_order(tmp_path):
    for name, tags in {"none": [], "list": ["b", "a"], "iterator": iter(["b", "a"])}.items():
        expected = [] if name == "none" else ["b", "a"]
        assert list(built(tmp_path / name, tags=tags).meta_info_def.tags) == expected
    assert list(built(tmp_path / "set", tags={"c", "b", "a"}).meta_info_def.tags) == ["a", "b", "c"]


def test_two_nodes_of_one_name(tmp_path):
    graph = matmul()
    add(graph, "y", "NoOp")
    refused(tmp_path, "the graph has two nodes named 'y'", graph)


# Variables.


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"v": WEIGHTS}, "variable 'w' is restored from 'w', and no tensor of that name is given"),
        ({"w": WEIGHTS.T}, "variable 'w' is float32[2, 3], the tensor given for it, 'w', is float32[3, 2]"),
        ({"w": WEIGHTS[0]}, "variable 'w' is float32[2, 3], the tensor given for it, 'w', is float32[3]"),
        (
            {"w": WEIGHTS.astype("f8")},
            "variable 'w' is float32[2, 3], the tensor given for it, 'w', is float64[2, 3]",
        ),
    ],
)
def test_variables_must_fit(tmp_path, variables, message):
    assert refused(tmp_path, message, variables=variables).tensor == "w"


def test_sizes_that_are_not_known_fit(tmp_path):
    built(tmp_path / "1", matmul(sizes=(-1, 3)))
    refused(
        tmp_path / "2",
        "variable 'w' is float32[?, 3], the tensor given for it, 'w', is float32[3, 2]",
        matmul(sizes=(-1, 3)),
        {"w": WEIGHTS.T},
    )
    graph = matmul()
    graph.node[1].attr["shape"].shape.CopyFrom(messages.TensorShapeProto(unknown_rank=True))
    built(tmp_path / "3", graph, {"w": WEIGHTS[0]})


def test_a_checkpoint_is_saved_whole(tmp_path):
    variables = {"w": WEIGHTS, "w/Adam": WEIGHTS + 1, "names": np.array([b"a", b"bc"], object)}
    with tb.open(tb.save(tmp_path / "ckpt", variables)) as ckpt:
        meta_graph = built(tmp_path / "1", variables=ckpt)
    assert list(tb.load(tmp_path / "1")) == sorted(variables)
    assert nodes(meta_graph)["save/tensor_names"].attr["value"].tensor.string_val == [b"w"]


def test_types_that_arrays_lack_are_kept(tmp_path):
    graph = messages.GraphDef()
    add(graph, "q", "VarHandleOp", dtype="qint8", shape=shape(2))
    with tb.CheckpointWriter(tmp_path / "ckpt") as writer:
        writer.add("q", np.int8([1, 2]), dtype="qint8")
    with tb.open(tmp_path / "ckpt") as ckpt:
        built(tmp_path / "1", graph, ckpt)
    assert tb.open(tmp_path / "1").entry("q").tf_dtype == "qint8"
    message = "variable 'q' is qint8[2], the tensor given for it, 'q', is int8[2]"
    refused(tmp_path / "2", message, graph, {"q": np.int8([1, 2])})


def test_without_variables_there_is_an_empty_directory(tmp_path):
    graph = messages.GraphDef()
    add(graph, "x", "Placeholder", dtype="float32")
    meta_graph = built(tmp_path, graph, {})
    assert files_in(tmp_path) == ["saved_model.pb", "variables"]
    assert not meta_graph.HasField("saver_def")
    assert meta_graph.graph_def == graph


def test_options_of_saving(tmp_path):
    made = Builder(tmp_path, shards=2, durable=False)
    made.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS, "v": WEIGHTS}, ["serve"])
    assert [name for name in files_in(tmp_path) if "data" in name] == [
        "variables/variables.data-00000-of-00002",
        "variables/variables.data-00001-of-00002",
    ]
