"""The messages: their names, what survives, and what is refused."""

from __future__ import annotations

import time

import pytest
from support import corpus, wire
from support.processes import run_python

from tensorbundle import errors
from tensorbundle.protos import convert, messages
from tensorbundle.protos.text import parse_text, print_text

SAVED_MODELS = sorted(path for sample in corpus.samples() for path in sample.directory.rglob("saved_model.pb"))
TEXTS = sorted(path for sample in corpus.samples() for path in sample.directory.rglob("saved_model.pbtxt"))
META_GRAPHS = sorted(path for sample in corpus.samples() for path in sample.directory.rglob("*.meta"))
# Printing and parsing text is Python's work: those that take a second are left out.
SMALL = [path for path in SAVED_MODELS if path.stat().st_size < 70_000]
ASSET_TYPE = "type.googleapis.com/tensorflow.AssetFileDef"

needs_corpus = pytest.mark.skipif(not SAVED_MODELS, reason="the open corpus is absent")


def path_id(path):
    return path.parent.name + "/" + path.name


def field(number: int, value: int | bytes) -> bytes:
    return wire.int_field(number, value) if isinstance(value, int) else wire.bytes_field(number, value)


def nested(levels: int) -> bytes:
    """A ``FullTypeDef`` with that many others inside each other."""
    data = b""
    for _ in range(levels):
        data = field(2, data)
    return data


def test_importing_imports_no_protobuf():
    program = """
import sys
import tensorbundle.protos, tensorbundle.protos.convert, tensorbundle.protos.messages, tensorbundle.protos.text
hasattr(tensorbundle.protos.messages, "__wrapped__")
print([name for name in sys.modules if name.partition(".")[0] in ("google", "numpy")])
"""
    assert run_python(program) == "[]\n"


def test_absent_protobuf_says_what_to_install():
    program = """
import sys
sys.modules["google.protobuf"] = None
from tensorbundle.protos import messages
for _ in range(2):
    try:
        messages.SavedModel
    except ImportError as error:
        print(error)
"""
    assert run_python(program) == "SavedModels need protobuf: pip install 'protobuf>=3.20.3'\n" * 2


def test_names_are_tensorflows():
    names = ["SavedModel", "MetaGraphDef", "GraphDef", "SignatureDef", "BundleEntryProto", "SavedTensorSlices"]
    assert {*names, "DataType", "SavedMetadata", "Any", "BoolValue"} <= set(dir(messages))
    for name in names:
        assert getattr(messages, name) is getattr(messages, name)
        assert getattr(messages, name).DESCRIPTOR.full_name == f"tensorflow.{name}"
    keras = messages.SavedMetadata.DESCRIPTOR.full_name
    assert keras == "third_party.tensorflow.python.keras.protobuf.SavedMetadata"
    assert messages.SavedObject.DESCRIPTOR.full_name == "tensorflow.SavedObject"
    assert messages.DataType.Name(1) == "DT_FLOAT"
    assert messages.DataType.Value("DT_FLOAT4_E2M1FN") == 33
    assert messages.FullTypeId is messages.FullTypeId


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'tensorbundle\.protos\.messages' has no attribute 'Nothing'$"):
        messages.Nothing  # noqa: B018


def test_unknown_fields_survive():
    node = field(1, b"w") + field(999, b"of the node") + field(1000, 7)
    graph = field(1, node) + field(998, b"of the graph")
    model = field(1, 1) + field(2, field(2, graph)) + field(997, b"of all")
    assert convert.serialize(convert.parse(messages.SavedModel, model, "x.pb")) == model


def test_serializing_sorts_maps():
    one, other = messages.SignatureDef(), messages.SignatureDef()
    keys = [f"key {number}" for number in range(20)]
    for key in keys:
        one.inputs[key].name = key
    for key in reversed(keys):
        other.inputs[key].name = key
    assert convert.serialize(one) == convert.serialize(other)


# --- Taking messages from elsewhere


def test_a_message_of_ours_is_itself():
    graph = messages.GraphDef()
    assert convert.as_message(messages.GraphDef, graph) is graph


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_become_a_message(kind):
    graph = convert.as_message(messages.GraphDef, kind(field(1, field(1, b"w"))))
    assert [node.name for node in graph.node] == ["w"]


def other_pools_class(name: str):
    from tensorbundle.protos import pool

    other = pool.runtime("descriptor_pool").DescriptorPool()
    for file in pool._FILES:
        other.AddSerializedFile(file.serialized_pb)
    factory = pool.runtime("message_factory")
    new_class = getattr(factory, "GetMessageClass", None) or factory.MessageFactory(other).GetPrototype
    return new_class(other.FindMessageTypeByName(name))


def test_a_message_of_another_pool_is_taken_by_its_bytes():
    theirs = other_pools_class("tensorflow.TensorInfo")(name="x:0", dtype=1)
    ours = convert.as_message(messages.TensorInfo, theirs)
    assert type(ours) is messages.TensorInfo
    assert (ours.name, ours.dtype) == ("x:0", 1)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (lambda: messages.NodeDef(name="w"), "a tensorflow.NodeDef"),
        (lambda: messages.GraphDef, "an instance of GeneratedProtocolMessageType|an instance of MessageMeta"),
        (lambda: "text", "an instance of str"),
        (lambda: None, "an instance of NoneType"),
    ],
)
def test_anything_else_is_a_type_error(value, found):
    with pytest.raises(TypeError, match=f"^expected a GraphDef or its bytes, not ({found})$"):
        convert.as_message(messages.GraphDef, value())


# --- Damaged bytes


@pytest.mark.parametrize(
    ("data", "problem", "offset"),
    [
        (b"\xff", "an unfinished varint at byte 0", 0),
        (b"\x08" + b"\x80" * 11, "an unfinished varint at byte 1", 1),
        (b"\x12\x05ab", "a field of 5 bytes, of which 2 are there, at byte 2", 2),
        (b"\x12\x02\x0a\x07", "a field of 7 bytes, of which 0 are there, at byte 4", 4),
        (b"\x08\x01\x0f", "wire type 7 at byte 2", 2),
        (b"\x02\x00", "field number 0 at byte 0", 0),
        (b"\x99\x06abc", "a field of 8 bytes, of which 3 are there, at byte 2", 2),
        (b"\x9d\x06abc", "a field of 4 bytes, of which 3 are there, at byte 2", 2),
        # meta_graphs[0].signature_def["k"].inputs["x"].name
        (
            field(
                2,
                field(
                    5,
                    field(1, b"k") + field(2, field(1, field(1, b"x") + field(2, field(1, b"\xff")))),
                ),
            ),
            "tensorflow.TensorInfo.name is not UTF-8 at byte 18",
            18,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damaged_bytes_are_a_data_loss(data, problem, offset):
    with pytest.raises(errors.DataLossError) as caught:
        convert.parse(messages.SavedModel, data, "export/saved_model.pb")
    assert str(caught.value) == f"'export/saved_model.pb' is no SavedModel: {problem}"
    assert (caught.value.path, caught.value.offset) == ("export/saved_model.pb", offset)


def test_every_truncation_is_found_where_it_is():
    model = messages.SavedModel(saved_model_schema_version=1)
    for number in range(3):
        node = model.meta_graphs.add().graph_def.node.add(name=f"node {number}", op="Const")
        node.attr["value"].tensor.string_val.append(b"text")
    data = convert.serialize(model)
    whole = {0, 2, *(2 + number * ((len(data) - 2) // 3) for number in range(1, 4))}
    for size in range(len(data)):
        if size in whole:
            convert.parse(messages.SavedModel, data[:size], "x")
            continue
        with pytest.raises(errors.DataLossError) as caught:
            convert.parse(messages.SavedModel, data[:size], "x")
        assert caught.value.offset is not None, size
        assert caught.value.offset <= size


def test_empty_bytes_are_an_empty_message():
    assert convert.parse(messages.SavedModel, b"", "x") == messages.SavedModel()


def test_deep_nesting():
    assert convert.parse(messages.FullTypeDef, nested(100), "x").ByteSize() == len(nested(100))
    for levels in (101, 102, 5000):
        with pytest.raises(errors.DataLossError) as caught:
            convert.parse(messages.FullTypeDef, nested(levels), "x")
        assert str(caught.value) == "'x' is no FullTypeDef: messages nest deeper than 100 levels"


def test_very_deep_nesting_takes_no_time():
    begin = time.process_time()
    with pytest.raises(errors.DataLossError, match="messages nest deeper than 100 levels"):
        convert.parse(messages.FullTypeDef, nested(20_000), "x")
    assert time.process_time() - begin < 5


def test_damage_that_is_no_depth_says_what_protobuf_says():
    with pytest.raises(errors.DataLossError) as caught:
        convert.parse(messages.SavedModel, b"\x13", "x")  # A group without end.
    assert str(caught.value) == f"'x' is no SavedModel: {caught.value.__cause__}"


def test_file_of_2_gib_is_not_read(tmp_path):
    path = tmp_path / "saved_model.pb"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(errors.DataLossError) as caught:
        convert.read_file(messages.SavedModel, str(path))
    problem = "has 2147483648 bytes, more than the 2147483647 of any protobuf message"
    assert str(caught.value) == f"{str(path)!r} {problem}"
    assert caught.value.path == str(path)


def test_file_is_read(tmp_path):
    path = tmp_path / "saved_model.pb"
    path.write_bytes(field(1, 1))
    assert convert.read_file(messages.SavedModel, str(path)).saved_model_schema_version == 1
    with pytest.raises(FileNotFoundError):
        convert.read_file(messages.SavedModel, str(tmp_path / "nothing"))


def test_more_bytes_than_a_message_may_have(monkeypatch):
    monkeypatch.setattr(convert, "MOST_BYTES", 9)
    convert.serialize(messages.NodeDef(name="1234567"))
    with pytest.raises(errors.LimitError, match=r"^NodeDef takes 10 bytes, more than protobuf's 9$"):
        convert.serialize(messages.NodeDef(name="12345678"))
    with pytest.raises(errors.DataLossError, match=r"^'x' has 10 bytes, more than the 9 of any protobuf message$"):
        convert.parse(messages.NodeDef, bytes(10), "x")


# --- Text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n\nnothing: 3", 'Message type "tensorflow.SavedModel" has no field named "nothing".'),
        ("\n\nmeta_graphs {", 'Expected "}".'),
        (
            "\nmeta_graphs { asset_file_def { tensor_info {\ndtype: DT_NEWEST } } }",
            'Enum type "tensorflow.DataType" has no value named DT_NEWEST.',
        ),
    ],
)
def test_what_text_may_not_have_is_a_data_loss(text, problem):
    with pytest.raises(errors.DataLossError) as caught:
        parse_text(messages.SavedModel, text, "x.pbtxt")
    assert str(caught.value).startswith("'x.pbtxt', line 3: no text of a SavedModel: ")
    assert str(caught.value).endswith(problem)
    assert caught.value.path == "x.pbtxt"


def test_text_that_is_not_utf8_is_a_data_loss():
    with pytest.raises(errors.DataLossError) as caught:
        parse_text(messages.SavedModel, b"# one\n# \xff", "x.pbtxt")
    assert str(caught.value) == "'x.pbtxt', line 2: byte 8 is not UTF-8"
    assert caught.value.offset == 8


@pytest.mark.parametrize(("opening", "closing"), ["{}", "<>"])
def test_deep_text(opening, closing):
    def text(levels):
        return f"args {opening}\n" * levels + closing * levels

    assert parse_text(messages.FullTypeDef, text(100), "x").ByteSize() == len(nested(100))
    for levels in (101, 20_000):
        with pytest.raises(errors.DataLossError) as caught:
            parse_text(messages.FullTypeDef, text(levels), "x")
        assert str(caught.value) == "'x', line 101: messages nest deeper than 100 levels"


def test_braces_in_strings_and_comments_are_no_messages():
    text = "# " + "{" * 200 + '\nname: "' + "{" * 200 + '\\"{" op: \'' + "<" * 200 + "'"
    node = parse_text(messages.NodeDef, text, "x")
    assert (node.name, node.op) == ("{" * 200 + '"{', "<" * 200)


def test_any_is_parsed_in_both_forms_and_printed_as_it_is_stored():
    asset = messages.AssetFileDef(filename="words.txt")
    expanded = f'any_list {{ value {{ [{ASSET_TYPE}] {{ filename: "words.txt" }} }} }}'
    collection = parse_text(messages.CollectionDef, expanded, "x")
    value = collection.any_list.value[0]
    assert (value.type_url, value.value) == (ASSET_TYPE, asset.SerializeToString())
    text = print_text(collection)
    assert text == (
        f'any_list {{\n  value {{\n    type_url: "{ASSET_TYPE}"\n    value: "\\022\\twords.txt"\n  }}\n}}\n'
    )
    assert parse_text(messages.CollectionDef, text, "x") == collection


def test_text_is_ascii():
    node = messages.NodeDef(name="gr\u00fc\u00df")
    assert print_text(node) == 'name: "gr\\303\\274\\303\\237"\n'
    assert parse_text(messages.NodeDef, print_text(node), "x") == node
    assert parse_text(messages.NodeDef, 'name: "gr\u00fc\u00df"'.encode(), "x") == node


# --- The corpus


@needs_corpus
def test_corpus_has_what_these_tests_are_about():
    assert len(SAVED_MODELS) >= 45
    assert len(TEXTS) >= 8
    assert len(META_GRAPHS) >= 4


@pytest.mark.parametrize("path", SAVED_MODELS, ids=path_id)
def test_saved_models_lose_nothing(path):
    data = path.read_bytes()
    model = convert.parse(messages.SavedModel, data, str(path))
    rewritten = convert.serialize(model)
    assert len(rewritten) == len(data)
    assert convert.parse(messages.SavedModel, rewritten, str(path)) == model


@pytest.mark.parametrize("path", META_GRAPHS, ids=path_id)
def test_meta_graphs_lose_nothing(path):
    data = path.read_bytes()
    assert len(convert.serialize(convert.parse(messages.MetaGraphDef, data, str(path)))) == len(data)


@pytest.mark.parametrize("path", SMALL, ids=path_id)
def test_saved_models_go_through_text(path):
    """Text holds no field that is not in ``protos/``, so that none can be missing there."""
    model = convert.parse(messages.SavedModel, path.read_bytes(), str(path))
    again = parse_text(messages.SavedModel, print_text(model), "text")
    assert convert.serialize(again) == convert.serialize(model)


@pytest.mark.parametrize("path", TEXTS, ids=path_id)
def test_texts_are_read_and_printed(path):
    model = parse_text(messages.SavedModel, path.read_bytes(), str(path))
    text = print_text(model)
    assert parse_text(messages.SavedModel, text, "text") == model
    assert print_text(parse_text(messages.SavedModel, text, "text")) == text
