"""What TensorFlow exports, we load, show and scan: a module, a Keras model, what the builder of TensorFlow 1 writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import tensorflow_oracle
from support.processes import environment

from tensorbundle import saved_model
from tensorbundle.protos import messages
from tensorbundle.saved_model.denied import DENIED

tensorflow_oracle.require()

PROGRAM = Path(__file__).parent / "saved_model_program.py"
KINDS = pytest.mark.parametrize("kind", ["module", "keras", "builder", "writing"])


def run_all(*arguments):
    command = [sys.executable, "-m", "tensorbundle.cli", "saved-model", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


def run(*arguments):
    """Exit code and what was printed."""
    done = run_all(*arguments)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The directory of the models, and what must be in them."""
    directory = tmp_path_factory.mktemp("exported")
    done = subprocess.run([sys.executable, PROGRAM, directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return directory, json.loads((directory / "expected.json").read_text(encoding="ascii"))


@KINDS
def test_variables_under_their_names(exported, kind):
    directory, expected = exported
    for tags in expected[kind]["tags"]:
        with saved_model.load(directory / kind, tags) as loaded:
            found = {name: loaded.variable(name).tolist() for name in expected[kind]["variables"]}
            assert found == expected[kind]["variables"]
            with_port = {name: loaded.variable(f"{name}:0").tolist() for name in found}
            assert with_port == found


@KINDS
def test_nothing_is_wrong_with_them(exported, kind):
    directory, expected = exported
    for tags in expected[kind]["tags"]:
        with saved_model.load(directory / kind, tags) as loaded:
            assert list(loaded.signatures) == expected[kind]["signatures"]
            assert loaded.problems() == {}
            assert loaded.tag_sets == tuple(map(frozenset, expected[kind]["tags"]))


@pytest.mark.parametrize("kind", ["module", "keras"])
def test_objects_that_the_checkpoint_has_too(exported, kind):
    directory, _ = exported
    with saved_model.load(directory / kind) as loaded:
        keys = set(loaded.object_graph.variables.values())
        assert keys == set(loaded.variables.object_graph.variables.values())
        kinds = [node.WhichOneof("kind") for node in loaded.meta_graph.object_graph_def.nodes]
        assert [kind == "variable" for kind in kinds] == [node.key is not None for node in loaded.object_graph.nodes]
        assert loaded.fingerprint.saved_model_checksum != 0
        assert loaded.main_op == "NoOp"


def test_assets(exported):
    directory, _ = exported
    for kind, tensor, content in [("module", "asset_path_initializer:0", "a 0\nb 1\n"), ("builder", "path:0", "words")]:
        (asset,) = saved_model.load(directory / kind, ["serve"]).assets.items()
        assert asset[0] == tensor
        assert Path(asset[1]).read_text(encoding="ascii") == content


def test_a_graph_under_a_scope(exported):
    directory, expected = exported
    scoped = expected["builder"]["scoped"]
    with saved_model.load(directory / "builder", ["serve"], import_scope="outer/inner") as loaded:
        nodes = loaded.meta_graph.graph_def.node
        assert {
            node.name: [list(node.input), sorted(group.decode() for group in node.attr["_class"].list.s)]
            for node in nodes
        } == scoped["nodes"]
        records = loaded.meta_graph.collection_def["variables"].bytes_list.value
        variables = [messages.VariableDef.FromString(record) for record in records]
        assert [variable.variable_name for variable in variables] == scoped["variables"]
        assert [variable.save_slice_info_def.full_name for variable in variables[:3]] == scoped["wholes"]
        assert [loaded.main_op] == scoped["main"]
        assert loaded.signatures["serving_default"].inputs["x"].name == "outer/inner/x:0"
        assert list(loaded.assets) == ["outer/inner/path:0"]
        assert loaded.problems() == {}
        table = loaded.variable("outer/inner/table")
        parts = [loaded.variable(f"outer/inner/table/part_{number}:0") for number in range(3)]
        assert np.array_equal(np.concatenate(parts), table)


def test_files_that_a_branch_writes(exported):
    directory, _ = exported
    code, out = run("scan", directory / "writing", "--json")
    assert code == 1
    uses = json.loads(out)["found"]
    (use,) = uses
    assert (use["op"], use["does"], use["node"]) == ("WriteFile", "writes files", "while/cond/WriteFile")
    called = [re.sub(r"_\d+'$", "_'", step) for step in use["calls"]]
    assert called == ["an object", "node 'while' of '__inference___call___'", "node 'while/cond' of 'while_body_'"]


@pytest.mark.parametrize("kind", ["module", "keras", "builder"])
def test_models_that_do_no_more_than_compute(exported, kind):
    directory, _ = exported
    code, out = run("scan", directory / kind)
    assert (code, out.splitlines()[-1].partition(": ")[2]) == (0, "no operation of the 67 looked for")


def test_a_vocabulary_is_a_file_that_is_read(exported):
    directory, _ = exported
    operation = "InitializeTableFromTextFileV2"
    code, out = run("scan", directory / "module", "--op", operation, "--json")
    assert (code, [use["op"] for use in json.loads(out)["found"]]) == (1, [operation])


def test_operations_that_are_looked_for_are_tensorflows():
    registry = pytest.importorskip("tensorflow.python.framework.op_def_registry")
    assert [op for op in DENIED if registry.get(op) is None] == []


def test_functions_to_call(exported):
    directory, _ = exported
    code, out = run("show", directory / "module", "--json")
    assert code == 0
    (facts,) = json.loads(out)["meta_graphs"]
    assert facts["callables"]["look_up"] == ["look_up(words: string[-1]) -> {'ids': int64[-1]}"]
    assert facts["missing_functions"] == []


def test_run(exported, tmp_path):
    directory, expected = exported
    inputs = np.float32([[1, 2], [3, 4]])
    np.save(tmp_path / "x.npy", inputs)
    arguments = ["--tag-set", "serve", "--inputs", f"x={tmp_path / 'x.npy'}", "--outdir", tmp_path / "out", "--json"]
    code, out = run("run", directory / "builder", *arguments)
    scale = expected["builder"]["variables"]["scale"]
    assert (code, json.loads(out)) == (0, {"y": (inputs * scale).tolist()})
    assert np.load(tmp_path / "out" / "y.npy").tolist() == (inputs * scale).tolist()
    command = ["run", directory / "module", "--signature", "words", "--input-exprs", "words=['b', 'none', b'a']"]
    assert run(*command) == (0, "ids:\n[ 1 -1  0]\n")
    done = run_all("run", directory / "keras", "--input-exprs", "x=[[1, 2]]")  # It takes four numbers a row.
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("tensorbundle: ")]
    assert said.startswith("tensorbundle: TensorFlow says: ")
    assert "\\n" not in said
