"""``tensorbundle ls``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import write_bundle
from support.cli import invoke, run, run_after, run_on_a_terminal

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
def incomplete(tmp_path) -> Path:
    bundle = write_bundle(tmp_path / "incomplete", {"a": np.zeros(3), "b": np.zeros(3)}, shards=2)
    bundle.data_path(1).unlink()
    return bundle.prefix


def test_ls_is_aligned_text(prefix):
    result = run("ls", prefix)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "name          dtype    shape         size     shard",
        "dense/kernel  float32  [300, 400]  480 kB         0",
        "names         string   [2]           12 B         0",
        "parts         float64  [8]           64 B  2 slices",
        "step          int64    []             8 B         0",
        f"4 tensors, 480 kB, 1 data file: {prefix}",
    ]


def test_ls_as_json(prefix):
    result = run("ls", prefix, "--json")
    assert (result.code, result.err) == (0, "")
    listed = json.loads(result.out)
    assert {key: value for key, value in listed.items() if key != "tensors"} == {
        "path": str(prefix),
        "num_tensors": 4,
        "num_shards": 1,
        "nbytes": 480084,
        "num_listed": 4,
        "nbytes_listed": 480084,
        "problems": {},
        "missing_shards": [],
    }
    with tb.open(prefix) as ckpt:
        for tensor, entry in zip(listed["tensors"], ckpt.entries(), strict=True):
            assert tensor == {
                "name": entry.name,
                "key": entry.name,
                "dtype": entry.tf_dtype,
                "shape": list(entry.shape),
                "nbytes": entry.nbytes,
                "shard": entry.shard,
                "offset": entry.offset,
                "crc32c": entry.crc32c,
                "slices": [[[0, 4]], [[4, 8]]] if entry.name == "parts" else [],
            }


def test_ls_on_a_terminal(prefix):
    code, written = run_on_a_terminal("ls", prefix)
    assert code == 0
    assert "dense/kernel" in written
    assert "\u2500" in written  # The line under the titles.


@pytest.mark.parametrize(("options", "with_click"), [([], False), (["--json"], True), (["--sort", "size"], True)])
def test_ls_reads_the_index_alone(prefix, options, with_click):
    heavy = ("numpy", "rich", "google", "ml_dtypes", "subprocess", "click")
    preparation = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([name for name in {heavy} if name in sys.modules], file=sys.stderr))"
    )
    result = run_after(preparation, "ls", prefix, *options)
    assert (result.code, result.err) == (0, f"{['click'] if with_click else []}\n")


def test_plain_list_is_that_of_the_command(prefix):
    for arguments in ([prefix], [prefix, "dense", "st*"], [prefix, "nothing"], [prefix.parent / "nothing"]):
        assert run("ls", *arguments) == invoke("ls", *arguments)


def names_of(*arguments):
    result = invoke("ls", *arguments)
    assert (result.code, result.err) == (0, ""), result
    return [line.split()[0] for line in result.out.splitlines()[1:-1]]


@pytest.fixture
def layers(tmp_path) -> Path:
    names = ["a/layer_0/bias", "a/layer_0/kernel", "a/layer_1/bias", "a/layer_10/kernel", "b[0]", "b0", "step"]
    values = {name: np.zeros(len(names) - number, np.uint8) for number, name in enumerate(names)}
    return write_bundle(tmp_path / "layers", values, shards=2, shard_of=lambda name, _: int(name < b"a/layer_1")).prefix


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["a/layer_1"], ["a/layer_1/bias"]),
        (["a/layer_1/"], ["a/layer_1/bias"]),
        (["*/kernel"], ["a/layer_0/kernel", "a/layer_10/kernel"]),
        (["a*bias", "step"], ["a/layer_0/bias", "a/layer_1/bias", "step"]),
        (["a/layer_?/*"], ["a/layer_0/bias", "a/layer_0/kernel", "a/layer_1/bias"]),
        (["a/layer_[!0]*"], ["a/layer_1/bias", "a/layer_10/kernel"]),
        (["b[0]"], ["b0"]),
        (["b[[]0]"], ["b[0]"]),
    ],
)
def test_ls_with_patterns(layers, patterns, found):
    assert names_of(layers, *patterns) == found


@pytest.mark.parametrize(("pattern", "text"), [("nothing", "Key 'nothing' not found"), ("x*", "fits 'x*': it has 7")])
def test_pattern_that_fits_nothing(layers, pattern, text):
    result = invoke("ls", layers, "step", pattern)
    assert (result.code, result.out) == (2, "")
    assert text in result.err


def test_ls_with_regular_expressions(layers):
    assert names_of(layers, "--include", "^a/", "--include", "^step$", "--exclude", "bias") == [
        "a/layer_0/kernel",
        "a/layer_10/kernel",
        "step",
    ]
    assert invoke("ls", layers, "--include", "nothing").out.splitlines()[-1] == (
        f"0 tensors of 7, 0 B, 2 data files: {layers}"
    )


def test_ls_in_order(layers):
    by_name = list(tb.open(layers))
    by_size = [*by_name[:4], "b[0]", "b0", "step"]
    assert names_of(layers) == by_name
    assert names_of(layers, "--reverse") == by_name[::-1]
    assert names_of(layers, "--sort", "size") == by_size
    assert names_of(layers, "--sort", "size", "--reverse") == by_size[::-1]
    assert names_of(layers, "--sort", "shard") == [*by_name[2:4], "b[0]", "b0", "step", *by_name[:2]]


def test_ls_counts_what_is_listed(layers):
    result = invoke("ls", layers, "a", "--bytes")
    assert result.out.splitlines()[-1] == f"4 tensors of 7, 22, 2 data files: {layers}"
    assert result.out.splitlines()[1].split() == ["a/layer_0/bias", "uint8", "[7]", "7", "1"]
    listed = json.loads(invoke("ls", layers, "a", "--json").out)
    assert {key: listed[key] for key in ("num_tensors", "nbytes", "num_listed", "nbytes_listed")} == {
        "num_tensors": 7,
        "nbytes": 28,
        "num_listed": 4,
        "nbytes_listed": 22,
    }


def test_ls_by_other_names(tmp_path):
    prefix = tb.save_objects(tmp_path / "ckpt", {"model": {"w": np.zeros(3, np.float32)}})
    key = "model/w/.ATTRIBUTES/VARIABLE_VALUE"
    assert key in names_of(prefix)
    assert names_of(prefix, "--names", "path", "model") == ["model/w"]
    (tensor,) = json.loads(invoke("ls", prefix, "--names", "path", "model", "--json").out)["tensors"]
    assert (tensor["name"], tensor["key"]) == ("model/w", key)


def test_ls_of_many_tensors(tmp_path):
    names = [f"tower_{number % 100:02}/layer_{number}/w" for number in range(20_000)]
    prefix = write_bundle(tmp_path / "ckpt", dict.fromkeys(names, np.zeros(1, np.uint8))).prefix
    result = invoke("ls", prefix)
    assert result.code == 0
    assert [line.split()[0] for line in result.out.splitlines()[1:-1]] == sorted(names)
    assert result.out.splitlines()[-1] == f"20000 tensors, 20.0 kB, 1 data file: {prefix}"


def test_ls_says_what_cannot_be_read(incomplete):
    for options in ([], ["--json"]):
        result = run("ls", incomplete, *options)
        assert result.code == 3
        assert len(result.err.splitlines()) == 1
        assert result.err.startswith("can't be read: ")
        assert f"{incomplete}.data-00001-of-00002" in result.err
        assert '"b"' in result.err
    assert list(json.loads(result.out)["problems"]) == ["b"]


def test_names_cannot_act_upon_the_terminal(tmp_path):
    prefix = write_bundle(
        tmp_path / "ckpt", {b"\x1b[31mred\x07\xff\n": np.zeros(1), "gr\u00fc\u00df": np.zeros(1)}
    ).prefix
    result = run("ls", prefix)
    assert result.code == 0
    assert "\x1b" not in result.out
    assert result.out.splitlines()[1].startswith("\\x1b[31mred\\x07\\udcff\\n  float64")
    assert result.out.splitlines()[2].startswith("gr\u00fc\u00df  ")
    names = [tensor["name"] for tensor in json.loads(run("ls", prefix, "--json").out)["tensors"]]
    assert names == ["\x1b[31mred\x07\udcff\n", "gr\u00fc\u00df"]


def test_markup_in_names_is_text(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"[bold]w[/bold]": np.zeros(1)}).prefix
    assert "[bold]w[/bold]" in run_on_a_terminal("ls", prefix)[1]
