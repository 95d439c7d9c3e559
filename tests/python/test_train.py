"""``tensorbundle.train``: what it keeps open, what it notices, and what it says; values are compared with TensorFlow's
in ``tests/interop``."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from support.golden import checkpoint
from support.paths import REPOSITORY
from support.processes import run_python

import tensorbundle as tb
from tensorbundle.train import differences, dtypes, recent, waiting


@pytest.fixture
def prefix(tmp_path) -> str:
    tb.save(tmp_path / "ckpt", {"w": np.arange(6, dtype=np.float32), "step": 1, "s": b"text"})
    return str(tmp_path / "ckpt")


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The paths that are opened."""
    paths = []
    real = tb.open

    def counting(path):
        paths.append(path)
        return real(path)

    monkeypatch.setattr(tb, "open", counting)
    monkeypatch.setattr(recent, "_kept", ())
    return paths


def test_loading_in_a_loop_opens_once(prefix, opened):
    for _ in range(3):
        assert [tb.train.load_variable(prefix, name).tolist() for name in ("step", "w")] == [1, [0, 1, 2, 3, 4, 5]]
        tb.train.list_variables(prefix)
    assert opened == [prefix]


def test_another_save_is_noticed(prefix, opened):
    for step in range(1, 5):
        tb.save(prefix, {"step": step})
        assert tb.train.load_variable(prefix, "step") == step
        assert tb.train.load_variable(prefix, "step") == step
    assert len(opened) <= 8


def test_another_latest_checkpoint_is_noticed(tmp_path, opened):
    manager = tb.CheckpointManager(tmp_path, max_to_keep=1)
    for step in range(3):
        manager.save({"step": step})
        for _ in range(3):
            assert tb.train.load_variable(tmp_path, "step") == step


def test_a_data_file_that_comes_is_noticed(prefix, opened):
    data = next(Path(prefix).parent.glob("ckpt.data*"))
    os.rename(data, f"{data}.away")
    with pytest.warns(tb.errors.DamageWarning), pytest.raises(tb.errors.OpError, match="No such file"):
        tb.train.load_variable(prefix, "w")
    os.rename(f"{data}.away", data)
    assert tb.train.load_variable(prefix, "step") == 1


def test_working_directory_counts(tmp_path, monkeypatch, opened):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tb.save(tmp_path / name / "ckpt", {"name": name})
    for name in ("a", "b", "a"):
        monkeypatch.chdir(tmp_path / name)
        assert tb.train.load_variable("ckpt", "name") == name.encode()
    assert len(opened) == 2


def test_what_is_gone_is_let_go(tmp_path, opened):
    for number in range(6):
        tb.save(tmp_path / f"c{number}", {"x": number})
        assert tb.train.load_variable(tmp_path / f"c{number}", "x") == number
    assert len(recent._kept) == 4
    for number in range(5):
        tb.train.remove_checkpoint(str(tmp_path / f"c{number}"))
    tb.save(tmp_path / "c6", {"x": 6})
    tb.train.load_variable(tmp_path / "c6", "x")
    assert [Path(kept.path).name for kept in recent._kept] == ["c6", "c5"]


def test_v1_shards_are_watched(tmp_path, opened, golden_directory):
    for name in ("v1_sharded-00000-of-00002", "v1_sharded-00001-of-00002"):
        shutil.copy(golden_directory / "2.21.0" / name, tmp_path / name)
    pattern = str(tmp_path / "v1_sharded-?????-of-00002")
    for _ in range(4):
        name = tb.train.list_variables(pattern)[0][0]
        tb.train.load_variable(pattern, name)
    assert len(opened) == 2  # The second call knows which files to look at before it opens them.


def test_arrays_are_the_callers_own(prefix):
    first = tb.train.load_variable(prefix, "w")
    first[:] = 9
    assert tb.train.load_variable(prefix, "w").tolist() == [0, 1, 2, 3, 4, 5]
    reader = tb.train.load_checkpoint(prefix)
    reader.get_variable_to_shape_map()["w"].append(7)
    assert reader.get_variable_to_shape_map()["w"] == [6]
    reader.get_variable_to_dtype_map().clear()
    assert (
        reader.get_variable_to_dtype_map()["w"]
        == tb.train.load_checkpoint(reader.checkpoint.path).get_variable_to_dtype_map()["w"]
    )


def test_threads_share_readers(prefix):
    reader = tb.train.load_checkpoint(prefix)
    wrong = []

    def read():
        found = [(reader.get_tensor("w").sum(), tb.train.load_variable(prefix, "step")) for _ in range(200)]
        wrong.extend(each for each in found if each != (15, 1))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_reader_stays_the_save_that_it_was(prefix):
    reader = tb.train.load_checkpoint(prefix)
    tb.save(prefix, {"step": 2})
    assert reader.get_tensor("step") == 1
    assert reader.has_tensor("w")


def test_reader_pickles(prefix):
    reader = pickle.loads(pickle.dumps(tb.train.load_checkpoint(prefix)))
    assert reader.get_tensor("s") == b"text"


def test_errors_name_the_tensor_and_the_file(prefix):
    data = next(Path(prefix).parent.glob("ckpt.data*"))
    content = data.read_bytes()
    data.write_bytes(bytes(byte ^ 255 for byte in content))
    with pytest.raises(tb.errors.DataLossError, match="Checksum does not match") as caught:
        tb.train.load_variable(prefix, "w")
    assert (caught.value.tensor, caught.value.path) == ("w", str(data))
    data.write_bytes(content[:1])
    with pytest.warns(tb.errors.DamageWarning):
        reader = tb.train.load_checkpoint(prefix)
    with pytest.raises(tb.errors.OutOfRangeError, match=r"Read less bytes than requested: tensor \"w\"") as caught:
        reader.get_tensor("w")
    assert isinstance(caught.value, IndexError)
    assert (caught.value.tensor, caught.value.path) == ("w", str(data))


def test_missing_checkpoint_names_what_is_there(prefix):
    with pytest.raises(tb.errors.NotFoundError, match=r"Failed to find any matching files for .*/ckp: .*'ckpt'"):
        tb.train.load_checkpoint(prefix[:-1])
    with pytest.raises(ValueError, match=r"Couldn't find 'checkpoint' file .*'ckpt'"):
        tb.train.load_checkpoint(os.path.dirname(prefix))


def test_directory_comes_before_a_prefix_of_its_name(tmp_path):
    tb.save(tmp_path / "run", {"x": 1})
    tb.CheckpointManager(tmp_path / "run").save({"x": 2})
    assert tb.train.load_variable(tmp_path / "run", "x") == 2


def test_dtypes_pickle_as_themselves():
    for each in dtypes.BY_NAME.values():
        assert isinstance(each, tb.train.DType)
        assert pickle.loads(pickle.dumps(each)) is each
        assert hash(each) == int(each)
    with pytest.raises(TypeError, match="no limits"):
        dtypes.BY_NAME["string"].min  # noqa: B018


def test_iterator_waits_for_new_ones(tmp_path, monkeypatch):
    clock = [0.0]
    manager = tb.CheckpointManager(tmp_path)

    def sleep(seconds):
        clock[0] += seconds
        if clock[0] == 3:
            manager.save({"x": 1})

    monkeypatch.setattr(waiting.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(waiting.time, "sleep", sleep)
    found = tb.train.checkpoints_iterator(str(tmp_path), min_interval_secs=10, timeout=5.5)
    assert (next(found), clock[0]) == (str(tmp_path / "ckpt-1"), 3)
    assert list(found) == []
    assert clock[0] == 18.5
    answers = [False, True]
    assert list(tb.train.checkpoints_iterator("nowhere", timeout=1, timeout_fn=lambda: answers.pop(0))) == []
    assert clock[0] == 20.5


def test_removing_takes_nothing_else(tmp_path, prefix):
    for name in ("ckpt-1.index", "ckpt.data-00000-of-00001.bak", "ckpt.meta", "ckptx.data-00000-of-00001"):
        (tmp_path / name).write_text("x")
    tb.train.remove_checkpoint(prefix)
    assert sorted(os.listdir(tmp_path)) == ["ckpt-1.index", "ckpt.data-00000-of-00001.bak", "ckptx.data-00000-of-00001"]


def test_importing_brings_no_numpy(prefix):
    program = """
import sys
import tensorbundle as tb
reader = tb.train.load_checkpoint(sys.argv[1])
reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map(), reader.debug_string()
tb.train.list_variables(sys.argv[1]), tb.train.latest_checkpoint(".")
print("numpy" in sys.modules)
"""
    assert run_python(program, prefix) == "False\n"


@pytest.mark.skipif(not (REPOSITORY / "docs").is_dir(), reason="no documentation here: not a checkout")
@pytest.mark.parametrize("position", [10, -60], ids=["metadata", "index block"])
def test_damaged_file_of_v1(tmp_path, position):
    content = bytearray(checkpoint("2.21.0/v1").prefix.read_bytes())
    content[position] ^= 255
    (tmp_path / "v1").write_bytes(content)
    with pytest.raises(
        tb.errors.DataLossError, match=r"^Unable to open table file .*block checksum mismatch"
    ) as caught:
        tb.train.load_checkpoint(tmp_path / "v1")
    assert caught.value.path == str(tmp_path / "v1")


def test_documentation_lists_the_differences():
    page = (REPOSITORY / "docs" / "from_tensorflow.md").read_text("utf-8")
    before, _, rest = page.partition("<!-- differences:begin -->\n\n")
    assert rest.partition("\n<!-- differences:end -->")[0] == differences.table()
    for name in tb.train.TF_NAMES:
        assert f"`{name}" in before or f".{name}" in before, name
