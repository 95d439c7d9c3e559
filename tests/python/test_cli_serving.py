"""``tensorbundle serving``, run as users run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import corpus
from support.servable import files_in, write_model

from tensorbundle.saved_model import serving


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tensorbundle.cli", "serving", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models" / "m"


@pytest.fixture
def model(tmp_path) -> Path:
    write_model(tmp_path / "model", 5)
    return tmp_path / "model"


def damage(directory: Path) -> None:
    (directory / "saved_model.pb").write_bytes(b"\xff")


# check


def test_check_of_a_sound_base(base):
    write_model(base / "1")
    write_model(base / "20")
    result = run("check", base)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{base}: 2 versions, sound\n", "")
    result = run("check", base, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"path": str(base), "sound": True, "versions": [1, 20], "findings": []}


def test_check_with_findings(base):
    write_model(base / "1")
    (base / "1" / "assets" / "vocabulary.txt").unlink()
    (base / "v\x1b2").mkdir()
    result = run("check", base)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.splitlines() == [
        f"warning: {base}/v\\x1b2 is passed over: a version is named by a number below 2**63",
        f"error: {base}/1 has asset 'vocabulary.txt', which is missing",
        f"{base}: 1 version, 2 findings",
    ]
    result = run("check", base, "--json")
    assert (result.returncode, result.stderr) == (1, "")
    described = json.loads(result.stdout)
    assert (described["sound"], described["versions"]) == (False, [1])
    assert described["findings"][1] == {
        "version": 1,
        "path": str(base / "1"),
        "severity": "error",
        "text": "has asset 'vocabulary.txt', which is missing",
    }
    assert described["findings"][0]["version"] is None


def test_check_of_damage(base):
    write_model(base / "1")
    damage(base / "1")
    for options in ([], ["--json"]):
        result = run("check", base, *options)
        assert (result.returncode, result.stderr) == (3, "")
    assert json.loads(result.stdout)["findings"][0]["severity"] == "damage"


@pytest.mark.parametrize("command", ["check", "list"])
def test_no_such_base(base, command):
    result = run(command, base)
    message = f"tensorbundle: {base}: No such file or directory\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", message)
    result = run(command, base, "--json")
    assert (result.returncode, result.stderr) == (2, message)
    assert json.loads(result.stdout) == {
        "error": f"{base}: No such file or directory",
        "kind": "FileNotFoundError",
        "path": str(base),
    }


# list


def test_list(base):
    for name, size in [("00000007", 1000), ("1700000000", 3)]:
        (base / name / "assets").mkdir(parents=True)
        (base / name / "assets" / "a").write_bytes(bytes(size - 1))
        (base / name / "b").write_bytes(b"b")
    (base / "other").mkdir()
    result = run("list", base)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "   version  folder         size",
        "         7  00000007    1.00 kB",
        "1700000000  1700000000      3 B",
        f"2 versions, 1.00 kB: {base}",
    ]
    result = run("list", base, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {
        "path": str(base),
        "latest": str(base / "1700000000"),
        "versions": [
            {"version": 7, "path": str(base / "00000007"), "nbytes": 1000},
            {"version": 1700000000, "path": str(base / "1700000000"), "nbytes": 3},
        ],
    }


def test_list_of_an_empty_base(tmp_path):
    result = run("list", tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"0 versions, 0 B: {tmp_path}\n", "")
    assert json.loads(run("list", tmp_path, "--json").stdout) == {"path": str(tmp_path), "latest": None, "versions": []}


# publish


def test_publish(base, model):
    before = files_in(model)
    result = run("publish", model, base)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{base}/1\n", "")
    result = run("publish", model, base, "--version", "41", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"path": str(base / "41"), "version": 41}
    result = run("publish", model, base, "--keep", "2")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{base}/42\n", "")
    assert sorted(os.listdir(base)) == ["41", "42"]
    assert files_in(base / "41") == files_in(base / "42") == files_in(model) == before
    assert (base / "41" / "saved_model.pb").stat().st_nlink == 1
    result = run("publish", model, base, "--version", "timestamp")
    assert re.fullmatch(rf"{re.escape(str(base))}/[0-9]{{10}}\n", result.stdout)


def test_publish_by_moving(base, model):
    before = files_in(model)
    inode = (model / "saved_model.pb").stat().st_ino
    (model / "link").symlink_to("saved_model.pb")
    result = run("publish", model, base, "--move")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{base}/1\n", "")
    assert not model.exists()
    assert (base / "1" / "saved_model.pb").stat().st_ino == inode  # Nothing was copied.
    assert os.readlink(base / "1" / "link") == "saved_model.pb"
    (base / "1" / "link").unlink()
    assert files_in(base / "1") == before


def test_a_move_of_a_version_renumbers_it(base, model):
    shutil.copytree(model, base / "1")
    result = run("publish", base / "1", base, "--move")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{base}/2\n", "")
    assert os.listdir(base) == ["2"]


def test_a_move_that_is_refused_leaves_the_model(tmp_path, base, model):
    write_model(base / "1")
    before = files_in(tmp_path)
    result = run("publish", model, base, "--move", "--version", "1")
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"tensorbundle: {base}/1: File exists\n")
    assert files_in(tmp_path) == before


def test_a_link_to_a_model(tmp_path, base, model):
    (tmp_path / "link").symlink_to(model)
    before = files_in(model)
    assert run("publish", tmp_path / "link", base).returncode == 0
    assert not (base / "1").is_symlink()
    assert files_in(base / "1") == files_in(model) == before


def test_only_what_a_server_takes_is_published(base, model):
    (model / "assets" / "vocabulary.txt").unlink()
    text = "has asset 'vocabulary.txt', which is missing"
    result = run("publish", model, base)
    assert (result.returncode, result.stdout, result.stderr) == (
        1,
        f"error: {model} {text}\n{model}: not published\n",
        "",
    )
    result = run("publish", model, base, "--json")
    assert (result.returncode, result.stderr) == (1, "")
    assert json.loads(result.stdout) == {
        "path": str(model),
        "sound": False,
        "versions": [],
        "findings": [{"version": None, "path": str(model), "severity": "error", "text": text}],
    }
    damage(model)
    assert run("publish", model, base).returncode == 3
    assert not base.parent.exists()


def test_warnings_are_said_and_published(tmp_path, base):
    write_model(tmp_path / "model", change=lambda made: made.signature_def.clear())
    text = "has no signatures: it would be loaded, and answer no request"
    result = run("publish", tmp_path / "model", base)
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        f"{base}/1\n",
        f"warning: {tmp_path}/model {text}\n",
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--keep", "0"], "0 is not in the range x>=1"),
        (["--version", "-1"], "'-1' is neither a number from 0 to 2**63-1 nor 'timestamp'"),
        (["--version", str(2**63)], f"'{2**63}' is neither a number"),
        (["--version", "now"], "'now' is neither a number"),
    ],
)
def test_wrong_use_of_publish(base, model, options, text):
    result = run("publish", model, base, *options)
    assert (result.returncode, result.stdout) == (2, "")
    assert text in result.stderr
    assert not base.exists()


def test_publish_of_what_is_not_there(tmp_path, base):
    result = run("publish", tmp_path / "none", base)
    message = f"tensorbundle: {tmp_path}/none: No such file or directory\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", message)
    assert not base.exists()


def test_a_model_is_not_copied_into_itself(model):
    before = files_in(model)
    for base in (model, model / "base"):
        result = run("publish", model, base)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"Invalid value for BASE: {str(base)!r} is inside the model {str(model)!r}" in result.stderr
    assert files_in(model) == before


@pytest.mark.parametrize("command", [[], ["check"], ["list"], ["publish"]])
def test_help_has_examples(command):
    result = run(*command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"\n    tensorbundle serving {command[0] if command else 'publish'} " in result.stdout


def test_corpus(base):
    root = corpus.paths.corpus_directory()
    if root is None:
        pytest.skip("there is no corpus")
    source = root / "serving-half-plus-two-2-versions"
    assert run("check", source).stdout == f"{source}: 2 versions, sound\n"
    assert run("publish", source / "00000123", base).returncode == 0
    assert files_in(base / "1") == files_in(source / "00000123")
    assert serving.check(base)
