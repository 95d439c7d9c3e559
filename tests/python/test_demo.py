"""``tensorbundle demo``: its model is sound, its numbers are there, its answers are checked."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import zlib

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from support import tensorflow_oracle

import tensorbundle as tb
from tensorbundle.cli import demo, demo_modes, demo_process, demo_writer, output
from tensorbundle.cli.app import app

SIZE = 2_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small model: prefix, shapes, checksums, and how the writing was reported."""
    prefix = str(tmp_path_factory.mktemp("demo") / "bert.ckpt")
    shapes = demo_writer.bert_shapes(SIZE)
    reports: list[int] = []
    checksums = demo_writer.write(prefix, shapes, reports.append)
    return prefix, shapes, checksums, reports


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tensorbundle.cli", "demo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("size", [1_000_000, 20_000_000, 400_000_000, 1_340_000_000, 10**11])
def test_shapes_take_the_size_asked_for(size):
    shapes = demo_writer.bert_shapes(size)
    assert list(shapes) == sorted(shapes)
    assert 4 * sum(math.prod(shape) for shape in shapes.values()) == pytest.approx(size, rel=0.02)
    assert len({name.split("/")[2] for name in shapes if "/encoder/" in name}) == 24
    hidden = shapes["bert/pooler/dense/bias"][0]
    assert hidden % 16 == 0
    assert shapes["bert/encoder/layer_0/intermediate/dense/kernel"] == (hidden, 4 * hidden)


def test_shapes_at_berts_size_are_nearly_berts():
    shapes = demo_writer.bert_shapes(1_340_000_000)
    assert shapes["bert/embeddings/position_embeddings"] == (512, 1024)
    assert 25_000 < shapes["bert/embeddings/word_embeddings"][0] < 35_000


def test_model_is_sound(model):
    prefix, shapes, checksums, reports = model
    with tb.open(prefix) as ckpt:
        assert ckpt.verify()
        assert {entry.name: entry.shape for entry in ckpt.entries()} == shapes
        for name, array in ckpt.items():
            assert array.dtype == np.float32
            assert zlib.crc32(array) == checksums[name]
    assert reports == sorted(reports)
    assert reports[-1] == os.path.getsize(f"{prefix}.data-00000-of-00001")


def test_numbers_are_the_same_every_time(model):
    generator = np.random.default_rng(0)
    arrays = tb.load(model[0])
    for name, shape in model[1].items():
        assert np.array_equal(arrays[name].reshape(-1), generator.random(math.prod(shape), dtype=np.float32))


def test_tensor_of_several_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_writer, "_CHUNK_ELEMENTS", 7)
    reports: list[int] = []
    checksums = demo_writer.write(str(tmp_path / "ckpt"), {"a": (10, 2), "b": (3,)}, reports.append)
    assert reports == [28, 56, 80, 92]
    with tb.open(tmp_path / "ckpt") as ckpt:
        assert ckpt.verify()
        assert {name: zlib.crc32(array) for name, array in ckpt.items()} == checksums


def test_tensorflow_reads_the_model(model):
    tensorflow_oracle.require()
    prefix, shapes, checksums, _ = model
    arrays = tensorflow_oracle.read(prefix)
    assert arrays.keys() == shapes.keys()
    for name, array in arrays.items():
        assert zlib.crc32(array) == checksums[name]


@pytest.fixture
def quick_tensorflow(python_with_tensorflow, monkeypatch) -> None:
    """TensorFlow is there, and takes no time to start."""
    monkeypatch.setattr(sys, "executable", python_with_tensorflow)


@pytest.mark.parametrize("mode", [*demo_modes.MODES, "out"])
def test_measurement(request, model, mode):
    if mode == "tensorflow":
        request.getfixturevalue("quick_tensorflow")
    result = demo_process.run(mode, model[0], 2)
    assert result["correct"] is True
    assert 0 <= result["loading"] <= result["seconds"]
    assert (result["importing"] is None) == (mode != "tensorflow")
    size = sum(4 * math.prod(shape) for shape in model[1].values())
    assert result["nbytes"] == size if mode != "rows" else 0 < result["nbytes"] < size / 50


@pytest.mark.parametrize("mode", demo_modes.SAVING_MODES)
def test_measurement_of_saving(request, model, mode):
    if "tensorflow" in mode:
        request.getfixturevalue("quick_tensorflow")
    before = sorted(os.listdir(os.path.dirname(model[0])))
    result = demo_process.run(mode, model[0], 2)
    assert result["correct"] is True
    assert result["loading"] is None
    assert result["seconds"] > 0
    assert (result["importing"] is None) == ("tensorflow" not in mode)
    assert result["nbytes"] == sum(4 * math.prod(shape) for shape in model[1].values())
    assert sorted(os.listdir(os.path.dirname(model[0]))) == before


@pytest.mark.parametrize("mode", ["views", "out", "pread", "rows", "file", "save", "save_durable"])
def test_wrong_array_is_noticed(tmp_path, mode):
    prefix = str(tmp_path / "bert.ckpt")
    demo_writer.write(prefix, {"w": (200, 100)}, lambda _: None)
    with open(demo_writer.checksums_path(prefix), "w") as file:
        json.dump({"w": 1}, file)
    assert demo_process.run(mode, prefix, None)["correct"] is False


def test_failing_measurement_says_why(tmp_path):
    import click

    with pytest.raises(click.ClickException, match=r"^measuring 'views' failed with exit code 1: FileNotFoundError: "):
        demo_process.run("views", str(tmp_path / "nothing"), None)


def test_cache_is_filled_and_dropped(model):
    demo_process.fill_cache(model[0])
    if not demo_process.drop_cache(model[0]):
        pytest.skip("the page cache cannot be dropped here")
    file = os.open(f"{model[0]}.data-00000-of-00001", os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT)
        demo_process.fill_cache(model[0])
        assert os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    finally:
        os.close(file)


def test_demo_prints_a_table(request, tmp_path):
    if importlib.util.find_spec("tensorflow"):
        request.getfixturevalue("quick_tensorflow")
    result = run("--size", "1MB", "--rounds", 1, "--keep", tmp_path / "kept")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "A model shaped like BERT-large: 391 tensors, float32, 1.00 MB, in one data file."
    titles = next(line for line in lines if line.startswith("way "))
    assert titles.split()[:6] == ["way", "seconds", "loading", "GB/s", "memory", "checksums"]
    for title in (
        *("views of the file", "views, verify=False", "copies, copy=True", "into arrays that exist, out="),
        *("saving, durable=False", "saving, durable=True"),
    ):
        assert sum(line.startswith(title + "  ") for line in lines) == 1
    saving = next(line for line in lines if line.startswith("saving, durable=False")).split()[2:]
    assert (saving[1], saving[5]) == ("-", "stored")
    assert "Every array was compared with what was written: all are right." in lines
    assert f"  tensorbundle ls {tmp_path}/kept/bert.ckpt" in lines
    assert tb.open(tmp_path / "kept" / "bert.ckpt").verify()


def test_demo_as_json_without_tensorflow(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["demo", "--size", "1MB", "--rounds", "1", "--json", "--threads", "1"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    jsonschema.validate(report, demo.JSON_SCHEMA, jsonschema.Draft202012Validator)
    assert (report["tensors"], report["rounds"], report["threads"]) == (391, 1, 1)
    assert report["nbytes"] == pytest.approx(1_000_000, rel=0.02)
    modes = [row["mode"] for row in report["results"]]
    assert modes[:6] == ["views", "unverified", "copies", "out", "pread", "rows"]
    assert modes[-2:] == ["save", "save_durable"]
    assert not any("tensorflow" in mode for mode in modes)
    assert all(row["correct"] for row in report["results"])
    assert all(row["ratio"] is None for row in report["results"])
    assert not os.path.exists(os.path.dirname(report["path"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "many"], "'many' is not a size such as 400MB or 1.5GiB"),
        (["--size", "-1"], "'-1' is not a size such as 400MB or 1.5GiB"),
        (["--size", "1kB"], "--size must be at least 1.00 MB"),
        (["--size", "1000000TB"], "left, and the demo takes 2000000 TB: see --size"),
        (["--rounds", "0"], "Invalid value for '--rounds'"),
        (["--threads", "0"], "Invalid value for '--threads'"),
    ],
)
def test_wrong_options(options, message):
    result = run(*options)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_model_is_never_overwritten(tmp_path):
    (tmp_path / "bert.ckpt.index").write_bytes(b"mine")
    result = run("--size", "1MB", "--keep", tmp_path)
    assert result.returncode == 2
    assert f"{tmp_path} has a model already" in result.stderr
    assert (tmp_path / "bert.ckpt.index").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1000", 1000), ("400MB", 400_000_000), ("1.5GiB", 3 << 29), ("2 k", 2000), ("1kib", 1024), (".5gb", 500_000_000)],
)
def test_sizes(text, expected):
    assert output.parse_size(None, None, text) == expected


@pytest.mark.parametrize(
    ("nbytes", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (12_345, "12.3 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (400_000_000, "400 MB"),
        (1_340_000_000, "1.34 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_human_sizes(nbytes, expected):
    assert output.human_size(nbytes) == expected
