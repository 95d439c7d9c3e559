"""The messages beside TensorFlow's: the same fields, the same text, and both in one process."""

from __future__ import annotations

import importlib

import pytest
from support import corpus
from support.processes import run_python

from tensorbundle.protos import convert, messages
from tensorbundle.protos.text import parse_text, print_text

pytestmark = pytest.mark.usefixtures("tensorflow")

# Where TensorFlow has what is in protos/*.proto.
MODULES = [
    *(
        f"tensorflow.core.framework.{name}_pb2"
        for name in (
            "attr_value",
            "full_type",
            "function",
            "graph",
            "graph_debug_info",
            "node_def",
            "op_def",
            "resource_handle",
            "tensor",
            "tensor_shape",
            "tensor_slice",
            "types",
            "variable",
            "versions",
        )
    ),
    *(
        f"tensorflow.core.protobuf.{name}_pb2"
        for name in (
            "fingerprint",
            "meta_graph",
            "saved_model",
            "saved_object_graph",
            "saver",
            "struct",
            "tensor_bundle",
            "trackable_object_graph",
        )
    ),
    "tensorflow.core.util.saved_tensor_slice_pb2",
    "tensorflow.python.keras.protobuf.saved_metadata_pb2",
    "tensorflow.python.keras.protobuf.versions_pb2",
    "tensorflow.python.training.checkpoint_state_pb2",
]
TEXTS = sorted(path for sample in corpus.samples() for path in sample.directory.rglob("saved_model.pbtxt"))
SMALL = sorted(
    path
    for sample in corpus.samples()
    for path in sample.directory.rglob("saved_model.pb")
    if path.stat().st_size < 70_000
)
FIELD_PROPERTIES = ["name", "number", "type", "json_name", "is_packed", "has_presence", "has_default_value"]


def path_id(path):
    return path.parent.name + "/" + path.name


def described_field(field):
    repeated = getattr(field, "is_repeated", None)
    if repeated is None:  # Runtimes before 6.31.
        repeated = field.label == field.LABEL_REPEATED
    inner = field.message_type or field.enum_type
    return (
        *(getattr(field, name) for name in FIELD_PROPERTIES),
        repeated,
        inner.full_name if inner else None,
        field.containing_oneof.name if field.containing_oneof else None,
        field.GetOptions().deprecated,
    )


def described_enum(enum):
    return enum.full_name, sorted((value.name, value.number) for value in enum.values)


def described(message):
    """Everything about a message that its bytes or its text depend on."""
    proto = message_proto(message)
    return {
        "name": message.full_name,
        "map entry": message.GetOptions().map_entry,
        "fields": sorted(map(described_field, message.fields), key=lambda field: field[1]),
        "oneofs": sorted((one.name, sorted(field.name for field in one.fields)) for one in message.oneofs),
        "enums": sorted(map(described_enum, message.enum_types)),
        "reserved": (sorted((r.start, r.end) for r in proto.reserved_range), list(proto.reserved_name)),
        "nested": [described(nested) for nested in sorted(message.nested_types, key=lambda nested: nested.name)],
    }


def message_proto(message):
    from google.protobuf import descriptor_pb2

    proto = descriptor_pb2.DescriptorProto()
    message.CopyToProto(proto)
    return proto


def their_descriptors(kind):
    for module in MODULES:
        file = importlib.import_module(module).DESCRIPTOR
        yield from getattr(file, f"{kind}_types_by_name").values()


def test_messages_are_tensorflows_field_by_field():
    from tensorbundle.protos import pool

    theirs = {message.full_name: message for message in their_descriptors("message")}
    assert len(theirs) == 65
    for name, message in theirs.items():
        assert described(pool.POOL.FindMessageTypeByName(name)) == described(message), name


def test_enums_are_tensorflows_value_by_value():
    from tensorbundle.protos import pool

    theirs = {enum.full_name: enum for enum in their_descriptors("enum")}
    assert len(theirs) == 4
    for name, enum in theirs.items():
        assert described_enum(pool.POOL.FindEnumTypeByName(name)) == described_enum(enum), name


def test_there_is_nothing_that_tensorflow_has_not():
    theirs = {item.name for kind in ("message", "enum") for item in their_descriptors(kind)}
    wrappers = {name for name in dir(messages) if name.endswith("Value")} - {"AttrValue", "StructuredValue"}
    public = {name for name in dir(messages) if name[0].isupper()}
    assert public - theirs - {"Any"} == wrappers - theirs
    assert len(wrappers - theirs) == 9


@pytest.mark.parametrize("path", TEXTS, ids=path_id)
def test_text_of_the_corpus_is_printed_as_tensorflow_prints_it(path):
    from google.protobuf import text_format
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    theirs = text_format.Parse(path.read_bytes(), SavedModel())
    ours = parse_text(messages.SavedModel, path.read_bytes(), str(path))
    assert convert.serialize(ours) == convert.serialize(theirs)
    assert print_text(ours) == unexpanded(theirs)


@pytest.mark.parametrize("path", SMALL, ids=path_id)
def test_saved_models_of_the_corpus_are_what_tensorflow_reads(path):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    theirs = SavedModel.FromString(path.read_bytes())
    ours = convert.as_message(messages.SavedModel, theirs)
    assert convert.serialize(ours) == convert.serialize(theirs)
    assert print_text(ours) == unexpanded(theirs)


def unexpanded(message) -> str:
    """Text as a process prints it that has never heard of the messages in ``Any`` fields, as TensorFlow's C++ does."""
    from google.protobuf import descriptor_pool, text_format

    return text_format.MessageToString(message, descriptor_pool=descriptor_pool.DescriptorPool(), as_utf8=False)


def test_an_export_of_a_module_loses_nothing(tensorflow, tmp_path):
    tf = tensorflow

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(tf.ones([2, 3]))
            self.words = tf.saved_model.Asset(str(tmp_path / "words.txt"))

        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def double(self, x):
            return {"y": tf.cond(tf.reduce_sum(x) > 0, lambda: x @ self.kernel, lambda: x @ self.kernel * 2)}

    (tmp_path / "words.txt").write_text("a\nb\n")
    options = tf.saved_model.SaveOptions(save_debug_info=True, function_aliases={"twice": Model.double})
    model = Model()
    options.function_aliases = {"twice": model.double}
    tf.saved_model.save(model, str(tmp_path / "export"), model.double, options)
    data = (tmp_path / "export" / "saved_model.pb").read_bytes()
    ours = convert.parse(messages.SavedModel, data, "x")
    assert len(convert.serialize(ours)) == len(data)
    again = parse_text(messages.SavedModel, print_text(ours), "text")
    assert convert.serialize(again) == convert.serialize(ours)
    debug = (tmp_path / "export" / "debug" / "saved_model_debug_info.pb").read_bytes()
    info = convert.parse(messages.GraphDebugInfo, debug, "x")
    assert convert.serialize(parse_text(messages.GraphDebugInfo, print_text(info), "text")) == convert.serialize(info)


IMPORTS = {
    "tensorflow": "from tensorflow.core.protobuf import saved_model_pb2",
    "ours": "from tensorbundle.protos import messages; messages.SavedModel",
}


@pytest.mark.parametrize("order", [["tensorflow", "ours"], ["ours", "tensorflow"]], ids="-".join)
def test_both_are_in_one_process(order):
    program = "\n".join(IMPORTS[name] for name in order)
    program += """
from tensorbundle.protos.convert import as_message, serialize
theirs = saved_model_pb2.SavedModel(saved_model_schema_version=1)
theirs.meta_graphs.add().meta_info_def.any_info.type_url = "x/y.Z"
ours = as_message(messages.SavedModel, theirs)
print(type(ours) is messages.SavedModel, serialize(ours) == serialize(theirs))
print(saved_model_pb2.SavedModel.FromString(serialize(ours)) == theirs)
"""
    assert run_python(program, TF_CPP_MIN_LOG_LEVEL="3").split() == ["True", "True", "True"]
