"""``tensorbundle.train`` beside ``tf.train``: every call, on sound, damaged and missing files, gives the same.

A row that differs names its difference in ``tensorbundle.train.differences``, where the reason stands.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import tensorflow_oracle
from support.bundle_writer import write_bundle
from support.paths import GOLDEN

import tensorbundle as tb
from tensorbundle.train.differences import DIFFERENCES

pytestmark = pytest.mark.usefixtures("tensorflow")

SCALARS = ("int64", "float32", "float64", "bool", "complex128", "float16", "bfloat16")


@dataclasses.dataclass
class Case:
    """One call.

    Attributes:
        call: With the functions of either package.
        phrases: What both messages have, where it is an error.
        differs: Name of an intended difference.
        theirs, ours: Where it differs, what comes out: the class of an error, or the beginning of a value's text.
    """

    call: Callable[[Any], Any]
    phrases: tuple[str, ...] = ()
    differs: str | None = None
    theirs: str = ""
    ours: str = ""


def both(call, *phrases):
    return Case(call, phrases)


def differing(name, call, theirs, ours):
    return Case(call, (), name, theirs, ours)


def each_reader(path, *phrases):
    """Every way to open ``path``."""
    return [
        both(lambda t: t.load_checkpoint(path), *phrases),
        both(lambda t: t.NewCheckpointReader(path), *phrases),
        both(lambda t: t.list_variables(path), *phrases),
        both(lambda t: t.load_variable(path, "int64"), *phrases),
    ]


def files_after(call):
    """What a call that writes has left: names, and the text of the state file."""
    call()
    names = sorted(os.path.join(at, name) for at, _, found in os.walk(".") for name in found)
    return [*names, *(Path(name).read_text("utf-8") for name in names if name.endswith(("run/checkpoint", "/other")))]


# One class under two names.
OP_ERROR = {"TensorBundleError": "OpError"}
NOT_FOUND = "Failed to find any matching files for"
CASES = [
    *each_reader("good"),
    *each_reader("missing", NOT_FOUND, "missing"),
    *each_reader("nowhere/x", NOT_FOUND),
    *each_reader("", NOT_FOUND),
    *each_reader("text", "Unable to open table file", "not an sstable (bad magic number)"),
    *each_reader("v1"),
    *[both(lambda t, name=name: t.load_variable("good", name)) for name in (*SCALARS, "matrix", "empty", "s", "ss")],
    *[both(lambda t, name=name: t.load_checkpoint("good").get_tensor(name)) for name in ("int64", "matrix", "s")],
    *[
        both(lambda t, name=name: t.load_variable("v1", f"{name}/2x2"))
        for name in ("float32", "string", "bool", "int32")
    ],
    *[both(lambda t, name=name: t.load_variable("v1", f"{name}/scalar")) for name in ("float32", "string", "int64")],
    both(lambda t: t.load_variable("good", "matrix:0")),
    both(lambda t: t.load_variable("good", "nothing"), "nothing", "not found in checkpoint"),
    both(lambda t: t.load_variable("good", "matrix:1"), "matrix:1", "not found in checkpoint"),
    both(lambda t: t.load_checkpoint("good").get_tensor("matrix:0"), "not found in checkpoint"),
    both(lambda t: t.load_variable("v1", "nothing"), "nothing", "not found in checkpoint"),
    both(lambda t: t.load_variable("good", 3)),
    both(lambda t: t.load_checkpoint(3)),
    both(lambda t: t.load_checkpoint(None)),
    both(lambda t: t.load_checkpoint(Path("good")).get_tensor("int64")),
    both(lambda t: t.load_checkpoint(b"good").get_tensor(b"int64")),
    both(lambda t: t.list_variables(ckpt_dir_or_file="good")),
    both(lambda t: t.load_variable(ckpt_dir_or_file="good", name="s")),
    both(lambda t: t.NewCheckpointReader(filepattern="good").get_tensor(tensor_str="s")),
    *[
        both(lambda t, name=name: t.load_checkpoint("good").has_tensor(name))
        for name in ("int64", "matrix:0", "nothing", b"s", 3, None)
    ],
    both(lambda t: t.load_checkpoint("good").has_tensor(tensor_str="s")),
    both(lambda t: t.load_checkpoint("good").get_tensor(3)),
    *[
        both(lambda t, path=path, of=of: getattr(t.load_checkpoint(path), f"get_variable_to_{of}_map")())
        for path in ("good", "v1", "run", "truncated")
        for of in ("shape", "dtype")
    ],
    both(lambda t: sorted(t.load_checkpoint("good").debug_string().splitlines())),
    both(lambda t: sorted(t.load_checkpoint("v1").debug_string().splitlines())),
    both(lambda t: t.load_checkpoint("partitioned").get_variable_to_shape_map()),
    both(lambda t: t.load_variable("partitioned", "p")),
    # Damage.
    differing("error of a damaged index", lambda t: t.load_checkpoint("cut"), "OpError", "DataLossError"),
    differing("error of a damaged index", lambda t: t.load_checkpoint("hollow"), "OpError", "DataLossError"),
    differing("error of a damaged index", lambda t: t.list_variables("flipped"), "OpError", "DataLossError"),
    *each_reader("v1_index_flipped", "Unable to open table file", "block checksum mismatch"),
    differing("damaged metadata of V1", lambda t: t.load_checkpoint("v1_flipped"), "InternalError", "DataLossError"),
    differing("error of a damaged tensor", lambda t: t.load_variable("noise", "int64"), "OpError", "DataLossError"),
    differing("error of a damaged tensor", lambda t: t.load_variable("noise", "s"), "OpError", "DataLossError"),
    differing(
        "error of a truncated file", lambda t: t.load_variable("truncated", "matrix"), "IndexError", "OutOfRangeError"
    ),
    both(lambda t: t.load_variable("truncated", "empty")),
    both(lambda t: t.load_variable("bodiless", "int64"), "bodiless.data-00000-of-00001; No such file or directory"),
    both(lambda t: t.list_variables("bodiless")),
    differing(
        "missing data file",
        lambda t: warned(lambda: t.load_checkpoint("bodiless")),
        "('list', [])",
        "('list', [('str', 'DamageWarning')",
    ),
    differing(
        "empty tensor of a missing file", lambda t: t.load_variable("bodiless", "empty"), "OpError", "('ndarray'"
    ),
    # Paths that trap callers of TensorFlow.
    differing("name of an index", lambda t: t.list_variables("good.index"), "('list', [])", "('list', [('tuple'"),
    differing(
        "name of a data file",
        lambda t: t.load_variable("good.data-00000-of-00001", "int64"),
        "DataLossError",
        "('int64'",
    ),
    differing("state file", lambda t: t.load_variable("run/checkpoint", "int64"), "DataLossError", "('int64'"),
    differing("directory of a SavedModel", lambda t: t.load_variable("export", "int64"), "ValueError", "('int64'"),
    differing(
        "directory as file", lambda t: t.NewCheckpointReader("run").get_tensor("int64"), "DataLossError", "('int64'"
    ),
    differing("path objects", lambda t: t.NewCheckpointReader(Path("good")), "TypeError", "CheckpointReader"),
    differing("path objects", lambda t: t.checkpoint_exists(Path("good")), "TypeError", "('bool', True)"),
    differing("brackets", lambda t: t.load_variable("b[1]", "int64"), "NotFoundError", "('int64'"),
    differing("brackets", lambda t: t.checkpoint_exists("b[1]"), "('bool', False)", "('bool', True)"),
    differing(
        "name of nothing", lambda t: t.load_checkpoint("good").has_tensor(""), "('bool', True)", "('bool', False)"
    ),
    differing("name of nothing", lambda t: t.load_variable("good", ""), "OpError", "NotFoundError"),
    differing("names as bytes", lambda t: t.load_variable("good", b"int64"), "TypeError", "('int64'"),
    differing(
        "slices in debug_string",
        lambda t: len(t.load_checkpoint("partitioned").debug_string().splitlines()),
        "('int', 2)",
        "('int', 1)",
    ),
    differing("names that are no UTF-8", lambda t: t.list_variables("foreign"), "UnicodeDecodeError", "('list'"),
    differing(
        "quantized types",
        lambda t: str(np.dtype(t.load_checkpoint("v1").get_variable_to_dtype_map()["qint8/2x2"].as_numpy_dtype)),
        "('str', \"[('qint8', 'i1')]\")",
        "('str', 'int8')",
    ),
    differing("types of V1", lambda t: t.load_variable("v1", "qint8/2x2"), "UnimplementedError", "('ndarray'"),
    differing("types of V1", lambda t: t.load_variable("v1", "float16/2x2"), "UnimplementedError", "('ndarray'"),
    differing("types of V1", lambda t: t.load_variable("v1", "complex64/2x2"), "UnimplementedError", "('ndarray'"),
    differing(
        "slices of V1",
        lambda t: t.load_variable("v1_sharded-?????-of-00002", "w"),
        "UnimplementedError",
        "('ndarray'",
    ),
    differing("slices of V1", lambda t: t.load_variable("lone-00000-of-00002", "w").shape, "('tuple'", "DataLossError"),
    *[
        both(lambda t, call=call: call(t, "half-?????-of-00002"))
        for call in (
            lambda t, path: t.load_checkpoint(path),
            lambda t, path: t.list_variables(path),
            lambda t, path: t.load_variable(path, "n"),
            lambda t, path: t.load_checkpoint(path).get_variable_to_shape_map(),
            lambda t, path: t.load_checkpoint(path).has_tensor("nothing"),
            lambda t, path: t.checkpoint_exists(path),
        )
    ],
    both(lambda t: t.load_variable("half-?????-of-00002", "nothing"), "nothing", "not found in checkpoint"),
    differing(
        "missing shard of V1",
        lambda t: warned(lambda: t.load_checkpoint("half-?????-of-00002")),
        "('list', [])",
        "('list', [('str', 'DamageWarning')",
    ),
    differing(
        "missing shard of V1",
        lambda t: message(lambda: t.load_variable("half-?????-of-00002", "nothing")).count("missing"),
        "('int', 0)",
        "('int', 1)",
    ),
    differing(
        "name of a shard of V1",
        lambda t: len(t.list_variables("v1_sharded-00000-of-00002")),
        "('int', 1)",
        "('int', 2)",
    ),
    # The state file.
    both(lambda t: t.get_checkpoint_state("run")),
    both(lambda t: t.get_checkpoint_state(Path("run"))),
    both(lambda t: t.get_checkpoint_state("run", "other")),
    both(lambda t: t.get_checkpoint_state("run", latest_filename="none")),
    both(lambda t: t.get_checkpoint_state(checkpoint_dir="nowhere")),
    both(lambda t: t.get_checkpoint_state("garbage")),
    both(lambda t: t.get_checkpoint_state("nameless")),
    both(lambda t: t.get_checkpoint_state("gone")),
    both(lambda t: t.get_checkpoint_state(None)),
    *[both(lambda t, at=at: t.latest_checkpoint(at)) for at in ("run", "nowhere", "garbage", "nameless", "gone")],
    both(lambda t: t.latest_checkpoint("run", latest_filename="other")),
    *[
        both(
            lambda t, at=at: t.load_checkpoint(at), "Couldn't find 'checkpoint' file or checkpoints in given directory"
        )
        for at in ("empty_directory", "gone")
    ],
    both(lambda t: t.load_checkpoint("run").get_tensor("int64")),
    both(lambda t: t.load_variable("run", "int64")),
    differing(
        "unreadable state file",
        lambda t: warned(lambda: t.latest_checkpoint("garbage")),
        "('list', [])",
        "('list', [('str', 'DamageWarning')",
    ),
    differing(
        "state as an object",
        lambda t: hasattr(t.get_checkpoint_state("run"), "SerializeToString"),
        "('bool', True)",
        "('bool', False)",
    ),
    *[
        both(lambda t, at=at, newest=newest: t.generate_checkpoint_state_proto(at, newest, ["run/a", "/b", "c"]))
        for at in ("run", "/far/run", ".")
        for newest in ("run/n", "/far/n", "n", "c")
    ],
    both(lambda t: t.generate_checkpoint_state_proto("run", "run/n", ["run/a", "run/n"], [1.0, 2.5], 0.5)),
    both(lambda t: t.generate_checkpoint_state_proto("run", "run/n", None, [1.0, 2.0]), "Checkpoint timestamps"),
    both(lambda t: files_after(lambda: t.update_checkpoint_state("run", "run/n"))),
    both(lambda t: files_after(lambda: t.update_checkpoint_state("run", "run/n", ["run/a"], "other", [1.5, 2.0], 1.0))),
    both(lambda t: t.update_checkpoint_state("run", "run/n", None, None, [1.0, 2.0]), "Checkpoint timestamps"),
    both(lambda t: t.update_checkpoint_state(os.path.abspath("run"), os.path.abspath("run/checkpoint"))),
    differing(
        "paths in the state file",
        lambda t: files_after(lambda: t.update_checkpoint_state("run", os.path.abspath("run/n")))[-2].startswith(
            'model_checkpoint_path: "/'
        ),
        "('bool', True)",
        "('bool', False)",
    ),
    # Files.
    *[
        both(lambda t, name=name: t.checkpoint_exists(name))
        for name in ("good", "missing", "goo", "good.index", "go*", "v1", "v1_sharded-?????-of-00002", "run", "")
    ],
    both(lambda t: t.checkpoint_exists(None)),
    both(lambda t: t.get_checkpoint_mtimes(["good", "missing", "run/ck-1", "v1", "v1_sharded-?????-of-00002"])),
    both(lambda t: t.get_checkpoint_mtimes([])),
    differing("one prefix for several", lambda t: t.get_checkpoint_mtimes("good"), "('list'", "TypeError"),
    *[
        both(lambda t, arguments=arguments: files_after(lambda: t.remove_checkpoint(*arguments)))
        for arguments in (
            ("good",),
            ("missing",),
            ("run/ck-1",),
            ("v1",),
            ("v1", 1),
            ("v1", 1, "xmeta"),
            ("v1_sharded-?????-of-00002", 1),
            ("good", 1),
        )
    ],
    differing(
        "wildcards in remove_checkpoint",
        lambda t: "./v1_sharded-00000-of-00002" in files_after(lambda: t.remove_checkpoint("v1*", 1)),
        "('bool', False)",
        "('bool', True)",
    ),
    # Waiting.
    both(lambda t: list(t.checkpoints_iterator("run", timeout=0))),
    both(lambda t: list(t.checkpoints_iterator("nowhere", 0, 0))),
    both(lambda t: list(t.checkpoints_iterator("nowhere", timeout=0, timeout_fn=lambda: True))),
    both(lambda t: next(t.checkpoints_iterator("run"))),
]


def warned(call):
    """The classes of the warnings that a call gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [warning.category.__name__ for warning in caught]


def message(call):
    """What the error says that a call raises."""
    with pytest.raises(Exception, match="not found") as caught:
        call()
    return str(caught.value)


@pytest.fixture(scope="module")
def theirs(tensorflow) -> Any:
    return types.SimpleNamespace(**{name: getattr(tensorflow.compat.v1.train, name) for name in tb.train.TF_NAMES[1:]})


@pytest.fixture(scope="module")
def template(tmp_path_factory, tensorflow) -> Path:
    """The files that every call finds."""
    at = tmp_path_factory.mktemp("template")
    tensors = [(name, np.asarray(1, tensorflow.as_dtype(name).as_numpy_dtype)) for name in SCALARS]
    tensors += [("matrix", np.arange(6, dtype=np.float32).reshape(2, 3)), ("empty", np.zeros((0, 3), np.float32))]
    tensors += [("s", b"text"), ("ss", np.array([b"x", b"yy"], object))]
    for name in ("run", "garbage", "nameless", "gone", "empty_directory", "export/variables"):
        (at / name).mkdir(parents=True)
    for prefix in ("good", "run/ck-1", "run/ck-2", "export/variables/variables"):
        tensorflow_oracle.save(at / prefix, tensors)
    for name in ("cut", "hollow", "flipped", "noise", "truncated", "bodiless", "b[1]"):
        for ending in (".index", ".data-00000-of-00001"):
            shutil.copy(at / f"good{ending}", at / f"{name}{ending}")
    write_bundle(at / "partitioned", {"p": np.arange(5)}, slices={"p": ["0,2", "2,3"]})
    write_bundle(at / "foreign", {b"\xff": np.arange(5)})
    for name in ("v1", "v1_sharded-00000-of-00002", "v1_sharded-00001-of-00002"):
        shutil.copy(GOLDEN / "2.21.0" / name, at / name)
    shutil.copy(at / "v1_sharded-00000-of-00002", at / "lone-00000-of-00002")
    shutil.copy(at / "v1_sharded-00001-of-00002", at / "half-00001-of-00002")
    damage(at)
    for name in ("text", "good.meta", "v1.meta", "v1.xmeta", "v1_sharded.meta", "export/saved_model.pb"):
        (at / name).write_text("no checkpoint" * 20, "utf-8")
    for name in ("checkpoint", "other"):
        tb.CheckpointState(str(at / "run/ck-2"), (str(at / "run/ck-1"), str(at / "run/ck-2"))).write(at / "run", name)
    (at / "garbage/checkpoint").write_text("garbage {", "utf-8")
    (at / "nameless/checkpoint").write_text("", "utf-8")
    (at / "gone/checkpoint").write_text('model_checkpoint_path: "x"', "utf-8")
    return at


def damage(at: Path) -> None:
    index, data = (at / "good.index").read_bytes(), (at / "good.data-00000-of-00001").read_bytes()
    (at / "cut.index").write_bytes(index[:-10])
    (at / "hollow.index").write_bytes(b"")
    (at / "flipped.index").write_bytes(index[:30] + bytes([index[30] ^ 255]) + index[31:])
    v1 = (at / "v1").read_bytes()
    for name, position in (("v1_flipped", 10), ("v1_index_flipped", len(v1) - 60)):
        (at / name).write_bytes(v1[:position] + bytes([v1[position] ^ 255]) + v1[position + 1 :])
    (at / "noise.data-00000-of-00001").write_bytes(bytes(byte ^ 255 for byte in data))
    (at / "truncated.data-00000-of-00001").write_bytes(data[:5])
    (at / "bodiless.data-00000-of-00001").unlink()


def outcome(call, package):
    """What comes out: a value as plain text-like data, or an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return plain(call(package))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return error


def plain(value):  # noqa: PLR0911 - a kind of value each
    if hasattr(value, "as_datatype_enum"):
        kinds = [name for name in dir(tb.train.DType) if name.startswith("is_") and name != "is_compatible_with"]
        flags = {name: getattr(value, name) for name in kinds}
        own = None if value.is_quantized else np.dtype(value.as_numpy_dtype).name
        return value.name, value.as_datatype_enum, value.size, own, flags, str(value), repr(value), int(value)
    if hasattr(value, "model_checkpoint_path"):
        listed = list(value.all_model_checkpoint_paths), list(value.all_model_checkpoint_timestamps)
        return value.model_checkpoint_path, *listed, value.last_preserved_timestamp
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        content = value.tolist() if value.dtype == object else value.tobytes()
        return "ndarray", value.dtype.name, value.shape, value.flags.writeable, content
    if hasattr(value, "get_variable_to_dtype_map"):
        return type(value).__name__
    if isinstance(value, np.generic):
        return type(value).__name__, value.tobytes()
    return type(value).__name__, value


@pytest.fixture
def outcomes(tmp_path, template, monkeypatch, theirs):
    """Both outcomes of a call, each with files of its own."""

    def run(case):
        found = []
        for name, package in (("theirs", theirs), ("ours", tb.train)):
            shutil.copytree(template, tmp_path / name / "files")
            monkeypatch.chdir(tmp_path / name / "files")
            found.append(outcome(case.call, package))
            os.rename(tmp_path / name, tmp_path / f"{name}-done")
        return found

    return run


@pytest.mark.parametrize("case", [case for case in CASES if case.differs is None], ids=lambda case: "")
def test_same_outcome(case, outcomes):
    theirs, ours = outcomes(case)
    if not isinstance(theirs, Exception):
        assert ours == theirs
        return
    assert isinstance(ours, Exception), ours
    if isinstance(theirs, (TypeError, AttributeError)):
        assert isinstance(ours, (TypeError, AttributeError))
        return
    assert type(theirs).__name__ in [OP_ERROR.get(kind.__name__, kind.__name__) for kind in type(ours).__mro__]
    for phrase in case.phrases:
        assert phrase in str(theirs)
        assert phrase in str(ours)
    if hasattr(theirs, "error_code"):
        assert (ours.error_code, ours.node_def, ours.op) == (theirs.error_code, None, None)
        assert ours.message == str(ours)


@pytest.mark.parametrize("case", [case for case in CASES if case.differs is not None], ids=lambda case: case.differs)
def test_intended_difference(case, outcomes):
    assert case.differs in DIFFERENCES
    for found, expected in zip(outcomes(case), (case.theirs, case.ours), strict=True):
        text = type(found).__name__ if isinstance(found, Exception) else str(found)
        assert text.startswith(expected), text


@pytest.mark.parametrize(
    "case", [case for case in CASES if (case.differs or "").startswith("error of")], ids=lambda _: ""
)
def test_an_except_clause_for_tensorflows_error_catches_ours(case, outcomes):
    _, ours = outcomes(case)
    assert case.theirs in [OP_ERROR.get(kind.__name__, kind.__name__) for kind in type(ours).__mro__]


def test_every_difference_is_shown_by_a_call():
    # test_stand_in, and lines in a log.
    elsewhere = {"variables of a SavedModel", "hidden files", "warnings about deprecation"}
    assert {case.differs for case in CASES if case.differs} | elsewhere == DIFFERENCES.keys()


def test_signatures_are_those_of_tensorflow(theirs):
    import inspect

    for name in tb.train.TF_NAMES[1:]:
        own, other = (inspect.signature(getattr(package, name)).parameters for package in (tb.train, theirs))
        assert list(own) == list(other), name
        for parameter in own:
            assert own[parameter].default == other[parameter].default, name
            assert own[parameter].kind == other[parameter].kind, name


def test_dtypes_are_those_of_tensorflow(tensorflow):
    from tensorflow.python.framework import dtypes as real

    from tensorbundle.train import dtypes

    for name, own in dtypes.BY_NAME.items():
        other = real.as_dtype(own.as_datatype_enum)
        assert other.name == name
        if name not in ("resource", "variant"):
            assert plain(own) == plain(other)
            assert own == other
            assert own.real_dtype == other.real_dtype
        if own.is_floating or own.is_integer:
            assert (own.min, own.max) == (other.min, other.max)
        for value in (name, other, own.as_datatype_enum):
            assert own == value
            assert dtypes.as_dtype(value) is own
    named = ("float", "half", "double", "nope", "<f4")
    kinds = (np.float32, np.dtype("int8"), np.str_, real.bfloat16.as_numpy_dtype)
    of_python = (float, bool, object, int, complex, str, bytes, list)
    for value in (*named, *kinds, *of_python, None, object(), 3.5):
        for name in ("float32", "float64", "int8", "float16", "bool", "string", "int64", "complex128", "bfloat16"):
            assert (dtypes.BY_NAME[name] == value) == (real.as_dtype(name) == value), value
