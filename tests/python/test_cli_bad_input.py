"""Every command on everything that is no sound checkpoint: one line that says what to do, the right exit code, and
nothing written.

A command that is added needs a row in ``CALLS``.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from support import cli, disks, paths, processes, v1_writer
from support.bundle_writer import Mutations, write_bundle

from tensorbundle.cli import app

# How each command is called on a path; what it would write is ``out``. None: it takes no path.
CALLS: dict[str, Callable[[Path, Path], list[object]] | None] = {
    "average": lambda path, out: [path, path, out],
    "cat": lambda path, _: [path, "w"],
    "completion": None,
    "convert": lambda path, out: [path, f"{out}.safetensors"],
    "demo": None,
    "diff": lambda path, _: [path, path],
    "edit": lambda path, out: [path, out, "--rename", "^=>x/"],
    "inspect-checkpoint": lambda path, _: ["--file_name", path, "--all_tensors"],
    "ls": lambda path, _: [path],
    "merge": lambda path, out: [path, out],
    "salvage": lambda path, out: [path, out],
    "saved-model run": lambda path, _: [path],
    "saved-model scan": lambda path, _: [path],
    "saved-model show": lambda path, _: [path],
    "serving check": lambda path, _: [path],
    "serving list": lambda path, _: [path],
    "serving publish": lambda path, out: [path, out],
    "show": lambda path, _: [path],
    "stats": lambda path, _: [path],
    "verify": lambda path, _: [path],
}
OF_PATHS = [name for name in cli.commands() if CALLS.get(name)]
MODELS = [name for name in OF_PATHS if name.startswith(("saved-model", "serving"))]
CHECKPOINTS = [name for name in OF_PATHS if name not in MODELS]
CALLS_OF_OTHERS = {"average", "convert", "diff", "stats"}  # Whose own tests say more.


def test_every_command_has_a_row():
    assert cli.commands().keys() <= CALLS.keys()


def directory(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def takes_json(name: str) -> bool:
    return any("--json" in parameter.opts for parameter in cli.commands()[name].params)


def assert_described(outcome: cli.Outcome | None, code: int) -> None:
    """Of a failure: a document on stdout that says the same."""
    if outcome is None:
        return
    assert outcome.code == code
    failure = json.loads(outcome.out)
    jsonschema.validate(failure, app.JSON_SCHEMA)
    assert outcome.err == f"tensorbundle: {failure['error']}\n"


def snapshot(directory: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


def call(name: str, path: Path, tmp_path: Path, *more: str, tensor: str = "w") -> cli.Outcome:
    """Runs a command on a path, and sees to it that nothing was written."""
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    before = snapshot(path.parent)
    arguments = [tensor if each == "w" else each for each in CALLS[name](path, out / "new")]
    outcome = cli.invoke(*name.split(), *arguments, *more)
    assert snapshot(out) == {}, name
    assert snapshot(path.parent) == before, name
    return outcome


def assert_one_line(outcome: cli.Outcome, code: int, *texts: object) -> None:
    assert (outcome.code, outcome.out) == (code, ""), outcome
    assert len(outcome.err.splitlines()) == 1, outcome
    assert outcome.err.startswith("tensorbundle: "), outcome
    for text in texts:
        assert str(text) in outcome.err, outcome


# What is no checkpoint


def missing(directory: Path) -> Path:
    return directory / "nothing"


def empty_folder(directory: Path) -> Path:
    (directory / "folder").mkdir()
    return directory / "folder"


def folder_of_others(directory: Path) -> Path:
    (directory / "folder" / "inside").mkdir(parents=True)
    (directory / "folder" / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return directory / "folder"


def text_file(directory: Path) -> Path:
    (directory / "notes.txt").write_text("not a checkpoint\n" * 20, encoding="utf-8")
    return directory / "notes.txt"


def empty_file(directory: Path) -> Path:
    (directory / "empty").touch()
    return directory / "empty"


def other_state_file(directory: Path) -> Path:
    (directory / "checkpoint").write_bytes(b"\x81\xa5other\xc0" * 30)
    return directory / "checkpoint"


def damaged_index(directory: Path) -> Path:
    prefix = write_bundle(directory / "ckpt", {"w": np.ones(8), "v": np.ones(8)}).prefix
    index = Path(f"{prefix}.index")
    content = bytearray(index.read_bytes())
    content[10] ^= 1
    index.write_bytes(content)
    return prefix


def empty_index(directory: Path) -> Path:
    (directory / "ckpt.index").touch()
    return directory / "ckpt"


def pointer_for_index(directory: Path) -> Path:
    (directory / "ckpt.index").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    return directory / "ckpt"


def missing_data(directory: Path) -> Path:
    bundle = write_bundle(directory / "ckpt", {"v": np.ones(8), "w": np.ones(8)}, shards=2)
    bundle.data_path(1).unlink()
    return bundle.prefix


def truncated_data(directory: Path) -> Path:
    bundle = write_bundle(directory / "ckpt", {"v": np.ones(8), "w": np.ones(8)})
    os.truncate(bundle.data_path(), 100)
    return bundle.prefix


def flipped_data(directory: Path) -> Path:
    def change(_: int, data: bytearray) -> None:
        data[70] ^= 1

    return write_bundle(directory / "ckpt", {"v": np.ones(8), "w": np.ones(8)}, mutate=Mutations(data=change)).prefix


NO_CHECKPOINT = [missing, empty_folder, folder_of_others, text_file, empty_file, other_state_file]


def code_for(name: str, make: Callable[[Path], Path]) -> int:
    """Wrong path; damaged, where a file is named as TensorFlow's are. The tool of TensorFlow's has its verdict."""
    if make is other_state_file or (name == "inspect-checkpoint" and make in {text_file, empty_file}):
        return 3
    return 2


@pytest.mark.parametrize("make", NO_CHECKPOINT, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_no_checkpoint(tmp_path, name, make):
    path = make(directory(tmp_path))
    assert_one_line(call(name, path, tmp_path), code_for(name, make), path)
    as_json = call(name, path, tmp_path, "--json") if takes_json(name) else None
    assert_described(as_json, code_for(name, make))


@pytest.mark.parametrize("make", NO_CHECKPOINT, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_no_saved_model(tmp_path, name, make):
    path = make(directory(tmp_path))
    outcome = call(name, path, tmp_path)
    if name.startswith("serving") and path.is_dir():  # A base without versions, or a model without its file.
        assert (outcome.code, outcome.err) == (0 if name == "serving list" else 1, "")
        assert str(path) in outcome.out
    else:
        assert_one_line(outcome, 2, path)
        assert_described(call(name, path, tmp_path, "--json"), 2)


# Damaged checkpoints


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.parametrize("make", [damaged_index, empty_index, pointer_for_index], ids=lambda make: make.__name__)
def test_damaged_index(tmp_path, name, make):
    path = make(directory(tmp_path))
    assert_one_line(call(name, path, tmp_path), 3, f"{path}.index")


# Commands that tell what is damaged instead of failing; what they say, and where, their own tests compare.
TELLING = {"ls", "show", "verify"}


@pytest.mark.parametrize("name", [name for name in CHECKPOINTS if name != "salvage"])
@pytest.mark.parametrize("make", [missing_data, truncated_data], ids=lambda make: make.__name__)
def test_lost_data(tmp_path, name, make):
    path = make(directory(tmp_path))
    outcome = call(name, path, tmp_path)
    assert outcome.code == (2 if name == "inspect-checkpoint" and make is missing_data else 3)
    assert "Traceback" not in outcome.err
    assert f"{path}.data-0000" in outcome.err + outcome.out
    if name == "verify":
        assert outcome.err == ""
    elif name in CALLS_OF_OTHERS:
        assert len(outcome.err.splitlines()) <= 1
    else:
        assert len(outcome.err.splitlines()) == 1
        assert (outcome.out == "") == (name not in TELLING | {"inspect-checkpoint"})


@pytest.mark.parametrize("name", ["average", "convert", "diff", "stats"])
def test_what_needs_all_tensors_refuses_shards_that_are_not_all_there(tmp_path, name):
    """Of a missing shard of the V1 format not even the names are known."""
    inside = directory(tmp_path)
    for shard, tensor in ((0, b"v"), (2, b"w")):
        v1_writer.write(inside / f"m-0000{shard}-of-00003", [v1_writer.Row(tensor, np.ones(8))])
    outcome = call(name, inside / "m-?????-of-00003", tmp_path)
    assert_one_line(outcome, 3, f"{inside / 'm-00001-of-00003'}: ", "can't be listed", os.strerror(errno.ENOENT))


@pytest.mark.parametrize(
    ("name", "code"), [("cat", 3), ("inspect-checkpoint", 3), ("ls", 0), ("show", 0), ("verify", 3)]
)
def test_flipped_data(tmp_path, name, code):
    path = flipped_data(directory(tmp_path))
    outcome = call(name, path, tmp_path)
    assert (outcome.code, len(outcome.err.splitlines())) == (code, int(name in {"cat", "inspect-checkpoint"}))


@pytest.mark.parametrize("name", ["edit", "merge"])
def test_what_copies_no_data_compares_no_checksum(tmp_path, name):
    path = flipped_data(directory(tmp_path))
    assert cli.invoke(name, *CALLS[name](path, tmp_path / "new")).code == 0
    assert cli.invoke("verify", tmp_path / "new").code == 3


# The open corpus

SAMPLES = {  # What is broken: exit codes of the commands in the order of NAMES.
    "sonnet-resnet50-no-data": (3, 3, 2, 3, 3, 2, 2, 2, 1, 0, 1, 3, 3),
    "sustainabite-recipe-model-lfs-pointer": (3, 3, 3, 3, 3, 2, 0, 3, 1, 0, 3, 3, 3),
    "t5x-mtf-tiny-t5-missing-shard": (3, 3, 2, 3, 3, 2, 2, 2, 1, 0, 1, 3, 3),
    "t5x-tiny-orbax-checkpoint-file": (3, 3, 3, 3, 3, 2, 2, 2, 1, 0, 1, 3, 3),
}
NAMES = [
    *("cat", "edit", "inspect-checkpoint", "ls", "merge"),
    *("saved-model run", "saved-model scan", "saved-model show"),
    *("serving check", "serving list", "serving publish"),
    *("show", "verify"),
]
LOST_TENSOR = {"t5x-mtf-tiny-t5-missing-shard": "decoder/block_000/layer_000/SelfAttention/k"}


@pytest.mark.parametrize("sample", SAMPLES)
def test_broken_samples(tmp_path, sample):
    where = paths.corpus_directory()
    if where is None:
        pytest.skip("the open corpus is absent")
    path = directory(tmp_path) / sample
    shutil.copytree(where / sample, path, copy_function=shutil.copyfile)
    codes = []
    for name in NAMES:
        tensor = LOST_TENSOR.get(sample, "_CHECKPOINTABLE_OBJECT_GRAPH")
        outcome = call(name, path, tmp_path, tensor=tensor)
        assert "Traceback" not in outcome.err
        assert bool(outcome.err) or outcome.code in {0, 1, 3}
        assert len(outcome.err.splitlines()) == 1 or name in {"ls", "show", "saved-model show"} or not outcome.err
        codes.append(outcome.code)
    assert tuple(codes) == SAMPLES[sample]


# Of commands that make something of what is intact, or of files of more kinds.
OTHERS = ("average", "convert", "diff", "salvage", "stats")
CODES_OF_OTHERS = {
    "sonnet-resnet50-no-data": (3, 3, 3, 3, 3),
    "sustainabite-recipe-model-lfs-pointer": (3, 2, 3, 1, 3),  # It has strings, which safetensors can't hold.
    "t5x-mtf-tiny-t5-missing-shard": (3, 3, 3, 1, 3),
    "t5x-tiny-orbax-checkpoint-file": (3, 3, 3, 3, 3),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_broken_samples_by_commands_of_conversion_and_inspection(tmp_path, sample):
    where = paths.corpus_directory()
    if where is None:
        pytest.skip("the open corpus is absent")
    codes = []
    for name in OTHERS:
        out = tmp_path / name
        out.mkdir()
        outcome = cli.invoke(name, *CALLS[name](where / sample, out / "new"))
        assert "Traceback" not in outcome.err
        assert len(outcome.err.splitlines()) == (name != "salvage" or outcome.code != 1)
        assert bool(snapshot(out)) == (name == "salvage" and outcome.code == 1)
        codes.append(outcome.code)
    assert tuple(codes) == CODES_OF_OTHERS[sample]


def test_every_command_is_tried_on_the_samples():
    assert sorted((*NAMES, *OTHERS)) == sorted(OF_PATHS)


# In processes of their own


def test_plain_list_of_a_process_fails_in_the_same_way(tmp_path):
    for make in (missing, damaged_index, missing_data):
        inside = tmp_path / make.__name__
        inside.mkdir()
        path = make(inside)
        assert cli.run("ls", path) == cli.invoke("ls", path)


@pytest.mark.parametrize("name", ["average", "convert", "edit", "merge", "salvage"])
def test_full_disk(tmp_path, name):
    source = write_bundle(directory(tmp_path) / "ckpt", {"v": np.ones(100_000), "w": np.ones(8)}).prefix
    before = snapshot(source.parent)
    with disks.disk(tmp_path / "disk", 1 << 19) as folder:
        outcome = cli.run(name, *CALLS[name](source, folder / "new"))
        assert_one_line(outcome, 2, f"{folder}/new", os.strerror(errno.ENOSPC))
        assert list(folder.iterdir()) == []
    assert snapshot(source.parent) == before


@pytest.mark.parametrize("name", ["edit", "merge"])
def test_interrupted_while_it_waits_for_another_one(tmp_path, name):
    source = write_bundle(directory(tmp_path) / "ckpt", {"v": np.ones(8)}).prefix
    before = snapshot(tmp_path)
    program = """
import fcntl, os, signal, sys, threading
fcntl.flock(os.open(sys.argv.pop(1), os.O_RDONLY), fcntl.LOCK_EX)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
from tensorbundle.cli.__main__ import main
main()
"""
    command = processes.command(program, source.parent, name, *CALLS[name](source, source.parent / "new"))
    done = subprocess.run(command, capture_output=True, text=True, env=processes.environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "tensorbundle: interrupted\n")
    assert snapshot(tmp_path) == before


INTERRUPTING = """
import os, signal
from tensorbundle import Checkpoint
read = Checkpoint.read
def interrupted(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)
    return read(*arguments, **options)
Checkpoint.read = interrupted
"""


@pytest.mark.parametrize("name", ["average", "diff", "salvage", "stats"])
def test_interrupted_while_it_reads(tmp_path, name):
    source = write_bundle(directory(tmp_path) / "ckpt", {"v": np.ones(8), "w": np.ones(8)}).prefix
    before = snapshot(tmp_path)
    options = ["--values"] if name == "diff" else []
    outcome = cli.run_after(INTERRUPTING, name, *CALLS[name](source, source.parent / "new"), *options)
    assert outcome == (130, "", "tensorbundle: interrupted\n")
    assert snapshot(tmp_path) == before
