"""``merge``: several checkpoints become one, in one step, or nothing changes at all."""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from support import saving, slices
from support.bundle_reader import index_entries, index_header
from support.bundle_writer import Mutations, write_bundle
from support.hashing import assert_same_bits
from support.processes import SECONDS, environment
from support.publish import data_path, index_path

import tensorbundle as tb

NOBODY = 65534
MERGE = "import sys; import tensorbundle as tb; tb.merge(sys.argv[2:], sys.argv[1])"
# All that gives names, takes them away, or brings something to the disk.
CALLS = ["linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "fdatasync", "fsync"]


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_holds(prefix: Path | str, tensors: Mapping[str, Any]) -> None:
    """All of these, no others, every checksum right."""
    found = tb.load(prefix)
    assert list(found) == sorted(tensors)
    for name, value in tensors.items():
        assert_same_bits(found[name], value, name)


def parts(folder: Path, count: int = 3) -> tuple[list[Path], dict[str, Any]]:
    """The parts of a sharded save, where TensorFlow puts them, and all that is in them."""
    tensors = [
        {f"kernel_{part}": np.arange(20, dtype=np.float32) + part, f"names_{part}": [b"x" * part, b"y"]}
        for part in range(count)
    ]
    prefixes = [folder / "model_temp" / f"part-{part:05d}-of-{count:05d}" for part in range(count)]
    for prefix, content in zip(prefixes, tensors):
        write_bundle(prefix, content)
    return prefixes, {name: value for content in tensors for name, value in content.items()}


def test_parts_become_one_checkpoint_and_go(tmp_path):
    prefixes, tensors = parts(tmp_path)
    assert tb.merge(prefixes, tmp_path / "model") == str(tmp_path / "model")
    assert_holds(tmp_path / "model", tensors)
    assert sorted(os.listdir(tmp_path)) == [
        "model.data-00000-of-00003",
        "model.data-00001-of-00003",
        "model.data-00002-of-00003",
        "model.index",
    ]


def test_data_files_are_linked(tmp_path):
    prefixes, tensors = parts(tmp_path)
    tb.merge(iter(prefixes), tmp_path / "model", keep_sources=True, durable=False)
    for part, prefix in enumerate(prefixes):
        assert os.path.samefile(data_path(prefix, 0, 1), data_path(tmp_path / "model", part, 3))
        assert len(tb.load(prefix)) == 2
    assert_holds(tmp_path / "model", tensors)


def test_arrays_outlive_the_sources(tmp_path):
    prefixes, tensors = parts(tmp_path)
    with tb.open(prefixes[0], mmap=True) as ckpt:
        arrays = ckpt.load()
    tb.merge(prefixes, tmp_path / "model")
    for name, array in arrays.items():
        assert_same_bits(array, tensors[name])


def test_any_path_that_open_takes_is_a_source(tmp_path):
    for name in ("a", "b", "c", "variables/variables", "run/ckpt-1"):
        write_bundle(tmp_path / name, {name: np.int8(len(name))})
    (tmp_path / "run" / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    sources = [tmp_path / "a.index", str(tmp_path / "b"), tmp_path / "c.data-00000-of-00001", tmp_path / "variables"]
    tb.merge([*sources, tmp_path / "run"], tmp_path / "m")
    assert list(tb.open(tmp_path / "m")) == ["a", "b", "c", "run/ckpt-1", "variables/variables"]
    # Directories that are not made for parts stay, empty or not.
    assert (tmp_path / "variables").is_dir()
    assert not list((tmp_path / "variables").iterdir())


def test_relative_paths(tmp_path, monkeypatch):
    prefixes, tensors = parts(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert tb.merge([os.path.relpath(prefix) for prefix in prefixes], "model") == "model"
    assert_holds("model", tensors)
    assert not (tmp_path / "model_temp").exists()


def test_paths_of_any_bytes(tmp_path):
    name = os.fsdecode(b"m\xff\n")
    write_bundle(tmp_path / "part", {os.fsdecode(b"n\xff"): np.int8(1)})
    assert tb.merge([os.fsencode(tmp_path / "part")], tmp_path / name) == str(tmp_path / name)
    assert list(tb.open(tmp_path / name)) == [os.fsdecode(b"n\xff")]


def test_destination_that_tensorflow_would_not_find_is_warned_of(tmp_path):
    write_bundle(tmp_path / "part", {"x": np.int8(1)})
    with pytest.warns(UserWarning, match=r"TensorFlow will not find this checkpoint: it takes '\['"):
        tb.merge([tmp_path / "part"], tmp_path / "m[1]")


def test_slices_of_one_tensor_are_joined(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(6, 4)
    for part in range(3):
        with tb.CheckpointWriter(tmp_path / f"part-{part}", partial=True) as writer:
            writer.add_slice("w", array[2 * part : 2 * part + 2], (6, 4), (2 * part, 0))
            writer.add(f"b{part}", np.float32(part))
    with pytest.warns(tb.errors.DamageWarning):
        assert not tb.open(tmp_path / "part-0").verify()
    tb.merge([tmp_path / f"part-{part}" for part in (2, 0, 1)], tmp_path / "m")
    assert_holds(tmp_path / "m", {"w": array, "b0": np.float32(0), "b1": np.float32(1), "b2": np.float32(2)})
    assert len(tb.open(tmp_path / "m").entry("w").slices) == 3


def test_slices_may_come_in_several_merges(tmp_path):
    array = np.arange(6, dtype=np.int16)
    for part in range(3):
        write_bundle(tmp_path / f"part-{part}", {"w": array}, slices={"w": [f"{2 * part},2"]})
    some = [tmp_path / "part-0", tmp_path / "part-2"]
    with pytest.raises(ValueError, match=r"tensor \"w\": .*2 of 6 elements are in no piece, first \[2:4\]"):
        tb.merge(some, tmp_path / "some")
    tb.merge(some, tmp_path / "some", partial=True)
    tb.merge([tmp_path / "some", tmp_path / "part-1"], tmp_path / "m")
    assert_holds(tmp_path / "m", {"w": array})


@hypothesis.given(st.data())
def test_any_tiling_over_any_parts(data):
    """Whatever pieces a tensor is cut into, and whichever part has them, in one merge or two."""
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple))
    cuts = [sorted(data.draw(st.sets(st.integers(1, dim - 1)))) if dim > 1 else [] for dim in shape]
    pieces = data.draw(st.permutations(slices.tile(shape, *map(tuple, cuts))))
    count = data.draw(st.integers(1, 4))
    owners = [data.draw(st.integers(0, count - 1)) for _ in pieces]
    array = np.arange(math.prod(shape), dtype=np.int16).reshape(shape)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in range(count):
            own = [piece for piece, owner in zip(pieces, owners) if owner == part]
            tensors = {f"plain_{part}": np.int8(part), **({"w": array} if own else {})}
            write_bundle(folder / f"{part}", tensors, shards=2, slices={"w": own} if own else None)
        order = data.draw(st.permutations([folder / f"{part}" for part in range(count)]))
        if data.draw(st.booleans()):
            tb.merge(order[: count // 2 + 1], folder / "half", partial=True, durable=False)
            order = [*order[count // 2 + 1 :], folder / "half"]
        tb.merge(order, folder / "m", durable=False)
        assert_holds(folder / "m", {"w": array, **{f"plain_{part}": np.int8(part) for part in range(count)}})
        assert len(os.listdir(folder)) == tb.open(folder / "m").num_shards + 1


def test_many_parts(tmp_path):
    prefixes, tensors = parts(tmp_path, 200)
    tb.merge(prefixes, tmp_path / "m", durable=False)
    assert_holds(tmp_path / "m", tensors)
    entries = index_entries(index_path(tmp_path / "m").read_bytes())
    assert {name.decode(): entry.shard for name, entry in entries.items()} == {
        name: int(name.rpartition("_")[2]) for name in tensors
    }


def test_a_part_without_tensors_counts_no_data_file(tmp_path):
    write_bundle(tmp_path / "a", {"x": np.int8(1)})
    write_bundle(tmp_path / "nothing", {}, shards=2)
    tb.merge([tmp_path / "nothing", tmp_path / "a"], tmp_path / "m")
    assert index_header(index_path(tmp_path / "m").read_bytes())["num_shards"] == 1
    assert sorted(os.listdir(tmp_path)) == ["m.data-00000-of-00001", "m.index"]


# Refusals. All of them leave every file as it is.


def assert_refused(
    tmp_path: Path, kind: type[Exception], match: str, sources: Any, destination: str = "m", **options: Any
) -> pytest.ExceptionInfo[Any]:
    before = files_in(tmp_path)
    with pytest.raises(kind, match=match) as caught:
        tb.merge(sources, tmp_path / destination, **options)
    assert files_in(tmp_path) == before
    return caught


def test_wrong_arguments_are_refused(tmp_path):
    a = write_bundle(tmp_path / "a", {"x": np.int8(1)}).prefix
    for single in (str(a), a, os.fsencode(a)):
        assert_refused(tmp_path, TypeError, "^prefixes must be an iterable of paths, not a single one", single)
    assert_refused(tmp_path, TypeError, "not int", [5])
    assert_refused(tmp_path, ValueError, "^there is nothing to merge: no checkpoint is given$", [])
    assert_refused(tmp_path, ValueError, "a: this checkpoint is given twice$", [a, tmp_path / "a.index"])
    assert_refused(tmp_path, ValueError, "a: the destination is one of the checkpoints that are merged$", [a], "a")
    with pytest.raises(ValueError, match=r"this names a directory$"):
        tb.merge([a], str(tmp_path) + "/")


def test_a_tensor_in_two_sources_is_refused(tmp_path):
    a = write_bundle(tmp_path / "a", {"x": np.int8(1), "y": np.int8(1)}).prefix
    b = write_bundle(tmp_path / "b", {"y": np.int8(1), "z": np.int8(1)}).prefix
    match = f'^tensor "y": it is both in {re.escape(str(a))} and in {re.escape(str(b))}$'
    assert_refused(tmp_path, ValueError, match, [a, b])


def test_missing_sources_are_all_named(tmp_path):
    a = write_bundle(tmp_path / "a", {"x": np.int8(1)}).prefix
    caught = assert_refused(tmp_path, FileNotFoundError, "looked for .*here.index", [a, tmp_path / "here"])
    assert caught.value.filename == str(tmp_path / "here")
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    match = f"2 of the 3 checkpoints are missing: {re.escape(repr(here))}, {re.escape(repr(there))}"
    caught = assert_refused(tmp_path, FileNotFoundError, match, [here, a, there])
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, here)


def test_data_files_are_looked_at_first(tmp_path):
    a = write_bundle(tmp_path / "a", {"x": np.int8(1)}).prefix
    b = write_bundle(tmp_path / "b", {"w": np.arange(4), "z": np.arange(4)}).prefix
    with open(data_path(b, 0, 1), "r+b") as file:
        file.truncate(63)
    caught = assert_refused(tmp_path, tb.errors.DataLossError, "truncated: 32 bytes at 32 are expected", [a, b])
    assert (caught.value.tensor, caught.value.path) == ("z", str(data_path(b, 0, 1)))
    data_path(b, 0, 1).unlink()
    caught = assert_refused(tmp_path, FileNotFoundError, "open .*: No such file or directory", [a, b])
    assert caught.value.filename == str(data_path(b, 0, 1))


def test_a_damaged_index_is_refused(tmp_path):
    a = write_bundle(tmp_path / "a", {"x": np.int8(1)}).prefix
    b = write_bundle(tmp_path / "b", {"y": np.int8(1)}, mutate=Mutations(entries={"y": {"size": 2}})).prefix
    caught = assert_refused(tmp_path, tb.errors.DataLossError, "Invalid size in bundle entry", [a, b])
    assert (caught.value.tensor, caught.value.path) == ("y", str(index_path(b)))
    index_path(b).write_bytes(index_path(b).read_bytes()[:-1])
    assert_refused(tmp_path, tb.errors.DataLossError, "magic", [a, b])


def test_checkpoints_of_two_kinds_are_refused(tmp_path):
    a = write_bundle(tmp_path / "a", {"x": np.int8(1)}).prefix
    b = write_bundle(tmp_path / "b", {"y": np.int8(1)}, endianness="big").prefix
    c = write_bundle(tmp_path / "c", {"y": np.int8(1)}, mutate=Mutations(header={"producer": 2})).prefix
    assert_refused(tmp_path, ValueError, "can't be merged: they differ in byte order$", [a, b])
    assert_refused(tmp_path, ValueError, "can't be merged: they differ in the version of the format$", [a, c])


# Failures, and the order of things.


@contextlib.contextmanager
def as_nobody(*folders: Path) -> Iterator[None]:
    """As a user to whom permissions mean something, who owns these folders and all that is in them."""
    if os.geteuid() != 0:
        yield
        return
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can get to, which ``tmp_path`` is not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_sources_that_cant_be_removed_stay_whole(open_folder):
    prefixes, tensors = parts(open_folder)
    (open_folder / "out").mkdir()
    before = files_in(open_folder)
    with as_nobody(open_folder / "out", open_folder / "model_temp"):
        os.chmod(open_folder / "model_temp", 0o555)
        message = f"the merged checkpoint {open_folder}/out/model is complete, but a source stays: remove {prefixes[0]}"
        with pytest.raises(PermissionError, match=re.escape(message)) as caught:
            tb.merge(prefixes, open_folder / "out" / "model")
        os.chmod(open_folder / "model_temp", 0o755)
    assert caught.value.filename == f"{prefixes[0]}.index"
    assert_holds(open_folder / "out" / "model", tensors)
    after = files_in(open_folder)
    assert {name: after[name] for name in before} == before


def test_a_folder_that_cant_be_written_to_leaves_everything(open_folder):
    prefixes, _ = parts(open_folder)
    (open_folder / "out").mkdir()
    before = files_in(open_folder)
    with as_nobody(open_folder / "out", open_folder / "model_temp"):
        os.chmod(open_folder / "out", 0o555)
        with pytest.raises(PermissionError) as caught:
            tb.merge(prefixes, open_folder / "out" / "model")
        os.chmod(open_folder / "out", 0o755)
    assert str(caught.value.filename).startswith(f"{open_folder}/out/model.data-00000.tmp-")
    assert files_in(open_folder) == before


@pytest.mark.parametrize("taken", ["model.index", "model.data-00001-of-00003"])
def test_a_taken_name_leaves_everything(tmp_path, taken):
    prefixes, tensors = parts(tmp_path)
    (tmp_path / taken / "in").mkdir(parents=True)
    before = files_in(tmp_path)
    with pytest.raises(IsADirectoryError):
        tb.merge(prefixes, tmp_path / "model")
    assert files_in(tmp_path) == before
    assert all(data_path(prefix, 0, 1).stat().st_nlink == 1 for prefix in prefixes)
    (tmp_path / taken / "in").rmdir()
    (tmp_path / taken).rmdir()
    tb.merge(prefixes, tmp_path / "model")
    assert_holds(tmp_path / "model", tensors)


def test_an_old_checkpoint_stays_until_the_merged_one_is_there(tmp_path):
    prefixes, tensors = parts(tmp_path, 2)
    tb.save(tmp_path / "model", {"old": np.arange(5), "older": 1}, shards=2)
    with tb.open(tmp_path / "model") as old:
        tb.merge(prefixes, tmp_path / "model")
        assert old["old"].tolist() == [0, 1, 2, 3, 4]
    assert_holds(tmp_path / "model", tensors)
    count = tb.open(tmp_path / "model").num_shards
    assert sorted(os.listdir(tmp_path)) == [f"model.data-{i:05d}-of-{count:05d}" for i in range(count)] + [
        "model.index"
    ]
    # Every data file has a tensor: TensorFlow's merging miscounts others.
    assert {entry.shard for entry in tb.open(tmp_path / "model").entries()} == set(range(count))


def watched_merge(folder: Path, prefixes: list[Path], inject: str = "") -> tuple[int, list[tuple[str, str]]]:
    """Merges in a child; its status, and its calls as (name, all that strace says of it)."""
    log = folder / "calls"
    command = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", "trace=" + ",".join(f"?{name}" for name in CALLS)]
    command += ["-e", f"inject={inject}"] if inject else []
    command += [sys.executable, "-B", "-c", MERGE, str(folder / "run" / "model"), *map(str, prefixes)]
    # As one thread: calls are counted by thread.
    if hasattr(os, "sched_getaffinity"):
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False)
    lines = [re.fullmatch(r"\d+ +(\w+)\((.*)", line) for line in log.read_text().splitlines()]
    log.unlink()
    return done.returncode, [(line[1], line[2]) for line in lines if line]


@pytest.fixture
def stage(tmp_path: Path) -> tuple[Path, list[Path], dict[str, Any]]:
    """Parts that are to take the place of an old checkpoint, in a process that can be watched."""
    if reason := saving.why_no_strace():
        pytest.skip(reason)
    if not shutil.which("taskset"):
        pytest.skip("taskset is missing")
    prefixes, tensors = parts(tmp_path / "template", 2)
    tb.save(tmp_path / "template" / "model", {"old": np.arange(5), "older": 1}, shards=2)
    return tmp_path, [tmp_path / "run" / prefix.relative_to(tmp_path / "template") for prefix in prefixes], tensors


def reset(folder: Path) -> None:
    shutil.rmtree(folder / "run", ignore_errors=True)
    shutil.copytree(folder / "template", folder / "run")


def test_order_of_steps(stage):
    folder, prefixes, _ = stage
    reset(folder)
    status, calls = watched_merge(folder, prefixes)
    assert status == 0
    done = [(name, said) for name, said in calls if "= -1" not in said]

    def positions(name: str, path: Path | str) -> list[int]:
        return [i for i, (call, said) in enumerate(done) if call.startswith(name) and str(path) in said]

    model = folder / "run" / "model"
    linked = [positions("link", f'"{data_path(prefix, 0, 1)}"')[0] for prefix in prefixes]
    synced = [positions("fdatasync", f"model.data-0000{shard}.tmp-")[0] for shard in range(3)]
    named = [positions("rename", f'"{data_path(model, shard, 3)}"')[0] for shard in range(3)]
    folder_synced = positions("fsync", f"<{folder / 'run'}>")
    index_synced = positions("fdatasync", "model.index.tmp-")[0]
    committed = positions("rename", f'"{index_path(model)}"')[0]
    old_removed = [positions("unlink", f'"{data_path(model, shard, 2)}"')[0] for shard in range(2)]
    indexes_removed = [positions("unlink", f'"{index_path(prefix)}"')[0] for prefix in prefixes]
    data_removed = [positions("unlink", f'"{data_path(prefix, 0, 1)}"')[0] for prefix in prefixes]
    folder_removed = positions("rmdir", prefixes[0].parent)[0]
    steps = [linked, synced, named, [folder_synced[0]], [index_synced], [committed], [folder_synced[1]]]
    steps += [old_removed, indexes_removed, data_removed, [folder_removed]]
    for earlier, later in itertools.pairwise(steps):
        assert max(earlier) < min(later), (earlier, later, done)


def test_killed_at_any_step_leaves_all_sources_or_the_merged_checkpoint(stage):
    folder, prefixes, tensors = stage
    reset(folder)
    _, calls = watched_merge(folder, prefixes)
    model = folder / "run" / "model"
    seen: Counter[str] = Counter()
    outcomes = Counter[bool]()
    for name, _ in calls:
        seen[name] += 1
        reset(folder)
        status, _ = watched_merge(folder, prefixes, f"{name}:signal=KILL:when={seen[name]}")
        assert status in (-signal.SIGKILL, 128 + signal.SIGKILL), (name, seen[name])
        committed = "old" not in tb.open(model)
        outcomes[committed] += 1
        if not committed:
            assert_holds(model, {"old": np.arange(5), "older": 1})
            tb.merge(prefixes, model)
            # And what was left over has gone.
            count = tb.open(model).num_shards
            assert len(list((folder / "run").iterdir())) == count + 1
        assert_holds(model, tensors)
    assert outcomes[False] >= 8
    assert outcomes[True] >= 8


def test_an_interrupt_stops_a_merge_that_waits(tmp_path):
    prefixes, _ = parts(tmp_path)
    before = files_in(tmp_path)
    script = """
import fcntl, os, signal, sys, threading
import tensorbundle as tb
directory = os.open(sys.argv[1].rpartition("/")[0], os.O_RDONLY)
fcntl.flock(directory, fcntl.LOCK_EX)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    tb.merge(sys.argv[2:], sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""
    command = [sys.executable, "-c", script, str(tmp_path / "model"), *map(str, prefixes)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
    assert files_in(tmp_path) == before


def test_merging_imports_no_numpy(tmp_path):
    prefixes, _ = parts(tmp_path)
    script = MERGE + "; print('numpy' in sys.modules)"
    command = [sys.executable, "-c", script, str(tmp_path / "model"), *map(str, prefixes)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")
