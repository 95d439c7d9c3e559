"""``edit``: names change and tensors go, in the index alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import saving
from support.bundle_reader import index_entries, table_records
from support.bundle_writer import Mutations, write_bundle
from support.hashing import assert_same_bits
from support.processes import SECONDS, command, environment
from support.publish import data_path, index_path
from support.wire import bytes_field

import tensorbundle as tb

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
TENSORS = {
    "model/dense/bias": np.arange(3, dtype=np.float32),
    "model/dense/kernel": np.arange(12, dtype=np.float32).reshape(4, 3),
    "model/dense/kernel/Adam": np.zeros((4, 3), np.float32),
    "step": np.int64(100),
}


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_holds(prefix: Path | str, tensors: Mapping[str, Any]) -> None:
    """All of these, no others, every checksum right."""
    found = tb.load(prefix)
    assert list(found) == sorted(tensors)
    for name, value in tensors.items():
        assert_same_bits(found[name], value, name)


@pytest.fixture
def ckpt(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "ckpt", TENSORS).prefix


def test_renames_and_drops_in_place(ckpt):
    data = data_path(ckpt, 0, 1)
    before = (data.read_bytes(), data.stat())
    assert tb.edit(ckpt, rename=[("^model/", ""), ("bias$", "b")], drop="/Adam$") == str(ckpt)
    assert_holds(
        ckpt,
        {
            "dense/b": TENSORS["model/dense/bias"],
            "dense/kernel": TENSORS["model/dense/kernel"],
            "step": TENSORS["step"],
        },
    )
    assert (data.read_bytes(), data.stat()) == before
    assert len(list(ckpt.parent.iterdir())) == 2


def test_rules_are_those_of_re(ckpt):
    rules = [(r"(\w+)/(\w+)/(?P<last>\w+)", r"\2.\g<last>.\1"), (re.compile("KERNEL", re.IGNORECASE), "k"), ("e", "E")]
    tb.edit(ckpt, rename=rules)
    assert list(tb.open(ckpt)) == ["dEnsE.bias.modEl", "dEnsE.k.modEl", "dEnsE.k.modEl/Adam", "stEp"]


def test_rules_apply_one_after_the_other(ckpt):
    tb.edit(ckpt, rename=[("step", "bias_"), ("bias", "b"), ("b_", "step")])
    assert list(tb.open(ckpt)) == ["model/dense/b", "model/dense/kernel", "model/dense/kernel/Adam", "step"]


def test_drop_looks_at_old_names_and_rename_at_what_is_left(ckpt):
    tb.edit(ckpt, rename=[("^model", "x")], drop=["Adam", "^model/dense/b"])
    assert list(tb.open(ckpt)) == ["step", "x/dense/kernel"]
    with pytest.raises(ValueError, match=r"^rename: 'step' is found in no name of the 1 tensors it comes to$"):
        tb.edit(ckpt, rename=[("step", "s")], drop="step")


def test_names_can_change_places(ckpt):
    tb.edit(ckpt, rename=[("^step$", "tmp"), ("^model/dense/bias$", "step"), ("^tmp$", "model/dense/bias")])
    assert tb.load(ckpt, ["step"])["step"].tolist() == [0, 1, 2]


def test_readers_keep_what_they_have_opened(ckpt):
    with tb.open(ckpt) as before:
        tb.edit(ckpt, drop="Adam")
        assert_same_bits(before["model/dense/kernel/Adam"], TENSORS["model/dense/kernel/Adam"])


@pytest.mark.parametrize("form", ["ckpt.index", "ckpt.data-00000-of-00001", "checkpoint", ""])
def test_any_path_that_open_takes(tmp_path, ckpt, form, monkeypatch):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt"\n')
    assert tb.edit(tmp_path / form, drop="Adam") == str(ckpt)
    monkeypatch.chdir(tmp_path)
    assert tb.edit(form or ".", "copy", drop="bias") == "copy"
    assert list(tb.open("copy")) == ["model/dense/kernel", "step"]


def test_to_another_prefix(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", TENSORS, shards=4).prefix
    before = files_in(tmp_path)
    target = tmp_path / "new" / "ckpt"
    assert tb.edit(prefix, target, rename=[("model/", "")], drop="Adam") == str(target)
    assert_holds(target, {name.removeprefix("model/"): TENSORS[name] for name in TENSORS if "Adam" not in name})
    # Data files that no tensor is in are left out.
    assert len(list(target.parent.iterdir())) == 4
    assert all(path.stat().st_nlink == 1 for path in target.parent.iterdir())
    assert {name: content for name, content in files_in(tmp_path).items() if "new" not in name} == before


def test_links_if_asked(tmp_path, ckpt):
    tb.edit(ckpt, tmp_path / "copy", drop="Adam", link=True, durable=False)
    assert os.path.samefile(data_path(ckpt, 0, 1), data_path(tmp_path / "copy", 0, 1))
    assert_holds(ckpt, TENSORS)


def test_takes_the_place_of_another_checkpoint(tmp_path, ckpt):
    other = write_bundle(tmp_path / "other", {"old": np.arange(5)}).prefix
    with tb.open(other) as old:
        tb.edit(ckpt, other, rename=[("/", ".")])
        assert old["old"].tolist() == [0, 1, 2, 3, 4]
    assert_holds(other, {name.replace("/", "."): value for name, value in TENSORS.items()})
    assert {entry.shard for entry in tb.open(other).entries()} == {0, 1}


def test_without_rules_it_is_a_copy(tmp_path, ckpt):
    tb.edit(ckpt, tmp_path / "copy")
    assert index_path(tmp_path / "copy").read_bytes() == index_path(ckpt).read_bytes()
    before = files_in(tmp_path)
    tb.edit(ckpt)
    assert files_in(tmp_path) == before


def test_slices_follow_their_tensor(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(12, 5)
    pieces = ["0,6:-", "6,6:0,2", "6,6:2,3"]
    prefix = write_bundle(tmp_path / "ckpt", {"w": array, "w2": array}, slices={"w": pieces, "w2": pieces}).prefix
    tb.edit(prefix, tmp_path / "new", rename=[("^w$", "a/longer/name")], drop="w2")
    assert_holds(tmp_path / "new", {"a/longer/name": array})
    expected = write_bundle(tmp_path / "expected", {"a/longer/name": array}, slices={"a/longer/name": pieces})
    entries = index_entries(index_path(tmp_path / "new").read_bytes())
    assert entries.keys() == expected.image.entries.keys()


def test_records_stay_as_they_are(tmp_path):
    unknown = bytes_field(99, b"unknown")
    tensors = {"x": np.int8(1), "y": np.int8(2)}
    mutate = Mutations(entries={"x": {"append": unknown}, "y": {"raw": b"\xff"}})
    prefix = write_bundle(tmp_path / "ckpt", tensors, mutate=mutate).prefix
    old = dict(table_records(index_path(prefix).read_bytes()))
    tb.edit(prefix, rename=[("x", "z")])
    assert dict(table_records(index_path(prefix).read_bytes())) == {b"": old[b""], b"y": b"\xff", b"z": old[b"x"]}
    # What can't be read can be dropped.
    tb.edit(prefix, drop="y")
    assert tb.load(prefix) == {"z": 1}


def test_names_of_any_bytes(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {b"a\xff": np.int8(1), b"b\0c": np.int8(2)}).prefix
    tb.edit(prefix, rename=[("\udcff", "\udcfe"), ("\0", "\n")])
    assert list(tb.open(prefix)) == ["a\udcfe", "b\nc"]


# Refusals. All of them leave every file as it is.


def assert_refused(prefix: Path, kind: type[Exception], match: str, **options: Any) -> None:
    before = files_in(prefix.parent)
    for more in ({}, {"dst": prefix.parent / "other"}):
        with pytest.raises(kind, match=match):
            tb.edit(prefix, **more, **options)
    assert files_in(prefix.parent) == before


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"rename": [("bias", "b"), ("nothing", "x")]}, ValueError, "^rename: 'nothing' is found in no name of the 4 "),
        ({"drop": ["Adam", "^Adam"]}, ValueError, r"^drop: '\^Adam' is found in no name of the 4 tensors$"),
        ({"drop": "("}, ValueError, r"^drop: '\(': missing \)"),
        ({"rename": [("(", "x")]}, ValueError, r"^rename: '\(': missing \)"),
        ({"rename": [("step", r"\1")]}, ValueError, r"^rename: the replacement '\\\\1' for 'step': invalid group"),
        ({"rename": [("step", r"\g<x>")]}, ValueError, r"^rename: the replacement .* unknown group name 'x'"),
        ({"rename": [(b"step", "x")]}, TypeError, "^rename takes regular expressions over str, not b'step'$"),
        ({"rename": [("step", b"x")]}, TypeError, "^rename: a replacement is a str, not b'x'$"),
        ({"rename": [("step", None)]}, TypeError, "^rename: a replacement is a str, not None$"),
        ({"rename": ("step", "x")}, TypeError, r"^rename takes \(pattern, replacement\) pairs, not 'step'$"),
        ({"rename": ["ab"]}, TypeError, r"^rename takes \(pattern, replacement\) pairs, not 'ab'$"),
        ({"rename": {"step": "x"}}, TypeError, r"^rename takes a list of \(pattern, replacement\) pairs, not \{"),
        ({"rename": "step"}, TypeError, r"^rename takes a list of \(pattern, replacement\) pairs, not 'step'$"),
        ({"rename": 5}, TypeError, r"^rename takes a list of \(pattern, replacement\) pairs, not 5$"),
        ({"drop": 5}, TypeError, "^drop takes regular expressions over str, not 5$"),
        ({"drop": b"step"}, TypeError, "^drop takes regular expressions over str, not b'step'$"),
        ({"drop": ["step", 5]}, TypeError, "^drop takes regular expressions over str, not 5$"),
        ({"drop": re.compile(b"step")}, TypeError, "^drop takes regular expressions over str, not b'step'$"),
        ({"drop": "."}, ValueError, "^no tensor is left: a checkpoint holds at least one$"),
        ({"rename": [(".*/", "")], "drop": ["kernel$"]}, ValueError, None),
        (
            {"rename": [("^step$", "model/dense/bias")]},
            ValueError,
            '^tensor "model/dense/bias": "(step|model/dense/bias)" and "(step|model/dense/bias)" would both have this',
        ),
        ({"rename": [("^step$", "")]}, ValueError, '^tensor "step": its new name is empty, and the empty one is the '),
        ({"rename": [("^s", "\0s")]}, ValueError, r'^tensor "step": its new name "\\x00step" begins with a zero byte'),
        ({"rename": [("^s", "\ud800")]}, ValueError, "surrogates not allowed"),
    ],
)
def test_wrong_rules_are_refused(ckpt, options, kind, match):
    if match is None:  # These are fine: a collision that dropping avoids.
        tb.edit(ckpt, **options)
        assert list(tb.open(ckpt)) == ["Adam", "bias", "step"]
        return
    assert_refused(ckpt, kind, match, **options)


def test_wrong_places_are_refused(tmp_path, ckpt):
    before = files_in(tmp_path)
    with pytest.raises(FileNotFoundError, match="looked for"):
        tb.edit(tmp_path / "nothing", drop="x")
    with pytest.raises(ValueError, match="the destination is the checkpoint itself"):
        tb.edit(ckpt, ckpt, drop="Adam")
    with pytest.raises(ValueError, match=r"^dst is empty"):
        tb.edit(ckpt, "", drop="Adam")
    with pytest.raises(ValueError, match=r"this names a directory$"):
        tb.edit(ckpt, str(tmp_path) + "/", drop="Adam")
    with pytest.raises(TypeError):
        tb.edit(ckpt, 5, drop="Adam")
    with pytest.warns(UserWarning, match="TensorFlow will not find"):
        tb.edit(ckpt, tmp_path / "other[0]", drop="Adam")
    for path in tmp_path.glob("other*"):
        path.unlink()
    assert files_in(tmp_path) == before


VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
OBJECTS = {"model": {"dense": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3)}}, "step": np.int64(7)}


def keys_in_graph(prefix: Path | str) -> dict[str, str]:
    return dict(tb.open(prefix).object_graph.variables)


@pytest.mark.parametrize("to_another", [False, True])
def test_an_object_graph_follows(tmp_path, to_another):
    source = tb.save_objects(tmp_path / "ckpt", OBJECTS)
    edited = tb.edit(
        source, tmp_path / "copy" if to_another else None, rename=[("^model/", "net/"), ("dense", "d")], drop="^step"
    )
    assert keys_in_graph(edited) == {
        "save_counter": f"save_counter{VALUE}",
        "model/dense/kernel": f"net/d/kernel{VALUE}",
        "model/dense/bias": f"net/d/bias{VALUE}",
    }
    with tb.open(edited) as ckpt:
        assert ckpt.verify()
        assert ckpt.entry(GRAPH).shard == ckpt.num_shards - 1 == 1
        assert_same_bits(ckpt.named("path")["model/dense/kernel"], OBJECTS["model"]["dense"]["kernel"], "kernel")
    assert len(files_in(tmp_path)) == (5 if to_another else 3)
    if to_another:
        assert f"step{VALUE}" in tb.open(source)


def test_arrays_outlive_an_edit_that_renames_their_file(tmp_path):
    prefix = tb.save_objects(tmp_path / "ckpt", OBJECTS)
    data = data_path(tmp_path / "ckpt", 0, 1)
    number = data.stat().st_ino
    with tb.open(prefix) as ckpt:
        kernel = ckpt[f"model/dense/kernel{VALUE}"]
        tb.edit(prefix, drop="bias")
        assert not data.exists()
        assert data_path(tmp_path / "ckpt", 0, 2).stat().st_ino == number  # Linked, not copied.
        assert_same_bits(kernel, OBJECTS["model"]["dense"]["kernel"], "kernel")
        assert_same_bits(ckpt[f"model/dense/bias{VALUE}"], OBJECTS["model"]["dense"]["bias"], "bias")


def test_an_object_graph_can_be_dropped(tmp_path):
    prefix = tb.save_objects(tmp_path / "ckpt", OBJECTS)
    tb.edit(prefix, rename=[(f"{VALUE}$", "")], drop=GRAPH)
    assert list(tb.open(prefix)) == ["model/dense/bias", "model/dense/kernel", "save_counter", "step"]
    assert tb.open(prefix).object_graph is None
    assert tb.open(prefix).num_shards == 1


def test_what_objects_would_not_find_is_refused(tmp_path):
    prefix = tb.save_objects(tmp_path / "ckpt", OBJECTS)
    match = f'its new name "step" does not end with "{VALUE}", by which TensorFlow finds the value of an object'
    assert_refused(tmp_path / "ckpt", ValueError, match, rename=[(f"^step{VALUE}$", "step")])
    assert_refused(tmp_path / "ckpt", ValueError, "is found in no name", rename=[(GRAPH, "graph")])
    assert keys_in_graph(prefix)["step"] == f"step{VALUE}"


def test_a_damaged_object_graph_is_not_followed(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {GRAPH: b"graph", f"w{VALUE}": np.int8(1)}).prefix
    match = f'tensor "{GRAPH}": malformed protobuf message'
    assert_refused(prefix, tb.errors.DataLossError, match, rename=[("^w/", "v/")])
    assert_refused(prefix, tb.errors.DataLossError, match, drop="^w/")
    # A rule may apply and change nothing.
    tb.edit(prefix, tmp_path / "copy", rename=[("^w/", "w/")])
    assert_holds(tmp_path / "copy", {GRAPH: b"graph", f"w{VALUE}": np.int8(1)})
    tb.edit(prefix, drop=GRAPH)
    assert_holds(prefix, {f"w{VALUE}": np.int8(1)})


def test_the_index_is_edited_as_it_is_when_its_turn_has_come(tmp_path, ckpt):
    """Two edits at once: the second one sees the names that the first one has left."""
    script = """
import sys
import tensorbundle as tb
for number in range(20):
    tb.edit(sys.argv[1], rename=[(sys.argv[2] + r"\\d*$", f"{sys.argv[2]}{number}")], durable=False)
"""
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(ckpt), name], env=environment(), stderr=subprocess.PIPE)
        for name in ("step", "bias")
    ]
    for child in children:
        _, said = child.communicate(timeout=SECONDS)
        assert (child.returncode, said) == (0, b"")
    assert list(tb.open(ckpt)) == ["model/dense/bias19", "model/dense/kernel", "model/dense/kernel/Adam", "step19"]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupt_stops_an_edit_that_waits(ckpt):
    before = files_in(ckpt.parent)
    script = """
import fcntl, os, signal, sys, threading
import tensorbundle as tb
directory = os.open(sys.argv[1].rpartition("/")[0], os.O_RDONLY)
fcntl.flock(directory, fcntl.LOCK_EX)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    tb.edit(sys.argv[1], drop="Adam")
except KeyboardInterrupt:
    print("interrupted", "numpy" in sys.modules)
"""
    command = [sys.executable, "-c", script, str(ckpt)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.stdout, done.stderr) == ("interrupted False\n", "")
    assert files_in(ckpt.parent) == before


def test_renaming_many_tensors_reads_and_writes_no_data(tmp_path):
    names = [f"layer_{number % 97:03d}/weight_{number:06d}" for number in range(20_000)]
    tb.save(tmp_path / "ckpt", [(name, np.float32(number)) for number, name in enumerate(names)], durable=False)
    data = tmp_path / "ckpt.data-00000-of-00001"
    before = data.stat()
    data.chmod(0)
    for number in range(3):
        tb.edit(tmp_path / "ckpt", rename=[(r"^\w+_(\d+)/", rf"block{number}_\1/")], drop=rf"{number}\d99$")
    data.chmod(before.st_mode)
    after = data.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_nlink) == (before.st_ino, before.st_mtime_ns, 1)
    with tb.open(tmp_path / "ckpt") as ckpt:
        assert len(ckpt) == 20_000 - 60
        assert ckpt["block2_005/weight_000005"] == 5
        assert ckpt.verify()


@pytest.mark.parametrize("durable", [True, False])
def test_data_is_on_the_disk_before_a_durable_index_names_it(tmp_path, durable):
    """Whoever saved it may not have waited for that."""
    if reason := saving.why_no_strace():
        pytest.skip(reason)
    tb.save(tmp_path / "ckpt", TENSORS, shards=2, durable=False)
    script = "import sys, tensorbundle as tb; tb.edit(sys.argv[1], drop='Adam', durable=len(sys.argv) > 2)"
    log = tmp_path / "calls"
    watch = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", "trace=?fdatasync,?rename,?renameat,?renameat2"]
    arguments = [tmp_path / "ckpt", *(["durable"] if durable else [])]
    subprocess.run([*watch, *command(script, *arguments)], env=environment(), timeout=SECONDS, check=True)
    calls = log.read_text()
    before_the_index = calls[: calls.index("rename")]
    for shard in range(2):
        assert (f"ckpt.data-{shard:05d}-of-00002>" in before_the_index) == durable
