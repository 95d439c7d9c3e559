"""``tensorbundle show``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import write_bundle
from support.cli import invoke, run_on_a_terminal

import tensorbundle as tb
from tensorbundle.cli import tree

NAMES = {
    "model/dense/bias": np.zeros(3, np.float32),
    "model/dense/kernel": np.zeros((2, 3), np.float32),
    "model/dense/kernel/Adam": np.zeros((2, 3), np.float32),
    "model/norm/gamma": np.zeros(3, np.float32),
    "step": np.int64(7),
}


@pytest.fixture
def prefix(tmp_path) -> Path:
    return write_bundle(tmp_path / "ckpt", NAMES).prefix


@pytest.fixture
def objects(tmp_path) -> str:
    return tb.save_objects(tmp_path / "objects", {"model": {"w": np.zeros(3, np.float32)}, "step": np.int64(1)})


def test_tree(prefix):
    result = invoke("show", prefix)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "name          tensors  size  dtype    shape",
        "model/              4  72 B",
        "  dense/            3  60 B",
        "    bias               12 B  float32  [3]",
        "    kernel/         2  48 B  float32  [2, 3]",
        "      Adam             24 B  float32  [2, 3]",
        "  norm/gamma           12 B  float32  [3]",
        "step                    8 B  int64    []",
        f"5 tensors, 80 B: {prefix}",
    ]


def test_depth_and_selection(prefix):
    assert invoke("show", prefix, "--depth", 1, "--bytes").out.splitlines()[1:] == [
        "model/        4    72",
        "step                8  int64  []",
        f"5 tensors, 80: {prefix}",
    ]
    assert invoke("show", prefix, "model/dense", "--exclude", "Adam").out.splitlines()[1:] == [
        "model/dense/        2  36 B",
        "  bias                 12 B  float32  [3]",
        "  kernel               24 B  float32  [2, 3]",
        f"2 tensors, 36 B: {prefix}",
    ]


def test_as_json(prefix):
    result = invoke("show", prefix, "--json")
    assert (result.code, result.err) == (0, "")
    described = json.loads(result.out)
    assert (described["path"], described["objects"]) == (str(prefix), None)
    root = described["root"]
    assert (root["name"], root["num_tensors"], root["nbytes"], root["tensor"]) == ("", 5, 80, None)
    model, step = root["children"]
    assert [child["name"] for child in model["children"]] == ["dense", "norm/gamma"]
    assert (step["name"], step["tensor"]["dtype"], step["children"]) == ("step", "int64", [])
    (cut, _) = json.loads(invoke("show", prefix, "--json", "--depth", 1).out)["root"]["children"]
    assert (cut["num_tensors"], cut["children"]) == (4, [])


def test_objects(objects):
    result = invoke("show", objects, "--objects")
    with tb.open(objects) as ckpt:
        assert result == (0, f"{ckpt.object_graph}\n", "")
    described = json.loads(invoke("show", objects, "--objects", "--json").out)
    assert described["root"] is None
    assert [node["path"] for node in described["objects"]] == ["", "model", "step", "save_counter", "model/w"]
    assert described["objects"][0]["children"] == {"model": 1, "step": 2, "save_counter": 3}
    assert [value["key"] for value in described["objects"][4]["values"]] == ["model/w/.ATTRIBUTES/VARIABLE_VALUE"]


def test_paths_of_objects(objects):
    assert invoke("show", objects, "--names", "path", "model").out.splitlines()[1].split() == [
        *("model/w", "12", "B", "float32", "[3]")
    ]


def test_objects_where_there_are_none(prefix):
    result = invoke("show", prefix, "--objects")
    assert (result.code, result.out) == (2, "")
    assert result.err == f"tensorbundle: no objects are stored in '{prefix}': its tensors were saved by name\n"
    assert invoke("show", prefix, "step", "--objects").code == 2


def test_on_a_terminal(prefix):
    code, written = run_on_a_terminal("show", prefix)
    assert code == 0
    assert "norm/gamma" in written
    assert "─" in written


def test_names_that_are_odd(tmp_path):
    names = ["/", "//a", "a/", "a//b", "\x1b/\n"]
    prefix = write_bundle(tmp_path / "ckpt", dict.fromkeys(names, np.zeros(1, np.uint8))).prefix
    lines = invoke("show", prefix).out.splitlines()
    assert [line.split("  ")[0].strip() or line.split()[0] for line in lines[1:-1]]
    assert "\x1b" not in "".join(lines)
    with tb.open(prefix) as ckpt:
        root = tree.grown(ckpt.entries())
    assert root.num_tensors == 5
    assert sorted(node.entry.name for _, node in tree.walked(root) if node.entry) == sorted(names)


def test_tree_as_deep_as_it_likes(tmp_path):
    names = ["/".join(["a"] * depth) for depth in range(1, 5_000, 50)]
    prefix = write_bundle(tmp_path / "ckpt", dict.fromkeys(names, np.zeros(1, np.uint8))).prefix
    for options in ([], ["--json"]):
        result = invoke("show", prefix, *options)
        assert (result.code, result.err) == (0, "")
    with tb.open(prefix) as ckpt:
        assert max(level for level, _ in tree.walked(tree.grown(ckpt.entries()))) < 100
