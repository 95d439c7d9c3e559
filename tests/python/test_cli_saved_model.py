"""``tensorbundle saved-model``, run as users run it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support import saved_models
from support.processes import environment, run_python
from support.saved_models import add_asset, add_object, meta_graph, write

import tensorbundle as tb
from tensorbundle.cli import run_inputs
from tensorbundle.cli.app import app
from tensorbundle.protos import messages

FLOAT, INT64, STRING = (messages.DataType.Value(f"DT_{name}") for name in ("FLOAT", "INT64", "STRING"))


def run(*arguments):
    """Exit code, stdout and stderr."""
    done = CliRunner().invoke(app, ["saved-model", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def run_process(*arguments, **more):
    command = [sys.executable, "-m", "tensorbundle.cli", "saved-model", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(**more))


def described(*arguments):
    code, out, err = run("show", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def add_tensor(tensors, key, name, dtype, shape):
    info = tensors[key]
    info.name, info.dtype = name, dtype
    info.tensor_shape.unknown_rank = shape is None
    for size in shape or ():
        info.tensor_shape.dim.add(size=size)


@pytest.fixture
def model(tmp_path) -> Path:
    """Two meta graphs over one set of variables, with an asset that is there and one that is not."""
    made = meta_graph(["serve"], {"x": "Placeholder", "y": "MatMul", "w": "VariableV2", "init": "NoOp"})
    made.meta_info_def.tensorflow_version = "1.15.0"
    made.graph_def.versions.producer = 134
    made.collection_def["saved_model_main_op"].node_list.value.append("init")
    signature = made.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    add_tensor(signature.inputs, "x", "x:0", FLOAT, [-1, 4])
    add_tensor(signature.inputs, "any", "x:0", STRING, None)
    signature.defaults["any"].string_val.append(b"")
    sparse = signature.outputs["s"].coo_sparse
    sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name = "y:0", "x:0", "w:0"
    signature.outputs["s"].dtype = INT64
    add_asset(made, "file:0", "words.txt")
    add_asset(made, "other:0", "gone.txt")
    bare = meta_graph([], {"z": "NoOp"})
    directory = write(tmp_path / "model", made, bare)
    (directory / "assets").mkdir()
    (directory / "assets" / "words.txt").write_text("words", encoding="ascii")
    tb.save(directory / "variables" / "variables", {"w": np.zeros((4, 2), np.float32), "step": np.int64(1)})
    return directory


@pytest.fixture
def objects(tmp_path) -> Path:
    """A model of TensorFlow 2 with a function that has two traces, a library, and a call of what is not in it."""
    made = meta_graph()
    root = add_object(made, children={"call": 1, "v": 2})
    root.children.add(node_id=3, local_name="alone")
    function = add_object(made, "function").function
    function.concrete_functions.extend(["f_1", "f_2"])
    spec = function.function_spec
    spec.fullargspec.named_tuple_value.name = "FullArgSpec"
    names = spec.fullargspec.named_tuple_value.values.add(key="args").value.list_value.values
    for name in ("self", "x", "training"):
        names.add(string_value=name)
    add_object(made, "variable", name="v")
    add_object(made, "bare_concrete_function").bare_concrete_function.concrete_function_name = "g"
    for name, training in (("f_1", False), ("f_2", True), ("g", None)):
        concrete = made.object_graph_def.concrete_functions[name]
        arguments = concrete.canonicalized_input_signature.tuple_value.values
        positional = arguments.add().tuple_value.values
        tensor = positional.add().tensor_spec_value
        tensor.dtype = FLOAT
        tensor.shape.dim.add(size=-1)
        if training is not None:
            positional.add(bool_value=training)
        arguments.add().dict_value.fields["scale"].float64_value = 2.5
        concrete.output_signature.dict_value.fields["y"].tensor_spec_value.dtype = STRING
    library = made.graph_def.library.function
    for name in ("f_1", "f_2"):
        added = library.add()
        added.signature.name = name
        added.signature.input_arg.add(name="x", type=FLOAT)
        added.node_def.add(name="inner", op="Identity")
    node = made.graph_def.node.add(name="call", op="PartitionedCall")
    node.attr["f"].func.name = "gone"
    tb.save_objects(tmp_path / "objects" / "variables" / "variables", {"v": np.float32(1)}, save_counter=None)
    return write(tmp_path / "objects", made)


# show


def test_show(model):
    code, out, err = run("show", model)
    assert (code, err) == (0, "")
    size = (model / "saved_model.pb").stat().st_size
    assert out.splitlines() == [
        f"{model}: saved_model.pb, {size} B, schema 1",
        "variables: 2 tensors, 40 B, 1 data file, V2",
        "",
        "tags: serve",
        "TensorFlow 1.15.0, graph version 134: 4 nodes, 0 functions",
        "main op: init",
        "",
        "signature serving_default: tensorflow/serving/predict",
        "        name                 dtype    shape    tensor",
        "input   any (has a default)  string   any      x:0",
        "input   x                    float32  [-1, 4]  x:0",
        "output  s                    int64    []       coo_sparse(y:0, x:0, w:0)",
        "",
        "asset         size  tensor",
        "words.txt      5 B  file:0",
        "gone.txt   missing  other:0",
        "",
        "tags: (none)",
        "TensorFlow of unknown version, graph version 0: 1 node, 0 functions",
    ]


def test_show_all(model):
    code, out, err = run("show", model, "--all", "--tag-set", "serve")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[2:6] == [
        "",
        "variable  dtype    shape   size",
        "step      int64    []       8 B",
        "w         float32  [4, 2]  32 B",
    ]
    assert lines[-6:] == ["", "operations:", "  MatMul 1", "  NoOp 1", "  Placeholder 1", "  VariableV2 1"]
    assert "tags: (none)" not in lines


def test_show_one_meta_graph(model):
    assert "tags: serve" not in run("show", model, "--tag-set", "")[1]
    code, out, err = run("show", model, "--tag-set", "serve, gpu")
    assert (code, out) == (2, "")
    path = str(model / "saved_model.pb")
    assert err == (
        f"tensorbundle: MetaGraphDef associated with tags ['gpu', 'serve'] could not be found in {path!r}; "
        "available: ['serve'], []\n"
    )


def test_show_one_signature(model):
    assert list(described(model, "--tag-set", "serve")["meta_graphs"][0]["signatures"]) == ["serving_default"]
    code, out, err = run("show", model, "--tag-set", "serve", "--signature", "predict")
    assert (code, out) == (2, "")
    path = str(model / "saved_model.pb")
    assert err == f"tensorbundle: no signature 'predict' in {path!r}; there are: 'serving_default'\n"


def test_show_as_json(model):
    facts = described(model)
    assert {key: facts[key] for key in ("path", "file", "file_bytes", "schema_version", "fingerprint")} == {
        "path": str(model),
        "file": "saved_model.pb",
        "file_bytes": (model / "saved_model.pb").stat().st_size,
        "schema_version": 1,
        "fingerprint": None,
    }
    assert facts["variables"] == {
        "path": "variables/variables",
        "format": "V2",
        "num_shards": 1,
        "nbytes": 40,
        "tensors": [
            {"name": "step", "dtype": "int64", "shape": [], "nbytes": 8},
            {"name": "w", "dtype": "float32", "shape": [4, 2], "nbytes": 32},
        ],
        "problems": {},
    }
    serve, bare = facts["meta_graphs"]
    assert bare["tags"] == []
    assert serve == {
        "tags": ["serve"],
        "tensorflow_version": "1.15.0",
        "tensorflow_git_version": "",
        "producer": 134,
        "min_consumer": 0,
        "stripped_default_attrs": False,
        "num_nodes": 4,
        "num_objects": 0,
        "main_op": "init",
        "train_op": None,
        "signatures": {
            "serving_default": {
                "method_name": "tensorflow/serving/predict",
                "inputs": {
                    "any": {"dtype": "string", "shape": None, "encoding": "name", "names": ["x:0"]},
                    "x": {"dtype": "float32", "shape": [-1, 4], "encoding": "name", "names": ["x:0"]},
                },
                "outputs": {
                    "s": {"dtype": "int64", "shape": [], "encoding": "coo_sparse", "names": ["y:0", "x:0", "w:0"]}
                },
                "defaults": ["any"],
            }
        },
        "assets": [
            {"tensor": "file:0", "file": "words.txt", "nbytes": 5},
            {"tensor": "other:0", "file": "gone.txt", "nbytes": None},
        ],
        "collections": {"saved_model_main_op": 1},
        "ops": {"MatMul": 1, "NoOp": 1, "Placeholder": 1, "VariableV2": 1},
        "functions": [],
        "missing_functions": [],
        "callables": {},
        "problems": {},
    }


def test_show_functions(objects):
    calls = [
        "call(x: float32[-1], training: False, scale: 2.5) -> {'y': string[]}",
        "call(x: float32[-1], training: True, scale: 2.5) -> {'y': string[]}",
        "alone(args[0]: float32[-1], scale: 2.5) -> {'y': string[]}",
    ]
    (facts,) = described(objects)["meta_graphs"]
    assert facts["callables"] == {"call": calls[:2], "alone": calls[2:]}
    assert facts["functions"][0] == {
        "name": "f_1",
        "inputs": [{"name": "x", "dtype": "float32"}],
        "outputs": [],
        "num_nodes": 1,
    }
    assert facts["missing_functions"] == ["gone"]
    code, out, err = run("show", objects, "--functions")
    assert (code, err) == (0, "")
    assert out.splitlines()[3:] == [
        "tags: serve",
        "TensorFlow of unknown version, graph version 0: 1 node, 2 functions, 4 objects",
        "",
        "functions to call:",
        *(f"  {call}" for call in calls),
        "",
        "functions of the library:",
        "  f_1(x: float32) -> (): 1 node",
        "  f_2(x: float32) -> (): 1 node",
        "",
        "not in the library:",
        "  gone",
    ]


def test_show_lists_some_functions_only(tmp_path):
    made = meta_graph()
    add_object(made, children={f"f{number:02}": number + 1 for number in range(12)})
    for number in range(12):
        add_object(made, "bare_concrete_function").bare_concrete_function.concrete_function_name = f"c{number}"
        made.object_graph_def.concrete_functions[f"c{number}"].SetInParent()
    write(tmp_path, made)
    assert run("show", tmp_path)[1].splitlines()[-2:] == ["  f09() -> None", "  and 2 more, with --functions"]
    assert run("show", tmp_path, "--functions")[1].splitlines()[-1] == "  f11() -> None"


def test_show_of_what_is_wrong(tmp_path):
    made = meta_graph(nodes={"x": "Placeholder"}, collections={"legacy_init_op": ["a", "b"]})
    made.signature_def["s"].inputs["x"].name = "gone:0"
    add_asset(made, "file:0", "../passwd")
    write(tmp_path, made)
    code, out, err = run("show", tmp_path)
    assert code == 3
    where, op = str(tmp_path / "saved_model.pb"), "legacy_init_op"
    assert err.splitlines() == [
        f"problem: {where!r}: signatures['s'].inputs['x'] is 'gone:0', which the graph doesn't have",
        f"problem: {where!r}: Expected exactly one SavedModel init op. The collection {op!r} has 2: ['a', 'b']",
        f"problem: {where!r}: the asset '../passwd' is refused: its name leads out of 'assets'",
    ]
    assert "../passwd  missing  file:0" in out
    code, out, _ = run("show", tmp_path, "--json")
    assert code == 3
    assert list(json.loads(out)["meta_graphs"][0]["problems"]) == ["signatures['s'].inputs['x']", "main_op", "assets"]


def test_show_of_variables_that_can_not_be_read(model):
    (data,) = (model / "variables").glob("*.data-*")
    data.unlink()
    code, out, err = run("show", model)
    assert code == 3
    assert "variables: 2 tensors, 40 B, 1 data file, V2" in out
    assert [line.partition(": open ")[0] for line in err.splitlines()] == [
        'problem: [Errno 2] tensor "step"',
        'problem: [Errno 2] tensor "w"',
    ]


def test_show_escapes_what_a_terminal_would_act_upon(tmp_path):
    made = meta_graph(["\x1b[31m"], {"x": "\x1b]0;op"})
    add_tensor(made.signature_def["\x1b[1m"].inputs, "\x1b[2m", "x:0", FLOAT, [])
    add_asset(made, "x:0", "\x1b[3m")
    write(tmp_path, made)
    code, out, _ = run("show", tmp_path, "--all")
    assert code == 0
    assert "\x1b" not in out
    assert "signature \\x1b[1m" in out


def test_damage_and_wrong_paths(tmp_path):
    assert run("show", tmp_path)[0] == 2
    write(tmp_path, meta_graph())
    content = (tmp_path / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(content[:-1])
    code, out, err = run("show", tmp_path, "--json")
    assert code == 3
    assert json.loads(out)["kind"] == "DataLossError"
    assert "is no SavedModel: a field of" in err
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert run("show", tmp_path)[0] == 2


def test_show_imports_what_it_needs(model):
    run_python(
        """
        import sys
        from click.testing import CliRunner
        from tensorbundle.cli.app import app
        done = CliRunner().invoke(app, ["saved-model", "show", sys.argv[1], "--all"])
        assert done.exit_code == 0, done.output
        assert not {"numpy", "rich", "tensorflow", "statistics"} & set(sys.modules)
        """.replace("\n        ", "\n"),
        model,
    )


@pytest.mark.parametrize("each", saved_models.from_corpus(), ids=lambda each: each.id)
def test_show_of_the_corpus(each):
    code, out, err = run("show", each.directory, "--all")
    complete = each.checkpoint is None or each.checkpoint.complete
    assert (code, err == "") == ((0, True) if complete else (3, False))
    found = json.loads(run("show", each.directory, "--json")[1])
    for meta_graph_found, expected in zip(found["meta_graphs"], each.manifest["meta_graphs"], strict=True):
        assert meta_graph_found["tags"] == sorted(expected["tags"])
        assert meta_graph_found["num_nodes"] == expected["graph_nodes"]
        assert len(meta_graph_found["functions"]) == expected["functions"]
        assert sorted(meta_graph_found["signatures"]) == sorted(expected["signatures"])
        assert all(f"signature {key}" in out for key in expected["signatures"])
        assert sorted(asset["file"] for asset in meta_graph_found["assets"]) == sorted(
            asset["filename"] for asset in expected["assets"]
        )


# scan


@pytest.fixture
def writing(tmp_path) -> Path:
    """Files are written by a branch of a conditional in a function, by a gradient, and where nothing leads."""
    made = meta_graph(nodes={"x": "Placeholder"})
    outer = made.graph_def.node.add(name="start", op="outer")
    outer.attr["T"].type = FLOAT

    def function(name, **ops):
        added = made.graph_def.library.function.add()
        added.signature.name = name
        for node, op in ops.items():
            added.node_def.add(name=node, op=op)
        return added

    cond = function("outer", cond="If").node_def[0]
    cond.attr["branches"].list.func.add(name="yes")
    cond.attr["branches"].list.func.add(name="no").attr["deep"].func.name = "deepest"
    function("yes", a="Identity")
    function("no", a="WriteFile", b="ReadFile")
    function("deepest", a="MatchingFiles")
    function("grad_of_outer", a="PrintV2")
    made.graph_def.library.gradient.add(function_name="outer", gradient_func="grad_of_outer")
    function("unused", a="PyFunc")
    function("method", a="WriteFile")
    add_object(made, "function").function.concrete_functions.append("method")
    return write(tmp_path, made)


def test_scan(writing):
    code, out, err = run("scan", writing)
    assert (code, err) == (1, "")
    cond = "called by node 'start', then node 'cond' of 'outer'"
    gradient = "called by node 'start', then its gradient of 'outer'"
    assert out.splitlines() == [
        f"tags serve: WriteFile (writes files): node 'a' of 'no', {cond}",
        f"tags serve: ReadFile (reads files): node 'b' of 'no', {cond}",
        f"tags serve: MatchingFiles (lists files): node 'a' of 'deepest', {cond}",
        f"tags serve: PrintV2 (prints, or writes to a file): node 'a' of 'grad_of_outer', {gradient}",
        "tags serve: PyFunc (calls Python): node 'a' of 'unused', which nothing calls",
        "tags serve: WriteFile (writes files): node 'a' of 'method', called by an object",
        f"{writing}: 6 operations of the 67 looked for",
    ]


def test_scan_for_other_operations(writing):
    code, out, _ = run("scan", writing, "--op", "Identity", "--op", "Placeholder,If", "--json")
    assert code == 1
    found = json.loads(out)
    assert found["looked_for"] == ["Identity", "If", "Placeholder"]
    assert found["found"][0] == {
        "tags": ["serve"],
        "op": "Placeholder",
        "does": "",
        "node": "x",
        "function": None,
        "calls": [],
    }
    assert [(use["op"], use["function"]) for use in found["found"][1:]] == [("If", "outer"), ("Identity", "yes")]


def test_scan_finds_nothing(model):
    code, out, err = run("scan", model)
    assert (code, err) == (0, "")
    assert out == f"{model}: no operation of the 67 looked for\n"
    assert run("scan", model, "--tag-set", "nothing")[0] == 2


def test_scan_of_functions_that_call_each_other(tmp_path):
    made = meta_graph(nodes={"start": "a"})
    for name, other in (("a", "b"), ("b", "a")):
        added = made.graph_def.library.function.add()
        added.signature.name = name
        added.node_def.add(name="call", op=other)
        added.node_def.add(name="write", op="WriteFile")
    assert run("scan", write(tmp_path, made))[1].splitlines()[:2] == [
        "tags serve: WriteFile (writes files): node 'write' of 'a', called by node 'start'",
        "tags serve: WriteFile (writes files): node 'write' of 'b', called by node 'start', then node 'call' of 'a'",
    ]


# run


def test_run_without_tensorflow(model, tmp_path):
    """Where it isn't installed: here, behind a module that says so."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "tensorflow.py").write_text("raise ModuleNotFoundError(name='tensorflow')\n", encoding="ascii")
    made = meta_graph(nodes={"y": "NoOp"})
    made.signature_def["serving_default"].outputs["y"].name = "y:0"
    path = f"{hidden}:{environment()['PYTHONPATH']}"
    done = run_process("run", write(tmp_path / "plain", made), PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'running a model needs TensorFlow: pip install "tensorbundle[tensorflow]"' in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input-exprs", "y=1"], "the signature has no input 'y'; it has: any, x"),
        ([], "the signature needs the inputs x"),
        (["--input-exprs", "x"], "'x' is not NAME=VALUE"),
        (["--input-exprs", "=1"], "'=1' is not NAME=VALUE"),
        (["--input-exprs", "x=1", "--input-exprs", "x=2"], "input 'x' is given twice"),
        (["--input-exprs", "x=np.zeros(3)"], "'np.zeros(3)' is no literal of numbers, strings and lists"),
        (["--input-exprs", "x=__import__('os').system('true')"], "expressions are not evaluated"),
        (["--input-exprs", f"x={'[' * 1000}"], "is no literal of numbers, strings and lists"),
        (["--input-exprs", "x='5'"], "input 'x' can't be made float32: it has elements of <U1"),
        (["--signature", "gone"], "no signature 'gone'"),
    ],
)
def test_run_with_wrong_inputs(model, arguments, message):
    code, out, err = run("run", model, "--tag-set", "serve", *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_run_takes_dense_tensors_alone(model):
    code, _, err = run("run", model, "--tag-set", "serve", "--input-exprs", "x=[[1.0]]")
    assert code == 2
    assert err == "tensorbundle: 's' is no dense tensor: only those can be given and shown\n"


@pytest.mark.parametrize("name", ["../y", "", "."])
def test_run_stores_no_output_elsewhere(tmp_path, name):
    made = meta_graph(nodes={"y": "Const"})
    made.signature_def["serving_default"].outputs[name].name = "y:0"
    code, _, err = run("run", write(tmp_path / "model", made), "--outdir", tmp_path / "out")
    assert code == 2
    assert f"output {name!r} can't be the name of a file" in err


def test_run_replaces_no_file(tmp_path):
    made = meta_graph(nodes={"y": "Const"})
    made.signature_def["serving_default"].outputs["y"].name = "y:0"
    (tmp_path / "y.npy").touch()
    code, _, err = run("run", write(tmp_path / "model", made), "--outdir", tmp_path)
    assert code == 2
    assert "is there already; --overwrite replaces it" in " ".join(err.split())


class Unpickled:
    """What must not be made of a file."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def test_inputs_from_files(tmp_path):
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "one.npz", a=array)
    np.savez(tmp_path / "two.npz", a=array, b=array + 1)
    (tmp_path / "a.json").write_text("[[1, 2.5], [true, null]]", encoding="ascii")
    found = run_inputs.parse(
        [f"a={tmp_path}/a.npy; one = {tmp_path}/one.npz", f"two={tmp_path}/two.npz[b]", f"j={tmp_path}/a.json"],
        ["l=[(1, b'x'), {'k': None}]"],
    )
    assert np.array_equal(found["a"], array)
    assert np.array_equal(found["one"], array)
    assert np.array_equal(found["two"], array + 1)
    assert found["j"] == [[1, 2.5], [True, None]]
    assert found["l"] == [(1, b"x"), {"k": None}]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("two.npz", r"has the arrays \['a', 'b'\]: give .*two.npz\[NAME\]"),
        ("two.npz[c]", r"has the arrays \['a', 'b'\]"),
        ("pickle.npy", "is no array of NumPy's that can be read without unpickling it"),
        ("raw.pkl", "is no array of NumPy's that can be read without unpickling it"),
        ("pickle.npz[a]", "Object arrays cannot be loaded when allow_pickle=False"),
        ("broken.npz", "is no array of NumPy's"),
        ("empty.npy", "is no array of NumPy's"),
        ("bad.json", "is no JSON"),
    ],
)
def test_files_that_are_no_inputs(tmp_path, file, message):
    objects = np.array([Unpickled()], object)
    np.savez(tmp_path / "two.npz", a=[1], b=[2])
    np.save(tmp_path / "pickle.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "pickle.npz", a=objects)
    (tmp_path / "raw.pkl").write_bytes(pickle.dumps(Unpickled()))
    (tmp_path / "broken.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:100])
    (tmp_path / "empty.npy").touch()
    (tmp_path / "bad.json").write_text("[1,", encoding="ascii")
    with pytest.raises(Exception, match=message) as caught:
        run_inputs.parse([f"x={tmp_path}/{file}"], [])
    assert type(caught.value).__name__ == "BadParameter"


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([[1, 2]], "float32", np.float32([[1, 2]])),
        ([1.0, 2.0], "int64", np.int64([1, 2])),
        (np.float64(0.1), "float32", np.float32(0.1)),
        ([True, False], "bool", np.array([True, False])),
        ([1, 0], "bool", np.array([True, False])),
        ([b"a", "ä"], "string", np.array([b"a", "ä".encode()], object)),
        ("a", "string", np.array(b"a", object)),
        (1j, "complex64", np.complex64(1j)),
    ],
)
def test_values_of_inputs(value, dtype, expected):
    found = run_inputs.as_array("x", value, dtype)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ([1.5], "int32", "it has values that this does not hold"),
        ([300], "uint8", "it has values that this does not hold"),
        ([-1], "uint8", "it has values that this does not hold"),
        ([2], "bool", "it has values that this does not hold"),
        ([1, [2]], "float32", "inhomogeneous"),
        ([1], "string", "an element of int"),
        ([b"a", [b"b"]], "string", "an element of list"),
        ([b"1"], "float32", "it has elements of |S1"),
        (1j, "float32", "it has complex values"),
        (None, "float32", "it has elements of object"),
    ],
)
def test_values_that_are_no_inputs(value, dtype, message):
    with pytest.raises(Exception, match="input 'x' can't be made") as caught:
        run_inputs.as_array("x", value, dtype)
    assert message in str(caught.value)
    assert type(caught.value).__name__ == "BadParameter"


def test_a_pipe(model):
    done = run_process("show", model)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{model}: saved_model.pb")
