"""TensorFlow loads, restores and runs the SavedModels that are built here: through each of its loaders."""

from __future__ import annotations

import functools
import importlib.resources
import json
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import c_api
import numpy as np
import pytest
from support import dtypes, graphs, processes, tensorflow_oracle, values
from support.graphs import WEIGHTS, add, matmul, predict, shape, signature, strings, tensor_info
from support.hashing import assert_same_bits
from support.paths import REPOSITORY

import tensorbundle as tb
from tensorbundle import errors, saved_model
from tensorbundle.protos import messages
from tensorbundle.protos.convert import read_file
from tensorbundle.saved_model import Builder, save_variables, simple_save

tf = tensorflow_oracle.require()
v1 = tf.compat.v1

X = np.float32([[1, 2], [3, 4]])
MANY = 2000
SERVING = {"serving_default": predict()}


# The models. Each is built into a directory, and says what its signature makes of X.


def two_meta_graphs(directory: Path) -> None:
    scaled = matmul()
    add(scaled, "two", "Const", dtype="float32", value=_scalar(2.0))
    add(scaled, "z", "Mul", "y", "two", T="float32")
    builder = Builder(directory)
    builder.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"], SERVING)
    doubled = signature({"x": tensor_info("x:0", sizes=(-1, 2))}, {"y": tensor_info("z:0", sizes=(-1, 3))})
    builder.add_meta_graph(scaled, ["serve", "twice"], {"serving_default": doubled}, strip_default_attrs=True)
    builder.save()


def with_a_vocabulary(directory: Path) -> None:
    """A table that the main operation fills from an asset."""
    vocabulary = directory.with_suffix(".txt")
    vocabulary.write_text("a\nb\nc\n")
    graph = matmul()
    add(graph, "vocabulary", "Const", dtype="string", value=strings("nowhere", scalar=True))
    add(graph, "table", "HashTableV2", key_dtype="string", value_dtype="int64")
    add(graph, "fill", "InitializeTableFromTextFileV2", "table", "vocabulary", key_index=-2, value_index=-1)
    add(graph, "words", "Const", dtype="string", value=strings("c", "unknown"))
    add(graph, "none", "Const", dtype="int64", value=_scalar(-1, "int64"))
    add(graph, "ids", "LookupTableFindV2", "table", "words", "none", Tin="string", Tout="int64")
    outputs = {"y": tensor_info("y:0", sizes=(-1, 3)), "ids": tensor_info("ids:0", "int64", (2,))}
    made = signature({"x": tensor_info("x:0", sizes=(-1, 2))}, outputs)
    builder = Builder(directory)
    builder.add_meta_graph_and_variables(
        graph, {"w": WEIGHTS}, ["serve"], {"serving_default": made}, {"vocabulary": vocabulary}, main_op="fill"
    )
    builder.save()
    vocabulary.unlink()


def as_text(directory: Path) -> None:
    builder = Builder(directory)
    builder.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"], SERVING)
    builder.save(as_text=True)


def simple(directory: Path) -> None:
    graph = matmul(device="/device:GPU:7")
    simple_save(directory, graph, {"w": WEIGHTS}, dict(predict().inputs), dict(predict().outputs))


def reference_variables(directory: Path) -> None:
    """Variables as they were before there were resources, one of them in two parts."""
    whole = messages.MetaGraphDef()
    graph = whole.graph_def
    add(graph, "x", "Placeholder", dtype="float32", shape=shape(-1, 2))
    for number in range(2):
        name = add(graph, f"w/part_{number}", "VariableV2", dtype="float32", shape=shape(1, 3))
        definition = messages.VariableDef(
            variable_name=f"{name}:0", initializer_name=f"{name}/set", snapshot_name=f"{name}/read:0"
        )
        add(graph, f"{name}/value", "Placeholder", dtype="float32", shape=shape(1, 3))
        add(graph, f"{name}/set", "Assign", name, f"{name}/value", T="float32")
        add(graph, f"{name}/read", "Identity", name, T="float32")
        definition.initial_value_name = f"{name}/value:0"
        part = definition.save_slice_info_def
        part.full_name = "w"
        part.full_shape.extend([2, 3])
        part.var_offset.extend([number, 0])
        part.var_shape.extend([1, 3])
        whole.collection_def["variables"].bytes_list.value.append(definition.SerializeToString())
    add(graph, "axis", "Const", dtype="int32", value=_scalar(0, "int32"))
    add(graph, "w", "ConcatV2", "w/part_0/read", "w/part_1/read", "axis", T="float32", N=2)
    add(graph, "y", "MatMul", "x", "w", T="float32")
    builder = Builder(directory)
    builder.add_meta_graph_and_variables(whole, {"w": WEIGHTS}, ["serve"], SERVING)
    builder.save()


def arrays_and_a_graph(directory: Path) -> None:
    save_variables(
        directory,
        {"dense": {"kernel": WEIGHTS}, "step": 7},
        graph=matmul(variable="dense/kernel"),
        signature_def_map=SERVING,
    )


def many_variables(directory: Path) -> None:
    """y = x @ (the first one + the last one)."""
    tree = {"layers": [{"w": np.full((2, 3), number, np.float32)} for number in range(MANY)]}
    graph = messages.GraphDef()
    add(graph, "x", "Placeholder", dtype="float32", shape=shape(-1, 2))
    for number in (0, MANY - 1):
        add(graph, f"layers/{number}/w", "VarHandleOp", dtype="float32", shape=shape(2, 3))
        add(graph, f"read_{number}", "ReadVariableOp", f"layers/{number}/w", dtype="float32")
    add(graph, "sum", "AddV2", "read_0", f"read_{MANY - 1}", T="float32")
    add(graph, "y", "MatMul", "x", "sum", T="float32")
    save_variables(directory, tree, graph=graph, signature_def_map=SERVING)


def _scalar(value: float, dtype: str = "float32") -> Any:
    made = messages.AttrValue()
    made.tensor.dtype = graphs.NUMBERS[dtype]
    made.tensor.tensor_shape.SetInParent()
    field = {"float32": "float_val", "int32": "int_val", "int64": "int64_val"}[dtype]
    getattr(made.tensor, field).append(value)
    return made


class Model(NamedTuple):
    build: Callable[[Path], None]
    outputs: dict[str, np.ndarray]
    tags: tuple[str, ...] = ("serve",)


PRODUCT = {"y": X @ WEIGHTS}
MODELS = {
    "first": Model(two_meta_graphs, PRODUCT),
    "second": Model(two_meta_graphs, {"y": 2 * (X @ WEIGHTS)}, ("serve", "twice")),
    "vocabulary": Model(with_a_vocabulary, {**PRODUCT, "ids": np.int64([2, -1])}),
    "text": Model(as_text, PRODUCT),
    "simple": Model(simple, PRODUCT),
    "references": Model(reference_variables, PRODUCT),
    "arrays": Model(arrays_and_a_graph, PRODUCT),
    "many": Model(many_variables, {"y": X @ np.full((2, 3), MANY - 1, np.float32)}),
}


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """The directory of each model."""
    folder = tmp_path_factory.mktemp("models")
    for build in {model.build for model in MODELS.values()}:
        build(folder / build.__name__)
    return {name: str(folder / model.build.__name__) for name, model in MODELS.items()}


def run_v1(directory: str, tags, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with tf.Graph().as_default(), v1.Session() as session:
        meta_graph = v1.saved_model.loader.load(session, list(tags), directory)
        made = meta_graph.signature_def["serving_default"]
        return session.run(
            {key: info.name for key, info in made.outputs.items()},
            {made.inputs[key].name: value for key, value in feeds.items()},
        )


def run_v2(directory: str, tags, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    results = load_v2(directory, tuple(tags)).signatures["serving_default"](**feeds)
    return {key: value.numpy() for key, value in results.items()}


@functools.cache
def load_v2(directory: str, tags: tuple[str, ...]) -> Any:
    return tf.saved_model.load(directory, list(tags))


def run_c(directory: str, tags, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    made = tb.saved_model.load(directory, tags).signatures["serving_default"]
    named = {made.inputs[key].name: value for key, value in feeds.items()}
    results = c_api.Session(directory, tags).run([info.name for info in made.outputs.values()], named)
    return dict(zip(made.outputs, results))


@pytest.mark.parametrize("run", [run_v1, run_v2, run_c])
@pytest.mark.parametrize("name", MODELS)
def test_every_loader_restores_and_runs_it(directories, name, run):
    model = MODELS[name]
    results = run(directories[name], model.tags, {"x": X})
    assert sorted(results) == sorted(model.outputs)
    for key, expected in model.outputs.items():
        assert np.array_equal(results[key], expected), key


def test_the_command_line_shows_and_runs_it(directories):
    names = list(MODELS)
    commands = [["show", "--dir", directories[name], "--all"] for name in names]
    for name in names:
        arguments = ["--tag_set", ",".join(MODELS[name].tags), "--signature_def", "serving_default"]
        commands.append(["run", "--dir", directories[name], *arguments, "--input_exprs", f"x={X.tolist()}"])
    program = Path(__file__).with_name("cli_program.py")
    done = subprocess.run(
        [sys.executable, program, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        env=processes.environment(),
    )
    assert done.returncode == 0, done.stderr[-4000:]
    printed = json.loads(done.stdout.splitlines()[-1])
    for name, shown, ran in zip(names, printed[: len(names)], printed[len(names) :]):
        model = MODELS[name]
        assert f"MetaGraphDef with tag-set: '{', '.join(model.tags)}' contains the following SignatureDefs" in shown
        assert "signature_def['serving_default']:" in shown
        for key, expected in model.outputs.items():
            assert f"Result for output key {key}:\n{expected}\n" in ran


def test_version_1_lists_the_variables(directories):
    for name in ("first", "references", "arrays"):
        with tf.Graph().as_default(), v1.Session() as session:
            v1.saved_model.loader.load(session, ["serve"], directories[name])
            found = [value for value in session.run(v1.global_variables()) if value.ndim]
            assert np.array_equal(np.concatenate(found), WEIGHTS)
    (variable,) = tf.saved_model.load(directories["first"], ["serve"]).variables
    assert np.array_equal(variable, WEIGHTS)


def fingerprint_of_tensorflow(directory: str):
    from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

    return messages.FingerprintDef.FromString(fingerprinting.CreateFingerprintDef(directory))


def test_fingerprints_are_tensorflows(directories):
    for name in ("arrays", "many"):
        ours = tb.saved_model.load(directories[name]).fingerprint
        theirs = fingerprint_of_tensorflow(directories[name])
        theirs.uuid = ours.uuid
        assert ours == theirs
    assert not (Path(directories["simple"]) / "fingerprint.pb").exists()


# Arrays alone.


def test_each_of_many_variables_is_restored(directories):
    model = load_v2(directories["many"], ("serve",))
    for number in range(MANY):
        assert np.all(getattr(model.layers, str(number)).w == number)


def test_arrays_are_variables_of_objects(tmp_path):
    tree = {
        "dense": {"kernel": WEIGHTS, "a/b.c": np.float64(3), "0": np.array([b"x", b"yz"], object)},
        "list": [np.int64(1), (np.bool_(True), {"_odd é": np.ones((0, 3))})],
    }
    save_variables(tmp_path / "1", tree)
    model = tf.saved_model.load(str(tmp_path / "1"))
    assert np.array_equal(model.dense.kernel, WEIGHTS)
    assert getattr(model.dense, "a/b.c").numpy() == 3
    assert getattr(model.dense, "0").numpy().tolist() == [b"x", b"yz"]
    last = getattr(model.list, "1")
    assert (getattr(model.list, "0").numpy(), getattr(last, "0").numpy()) == (1, True)
    assert getattr(getattr(last, "1"), "_odd é").shape == (0, 3)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, ["serve"], str(tmp_path / "1"))
        read = "/Read/ReadVariableOp:0"
        kernel, strings_, flag = session.run([f"dense/kernel{read}", f"dense/0{read}", f"list/1/0{read}"])
    assert np.array_equal(kernel, WEIGHTS)
    assert (strings_.tolist(), flag) == ([b"x", b"yz"], True)
    (found,) = c_api.Session(tmp_path / "1", ["serve"]).run([f"dense/kernel{read}"])
    assert np.array_equal(found, WEIGHTS)
    # Elsewhere it is a checkpoint of objects like any other.
    target = tf.Variable(tf.zeros((2, 3)))
    holder = tf.train.Checkpoint(dense=tf.train.Checkpoint(kernel=target))
    holder.read(str(tmp_path / "1" / "variables" / "variables")).expect_partial()
    assert np.array_equal(target, WEIGHTS)


def test_every_dtype_that_variables_have(tmp_path):
    without = {"float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz"}
    names = [each.name for each in dtypes.DTYPES if not each.name.startswith(("q", "variant"))]
    tree = {name: values.filled(name, (3, 2)) for name in names if name not in without}
    save_variables(tmp_path / "1", tree)
    model = tf.saved_model.load(str(tmp_path / "1"))
    for name, expected in tree.items():
        assert_same_bits(tensorflow_oracle.to_array(getattr(model, name).read_value()), expected, name)
    for name in without & set(names):
        with pytest.raises(errors.BuilderError, match=f"^variable 'v': TensorFlow has no variables of {name}$"):
            save_variables(tmp_path / name, {"v": values.filled(name, (2,))})


# What TensorFlow exports, read here and built anew.


def rewritten(source: Path, variables=None) -> str:
    """The same model, perhaps with other variables, in a new directory beside it."""
    directory = Path(tempfile.mkdtemp(dir=source.parent))
    with tb.saved_model.load(source) as model:
        given = {**model.variables, **variables} if variables else model.variables
        builder = Builder(directory)
        builder.add_meta_graph_and_variables(model.meta_graph, given, model.tags, assets=model.assets)
        builder.save()
    return str(directory)


class Module(tf.Module):
    """Functions, nested variables, a table from an asset."""

    def __init__(self, vocabulary: str) -> None:
        super().__init__()
        self.w = tf.Variable(WEIGHTS)
        self.nested = {"b": tf.Variable([1.0, 2.0, 3.0]), "list": [tf.Variable(5)]}
        lines = tf.lookup.TextFileIndex
        source = tf.lookup.TextFileInitializer(vocabulary, tf.string, lines.WHOLE_LINE, tf.int64, lines.LINE_NUMBER)
        self.table = tf.lookup.StaticHashTable(source, -1)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def __call__(self, x):
        return {"y": x @ self.w + self.nested["b"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def look_up(self, words):
        return {"ids": self.table.lookup(words)}


def test_a_module_is_rewritten(tmp_path):
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("a\nb\nc\n")
    module = Module(str(vocabulary))
    signatures = {"serving_default": module.__call__, "look_up": module.look_up}
    tf.saved_model.save(module, str(tmp_path / "module"), signatures=signatures)
    vocabulary.unlink()
    directory = rewritten(tmp_path / "module")
    fingerprints = [tb.saved_model.load(each).fingerprint for each in (tmp_path / "module", directory)]
    for field in ("saved_model_checksum", "graph_def_program_hash", "signature_def_hash", "saved_object_graph_hash"):
        assert len({getattr(fingerprint, field) for fingerprint in fingerprints}) == 1, field
    assert fingerprint_of_tensorflow(directory).checkpoint_hash == fingerprints[1].checkpoint_hash
    model = tf.saved_model.load(directory)
    expected = X @ WEIGHTS + [1, 2, 3]
    assert np.array_equal(model(X)["y"], expected)
    assert model.signatures["look_up"](words=tf.constant(["c", "?"]))["ids"].numpy().tolist() == [2, -1]
    assert model.nested["list"][0].numpy() == 5
    for run in (run_v1, run_c):
        assert np.array_equal(run(directory, ["serve"], {"x": X})["y"], expected)
    # With other values in the same places.
    other = tf.saved_model.load(rewritten(tmp_path / "module", {"w/.ATTRIBUTES/VARIABLE_VALUE": 2 * WEIGHTS}))
    assert np.array_equal(other(X)["y"], X @ (2 * WEIGHTS) + [1, 2, 3])


def test_a_keras_model_is_rewritten(tmp_path):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    model.export(str(tmp_path / "keras"), verbose=False)
    exported, again = (tf.saved_model.load(each) for each in (tmp_path / "keras", rewritten(tmp_path / "keras")))
    assert np.array_equal(again.serve(X), exported.serve(X))
    assert np.allclose(again.serve(X), model(X))


def export_with_version_1(directory: Path, vocabulary: Path) -> np.ndarray:
    """Resource, reference and partitioned variables, an asset that the main operation reads; returns what y is."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        w = v1.get_variable("scope/w", initializer=WEIGHTS, use_resource=True)
        b = v1.get_variable("b", initializer=[1.0, 2.0, 3.0], use_resource=False)
        parts = {"partitioner": v1.fixed_size_partitioner(2), "use_resource": False}
        p = v1.get_variable("parts", [4, 3], initializer=v1.initializers.ones(), **parts)
        path = tf.constant(str(vocabulary))
        text = v1.get_local_variable("text", initializer=tf.constant(b""), use_resource=True)
        y = tf.add(tf.matmul(x, w) + b, tf.reduce_sum(tf.convert_to_tensor(p)), name="y")
        made = v1.saved_model.predict_signature_def({"x": x}, {"y": y, "text": text.read_value()})
        main_op = text.assign(tf.io.read_file(path), read_value=False)
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": made}, assets_collection=[path], main_op=main_op
        )
        builder.save()
        return session.run(y, {x: X})


def test_what_version_1_builds_is_rewritten(tmp_path):
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("a\nb\n")
    expected = export_with_version_1(tmp_path / "v1", vocabulary)
    vocabulary.unlink()
    directory = rewritten(tmp_path / "v1")
    for run in (run_v1, run_v2):
        results = run(directory, ["serve"], {"x": X})
        assert np.array_equal(results["y"], expected)
        assert results["text"] == b"a\nb\n"
    (y,) = c_api.Session(directory, ["serve"]).run(["y:0"], {"x:0": X})
    assert np.array_equal(y, expected)


# Graphs that TensorFlow made, given as its messages.


def tensorflow_graph():
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        w = v1.get_variable("w", [2, 3], use_resource=True)
        y = tf.matmul(x, w, name="y")
        made = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        return graph.as_graph_def(), made, v1.train.export_meta_graph(graph=graph)


def test_messages_of_tensorflow_are_taken(tmp_path):
    graph, made, whole = tensorflow_graph()
    for name, given in {"graph": graph, "bytes": graph.SerializeToString(), "whole": whole}.items():
        for strip in (False, True):
            directory = tmp_path / f"{name} {strip}"
            builder = Builder(directory)
            arguments = (["serve"], {"serving_default": made})
            builder.add_meta_graph_and_variables(given, {"w": WEIGHTS}, *arguments, strip_default_attrs=strip)
            builder.save()
            assert np.array_equal(run_v1(str(directory), ["serve"], {"x": X})["y"], X @ WEIGHTS)
    save_variables(tmp_path / "arrays", {"w": WEIGHTS}, graph=graph, signature_def_map={"serving_default": made})
    assert np.array_equal(run_v2(str(tmp_path / "arrays"), ["serve"], {"x": X})["y"], X @ WEIGHTS)


# Rules, side by side.


def test_attributes_are_stripped_as_tensorflow_does(tmp_path):
    from tensorflow.python.framework import meta_graph as tensorflow_meta_graph

    _, _, whole = tensorflow_graph()
    builder = Builder(tmp_path)
    builder.add_meta_graph_and_variables(whole, {"w": WEIGHTS}, ["serve"], strip_default_attrs=True)
    builder.save()
    (ours,) = read_file(messages.SavedModel, str(tmp_path / "saved_model.pb")).meta_graphs
    tensorflow_meta_graph.strip_graph_default_valued_attrs(whole)
    theirs = {node.name: node for node in messages.GraphDef.FromString(whole.graph_def.SerializeToString()).node}
    found = {node.name: node for node in ours.graph_def.node if node.name in theirs}
    assert found == theirs


def test_the_table_of_operations_is_tensorflows():
    lines = importlib.resources.files(saved_model).joinpath("ops.txt").read_text("ascii").splitlines()
    tool = runpy.run_path(str(REPOSITORY / "tools" / "make_op_table.py"))
    if not tf.__version__.startswith("2.21."):
        pytest.skip("the table is TensorFlow 2.21's")
    assert lines == tool["table"]()


def test_assets_are_named_as_tensorflow_does(tmp_path):
    contents = {"v.txt": "1", "b/v.txt": "2", "c/v.txt": "1", "d/v.txt": "3", "e/u.txt": "1"}
    paths = []
    for name, text in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        paths.append(str(tmp_path / name))
    with tf.Graph().as_default() as graph, v1.Session() as session:
        tensors = [tf.constant(path) for path in paths]
        builder = v1.saved_model.Builder(str(tmp_path / "theirs"))
        builder.add_meta_graph_and_variables(session, ["serve"], assets_collection=tensors)
        builder.save()
        graph_def = graph.as_graph_def()
    ours = Builder(tmp_path / "ours")
    ours.add_meta_graph_and_variables(
        graph_def, {}, ["serve"], assets={tensor.name: path for tensor, path in zip(tensors, paths)}
    )
    ours.save()
    copied = [
        {file.name: file.read_text() for file in (tmp_path / who / "assets").iterdir()} for who in ("ours", "theirs")
    ]
    assert copied[0] == copied[1]
    with tf.Graph().as_default(), v1.Session() as session:
        listed = []
        for who in ("ours", "theirs"):
            meta_graph = v1.saved_model.loader.load(session, ["serve"], str(tmp_path / who), import_scope=who)
            records = meta_graph.collection_def["saved_model_assets"].any_list.value
            listed.append([messages.AssetFileDef.FromString(record.value) for record in records])
    assert listed[0] == listed[1]


def test_refusals_are_tensorflows(tmp_path):
    """The same calls raise here what they raise there, or a class of it."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(AssertionError):
        v1.saved_model.Builder(str(tmp_path / "full"))
    with pytest.raises(AssertionError):
        Builder(tmp_path / "full")
    incomplete = messages.SignatureDef()
    incomplete.inputs["x"].name = "x:0"
    reserved = {"__saved_model_init_op": predict()}
    theirs = v1.saved_model.Builder(str(tmp_path / "theirs"))
    ours = Builder(tmp_path / "ours")
    with tf.Graph().as_default(), v1.Session() as session:
        v1.placeholder(tf.float32, name="x")
        for error, signatures in ((AssertionError, {"s": incomplete}), (KeyError, reserved)):
            with pytest.raises(error):
                theirs.add_meta_graph_and_variables(session, ["serve"], signatures)
            with pytest.raises(error):
                ours.add_meta_graph_and_variables(matmul(), {"w": WEIGHTS}, ["serve"], signatures)
        with pytest.raises(AssertionError):
            theirs.add_meta_graph(["serve"])
        with pytest.raises(AssertionError):
            ours.add_meta_graph(matmul(), ["serve"])
