"""``Builder``: models with objects, as TensorFlow 2 has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support import graphs
from support.building import built, files_in, read, refused
from support.graphs import WEIGHTS, add

import tensorbundle as tb
from tensorbundle import errors
from tensorbundle.protos import messages
from tensorbundle.protos.convert import read_file
from tensorbundle.saved_model import Builder
from tensorbundle.saved_model.fingerprint import make_fingerprint

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"


def object_model(*, sizes=(2, 3), child: int = 1):
    """A meta graph whose root has one variable, ``w``."""
    whole = messages.MetaGraphDef()
    root = whole.object_graph_def.nodes.add()
    root.user_object.identifier = "_generic_user_object"
    root.children.add(node_id=child, local_name="w")
    variable = whole.object_graph_def.nodes.add().variable
    variable.name, variable.dtype = "w", 1
    variable.shape.CopyFrom(graphs.shape_proto(*sizes))
    return whole


def objects_of(directory: Path, tree):
    return tb.load(tb.save_objects(directory / "objects", tree, save_counter=None))


def test_objects_are_kept_with_the_record_of_the_checkpoint(tmp_path):
    with tb.open(tb.save_objects(tmp_path / "objects", {"w": WEIGHTS, "more": {"x": 1.0}})) as ckpt:
        meta_graph = built(tmp_path / "1", object_model(), ckpt)
        assert meta_graph.object_graph_def == object_model().object_graph_def
        with tb.open(tmp_path / "1") as copied:
            assert copied[OBJECTS][()] == ckpt[OBJECTS][()]
            assert list(copied) == list(ckpt)


def test_objects_must_find_their_variables(tmp_path):
    message = (
        f"the meta graph has an object graph, and the variables have no {OBJECTS!r}, which says where they belong in "
        "it: give the whole checkpoint of the SavedModel, or one of save_objects"
    )
    refused(tmp_path / "1", message, object_model(), {"w": WEIGHTS})
    message = f"variable 'w', object 1, is not among the objects that {OBJECTS!r} of the variables records"
    refused(tmp_path / "2", message, object_model(), objects_of(tmp_path, {"v": WEIGHTS}))
    refused(tmp_path / "3", message, object_model(), objects_of(tmp_path, {"w": {"w": WEIGHTS}}))
    message = (
        "variable 'w', object 1, is float32[2, 3], the tensor given for it, 'w/.ATTRIBUTES/VARIABLE_VALUE', "
        "is float32[3, 2]"
    )
    refused(tmp_path / "4", message, object_model(), objects_of(tmp_path, {"w": WEIGHTS.T}))
    for child in (-1, 2):
        message = (
            f"'the meta graph': node 0 of the object graph: its child 'w' is node {child}, where the graph has 2 nodes"
        )
        variables = objects_of(tmp_path, {"w": WEIGHTS})
        refused(tmp_path / f"{child}", message, object_model(child=child), variables, error=errors.DataLossError)
    damaged = {**objects_of(tmp_path, {"w": WEIGHTS}), OBJECTS: b"\xff"}
    with pytest.raises(errors.DataLossError):
        Builder(tmp_path / "5").add_meta_graph_and_variables(object_model(), damaged, ["serve"])
    message = f"{OBJECTS!r} holds a record, one string of bytes"
    refused(tmp_path / "6", message, object_model(), {OBJECTS: np.float32(1)})


def test_objects_may_refer_to_each_other(tmp_path):
    whole = object_model()
    whole.object_graph_def.nodes[0].children.add(node_id=0, local_name="again")
    built(tmp_path / "1", whole, objects_of(tmp_path, {"w": WEIGHTS}))


def test_slots_are_found_by_their_variables(tmp_path):
    whole = object_model()
    nodes = whole.object_graph_def.nodes
    nodes[0].children.add(node_id=2, local_name="optimizer")
    nodes.add().user_object.identifier = "optimizer"
    nodes.add().variable.CopyFrom(nodes[1].variable)
    nodes[2].slot_variables.add(original_variable_node_id=1, slot_name="m", slot_variable_node_id=3)
    tree = {"w": WEIGHTS, "optimizer": {}}
    slots = {"optimizer": {"m": {"w": WEIGHTS}}}
    with tb.open(tb.save_objects(tmp_path / "ckpt", tree, slots=slots)) as ckpt:
        built(tmp_path / "1", whole, ckpt)
    message = f"variable 'w', object 3, is not among the objects that {OBJECTS!r} of the variables records"
    refused(tmp_path / "2", message, whole, objects_of(tmp_path, tree))


def test_the_main_op_of_a_model_with_objects_is_a_signature(tmp_path):
    whole = object_model()
    add(whole.graph_def, "init", "NoOp")
    variables = objects_of(tmp_path, {"w": WEIGHTS})
    meta_graph = built(tmp_path / "1", whole, variables, main_op="init")
    key = "__saved_model_init_op"
    assert meta_graph.signature_def[key].outputs[key].name == "init"
    assert not meta_graph.collection_def
    refused(
        tmp_path / "2", "the meta graph has a main operation already, 'init'", meta_graph, variables, main_op="init"
    )
    assert os.path.exists(tmp_path / "2")


def test_a_model_with_objects_has_a_fingerprint(tmp_path):
    made = Builder(tmp_path / "1")
    variables = objects_of(tmp_path, {"w": WEIGHTS})
    made.add_meta_graph_and_variables(object_model(), variables, ["serve"])
    made.save()
    index = (tmp_path / "1" / "variables" / "variables.index").read_bytes()
    expected = make_fingerprint(read(tmp_path / "1"), index)
    found = read_file(messages.FingerprintDef, str(tmp_path / "1" / "fingerprint.pb"))
    assert found.uuid
    assert found.uuid != expected.uuid
    found.uuid = expected.uuid
    assert found == expected
    # TensorFlow 2 takes a file of several meta graphs for one of TensorFlow 1.
    made.add_meta_graph(object_model(), ["other"])
    made.save()
    assert not (tmp_path / "1" / "fingerprint.pb").exists()


def test_functions_of_odd_names_have_no_fingerprint(tmp_path):
    whole = object_model()
    whole.object_graph_def.concrete_functions["f"].SetInParent()
    built(tmp_path / "1", whole, objects_of(tmp_path, {"w": WEIGHTS}))
    assert files_in(tmp_path / "1")[0] == "saved_model.pb"
