"""``tensorbundle verify``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import Mutations, write_bundle
from support.cli import invoke as run
from support.cli import run_on_a_terminal

import tensorbundle as tb

TENSORS = {
    "dense/kernel": np.zeros((300, 400), np.float32),
    "step": np.array(7, np.int64),
    "names": [b"one", b"two"],
    "parts": np.arange(8.0),
}
SLICES = {"parts": ["0,4", "4,4"]}


@pytest.fixture
def prefix(tmp_path) -> Path:
    return write_bundle(tmp_path / "ckpt", TENSORS, slices=SLICES).prefix


@pytest.fixture
def damaged(tmp_path) -> Path:
    mutate = Mutations(data=lambda _, data: data.__setitem__(0, 1))
    return write_bundle(tmp_path / "damaged", TENSORS, mutate=mutate).prefix


@pytest.fixture
def incomplete(tmp_path) -> Path:
    bundle = write_bundle(tmp_path / "incomplete", {"a": np.zeros(3), "b": np.zeros(3)}, shards=2)
    bundle.data_path(1).unlink()
    return bundle.prefix


def test_verify_sound(prefix):
    result = run("verify", prefix)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{prefix}: 4 tensors, 480 kB, sound\n"


def test_verify_damaged(damaged):
    result = run("verify", damaged, "--threads", 2)
    assert (result.code, result.err) == (3, "")
    first, second, last = result.out.splitlines()
    assert first.startswith('damaged: tensor "dense/kernel": ')
    assert second.startswith(f"{damaged}.data-00000-of-00001: flipped: 1 of its 4 tensors fail their checksums: ")
    assert last == f"{damaged}: 4 tensors, 480 kB, 1 damaged"


def test_verify_counts_a_tensor_once(tmp_path):
    def change(_: int, data: bytearray) -> None:
        data[0] ^= 1
        data[32] ^= 1

    prefix = write_bundle(
        tmp_path / "ckpt", {"parts": TENSORS["parts"]}, slices=SLICES, mutate=Mutations(data=change)
    ).prefix
    result = run("verify", prefix)
    assert result.code == 3
    *damaged, _, last = result.out.splitlines()
    assert len(damaged) == 2
    assert last == f"{prefix}: 1 tensor, 64 B, 1 damaged"


def test_verify_as_json(prefix, damaged):
    sound = run("verify", prefix, "--json")
    assert (sound.code, sound.err) == (0, "")
    assert json.loads(sound.out) == {
        "path": str(prefix),
        "sound": True,
        "checked": 4,
        "nbytes": 480084,
        "damaged": [],
        "files": [],
        "missing_shards": [],
    }
    result = run("verify", damaged, "--json")
    assert result.code == 3
    report = json.loads(result.out)
    assert report["sound"] is False
    (damage,) = report["damaged"]
    with tb.open(damaged) as ckpt:
        (expected,) = ckpt.verify().damaged
    assert damage == {**vars(expected), "cause": str(expected.cause), "kind": "flipped"}
    (file,) = report["files"]
    assert (file["path"], file["cause"]) == (f"{damaged}.data-00000-of-00001", "flipped")
    assert (file["num_tensors"], file["damaged"]) == (4, ["dense/kernel"])


def test_verify_with_a_missing_file(incomplete):
    result = run("verify", incomplete)
    assert result.code == 3
    assert result.out.splitlines()[-1] == f"{incomplete}: 2 tensors, 24 B, 1 damaged"


def test_verify_shows_progress_on_a_terminal_only(prefix):
    code, written = run_on_a_terminal("verify", prefix)
    assert code == 0
    assert "verifying" in written
    assert run("verify", prefix).err == ""


def test_verify_some_tensors(damaged):
    assert run("verify", damaged, "step", "names") == (0, f"{damaged}: 2 tensors, 20 B, sound\n", "")
    assert run("verify", damaged, "dense/kernel").code == 3
    result = run("verify", damaged, "nothing")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("tensorbundle: Key 'nothing' not found in checkpoint ")


def test_verify_says_what_happened_to_each_file(tmp_path):
    values = {f"w{number}": np.full(number + 1, number) for number in range(9)}
    bundle = write_bundle(tmp_path / "ckpt", values, shards=3)
    other = write_bundle(tmp_path / "other", {name: value + 1 for name, value in values.items()}, shards=3)
    shutil.copy(other.data_path(0), bundle.data_path(0))
    bundle.data_path(2).unlink()
    result = run("verify", bundle.prefix)
    assert (result.code, result.err) == (3, "")
    first, second = result.out.splitlines()[6:8]
    assert first.startswith(f"{bundle.data_path(0)}: foreign: 3 of its 3 tensors fail, while those of other files are")
    assert second.startswith(f"{bundle.data_path(2)}: missing: No such file or directory, so 3 of its 3 tensors can't")
    report = json.loads(run("verify", bundle.prefix, "--json").out)
    assert [(file["cause"], file["damaged"]) for file in report["files"]] == [
        ("foreign", ["w0", "w3", "w6"]),
        ("missing", ["w2", "w5", "w8"]),
    ]
    assert [damage["kind"] for damage in report["damaged"]] == ["foreign", "missing"] * 3
