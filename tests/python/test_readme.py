"""The programs in README.md do what it says."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

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
