"""Fingerprints: which changes of a model each hash sees."""

from __future__ import annotations

import numpy as np
import pytest
from support import corpus
from support.bundle_writer import write_bundle

from tensorbundle import _core
from tensorbundle.protos import convert, map_order, messages, pool
from tensorbundle.protos.text import parse_text
from tensorbundle.saved_model.fingerprint import make_fingerprint, read_fingerprint, singleprint

HASHES = {
    "saved_model_checksum",
    "graph_def_program_hash",
    "signature_def_hash",
    "saved_object_graph_hash",
    "checkpoint_hash",
}
MODEL = """
saved_model_schema_version: 1
meta_graphs {
  graph_def {
    node { name: "w" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } } attr { key: "value" value { i: 1 } } }
    node { name: "s" op: "Const" attr { key: "dtype" value { type: DT_STRING } } attr { key: "value" value { i: 1 } } }
    node {
      name: "call" op: "StatefulPartitionedCall"
      attr { key: "f" value { func { name: "__inference_call_12" } } }
      attr { key: "config_proto" value { s: "config" } }
    }
    library { function { signature { name: "__inference_call_12" } } }
    versions { producer: 2474 }
  }
  signature_def { key: "serving_default" value { method_name: "m" } }
  signature_def { key: "other" value { method_name: "m" } }
  object_graph_def {
    concrete_functions { key: "__inference_b_9" value { bound_inputs: 1 } }
    concrete_functions { key: "__inference_a_10" value { bound_inputs: 2 } }
  }
}
"""


def model():
    return parse_text(messages.SavedModel, MODEL, "model")


def hashes(saved_model, index: bytes | None = b"index") -> dict[str, int]:
    fingerprint = make_fingerprint(saved_model, index)
    return {name: getattr(fingerprint, name) for name in HASHES}


def rename_function(meta_graph, name):
    meta_graph.graph_def.node[2].attr["f"].func.name = name
    meta_graph.graph_def.library.function[0].signature.name = name


def rename_concrete(meta_graph, name):
    functions = meta_graph.object_graph_def.concrete_functions
    functions[name].CopyFrom(functions["__inference_a_10"])
    del functions["__inference_a_10"]


def set_attr(node: int, name: str, **value):
    return lambda meta_graph: meta_graph.graph_def.node[node].attr[name].CopyFrom(messages.AttrValue(**value))


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda meta_graph: meta_graph.graph_def.node.add(name="x"), {"graph_def_program_hash"}),
        (set_attr(0, "value", i=2), {"graph_def_program_hash"}),
        (set_attr(1, "value", i=2), set()),
        (set_attr(2, "config_proto", s=b"x"), set()),
        (set_attr(2, "other", s=b"x"), {"graph_def_program_hash"}),
        (lambda meta_graph: rename_function(meta_graph, "__inference_call_13"), set()),
        (lambda meta_graph: rename_function(meta_graph, "__inference_other_12"), {"graph_def_program_hash"}),
        (lambda meta_graph: meta_graph.graph_def.versions.bad_consumers.append(1), set()),
        (lambda meta_graph: meta_graph.graph_def.ClearField("library"), set()),
        (lambda meta_graph: meta_graph.signature_def["new"].SetInParent(), {"signature_def_hash"}),
        (lambda meta_graph: meta_graph.signature_def["other"].inputs["x"].SetInParent(), {"signature_def_hash"}),
        (lambda meta_graph: rename_concrete(meta_graph, "__inference_a_11"), set()),
        (lambda meta_graph: rename_concrete(meta_graph, "__inference_a_8"), {"saved_object_graph_hash"}),
        (lambda meta_graph: rename_concrete(meta_graph, "__inference_c_10"), {"saved_object_graph_hash"}),
        (lambda meta_graph: meta_graph.object_graph_def.nodes.add(), set()),
    ],
)
def test_each_hash_sees_its_part(change, seen):
    changed = model()
    change(changed.meta_graphs[0])
    before, after = hashes(model()), hashes(changed)
    assert {name for name in HASHES if before[name] != after[name]} == seen | {"saved_model_checksum"}


def test_the_model_is_left_as_it_was():
    saved_model = model()
    make_fingerprint(saved_model, None)
    assert saved_model == model()


def test_only_the_first_meta_graph_counts():
    saved_model = model()
    saved_model.meta_graphs.add().graph_def.node.add(name="x")
    before, after = hashes(model()), hashes(saved_model)
    assert {name for name in HASHES if before[name] != after[name]} == {"saved_model_checksum"}


def test_variables_are_hashed_by_their_index(tmp_path):
    index = write_bundle(tmp_path / "variables", {"w": np.arange(3)}).prefix.with_suffix(".index").read_bytes()
    assert make_fingerprint(model(), index).checkpoint_hash == _core.fingerprint64(index)
    assert make_fingerprint(model(), None).checkpoint_hash == 0
    assert make_fingerprint(model(), b"").checkpoint_hash == 0x9AE16A3B2F90404F


def test_uuid_is_another_each_time():
    uuids = [make_fingerprint(model(), None).uuid for _ in range(20)]
    assert len(set(uuids)) == 20
    assert all(uuid.isdecimal() and len(uuid) >= 20 and int(uuid) < 2**128 for uuid in uuids)


def test_models_that_have_no_fingerprint():
    with pytest.raises(ValueError, match=r"^a SavedModel without meta graphs has no fingerprint$"):
        make_fingerprint(messages.SavedModel(), None)
    saved_model = model()
    saved_model.meta_graphs[0].object_graph_def.concrete_functions["name"].SetInParent()
    with pytest.raises(ValueError, match=r"^the name of the concrete function 'name' does not end with a number$"):
        make_fingerprint(saved_model, None)


def test_a_model_without_anything_has_one():
    saved_model = messages.SavedModel()
    saved_model.meta_graphs.add()
    assert hashes(saved_model, None) == {
        "saved_model_checksum": _core.fingerprint64(b"\x12\0"),
        "graph_def_program_hash": _core.fingerprint64(b"\x12\0\x22\0"),  # An empty library and empty versions.
        "signature_def_hash": 0,
        "saved_object_graph_hash": 0,
        "checkpoint_hash": 0,
    }


def test_singleprint():
    fingerprint = messages.FingerprintDef(
        saved_model_checksum=1,
        graph_def_program_hash=2,
        signature_def_hash=3,
        saved_object_graph_hash=2**64 - 1,
        checkpoint_hash=5,
    )
    assert singleprint(fingerprint) == singleprint(fingerprint.SerializeToString()) == "2/3/18446744073709551615/5"


def test_reading(tmp_path):
    assert read_fingerprint(tmp_path) is None
    assert read_fingerprint(tmp_path / "nowhere") is None
    fingerprint = make_fingerprint(model(), None)
    (tmp_path / "fingerprint.pb").write_bytes(convert.serialize(fingerprint))
    assert read_fingerprint(tmp_path) == read_fingerprint(str(tmp_path)) == fingerprint
    (tmp_path / "fingerprint.pb").write_bytes(convert.serialize(fingerprint)[:-1])
    assert read_fingerprint(tmp_path) is None


# Those that were made by these rules, of the model that they lie beside.
CURRENT = [
    sample.directory
    for sample in corpus.samples()
    if sample.name in {"sustainabite-recipe-model-lfs-pointer", "sustainabite-text-vectorizer", "ydf-adult-gbdt"}
]


@pytest.mark.parametrize("directory", CURRENT, ids=lambda directory: directory.name)
def test_fingerprints_of_the_corpus_are_recomputed(directory):
    saved_model = convert.read_file(messages.SavedModel, str(directory / "saved_model.pb"))
    index = directory / "variables" / "variables.index"
    found = read_fingerprint(directory)
    assert hashes(saved_model, index.read_bytes()) == {name: getattr(found, name) for name in HASHES}


# --- The order of maps


def test_maps_are_in_the_order_of_their_keys():
    function = messages.FunctionDef()
    for key in ("T", "Tidx", "T_1", "", "\u00e9", "a"):
        function.ret[key] = "v"
    for number in (300, 0, 2**31, 10, 2, 256):
        function.resource_arg_unique_id[number] = 0

    def keys(field):
        data = convert.serialize(function)
        found = []
        while data:
            tag, size, entry, data = data[0], data[1], data[2 : 2 + data[1]], data[2 + data[1] :]
            assert len(entry) == size
            if tag >> 3 == field:
                found.append(entry)
        return found

    assert [entry[2 : 2 + entry[1]].decode() for entry in keys(4)] == ["", "T", "T_1", "Tidx", "a", "\u00e9"]
    numbers = [messages.FunctionDef.FromString(b"\x42" + bytes([len(entry)]) + entry) for entry in keys(8)]
    assert [next(iter(each.resource_arg_unique_id)) for each in numbers] == [0, 2, 10, 256, 300, 2**31]


def test_keys_of_maps_are_of_kinds_that_are_sorted_right():
    """Text, or numbers without sign: others would need an order of their own."""
    kinds = set()
    for name in map_order._types().positions:
        descriptor = pool.POOL.FindMessageTypeByName(name)
        if descriptor.GetOptions().map_entry:
            kinds.add(descriptor.fields_by_number[1].type)
    field = type(descriptor.fields[0])
    assert kinds == {field.TYPE_STRING, field.TYPE_UINT32, field.TYPE_FIXED64}


@pytest.mark.parametrize(
    ("data", "fields", "message", "error", "problem"),
    [
        (
            b"\x12\x05",
            [[(2, 0, True)]],
            0,
            "DataLossError",
            "malformed protobuf message: byte 1: field 2: 5 bytes wanted, where 0 are left",
        ),
        (b"\x0a\0", [[(1, 1, False)]], 0, "ValueError", "a field of type 1 of 1"),
        (b"", [], 0, "ValueError", "a message of type 0 of 0"),
    ],
)
def test_sorting_refuses_what_is_no_message(data, fields, message, error, problem):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared in full
        _core.sort_map_entries(data, fields, message)
    assert (type(caught.value).__name__, str(caught.value)) == (error, problem)


def test_what_nests_too_deep_is_not_serialized():
    def nested(levels):
        value = outermost = messages.StructuredValue()
        for _ in range(levels // 2):
            value = value.list_value.values.add()
        return outermost

    assert convert.serialize(nested(100))
    with pytest.raises(ValueError, match=r"messages nest deeper than 100 levels|nests too deep"):
        convert.serialize(nested(102))
