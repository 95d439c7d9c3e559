"""``tensorbundle.train.as_tensorflow``: what an unmodified program finds, and what is left of it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading

import numpy as np
import pytest
from support.processes import run_python

import tensorbundle as tb


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch):
    """TensorFlow isn't imported, whatever other tests have done."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def prefix(tmp_path) -> str:
    tb.save(tmp_path / "ckpt", {"w": np.arange(6, dtype=np.float32), "step": 1, "s": b"text"})
    return str(tmp_path / "ckpt")


def traces():
    return [name for name in sys.modules if name.partition(".")[0] == "tensorflow"], list(sys.meta_path)


def test_program_reads_a_checkpoint(prefix):
    with tb.train.as_tensorflow() as given:
        import tensorflow as tf

        assert tf is given
        assert tf.train.list_variables(prefix) == [("s", []), ("step", []), ("w", [6])]
        assert tf.train.load_variable(prefix, "w:0").tolist() == [0, 1, 2, 3, 4, 5]
        reader = tf.compat.v1.train.NewCheckpointReader(prefix)
        assert reader.get_variable_to_dtype_map()["w"] == tf.float32 == tf.dtypes.float32
        with pytest.raises(tf.errors.NotFoundError), tf.device("/CPU:0"):
            reader.get_tensor("nothing")
        assert tf.__version__.split(".")[0] == "2"


def test_submodules_that_readers_import(prefix):
    with tb.train.as_tensorflow():
        import tensorflow.compat.v1 as tf
        from tensorflow.io import gfile
        from tensorflow.python import pywrap_tensorflow
        from tensorflow.python.framework import errors_impl
        from tensorflow.python.tools.inspect_checkpoint import print_tensors_in_checkpoint_file
        from tensorflow.python.training import checkpoint_utils, py_checkpoint_reader

        tf.disable_v2_behavior()
        assert py_checkpoint_reader.NewCheckpointReader(prefix).get_tensor("step") == 1
        assert pywrap_tensorflow.NewCheckpointReader(prefix).has_tensor("w")
        assert checkpoint_utils.load_variable(prefix, "s") == b"text"
        assert errors_impl.OpError is tb.errors.OpError
        assert gfile.exists(f"{prefix}.index")
        assert tf.gfile.Exists(f"{prefix}.index")
        assert callable(print_tensors_in_checkpoint_file)


def test_what_is_missing_says_what_this_is():
    with tb.train.as_tensorflow() as tf:
        with pytest.raises(
            AttributeError, match=r"^module 'tensorflow' has no attribute 'keras': this is tensorbundle's"
        ):
            tf.keras  # noqa: B018
        with pytest.raises(AttributeError, match=r"'tensorflow.compat.v1' has no attribute 'Session': this is"):
            tf.compat.v1.Session()
        with pytest.raises(ModuleNotFoundError, match=r"^No module named 'tensorflow.keras': this is tensorbundle's"):
            importlib.import_module("tensorflow.keras")
        with pytest.raises(ModuleNotFoundError, match=r"^No module named 'tensorflow.keras': this is tensorbundle's"):
            from tensorflow import keras  # noqa: F401
        with pytest.raises(ImportError, match=r"^No module named 'tensorflow.train.Saver': this is tensorbundle's"):
            from tensorflow.train import Saver  # noqa: F401
        assert not hasattr(tf, "constant")


def test_nothing_is_left():
    before = traces()
    with tb.train.as_tensorflow():
        assert importlib.util.find_spec("tensorflow") is not None
        assert traces() != before
    assert traces() == before
    with pytest.raises(ZeroDivisionError), tb.train.as_tensorflow():
        raise ZeroDivisionError
    assert traces() == before


def test_blocks_nest_and_threads_share():
    before = traces()
    with tb.train.as_tensorflow() as outer:
        with tb.train.as_tensorflow() as inner:
            assert inner is outer
        assert sys.modules["tensorflow"] is outer
        seen = []
        thread = threading.Thread(target=lambda: seen.append(importlib.import_module("tensorflow")))
        thread.start()
        thread.join()
        assert seen == [outer]
    assert traces() == before


def test_last_thread_to_leave_takes_it_away():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with tb.train.as_tensorflow():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with tb.train.as_tensorflow():
        thread.start()
        assert entered.wait(60)
    assert "tensorflow" in sys.modules
    leave.set()
    thread.join()
    assert "tensorflow" not in sys.modules


def test_real_tensorflow_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow.python", sys)
    before = traces()
    with pytest.raises(RuntimeError, match=r"TensorFlow itself has been imported \('tensorflow.python' is in"):
        tb.train.as_tensorflow().__enter__()
    assert traces() == before


def test_a_forbidden_import_is_forbidden_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with tb.train.as_tensorflow():
        import tensorflow as tf

        assert tf.float32.size == 4
    assert sys.modules["tensorflow"] is None


def test_files_by_gfile(tmp_path, prefix):
    with tb.train.as_tensorflow() as tf:
        gfile = tf.io.gfile
        assert (gfile.isdir(tmp_path), gfile.isdir(prefix), gfile.exists(prefix)) == (True, False, False)
        names = ["ckpt.data-00000-of-00001", "ckpt.index"]
        assert sorted(gfile.listdir(tmp_path)) == names
        expected = [str(tmp_path / name) for name in names]
        assert sorted(gfile.glob(f"{prefix}*")) == sorted(gfile.glob([f"{prefix}.d*", f"{prefix}.i*"])) == expected
        (tmp_path / ".hidden").touch()
        assert sorted(gfile.glob(f"{tmp_path}/*")) == expected
        with pytest.raises(tf.errors.NotFoundError, match="Could not find directory"):
            gfile.listdir(prefix)


def test_variables_of_a_saved_model(tmp_path):
    (tmp_path / "variables").mkdir()
    tb.save(tmp_path / "variables/variables", {"scope/w": np.ones((2, 3), np.float32), "step": np.int64(7)})
    with tb.train.as_tensorflow() as tf:
        assert not tf.saved_model.contains_saved_model(tmp_path)
        with pytest.raises(OSError, match="SavedModel file does not exist at"):
            tf.saved_model.load(str(tmp_path))
        (tmp_path / "saved_model.pb").touch()
        assert tf.saved_model.contains_saved_model(str(tmp_path))
        model = tf.saved_model.load(str(tmp_path), tags=["serve"])
        weight, step = model.variables
        assert (weight.name, weight.dtype, weight.shape) == ("scope/w:0", tf.float32, [2, 3])
        assert (weight.shape.as_list(), weight.shape.rank, len(weight)) == ([2, 3], 2, 2)
        assert weight.numpy().tolist() == np.asarray(weight).tolist() == [[1, 1, 1], [1, 1, 1]]
        assert type(step.numpy()) is np.int64
        with pytest.raises(AttributeError, match="has variables, and no 'signatures'"):
            model.signatures  # noqa: B018


def test_variables_of_objects_have_their_full_names(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").touch()
    tb.save_objects(tmp_path / "variables/variables", {"layer": {"w": np.ones(2, np.float32)}})
    with tb.train.as_tensorflow() as tf:
        named = tb.open(tmp_path).named(by="full_name")
        names = [variable.name for variable in tf.saved_model.load(str(tmp_path)).variables]
    assert names == [f"{name}:0" for name in named if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]


def test_variables_are_those_that_a_model_lists(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").touch()
    listed = [np.full(3, number, np.float32) for number in range(12)]
    tb.save_objects(tmp_path / "variables/variables", {"_all_variables": listed[::-1], "variables": listed})
    with tb.train.as_tensorflow() as tf:
        variables = tf.saved_model.load(tmp_path).variables
    assert [variable.name for variable in variables] == [f"variables/{number}:0" for number in range(12)]
    assert [variable.numpy()[0] for variable in variables] == list(range(12))


def test_a_list_of_other_things_is_not_taken_for_variables(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").touch()
    tb.save_objects(tmp_path / "variables/variables", {"variables": [{"w": 1}]}, save_counter=None)
    with tb.train.as_tensorflow() as tf:
        assert [variable.name for variable in tf.saved_model.load(tmp_path).variables] == ["variables/0/w:0"]


@pytest.mark.parametrize("with_directory", [False, True])
def test_saved_model_without_variables(tmp_path, with_directory):
    (tmp_path / "saved_model.pb").touch()
    if with_directory:
        (tmp_path / "variables").mkdir()
    with tb.train.as_tensorflow() as tf:
        assert tf.saved_model.load(tmp_path).variables == []


def test_saved_model_whose_data_is_gone(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").touch()
    tb.save_objects(tmp_path / "variables/variables", {"variables": [1]})
    (tmp_path / "variables/variables.data-00000-of-00001").unlink()
    with tb.train.as_tensorflow() as tf, pytest.warns(tb.errors.DamageWarning):  # noqa: SIM117
        with pytest.raises(tf.errors.OpError, match="data-00000-of-00001; No such file or directory"):
            tf.saved_model.load(tmp_path)


def test_shapes():
    with tb.train.as_tensorflow() as tf:
        shape = tf.TensorShape([2, 3])
        assert (shape, shape.ndims, shape.num_elements(), shape.is_fully_defined()) == ([2, 3], 2, 6, True)
        assert (str(shape), repr(shape)) == ("(2, 3)", "TensorShape([2, 3])")
        longer = shape.__add__([4])
        assert (shape[1:], type(shape[1:])) == ([3], tf.TensorShape)
        assert (longer, type(longer)) == ([2, 3, 4], tf.TensorShape)
        assert (shape[0], tf.TensorShape([]).num_elements(), bool(tf.TensorShape([]))) == (2, 1, True)


def test_casts(prefix):
    with tb.train.as_tensorflow() as tf:
        cast = tf.dtypes.cast
        assert cast(tf.train.load_variable(prefix, "w"), tf.int32).numpy().tolist() == [0, 1, 2, 3, 4, 5]
        assert cast([1.7, -1.7], tf.int32).numpy().tolist() == [1, -1]
        assert cast([1 + 2j], "float32").numpy().tolist() == [1]
        assert cast([0, 2], tf.bool).numpy().tolist() == [False, True]
        assert cast(cast(1.5, tf.bfloat16), tf.float32).numpy() == np.float32(1.5)
        assert type(tf.cast(3, tf.float16).numpy()) is np.float16
        with pytest.raises(tf.errors.UnimplementedError, match="Cast string to float32 is not supported"):
            cast(b"x", tf.float32)


def test_every_class_of_errors_can_be_named():
    with tb.train.as_tensorflow() as tf:
        kinds = [value for name, value in vars(tf.errors).items() if name.endswith("Error")]
        assert len(kinds) == 17
        assert all(issubclass(kind, tf.errors.OpError) for kind in kinds)
        assert tf.errors.InvalidArgumentError.error_code == tf.errors.INVALID_ARGUMENT == 3
        assert tf.errors.ResourceExhaustedError is tb.errors.LimitError


def test_a_block_that_is_never_left_ends_in_silence():
    program = """
import tensorbundle as tb
context = tb.train.as_tensorflow()
context.__enter__()
"""
    assert run_python(program) == ""


def test_works_in_a_fresh_process(prefix):
    program = """
import sys
sys.modules["tensorflow"] = None
import tensorbundle as tb
with tb.train.as_tensorflow():
    import tensorflow as tf
    print(tf.train.load_variable(sys.argv[1], "step"))
"""
    assert run_python(program, prefix) == "1\n"
