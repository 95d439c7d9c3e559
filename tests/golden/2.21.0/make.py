"""Writes the golden checkpoints of this folder with TensorFlow 2.21.0.

    python tests/golden/2.21.0/make.py [folder]

Into its own folder by default. Every run gives the same bytes: values are fixed, and so is the clock where a file holds
a time. What TensorFlow reads back is compared with what was meant before the manifest is written. Golden files are not
made anew: another version of TensorFlow gets a folder of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))

from support import dtypes, slices, tensorflow_oracle, values
from support.hashing import as_array, assert_same_bits
from support.manifest import Golden, write_manifest
from support.tensors import Typed

VERSION = "2.21.0"
SHAPES = ((), (0,), (0, 3), (3,), (2, 3), (1, 1, 1))
# What the first version's Save op can write.
V1_DTYPES = (
    *("float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64", "bool", "qint8"),
    *("quint8", "qint32", "uint16", "complex128", "float16"),
)

tf = tensorflow_oracle.load()
Tensors = dict[bytes, tuple[str, Any]]


def save(folder: Path, id: str, about: str, tensors: Mapping[bytes, tuple[str, Any]]) -> Golden:
    tensorflow_oracle.save(folder / id, [(name, typed(dtype, value)) for name, (dtype, value) in tensors.items()])
    check(folder / id, tensors)
    return Golden(id, about, tensors)


def typed(dtype: str, value: Any) -> Any:
    return Typed(value, dtype) if dtype.startswith(("qint", "quint")) else value


def check(prefix: Path, tensors: Mapping[bytes, tuple[str, Any]]) -> None:
    for name, (dtype, value) in tensors.items():
        assert_same_bits(tensorflow_oracle.restore(prefix, name, dtype), value, name)


def named(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def dtypes_golden(folder: Path) -> Golden:
    tensors: Tensors = {}
    for dtype in dtypes.FIXED:
        tensors[f"{dtype.name}/all".encode()] = dtype.name, values.interesting(dtype.name)
        for start, shape in enumerate(SHAPES):
            tensors[f"{dtype.name}/{named(shape)}".encode()] = dtype.name, values.filled(dtype.name, shape, start)
    return save(folder, "dtypes", "Every dtype of fixed width: six shapes, and all interesting values.", tensors)


def strings_golden(folder: Path) -> Golden:
    long = hashlib.shake_128(b"long").digest(70000)
    tensors = {f"string/{named(shape)}".encode(): values.filled("string", shape, 1) for shape in SHAPES}
    tensors |= {
        b"string/all": values.interesting("string"),
        b"empty": b"",
        b"only empty": [b"", b"", b""],
        b"long": long,
        b"around long": [b"before", long[:300], b"after"],
        b"2x0": np.empty((2, 0), object),
        b"2x2": np.array([[b"a", b"bb"], [b"", "\u00fc".encode()]], object),
    }
    about = "Strings: empty, with NULs, Unicode, not UTF-8, 70000 bytes long, in arrays of several shapes."
    return save(folder, "strings", about, {name: ("string", value) for name, value in tensors.items()})


def variants_golden(folder: Path) -> Golden:
    lists = [
        tf.raw_ops.TensorListFromTensor(tensor=rows, element_shape=[2]) for rows in ([[1.0, 2], [3, 4]], [[5.0, 6]])
    ]
    tensors = {b"list": lists[0], b"lists": tf.stack(lists), b"no lists": tf.stack(lists)[:0], b"w": tf.constant(7.0)}
    tensorflow_oracle.save(folder / "variants", tensors.items())
    expected = {name: (tensor.dtype.name, tensorflow_oracle.to_array(tensor)) for name, tensor in tensors.items()}
    check(folder / "variants", expected)
    return Golden("variants", "Variant tensors holding TensorLists, beside a plain tensor.", expected)


def names_golden(folder: Path) -> Golden:
    names = (
        *(
            b"plain",
            b"\xff\xfe not UTF-8",
            b"nul\0inside",
            b"line\nbreak",
            b"tab\tand \x7f",
            b"\x01",
            b" ",
            b"/",
            b"..",
        ),
        *(
            "gr\u00fc\u00df/\u4f60\u597d".encode(),
            b"quote\"'\\",
            b"long" * 500,
            b"long" * 500 + b"er",
            b"a",
            b"aa",
            b"a\0",
        ),
        *(b"\xff", b"\xff\xff", b"\xff\xff\xff", b"_CHECKPOINTABLE", b"x.index", b"x.data-00000-of-00001", b"%s{}"),
    )
    tensors: Tensors = {name: ("int32", np.array(number, "<i4")) for number, name in enumerate(names)}
    return save(folder, "names", "Names that are not text, not UTF-8, very long, or prefixes of each other.", tensors)


def many_golden(folder: Path) -> Golden:
    # Saved from the last to the first: offsets fall where keys rise.
    tensors: Tensors = {}
    for layer in reversed(range(150)):
        for number, part in enumerate(("bias", "gain", "kernel", "offset")):
            tensors[f"layer_{layer:03d}/{part}".encode()] = "int16", np.array(4 * layer + number, "<i2")
    return save(
        folder, "many", "600 tensors: dozens of restart points in one block, offsets against key order.", tensors
    )


def empty_golden(folder: Path) -> Golden:
    tensors: Tensors = {b"e": ("float32", np.zeros((0, 3), "<f4")), b"i": ("int64", np.zeros((2, 0, 2), "<i8"))}
    return save(folder, "empty", "Only tensors without elements: the data file has no bytes.", tensors)


def one_golden(folder: Path) -> Golden:
    return save(folder, "one", "One float scalar, the smallest checkpoint.", {b"a": ("float32", np.array(1.0, "<f4"))})


def sharded_golden(folder: Path) -> Golden:
    parts: list[Tensors] = [
        {b"b": ("float32", np.arange(6, dtype="<f4").reshape(2, 3)), b"z": ("string", as_array([b"zero", b""]))},
        {b"a": ("int64", np.array([-1, 2**40])), b"y": ("bfloat16", values.filled("bfloat16", (4,), 2))},
        {b"c": ("bool", np.array([True, False]))},
    ]
    with tempfile.TemporaryDirectory() as scratch:
        prefixes = [Path(scratch) / f"part-{number}" for number in range(3)]
        for prefix, part in zip(prefixes, parts):
            tensorflow_oracle.save(prefix, [(name, value) for name, (_, value) in part.items()])
        tensorflow_oracle.merge(prefixes, folder / "sharded")
    tensors = {name: tensor for part in parts for name, tensor in part.items()}
    check(folder / "sharded", tensors)
    return Golden("sharded", "Three shards, merged from three checkpoints; keys alternate between shards.", tensors)


# name -> dtype, shape, pieces in the order in which they are saved.
PARTITIONED: dict[str, tuple[str, tuple[int, ...], list[str]]] = {
    "float32/1": ("float32", (10,), ["0,3", "3,4", "7,3"]),
    "float32/2": ("float32", (4, 3), ["0,2:-", "2,2:0,3"]),
    "float32/4": ("float32", (2, 3, 2, 2), ["0,1:-:0,2:-", "1,1:0,1:-:-", "1,1:1,2:-:0,1", "1,1:1,2:0,2:1,1"]),
    "int64/2": ("int64", (5, 4), ["3,2:2,2", "0,3:2,2", "3,2:0,2", "0,3:0,2"]),
    "bfloat16/3": ("bfloat16", (2, 3, 4), ["-:0,1:-", "-:1,2:0,3", "0,1:1,2:3,1", "1,1:1,2:3,1"]),
    "float16/1": ("float16", (6,), ["0,4", "4,2"]),
    "uint16/2": ("uint16", (3, 2), ["-:0,1", "-:1,1"]),
    "complex64/1": ("complex64", (5,), ["0,2", "2,3"]),
    "bool/1": ("bool", (3,), ["0,1", "1,1", "2,1"]),
    "int4/2": ("int4", (2, 8), ["0,1:-", "1,1:-"]),
    "string/1": ("string", (5,), ["0,2", "2,1", "3,2"]),
    "string/2": ("string", (2, 3), ["-:0,2", "-:2,1"]),
    # Positions at which their encoding in keys gets longer.
    "int8/long": ("int8", (8300,), ["0,63", "63,1", "64,8127", "8191,1", "8192,108"]),
    "int8/8": ("int8", (1, 2, 1, 2, 1, 3, 1, 2), ["-:0,1:-:-:-:-:-:-", "-:1,1:-:-:-:0,1:-:-", "-:1,1:-:-:-:1,2:-:-"]),
    # A piece that is the whole is stored as a plain tensor.
    "whole": ("float32", (4, 2), ["-:0,2"]),
    "name\0\xff": ("int32", (4,), ["0,2", "2,2"]),
}


def partitioned_golden(folder: Path) -> Iterable[Golden]:
    arrays = {
        name.encode("latin-1"): (
            dtype,
            values.filled(dtype, shape),
            shape,
            [slices.parse_slice(spec) for spec in specs],
        )
        for name, (dtype, shape, specs) in PARTITIONED.items()
    }
    shards: list[list] = [[], [], []]
    for name, (_, array, shape, pieces) in arrays.items():
        for number, piece in enumerate(pieces):
            row = name, array[slices.indices(piece)], slices.save_spec(shape, piece)
            shards[number % 3].append(row)
    plain = np.array([1, 2], "<i4")
    shards[0].append((b"plain", plain))
    tensors = {name: (dtype, array) for name, (dtype, array, _, _) in arrays.items()} | {b"plain": ("int32", plain)}

    with tempfile.TemporaryDirectory() as scratch:
        prefixes = [Path(scratch) / f"part-{number}" for number in range(3)]
        for prefix, rows in zip(prefixes, shards):
            tensorflow_oracle.save(prefix, rows)
        tensorflow_oracle.merge(prefixes, folder / "partitioned")
    check_partitioned(folder / "partitioned", arrays)
    about = "Partitioned tensors: ranks 1 to 8, both spellings of whole dimensions, pieces in three shards."
    yield Golden("partitioned", about, tensors)

    rows = [row for row in shards[0] + shards[1] + shards[2] if row[0] == b"float32/2"]
    tensorflow_oracle.save(folder / "partitioned_one_shard", rows)
    check_partitioned(folder / "partitioned_one_shard", {b"float32/2": arrays[b"float32/2"]})
    yield Golden("partitioned_one_shard", "One tensor in two pieces.", {b"float32/2": tensors[b"float32/2"]})


def check_partitioned(prefix: Path, arrays: Mapping[bytes, tuple]) -> None:
    for name, (dtype, array, shape, pieces) in arrays.items():
        if dtypes.BY_NAME[dtype].assembles:
            assert_same_bits(tensorflow_oracle.restore(prefix, name, dtype), array, name)
        for piece in pieces:
            spec = slices.save_spec(shape, piece)
            assert_same_bits(tensorflow_oracle.restore(prefix, name, dtype, spec), array[slices.indices(piece)], name)


def objects_golden(folder: Path) -> Golden:
    checkpoint = model()
    checkpoint.write(str(folder / "objects"))
    about = "An object-based checkpoint: nested objects, lists, Python state, optimizer slots, the object graph."
    return Golden("objects", about, read_back(folder / "objects"))


def split_objects_golden(folder: Path) -> Golden:
    policy = tf.train.experimental.MaxShardSizePolicy(max_shard_size=64)
    options = tf.train.CheckpointOptions(experimental_sharding_callback=policy)
    checkpoint = tf.train.Checkpoint(w=tf.Variable(np.arange(24, dtype="<f4").reshape(6, 4)), step=tf.Variable(3))
    checkpoint.write(str(folder / "split_objects"), options=options)
    tensors = read_back(folder / "split_objects")
    assert_same_bits(tensors[b"w/.ATTRIBUTES/VARIABLE_VALUE"][1], np.arange(24, dtype="<f4").reshape(6, 4))
    about = "An object-based checkpoint whose variable was cut by TensorFlow to keep shards small."
    return Golden("split_objects", about, tensors)


def managed_goldens(folder: Path) -> Iterable[Golden]:
    with mock.patch("time.time", side_effect=(1700000000.0 + 0.25 * tick for tick in range(1000))):
        step = tf.Variable(0, dtype=tf.int64)
        manager = tf.train.CheckpointManager(tf.train.Checkpoint(step=step), str(folder / "managed"), max_to_keep=2)
        for _ in range(3):
            step.assign_add(10)
            manager.save()
    for number in (2, 3):
        prefix = f"managed/ckpt-{number}"
        files = [f"{prefix}.index", f"{prefix}.data-00000-of-00001", "managed/checkpoint"]
        about = f"Save {number} of a CheckpointManager that keeps two, with its state file."
        yield Golden(prefix, about, read_back(folder / prefix), files=files)


def model() -> Any:
    """A small training state after one step."""
    kernel = tf.Variable([[1.0, -2.0], [0.5, 4.0]], name="kernel")
    bias = tf.Variable([0.25, 0.75], name="bias")
    optimizer = tf.compat.v1.train.AdamOptimizer(0.125)
    optimizer.apply_gradients([(tf.ones_like(kernel), kernel), (tf.ones_like(bias), bias)])
    layer = tf.Module(name="layer")
    layer.kernel, layer.bias, layer.history = kernel, bias, [tf.Variable(1), tf.Variable(b"two")]
    root = tf.Module(name="root")
    root.layer, root.shared = layer, {"kernel": kernel}
    return tf.train.Checkpoint(model=root, optimizer=optimizer, step=tf.Variable(7, dtype=tf.int64), note=Note())


class Note(tf.train.experimental.PythonState):
    """Python state: stored as a string of its own making."""

    def serialize(self) -> str:
        return "remember"

    def deserialize(self, string_value: str) -> None:
        del string_value


def read_back(prefix: Path) -> Tensors:
    read = tensorflow_oracle.read(prefix)
    kinds = tensorflow_oracle.names(prefix)
    return {name.encode(): (kinds[name], array) for name, array in read.items()}


def saved_model_golden(folder: Path) -> Golden:
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = Path(scratch) / "vocabulary.txt"
        vocabulary.write_text("a\nb\n", encoding="ascii")
        module = exported(vocabulary)
        signatures = {"serving_default": module.scale, "shift": module.shift}
        tf.saved_model.save(module, str(folder / "saved_model"), signatures=signatures)
    # Its identifier is random.
    (folder / "saved_model" / "fingerprint.pb").unlink()
    again = tf.saved_model.load(str(folder / "saved_model"))
    assert again.signatures["serving_default"](x=tf.constant([1.0, 2.0]))["y"].numpy().tolist() == [[4.0, -6.0]]
    about = "A SavedModel of TensorFlow 2: two signatures, an asset, one variable under two paths, one of no signature."
    return whole_model(folder, "saved_model", about)


def exported(vocabulary: Path) -> Any:
    """A module with nested variables, two functions and an asset."""
    root = tf.Module(name="root")
    root.layer = tf.Module(name="layer")
    root.layer.kernel = tf.Variable([[1.0, -2.0], [1.5, -2.0]], name="dense/kernel")
    root.shared = {"kernel": root.layer.kernel}
    root.step = tf.Variable(7, dtype=tf.int64, name="step")
    root.vocabulary = tf.saved_model.Asset(str(vocabulary))

    @tf.function(input_signature=[tf.TensorSpec([2], tf.float32, name="x")])
    def scale(x: Any) -> Any:
        return {"y": tf.linalg.matmul(x[None, :], root.layer.kernel)}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.int64, name="n")])
    def shift(n: Any) -> Any:
        return {"sum": n + root.step, "text": tf.strings.as_string(n)}

    root.scale, root.shift = scale, shift
    return root


def saved_model_v1_golden(folder: Path) -> Golden:
    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(folder.resolve() / "saved_model_v1"))
    # The graph holds the path of the asset's source: a relative one is the same every time.
    scratch = tempfile.TemporaryDirectory()
    with scratch as directory, contextlib.chdir(directory), tf.Graph().as_default(), v1.Session() as session:
        Path("words.txt").write_text("one\ntwo\n", encoding="ascii")
        words = tf.constant("words.txt", name="words")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, words)
        kernel = v1.get_variable("kernel", initializer=np.arange(6, dtype="<f4").reshape(2, 3), use_resource=False)
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        y = tf.linalg.matmul(x, kernel, name="y")
        session.run(v1.global_variables_initializer())
        shared = {"saver": v1.train.Saver(), "strip_default_attrs": True, "clear_devices": True}
        builder.add_meta_graph_and_variables(
            *(session, ["serve", "gpu"], {"serving_default": predicting(x, y)}),
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=tf.group(v1.tables_initializer(), name="prepare"),
            **shared,
        )
        sparse = v1.sparse_placeholder(tf.int64, name="sparse")
        ragged = v1.ragged.placeholder(tf.float32, 1, name="ragged")
        unranked = v1.placeholder(tf.string, None, name="unranked")
        signature = v1.saved_model.build_signature_def(
            inputs={
                name: v1.saved_model.build_tensor_info(tensor) for name, tensor in {"s": sparse, "r": ragged}.items()
            },
            outputs={"u": v1.saved_model.build_tensor_info(unranked)},
            method_name="composite",
        )
        builder.add_meta_graph(["train"], {"composite": signature}, **shared)
    builder.save()
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.load(session, ["gpu", "serve"], str(folder / "saved_model_v1"))
        assert session.run("y:0", {"x:0": [[1.0, 1.0]]}).tolist() == [[3.0, 5.0, 7.0]]
    about = "A SavedModel of TensorFlow 1: one meta graph with an asset and a main op, one with composite tensors."
    return whole_model(folder, "saved_model_v1", about)


def predicting(x: Any, y: Any) -> Any:
    return tf.compat.v1.saved_model.predict_signature_def(inputs={"x": x}, outputs={"y": y})


def whole_model(folder: Path, id: str, about: str) -> Golden:
    """All files of a SavedModel, as the checkpoint of its variables."""
    prefix = f"{id}/variables/variables"
    files = [path.relative_to(folder).as_posix() for path in sorted((folder / id).rglob("*")) if path.is_file()]
    return Golden(id, about, read_back(folder / prefix), prefix=prefix, files=files)


def v1_goldens(folder: Path) -> Iterable[Golden]:
    tensors: Tensors = {}
    for dtype in V1_DTYPES:
        tensors[f"{dtype}/scalar".encode()] = dtype, values.filled(dtype, (), 3)
        tensors[f"{dtype}/2x2".encode()] = dtype, values.filled(dtype, (2, 2), 4)
        tensors[f"{dtype}/0".encode()] = dtype, values.filled(dtype, (0,))
    rows = [tensorflow_oracle.to_tensor(typed(dtype, value)) for dtype, value in tensors.values()]
    tf.raw_ops.Save(filename=str(folder / "v1"), tensor_names=list(tensors), data=rows)
    check(folder / "v1", tensors)
    about = "The first version's format: one file, every dtype that it can hold."
    yield Golden("v1", about, tensors, format="V1", files=["v1"])

    w = np.arange(12, dtype="<f4").reshape(4, 3)
    n = np.array([5, 6, 7], "<i8")
    files = [f"v1_sharded-{number:05d}-of-00002" for number in range(2)]
    for file, rows in zip(files, ((0, 1), (1, 4))):
        pieces = {"w": w[slice(*rows)]} | ({"n": n} if file == files[1] else {})
        specs = [f"4 3 {rows[0]},{rows[1] - rows[0]}:-", ""][: len(pieces)]
        tf.raw_ops.SaveSlices(
            filename=str(folder / file), tensor_names=list(pieces), shapes_and_slices=specs, data=list(pieces.values())
        )
    expected: Tensors = {b"w": ("float32", w), b"n": ("int64", n)}
    check(folder / "v1_sharded-?????-of-00002", expected)
    about = "The first version's format: two files, one tensor in pieces across both."
    yield Golden("v1_sharded", about, expected, prefix="v1_sharded-?????-of-00002", format="V1", files=files)


MAKERS: tuple[Callable[[Path], Golden | Iterable[Golden]], ...] = (
    *(one_golden, empty_golden, dtypes_golden, strings_golden, variants_golden, names_golden, many_golden),
    *(sharded_golden, partitioned_golden, objects_golden, split_objects_golden, managed_goldens, v1_goldens),
    *(saved_model_golden, saved_model_v1_golden),
)


def main(folder: Path) -> None:
    if tf.__version__ != VERSION:
        raise SystemExit(f"this folder is for TensorFlow {VERSION}, not {tf.__version__}")
    folder.mkdir(parents=True, exist_ok=True)
    goldens: list[Golden] = []
    for maker in MAKERS:
        made = maker(folder)
        goldens += [made] if isinstance(made, Golden) else made
    write_manifest(folder, f"TensorFlow {VERSION}", goldens)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
