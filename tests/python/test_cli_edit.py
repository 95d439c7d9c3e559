"""``tensorbundle edit`` and ``tensorbundle merge``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import write_bundle
from support.cli import invoke

import tensorbundle as tb

TENSORS = {
    "model/bias": np.arange(3, dtype=np.float32),
    "model/kernel": np.ones((4, 3), np.float32),
    "model/kernel/Adam": np.zeros((4, 3), np.float32),
    "step": np.int64(100),
}
RENAME = ["--rename", "^model/=>", "--rename", r"^(k)ernel=>\1", "--drop", "/Adam$"]


@pytest.fixture
def prefix(tmp_path) -> Path:
    (tmp_path / "run").mkdir()
    return write_bundle(tmp_path / "run" / "ckpt", TENSORS).prefix


def names(prefix: object) -> list[str]:
    with tb.open(prefix) as ckpt:
        assert ckpt.verify()
        return list(ckpt)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_edit_in_place(prefix):
    result = invoke("edit", prefix, *RENAME)
    assert result == (0, f"{prefix}: 2 renamed, 1 dropped, 3 left\n", "")
    assert names(prefix) == ["bias", "k", "step"]


def test_edit_makes_another(prefix, tmp_path):
    before = files(prefix.parent)
    result = invoke("edit", prefix, tmp_path / "new", *RENAME, "--link")
    assert result == (0, f"{tmp_path / 'new'}: 2 renamed, 1 dropped, 3 left\n", "")
    assert names(tmp_path / "new") == ["bias", "k", "step"]
    assert files(prefix.parent) == before
    assert Path(f"{prefix}.data-00000-of-00001").stat().st_nlink == 2


def test_dry_run_writes_nothing(prefix):
    before = files(prefix.parent)
    result = invoke("edit", prefix, *RENAME, "--dry-run")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "old name           new name",
        "model/bias         bias",
        "model/kernel       k",
        "model/kernel/Adam  (dropped)",
        f"{prefix}: would be 2 renamed, 1 dropped, 3 left",
    ]
    assert files(prefix.parent) == before


def test_edit_as_json(prefix):
    expected = {
        "path": str(prefix),
        "dry_run": True,
        "num_tensors": 3,
        "changes": [
            {"name": "model/bias", "new_name": "bias"},
            {"name": "model/kernel", "new_name": "k"},
            {"name": "model/kernel/Adam", "new_name": None},
        ],
    }
    assert json.loads(invoke("edit", prefix, *RENAME, "--dry-run", "--json").out) == expected
    assert json.loads(invoke("edit", prefix, *RENAME, "--json").out) == {**expected, "dry_run": False}


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([], "nothing to do: give --rename or --drop"),
        (["--rename", "model"], "'model' is not REGEX=>REPLACEMENT"),
        (["--rename", "(=>x"], "rename: '(': "),
        (["--rename", r"model=>\9"], "invalid group reference"),
        (["--rename", "nothing=>x"], "rename: 'nothing' is found in no name"),
        (["--drop", "nothing"], "drop: 'nothing' is found in no name"),
        (["--rename", "^model/.*=>x"], "would both have this name"),
        (["--drop", "."], "no tensor"),
    ],
)
def test_edit_refuses(prefix, rules, text, options):
    before = files(prefix.parent)
    result = invoke("edit", prefix, *rules, *options)
    assert (result.code, result.out) == (2, "")
    assert text in result.err
    assert len(result.err.splitlines()) == 1
    assert files(prefix.parent) == before


def test_dry_run_refuses_what_the_objects_forbid(tmp_path):
    prefix = tb.save_objects(tmp_path / "ckpt", {"model": {"w": np.zeros(3)}})
    results = [invoke("edit", prefix, "--rename", "VARIABLE_VALUE=>x", *more) for more in (["--dry-run"], [])]
    assert results[0] == results[1]
    assert results[0].code == 2
    assert "by which TensorFlow finds the value of an object" in results[0].err
    assert invoke("edit", prefix, "--rename", "^model=>net", "--dry-run").code == 0


# merge


@pytest.fixture
def parts(tmp_path) -> list[Path]:
    return [write_bundle(tmp_path / f"part-{number}", {f"w{number}": np.ones(8)}).prefix for number in range(2)]


def test_merge(parts, tmp_path):
    result = invoke("merge", *parts, tmp_path / "new")
    assert result == (0, f"{tmp_path / 'new'}: 2 tensors, 128 B, 2 data files, of 2 checkpoints\n", "")
    assert names(tmp_path / "new") == ["w0", "w1"]
    assert not list(tmp_path.glob("part-*"))


def test_merge_of_all_files_that_a_pattern_finds(parts, tmp_path):
    result = invoke("merge", *sorted(tmp_path.glob("part-*")), tmp_path / "new", "--keep-sources", "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == {
        "path": str(tmp_path / "new"),
        "sources": list(map(str, parts)),
        "kept_sources": True,
        "num_tensors": 2,
        "num_shards": 2,
        "nbytes": 128,
    }
    assert [names(part) for part in parts] == [["w0"], ["w1"]]


def test_merge_replaces_when_it_is_told_to(parts, tmp_path):
    assert invoke("merge", *parts, "--force").code == 0
    assert names(parts[1]) == ["w0"]
    assert not list(tmp_path.glob("part-0*"))


def test_merge_refuses(parts, tmp_path):
    twin = write_bundle(tmp_path / "twin", {"w0": np.zeros(8)}).prefix
    before = files(tmp_path)
    for arguments, text in (
        ([*parts, twin, tmp_path / "new"], 'tensor "w0"'),
        ([*parts, parts[0]], str(parts[0])),
        ([parts[0], tmp_path / "nothing", tmp_path / "new"], f"{tmp_path / 'nothing'}: no checkpoint here"),
        ([parts[0]], "Missing argument"),
        (parts, f"there is a checkpoint at '{parts[1]}': give --force to replace it"),  # DST was forgotten.
    ):
        result = invoke("merge", *arguments)
        assert (result.code, result.out) == (2, ""), arguments
        assert text in result.err
        assert len(result.err.splitlines()) == 1
    assert files(tmp_path) == before
