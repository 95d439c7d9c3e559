"""The messages on other runtimes than the installed one: the oldest and the newest protobuf, compiled and in Python.

They come from the package index that pip is set up for, once a session. Without one these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import environment

OLDEST = "protobuf==3.20.3"
NEWEST = "protobuf"

# Prints what it makes of messages, so that runtimes can be compared. Only the first line is a runtime's own.
PROGRAM = r"""
import json
import sys
import tensorbundle as tb
from tensorbundle.protos import convert, messages
from tensorbundle.protos.text import parse_text, print_text
from tensorbundle.saved_model.fingerprint import make_fingerprint
import google.protobuf
from google.protobuf.internal import api_implementation

def message_of(call, *arguments):
    try:
        call(*arguments)
    except ValueError as error:
        return f"{type(error).__name__}: {error}"

TEXT = '''
saved_model_schema_version: 1
meta_graphs {
  meta_info_def {
    any_info { [type.googleapis.com/tensorflow.AssetFileDef] { filename: "gr\\303\\274\\303\\237" } }
    tags: "serve"
    function_aliases { key: "" value: "" }
  }
  graph_def {
    node {
      name: "n" op: "Sum"
      attr { key: "Tidx" value { type: DT_INT32 } } attr { key: "T" value { list { f: [1, nan, -inf] i: [-1, 0] } } }
    }
    library {
      function {
        signature { name: "f" attr { name: "T" type: "type" default_value { b: false } } }
        arg_attr { key: 300 value { } } arg_attr { key: 2 value { attr { key: "" value { s: "\\377" } } } }
        resource_arg_unique_id { key: 4294967295 value: 0 } resource_arg_unique_id { key: 0 value: 7 }
      }
    }
    debug_info { traces_by_id { key: 18446744073709551615 value { frame_id: [1, 2] } } files: "a.py" }
  }
  signature_def { key: "s" value { inputs { key: "x" value { name: "x:0" tensor_shape { unknown_rank: true } } } } }
  object_graph_def {
    nodes { user_object { } children { node_id: 0 local_name: "x" } }
    concrete_functions { key: "f_1" value { output_signature { dict_value { fields { key: "b" value {
      int64_value: -3 } } fields { key: "a" value { tuple_value { values { none_value { } } } } } } } } }
  }
}
'''
model = parse_text(messages.SavedModel, TEXT, "model")
data = convert.serialize(model)
unknown = data + b"\xca\x3e\x01x"
fingerprint = make_fingerprint(convert.parse(messages.SavedModel, data, "model"), b"index")
fingerprint.uuid = ""

deep = b"\x12\0"
for _ in range(2000):
    deep = b"\x12" + convert.serialize(messages.TensorProto(tensor_content=deep))[1:]

json.dump({
    "runtime": [google.protobuf.__version__, api_implementation.Type()],
    "bytes": data.hex(),
    "text": print_text(model),
    "same": convert.serialize(parse_text(messages.SavedModel, print_text(model), "text")) == data,
    "unknown": convert.serialize(convert.parse(messages.SavedModel, unknown, "x")).hex(),
    "fingerprint": print_text(fingerprint),
    "nested class": messages.MetaGraphDef.MetaInfoDef.DESCRIPTOR.full_name,
    "nested enum": messages.SaverDef.V2,
    "enum": messages.DataType.Name(1),
    "signature": print_text(tb.saved_model.build_tensor_info("x:0", "float32", [None, 2])),
    "truncated": message_of(convert.parse, messages.SavedModel, data[:-1], "x"),
    "no text": message_of(convert.parse, messages.NodeDef, b"\x0a\x01\xff", "x"),
    "deep": message_of(convert.parse, messages.FullTypeDef, deep, "x"),
    "unknown name": message_of(parse_text, messages.SavedModel, "\nnothing: 1", "x"),
}, sys.stdout)
"""


def outcome(folder: Path | None, **more_environment: str) -> dict[str, object]:
    """What the program prints with the runtime in a folder, or the installed one."""
    variables = environment(**more_environment)
    if folder:
        variables["PYTHONPATH"] = os.pathsep.join([str(folder), variables["PYTHONPATH"]])
    # Old runtimes have warnings on new versions of Python.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def installed() -> dict[str, object]:
    return outcome(None)


@pytest.fixture(scope="session", params=[OLDEST, NEWEST])
def runtime(request, tmp_path_factory) -> Path:
    """A folder with a protobuf in it."""
    pytest.importorskip("pip", reason="pip is not installed")
    folder = tmp_path_factory.mktemp("runtime")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), request.param]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"pip can't get {request.param}: {done.stderr.strip().splitlines()[-1]}")
    return folder


def test_installed_runtime(installed):
    assert installed["same"]
    assert installed["unknown"] == str(installed["bytes"]) + "ca3e0178"
    assert installed["nested class"] == "tensorflow.MetaGraphDef.MetaInfoDef"
    assert (installed["nested enum"], installed["enum"]) == (2, "DT_FLOAT")
    assert str(installed["truncated"]).startswith("DataLossError: 'x' is no SavedModel: a field of ")
    assert installed["no text"] == "DataLossError: 'x' is no NodeDef: tensorflow.NodeDef.name is not UTF-8 at byte 2"
    assert installed["deep"] == "DataLossError: 'x' is no FullTypeDef: messages nest deeper than 100 levels"
    assert str(installed["unknown name"]).startswith("DataLossError: 'x', line 2: no text of a SavedModel: ")


@pytest.mark.parametrize("chosen", [{}, {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}], ids=["", "python"])
def test_other_runtimes(runtime, chosen, installed):
    found = outcome(runtime, **chosen)
    version, kind = found.pop("runtime")
    assert kind in chosen.values() or not chosen
    assert (version == "3.20.3") == any("3.20.3" in path.name for path in runtime.iterdir())
    expected = {key: value for key, value in installed.items() if key != "runtime"}
    assert found == expected
