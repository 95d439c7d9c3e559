"""The programs in README.md do what it says."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb

README = Path(__file__).parents[2] / "README.md"


def programs(section):
    """The programs in Python of a section."""
    text = README.read_text(encoding="utf-8")
    body = re.search(rf"^## {section}\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert body is not None
    return re.findall(r"^```python\n(.*?)^```", body[1], re.DOTALL | re.MULTILINE)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(section):
    """The commands of a section, as a shell would take them."""
    text = README.read_text(encoding="utf-8")
    body = re.search(rf"^## {section}\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert body is not None
    return [shlex.split(line) for line in re.findall(r"^\$ (.*)$", body[1], re.MULTILINE)]


@pytest.mark.parametrize("by", ["python", "command line"])
def test_converting(directory, by):
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = {"dense/kernel": kernel, "dense/kernel/Adam": kernel, "step": np.array(100)}
    tb.save("run/model.ckpt-100", tensors, durable=False)
    if by == "python":
        (program,) = programs("Converting")
        exec(program, {})
    else:
        for command in commands("Converting"):
            subprocess.run([sys.executable, "-m", "tensorbundle.cli", *command[1:]], check=True)
    assert sorted(tb.load("run/renamed")) == ["layer/kernel", "layer/kernel/Adam", "step"]
    with tb.open("run/resharded") as resharded:
        assert (resharded.num_shards, list(resharded)) == (2, ["dense/kernel", "step"])
        assert resharded.entry("dense/kernel").tf_dtype == "bfloat16"
        assert np.array_equal(resharded["dense/kernel"].astype(np.float32), kernel)


def test_saved_models(directory, capsys):
    restore, build, publish = programs("SavedModels")
    kernel = np.ones((2, 3), np.float32)

    built = {}
    exec(build, built)
    shutil.copytree("export/2", "export/1")

    restored = {}
    exec(restore, restored)
    assert np.array_equal(restored["kernel"], kernel)
    assert sorted(map(np.shape, restored["weights"].values())) == [(), (2, 3), (3,)]
    assert restored["files"] == {}

    for version in (1, 2, 3, 4):
        capsys.readouterr()
        exec(publish, {})
        path, findings = capsys.readouterr().out.splitlines()
        assert path == os.path.join("models/dense", str(version))
        assert "signature" in findings
    assert sorted(os.listdir("models/dense")) == ["2", "3", "4"]
