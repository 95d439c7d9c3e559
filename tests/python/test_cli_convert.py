"""``tensorbundle convert``: options, rules from a file, what it prints, exit codes."""

from __future__ import annotations

import json
import os

import jsonschema
import numpy as np
import pytest
from support import cli
from support.hashing import assert_same_bits
from support.processes import start_python

import tensorbundle as tb
from tensorbundle import formats
from tensorbundle.cli import convert

TENSORS = {
    "dense/bias": np.zeros(3, np.float32),
    "dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "names": [b"a", b"b"],
    "step": np.array(7, np.int64),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tb.save("ckpt", TENSORS, durable=False)
    return tmp_path


def read_all(path):
    with formats.open_source(path) as source:
        return {spec.name: source.read(spec.name) for spec in source.tensors()}


def test_convert_says_what_it_made(folder):
    outcome = cli.invoke("convert", "ckpt", "out.safetensors", "--exclude", "names")
    assert outcome == (0, f"{folder}/out.safetensors: 3 tensors, 44 B, safetensors, 1 file\n", "")
    assert sorted(read_all("out.safetensors")) == ["dense/bias", "dense/kernel", "step"]


def test_what_is_skipped_is_said(folder):
    outcome = cli.invoke("convert", "ckpt", "out.npz", "--skip-unsupported", "--exclude", "bias")
    assert outcome.out == f"{folder}/out.npz: 2 tensors, 32 B, npz, 1 file\n"
    assert outcome.err == "left out: names: string, which npz can't hold\n"


def test_dry_run_shows_a_table_and_writes_nothing(folder):
    before = sorted(os.listdir())
    options = [
        "--include",
        "dense",
        "--rename",
        "^dense/=>layer.",
        "--cast",
        "kernel=bfloat16",
        "--transpose",
        "kernel",
    ]
    outcome = cli.invoke("convert", "ckpt", "out.safetensors", *options, "--dry-run")
    assert outcome.err == ""
    assert outcome.out.splitlines() == [
        "tensor                        dtype                shape             size  file",
        "dense/bias -> layer.bias      float32              [3]               12 B     0",
        "dense/kernel -> layer.kernel  float32 -> bfloat16  [2, 3] -> [3, 2]  12 B     0",
        "left out: names: not chosen",
        "left out: step: not chosen",
        f"{folder}/out.safetensors: would be 2 tensors, 24 B, safetensors, 1 file",
    ]
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("dry_run", [True, False])
def test_document_has_its_schema(folder, dry_run):
    options = ["--rename", "^dense/=>", "--shards", "2", "--metadata", "format=pt", "--exclude", "names", "--json"]
    outcome = cli.invoke("convert", "ckpt", "m.safetensors", *options, *(["--dry-run"] if dry_run else []))
    document = json.loads(outcome.out)
    jsonschema.validate(document, convert.JSON_SCHEMA)
    index = f"{folder}/m.safetensors.index.json"
    assert (document["source"], document["path"], document["to"]) == (f"{folder}/ckpt", index, "safetensors")
    assert (document["dry_run"], document["num_files"], document["nbytes"]) == (dry_run, 2, 44)
    assert len(document["files"]) == (0 if dry_run else 3)
    assert [tensor["name"] for tensor in document["tensors"]] == ["bias", "kernel", "step"]
    assert document["left_out"] == [{"name": "names", "reason": "not chosen"}]


def test_rules_come_from_a_file_and_then_from_the_options(folder):
    (folder / "rules.toml").write_text(
        r"""
        [[rename]]
        from = '^dense/(\w+)$'
        to = 'layer/\1'
        [[cast]]
        pattern = "kernel"
        dtype = "float64"
        [[cast]]
        pattern = "bias"
        dtype = "float16"
        [[transpose]]
        pattern = "kernel"
        axes = [1, 0]
        """
    )
    outcome = cli.invoke("convert", "ckpt", "out", "--rules", "rules.toml", "--rename", "^layer=>block")
    assert outcome.code == 0
    found = read_all("out")
    assert_same_bits(found["block/kernel"], TENSORS["dense/kernel"].T.astype(np.float64))
    assert_same_bits(found["block/bias"], np.zeros(3, np.float16))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rename]", "rules.toml: it is no TOML: "),
        ("a = 1", "rules.toml: expected [[rename]], [[cast]] and [[transpose]], found a"),
        ("rename = 1", "rules.toml: expected [[rename]], a list of tables"),
        ('[[rename]]\nfrom = "a"', "rules.toml: [[rename]] number 1: expected from and to, found from"),
        (
            '[[transpose]]\npattern = "a"\nname = "b"',
            "rules.toml: [[transpose]] number 1: expected pattern, perhaps axes, found pattern, name",
        ),
        (
            '[[cast]]\ndtype = "float16"\n[[cast]]\npattern = "a"\ndtype = "float16"',
            "a cast of all tensors excludes others",
        ),
        ("[[cast]]\ndtype = 5", "rules.toml: [[cast]] number 1: expected text as dtype, found 5"),
        (
            '[[transpose]]\npattern = "a"\naxes = 1',
            "rules.toml: [[transpose]] number 1: expected a list of integers as axes, found 1",
        ),
        (
            '[[transpose]]\npattern = "a"\naxes = ["1", 0]',
            "rules.toml: [[transpose]] number 1: expected a list of integers as axes, found ['1', 0]",
        ),
    ],
)
def test_file_of_rules_that_is_none_is_said(folder, text, message):
    (folder / "rules.toml").write_text(text)
    outcome = cli.invoke("convert", "ckpt", "out", "--rules", "rules.toml")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"tensorbundle: {message}"), outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rename", "a"], "--rename: 'a' is not REGEX=>TEXT"),
        (["--rename", "nothing=>b"], "rename: 'nothing' is found in no name of the 4 tensors it comes to"),
        (["--rename", "^dense/.*=>d"], "'dense/bias' and 'dense/kernel' would both be called 'd'"),
        (["--cast", "float17"], "cast: 'float17' is no element type"),
        (["--max-shard-size", "much"], "Invalid value for '--max-shard-size': 'much' is not a size"),
        (["--shards", "2", "--max-shard-size", "1GB"], "shards and max_shard_bytes exclude each other"),
        (["--metadata", "a"], "Invalid value for '--metadata': 'a' is not KEY=TEXT"),
        (["--workers", "2", "--dask", "tcp://a:1"], "--workers and --dask exclude each other"),
        (["--to", "npz"], "npz can't hold 1 of the tensors: 'names' (string); leave them out with exclude"),
        (["--rules", "nowhere.toml"], "nowhere.toml: No such file or directory"),
    ],
)
def test_wrong_use_is_one_line(options, message):
    before = sorted(os.listdir())
    outcome = cli.invoke("convert", "ckpt", "out", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"tensorbundle: {message}"), outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert sorted(os.listdir()) == before


def test_damaged_source_is_exit_code_3(folder):
    with open("ckpt.data-00000-of-00001", "r+b") as file:
        file.write(b"\xff")
    outcome = cli.invoke("convert", "ckpt", "out", "--alignment", "128", "--json")
    assert outcome.code == 3
    assert json.loads(outcome.out)["kind"] == "DataLossError"
    assert not (folder / "out.index").exists()


def test_options_reach_the_conversion(folder):
    outcome = cli.invoke("convert", "ckpt", "out", "--link", "--rename", "^dense/=>d/", "--threads", "1", "--durable")
    assert outcome.code == 0
    assert os.path.samefile("ckpt.data-00000-of-00001", "out.data-00000-of-00001")
    assert cli.invoke("convert", "ckpt", "b", "--alignment", "4096", "--no-verify", "--no-durable").code == 0
    with tb.open("b") as made:
        assert made.entry("step").offset % 4096 == 0
    assert cli.invoke("convert", "ckpt", "c.npz", "--transpose", "kernel=1,0", "--exclude", "names").code == 0
    assert_same_bits(read_all("c.npz")["dense/kernel"], TENSORS["dense/kernel"].T)
    tb.save_objects("objects", {"m": {"w": np.ones(2)}}, durable=False)
    assert cli.invoke("convert", "objects", "d.npz", "--names", "path", "--include", "^m/").code == 0
    assert list(read_all("d.npz")) == ["m/w"]


def test_workers_are_processes(folder):
    outcome = cli.run("convert", "ckpt", "out", "--workers", "2", "--max-shard-size", "20B")
    assert (outcome.code, outcome.err) == (
        0,
        "note: larger than max_shard_bytes and alone in a file: 'dense/kernel'\n",
    )
    assert cli.invoke("convert", "ckpt", "serial", "--max-shard-size", "20B").code == 0
    assert (folder / "out.index").read_bytes() == (folder / "serial.index").read_bytes()


INTERRUPTED = """
import os, signal, sys, time
from tensorbundle.cli import __main__, worker_pool
delay = float(sys.argv.pop())
submit = worker_pool.WorkerPool.submit
def interrupted(pool, *arguments):
    future = submit(pool, *arguments)
    time.sleep(delay)  # Workers are about to start, or have.
    os.killpg(0, signal.SIGINT)
    return future
worker_pool.WorkerPool.submit = interrupted
__main__.main()
"""


@pytest.mark.parametrize("delay", [0.05, 0.3, 1])
def test_ctrl_c_is_one_line_with_workers_too(folder, delay):
    arguments = ["convert", "ckpt", "out.safetensors", "--exclude", "names", "--workers", "1", delay]
    with start_python(INTERRUPTED, *arguments, start_new_session=True) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "tensorbundle: interrupted\n")
    assert sorted(os.listdir()) == ["ckpt.data-00000-of-00001", "ckpt.index"]


def test_dry_run_asks_no_cluster(folder):
    outcome = cli.invoke("convert", "ckpt", "out", "--dask", "tcp://127.0.0.1:1", "--dry-run")
    assert (outcome.code, outcome.err) == (0, "")


def test_of_rules_with_the_same_pattern_the_first_counts(folder):
    rules = ["--cast", "kernel=float16", "--cast", "kernel=bfloat16", "--json", "--dry-run"]
    made = json.loads(cli.invoke("convert", "ckpt", "out", *rules).out)
    assert {each["dtype"] for each in made["tensors"] if "kernel" in each["name"]} == {"float16"}


def test_workers_of_a_cluster_are_reached_by_its_address(folder):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        outcome = cli.run(
            "convert", f"{folder}/ckpt", f"{folder}/out", "--dask", cluster.scheduler_address, "--shards", "2"
        )
    assert (outcome.code, outcome.out) == (0, f"{folder}/out: 4 tensors, 52 B, checkpoint, 2 files\n"), outcome.err
    assert sorted(tb.open("out")) == sorted(TENSORS)
