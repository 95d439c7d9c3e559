"""``tensorbundle diff``, ``stats``, ``salvage`` and ``average``, run as users run them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from support import corpus, stored
from support.bundle_writer import Mutations, write_bundle
from support.cli import invoke as run

import tensorbundle as tb
from tensorbundle.cli import average, diff, salvage, stats

jsonschema = pytest.importorskip("jsonschema")

TENSORS = {
    "kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "names": np.array([b"one", b"two"], object),
    "step": np.array(7, np.int64),
}


def run_json(module, *arguments):
    """Exit code and document, which fits the command's schema."""
    result = run(*arguments, "--json")
    document = json.loads(result.out)
    jsonschema.Draft202012Validator.check_schema(module.JSON_SCHEMA)
    jsonschema.validate(document, module.JSON_SCHEMA)
    return result.code, document


@pytest.fixture
def a(tmp_path):
    return tb.save(tmp_path / "a", TENSORS, durable=False)


@pytest.fixture
def b(tmp_path):
    kernel = TENSORS["kernel"].copy()
    kernel[1, 2], kernel[0, 0] = -6, np.nan
    return tb.save(tmp_path / "b", {"kernel": kernel, "step": np.array(7, np.int32), "new": np.ones(1)}, durable=False)


@pytest.fixture
def damaged(tmp_path):
    mutate = Mutations(data=lambda _, data: data.__setitem__(3, 1))
    return write_bundle(tmp_path / "damaged", TENSORS, mutate=mutate).prefix


# diff


def test_diff_of_equal_files(a):
    result = run("diff", a, a)
    assert (result.code, result.out, result.err) == (0, "3 equal\n", "")


def test_diff_by_the_index(a, b):
    result = run("diff", a, b)
    assert (result.code, result.err) == (1, "")
    assert result.out.splitlines() == [
        "tensor  is         how",
        "names   only in A",
        "new     only in B",
        "step    changed    int64 [] -> int32 []",
        "kernel  different  other checksum",
        "1 only in the first, 1 only in the second, 1 changed, 1 different, 0 equal",
    ]


def test_diff_by_values(a, b):
    result = run("diff", a, b, "--values", "--include", "kernel")
    assert result.code == 1
    assert result.out.splitlines()[1:] == [
        "kernel  different  2 of 12 elements, at most by inf (relative inf) at [0, 0]: 0.0 -> nan",
        "1 different, 0 equal",
    ]
    assert run("diff", a, b, "--include", "step", "--values").code == 1  # Another dtype.


def test_diff_with_a_tolerance(tmp_path, a):
    near = tb.save(tmp_path / "near", {**TENSORS, "kernel": TENSORS["kernel"] * np.float32(1.01)}, durable=False)
    assert run("diff", a, near).code == 1
    assert run("diff", a, near, "--rtol", "0.02").code == 0
    assert run("diff", a, near, "--atol", "0.01").code == 1


def test_diff_as_json(a, b):
    code, document = run_json(diff, "diff", a, b, "--values")
    assert (code, document["path_a"], document["same"], document["equal"]) == (1, a, False, 0)
    assert (document["only_a"], document["only_b"]) == (["names"], ["new"])
    assert document["changed"] == [
        {"name": "step", "dtype_a": "int64", "dtype_b": "int32", "shape_a": [], "shape_b": []}
    ]
    (kernel,) = document["different"]
    assert kernel == {
        "name": "kernel",
        "size": 12,
        "count": 2,
        "max_abs": "Infinity",
        "max_rel": "Infinity",
        "index": [0, 0],
        "a": 0.0,
        "b": "NaN",
    }
    assert run_json(diff, "diff", a, b)[1]["different"][0]["count"] is None
    assert run_json(diff, "diff", a, a)[0] == 0


def test_diff_imports_no_numpy(a):
    program = (
        "import sys; from tensorbundle.cli.app import app\n"
        f"try: app(['diff', {a!r}, {a!r}])\n"
        "except SystemExit as end: print(end.code, 'numpy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["3 equal", "0 False"]


# stats


def test_stats(tmp_path):
    prefix = tb.save(
        tmp_path / "c", {"x": np.array([3, 0, np.nan, -np.inf, -4], np.float32), "s": b"ab"}, durable=False
    )
    result = run("stats", prefix)
    assert (result.code, result.err) == (0, "")
    assert [line.split() for line in result.out.splitlines()] == [
        ["name", "dtype", "shape", "min", "max", "mean", "std", "norm", "zeros", "nan", "inf"],
        ["s", "string", "[]", "-", "-", "-", "-", "-", "-", "-", "-"],
        ["x", "float32", "[5]", "-4", "3", "-0.33333", "2.8674", "5", "1", "1", "1"],
        ["2", "tensors,", "6", "elements"],
    ]


def test_stats_of_some_and_in_another_order(tmp_path):
    tensors = {"a": np.full(2, 1.0), "b": np.full(2, 3.0), "c": np.full(2, 2.0), "d": np.zeros(0)}
    prefix = tb.save(tmp_path / "c", tensors, durable=False)

    def order(*options):
        return "".join(line[0] for line in run("stats", prefix, *options).out.splitlines()[1:-1])

    assert order() == order("--sort", "name") == "abcd"
    assert order("--sort", "mean") == order("--sort", "max") == "bcad"
    assert order("c", "a") == "ac"
    assert order("--exclude", "[ab]") == "cd"
    result = run("stats", prefix, "e")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("tensorbundle: Key 'e' not found in checkpoint")


def test_stats_as_json(tmp_path, a):
    code, document = run_json(stats, "stats", a)
    assert (code, document["path"]) == (0, a)
    kernel, names, step = document["tensors"]
    assert (kernel["name"], kernel["min"], kernel["max"], kernel["mean"], kernel["zeros"]) == (
        "kernel",
        0.0,
        11.0,
        5.5,
        1,
    )
    assert (names["string_bytes"], names["shortest"], names["longest"], names["norm"]) == (6, 3, 3, None)
    assert (step["min"], step["shape"], step["count"]) == (7, [], 1)
    most = tb.save(tmp_path / "most", {"x": np.full(3, np.finfo(np.float64).max)}, durable=False)
    assert run_json(stats, "stats", most)[1]["tensors"][0]["norm"] == "Infinity"


def test_stats_of_damage(damaged):
    result = run("stats", damaged)
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith('tensorbundle: tensor "kernel": ')
    assert len(result.err.splitlines()) == 1


# salvage


def test_salvage(tmp_path, damaged):
    result = run("salvage", damaged, tmp_path / "dst")
    assert (result.code, result.err) == (1, "")
    lost, total = result.out.splitlines()
    assert lost.startswith('lost: tensor "kernel": ')
    assert total == f"{tmp_path / 'dst'}: 2 tensors saved, 20 B, 1 lost"
    assert sorted(tb.load(tmp_path / "dst")) == ["names", "step"]


def test_salvage_of_what_is_sound(tmp_path, a):
    result = run("salvage", a, tmp_path / "dst", "--shards", 2)
    assert (result.code, result.out) == (0, f"{tmp_path / 'dst'}: 3 tensors saved, 68 B\n")
    assert stored.num_shards(tmp_path / "dst") == 2


def test_salvage_as_json(tmp_path, damaged):
    code, document = run_json(salvage, "salvage", damaged, tmp_path / "dst")
    (lost,) = document.pop("lost")
    assert (code, lost["name"], lost["shard"], lost["offset"]) == (1, "kernel", 0, 0)
    assert document == {
        "path": str(tmp_path / "dst"),
        "complete": False,
        "saved": ["names", "step"],
        "nbytes": 20,
        "missing_shards": [],
        "object_graph": None,
    }


def test_salvage_of_nothing(tmp_path):
    bundle = write_bundle(tmp_path / "gone", {"x": np.ones(3)})
    bundle.data_path().unlink()
    result = run("salvage", bundle.prefix, tmp_path / "dst", "--json")
    assert (result.code, json.loads(result.out)["kind"]) == (3, "DataLossError")
    assert "is intact, so nothing was saved" in result.err
    assert not (tmp_path / "dst.index").exists()


def test_salvage_onto_itself(damaged):
    result = run("salvage", damaged, damaged)
    assert (result.code, result.out) == (2, "")
    assert "is the damaged checkpoint itself" in result.err


# average


def test_average(tmp_path, a):
    other = tb.save(tmp_path / "o", {**TENSORS, "kernel": TENSORS["kernel"] + 2, "step": np.array(8)}, durable=False)
    result = run("average", a, other, tmp_path / "m", "--weights", "1,3")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "of the last checkpoint: step",
        f"{tmp_path / 'm'}: 1 tensor averaged, 2 copied",
    ]
    np.testing.assert_array_equal(tb.load(tmp_path / "m")["kernel"], TENSORS["kernel"] + np.float32(1.5))
    code, document = run_json(average, "average", a, other, tmp_path / "m", "--force", "--exclude", "names")
    assert (code, document) == (
        0,
        {"path": str(tmp_path / "m"), "averaged": ["kernel"], "copied": ["step"], "differing": ["step"]},
    )


def test_average_without_a_destination(tmp_path, a):
    """A forgotten DST would cost the last source."""
    other = tb.save(tmp_path / "o", TENSORS, durable=False)
    before = stored.files(tmp_path)
    result = run("average", a, other)
    assert (result.code, result.out) == (2, "")
    assert f"there is a checkpoint at {other!r}: give --force to replace it" in result.err
    assert stored.files(tmp_path) == before
    assert run("average", a).code == 2


def test_average_of_what_does_not_fit(tmp_path, a, b):
    result = run("average", a, b, tmp_path / "m")
    assert (result.code, result.out) == (2, "")
    assert "don't have the same tensors: only the first has 'names'" in result.err
    assert len(result.err.splitlines()) == 1
    assert run("average", a, tmp_path / "m", "--weights", "x").code == 2
    assert run("average", a, tmp_path / "m", "--weights", "1,2").code == 2


# All of them.


@pytest.mark.parametrize("command", ["diff", "stats", "salvage", "average"])
def test_help_and_schema(command):
    result = run(command, "--help")
    assert result.code == 0
    assert f"Examples:\n    tensorbundle {command} " in result.out
    schema = json.loads(run(command, "--json-schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.skipif(not corpus.checkpoints(), reason="the open corpus is absent")
@pytest.mark.parametrize("checkpoint", [c for c in corpus.checkpoints() if not c.complete], ids=lambda each: each.id)
def test_broken_samples(tmp_path, checkpoint):
    intact = sorted(name for name, tensor in checkpoint.tensors.items() if tensor.error is None)
    result = run("diff", checkpoint.prefix, checkpoint.prefix)
    assert (result.code, result.out) == (3, f"{len(checkpoint.tensors)} equal\n")
    assert len(result.err.splitlines()) == 1
    assert run("stats", checkpoint.prefix).code in {2, 3}
    code, document = run_json(salvage, "salvage", checkpoint.prefix, tmp_path / "dst") if intact else (3, None)
    if intact:
        assert (code, document["saved"]) == (1, intact)
    else:
        assert run("salvage", checkpoint.prefix, tmp_path / "dst").code == 3
    assert run("average", checkpoint.prefix, tmp_path / "m").code in {2, 3}
    assert not (tmp_path / "m.index").exists()
