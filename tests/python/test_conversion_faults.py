"""Conversions when something goes wrong: the old target is there, whole, and nothing else that was not there before."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from support.disks import disk, free_bytes
from support.hashing import assert_same_bits
from support.processes import run_python, start_python

import tensorbundle as tb
from tensorbundle import _core, formats
from tensorbundle.conversion import file_bytes, moving, placing, runs

KIB, MIB = 1 << 10, 1 << 20
TARGETS = ["out", "out.safetensors", "out.npz", "set.safetensors.index.json"]
TARGET = pytest.mark.parametrize("target", TARGETS)
OPTIONS = pytest.mark.parametrize("options", [{}, {"cast": "float16"}, {"transpose": "big"}], ids=str)
TENSORS = {"bias": np.arange(5, dtype=np.float32), "big": np.arange(700_000, dtype=np.float32).reshape(700, 1000)}


@pytest.fixture
def prefix(tmp_path):
    tb.save(tmp_path / "source" / "ckpt", TENSORS, durable=False)
    return tmp_path / "source" / "ckpt"


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_all(path: Path) -> dict[str, np.ndarray]:
    with formats.open_source(path) as source:
        return {spec.name: source.read(spec.name) for spec in source.tensors()}


# The source.


@TARGET
@OPTIONS
@pytest.mark.parametrize("name", ["big", "bias"])
def test_flipped_bit_of_the_source_is_found(prefix, out, target, options, name):
    with tb.open(prefix) as ckpt:
        at = ckpt.entry(name).offset + ckpt.entry(name).nbytes - 3
        stored = ckpt.entry(name).crc32c
    with open(f"{prefix}.data-00000-of-00001", "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))
    with pytest.raises(tb.errors.DataLossError) as caught:
        tb.convert(prefix, out / target, alignment=128, **options)
    assert caught.value.tensor == name
    assert f"{stored:#010x}" in str(caught.value)
    assert files_in(out) == {}
    assert tb.convert(prefix, out / target, alignment=128, verify=False, **options).files


@TARGET
def test_flipped_bit_is_found_where_only_names_change(prefix, out, target):
    with open(f"{prefix}.data-00000-of-00001", "r+b") as file:
        file.write(b"\xff")
    with pytest.raises(tb.errors.DataLossError):
        tb.convert(prefix, out / target, rename=[("^b", "c")], link=target == "out")
    assert files_in(out) == {}


@TARGET
def test_source_that_is_cut_short_is_said(prefix, out, target):
    tb.convert(prefix, out / "in.safetensors")
    before = files_in(out)
    with formats.open_source(out / "in.safetensors") as source:
        raw = source.raw("big")
    assert raw.identity == formats.source.identity(os.stat(out / "in.safetensors"))
    os.truncate(out / "in.safetensors", raw.offset + 100)
    cut = files_in(out)
    with pytest.raises(tb.errors.DataLossError):
        tb.convert(out / "in.safetensors", out / target)
    assert files_in(out) == cut != before


@pytest.mark.parametrize("target", ["out.safetensors", "out"])
def test_source_that_is_replaced_meanwhile_is_said(prefix, out, monkeypatch, target):
    """Its name is looked up once more where its bytes are moved."""
    tb.convert(prefix, out / "in.safetensors")
    make_tasks = tb.conversion.converting._Conversion._tasks

    def replacing(self, *arguments):
        shutil.copy(out / "in.safetensors", out / "other")
        os.replace(out / "other", out / "in.safetensors")
        return make_tasks(self, *arguments)

    monkeypatch.setattr("tensorbundle.conversion.converting._Conversion._tasks", replacing)
    with pytest.raises(tb.errors.DataLossError, match=r"another file is at .* now than the one that was opened"):
        tb.convert(out / "in.safetensors", out / target)
    assert sorted(os.listdir(out)) == ["in.safetensors"]


# The target.


@pytest.mark.parametrize("options", [{}, {"cast": "float16"}], ids=str)
def test_what_does_not_read_back_is_said(prefix, out, monkeypatch, options):
    def lying(descriptor, content, offset):
        if content.size > 100_000:
            content = content.copy()
            content[17] ^= 1
        file_bytes.write_all(descriptor, content, offset)

    monkeypatch.setattr(moving, "write_all", lying)
    monkeypatch.setattr(moving._Job, "_moved_by_kernel", lambda *_: 0)
    with pytest.raises(tb.errors.DataLossError) as caught:
        tb.convert(prefix, out / "a.safetensors", **options)
    assert str(caught.value).endswith(
        f"of {str(out / 'a.safetensors')!r} don't read back as they were written; is the disk sound?"
    )
    assert files_in(out) == {}


@TARGET
@OPTIONS
@pytest.mark.parametrize("reserves", [True, False])
def test_full_disk(prefix, tmp_path, monkeypatch, target, options, reserves):
    """However much room there is, the old target is what it was."""
    if not reserves:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with disk(tmp_path / "disk", 8 * MIB) as folder:
        run = folder / "run"
        tb.save(tmp_path / "old", {"old": np.arange(10)}, durable=False)
        tb.convert(tmp_path / "old", run / target)
        before = files_in(run)
        filler = folder / "filler"
        for room in (0, 8 * KIB, 600 * KIB):
            filler.write_bytes(bytes(free_bytes(folder) - room))
            with pytest.raises(OSError) as caught:  # noqa: PT011 - the number says more
                tb.convert(prefix, run / target, alignment=128, **options)
            assert caught.value.errno == errno.ENOSPC
            assert files_in(run) == before
            assert sorted(os.listdir(run)) == sorted(before)
            filler.unlink()
        tb.convert(prefix, run / target, alignment=128, **options)
        assert sorted(read_all(run / target)) == sorted(TENSORS)


def test_full_disk_is_said_with_the_name_of_the_target(prefix, tmp_path):
    with disk(tmp_path / "disk", 1 * MIB) as folder:
        for target in TARGETS[:3]:
            with pytest.raises(OSError, match="No space left") as caught:
                tb.convert(prefix, folder / target, alignment=128)
            assert caught.value.filename == str(folder / target)


@pytest.mark.parametrize("error", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_bytes_are_moved_where_the_kernel_cannot(prefix, out, monkeypatch, error):
    def refused(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "copy_file_range", refused, raising=False)
    tb.convert(prefix, out / "a.safetensors")
    for name, value in TENSORS.items():
        assert_same_bits(read_all(out / "a.safetensors")[name], value)


def test_other_refusals_of_the_kernel_are_errors(prefix, out, monkeypatch):
    def refused(*_):
        raise OSError(errno.EIO, "it is broken")

    monkeypatch.setattr(os, "pwrite", refused)
    with pytest.raises(OSError, match="it is broken"):
        tb.convert(prefix, out / "a.safetensors")
    assert files_in(out) == {}


@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="Linux has it")
def test_kernel_moves_what_lies_alike_in_its_pages(tmp_path, monkeypatch):
    """Offsets that are the same within a page, and offsets that are not."""
    calls = []
    move = os.copy_file_range

    def counting(*arguments):
        calls.append(arguments)
        return move(*arguments)

    monkeypatch.setattr(os, "copy_file_range", counting)
    content = np.random.default_rng(0).integers(0, 256, 3 * MIB, dtype=np.uint8)
    (tmp_path / "in").write_bytes(content.tobytes())
    raw = formats.RawBytes(str(tmp_path / "in"), 0, content.size, _core.crc32c(content))
    with open(tmp_path / "out", "w+b") as file:
        watch = type("Watch", (), {"advance": lambda *_: None})()
        for offset in (4096, 10):
            move_run = runs.Run("w", raw, offset, content.size)
            moving.move([move_run], file.fileno(), "out", threads=2, verify=True, watch=watch)
            assert (tmp_path / "out").read_bytes()[offset : offset + content.size] == content.tobytes()
            assert len(calls) == 3


@TARGET
def test_failure_of_the_last_step_leaves_the_old_target(prefix, out, monkeypatch, target):
    tb.save(out.parent / "old", {"old": np.arange(10)}, durable=False)
    tb.convert(out.parent / "old", out / target)
    before = files_in(out)

    def refused(*_, **__):
        raise OSError(errno.EIO, "it is broken")

    for module, name in ((os, "replace"), (placing._core, "merge")):
        monkeypatch.setattr(module, name, refused)
    with pytest.raises(OSError, match="it is broken"):
        tb.convert(prefix, out / target)
    assert files_in(out) == before


def test_set_stays_whole_where_only_its_directory_cannot_be_synced(prefix, out, monkeypatch):
    synced = []

    def refused(directory):
        synced.append(directory)
        if len(synced) == 2:
            raise OSError(errno.EIO, "it is broken")

    monkeypatch.setattr("tensorbundle.files.sync_directory", refused)
    with pytest.raises(OSError, match="it is broken"):
        tb.convert(prefix, f"{out}/", shards=2, durable=True)
    assert sorted(read_all(out)) == sorted(TENSORS)


TRUNCATED = r"""
import os, sys
import tensorbundle as tb
from tensorbundle.conversion import checkpoint_target
mapped = checkpoint_target.mapped
def truncated(descriptor):
    mapping = mapped(descriptor)
    os.truncate(sys.argv[3], 4096)
    return mapping
checkpoint_target.mapped = truncated
try:
    tb.convert(sys.argv[1], sys.argv[2], exclude="left out")
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells before the signal does")
@pytest.mark.parametrize("source", ["ckpt", "ckpt.safetensors"])
@pytest.mark.parametrize("nbytes", [1 * MIB, 40 * MIB])
def test_mapped_source_that_is_truncated_is_an_error_and_no_crash(tmp_path, out, source, nbytes):
    tensors = {"kept": np.zeros(nbytes, np.uint8), "left out": np.arange(2)}
    tb.save(tmp_path / "first", tensors, durable=False)
    tb.convert(tmp_path / "first", tmp_path / source, durable=False)
    file = tmp_path / (source if source.endswith(".safetensors") else f"{source}.data-00000-of-00001")
    printed = run_python(TRUNCATED, tmp_path / source, out / "target", file)
    assert printed == "it can't be read to its end any more: Bad address\n"
    assert files_in(out) == {}


MANY_FILES = r"""
import resource, sys
import tensorbundle as tb
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
tb.convert(sys.argv[1], sys.argv[2], exclude="t0$")
"""


@pytest.mark.parametrize("target", ["out", "out.safetensors", "out.npz"])
def test_checkpoint_may_have_more_files_than_can_be_opened_at_once(tmp_path, out, target):
    tensors = {f"t{number}": np.full(20_000, number, np.float32) for number in range(200)}
    tb.save(tmp_path / "many", tensors, shards=200, durable=False)
    run_python(MANY_FILES, tmp_path / "many", out / target)
    assert_same_bits(read_all(out / target)["t199"], tensors["t199"])


# The process.

SLOW = r"""
import os, sys, threading, time
import tensorbundle as tb
from tensorbundle.conversion import placing
place = placing.place
def waiting(*arguments, **options):
    print("written", flush=True)
    time.sleep(60)
placing.place = waiting
tb.convert(sys.argv[1], sys.argv[2], alignment=128)
"""


@TARGET
def test_killed_conversion_leaves_the_old_target_and_what_the_next_one_removes(prefix, out, target):
    tb.save(out.parent / "old", {"old": np.arange(10)}, durable=False)
    tb.convert(out.parent / "old", out / target)
    before = files_in(out)
    with start_python(SLOW, prefix, out / target) as process:
        assert process.stdout.readline() == "written\n"
        process.kill()
    left = [name for name in os.listdir(out) if name.startswith(".")]
    assert len(left) == 1
    assert {name: content for name, content in files_in(out).items() if not name.startswith(".")} == before
    tb.convert(prefix, out / target)
    assert not [name for name in os.listdir(out) if name.startswith(".")]
    assert sorted(read_all(out / target)) == sorted(TENSORS)


KILLED_AT = r"""
import os, signal, sys
import tensorbundle as tb
from tensorbundle import files
from tensorbundle.conversion import placing
def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "before":
    files.replace = killed
else:
    replace = files.replace
    files.replace = lambda *arguments, **options: (replace(*arguments, **options), killed())
tb.convert(sys.argv[1], sys.argv[2], shards=2)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_set_of_a_conversion_that_is_killed_while_it_is_named(prefix, out, moment):
    target = out / "model.safetensors.index.json"
    tb.save(out.parent / "old", {"old": np.arange(10)}, durable=False)
    tb.convert(out.parent / "old", target)
    with start_python(KILLED_AT, prefix, target, moment) as process:
        assert process.wait() == -signal.SIGKILL
    assert sorted(read_all(target)) == (["old"] if moment == "before" else sorted(TENSORS))
    assert len(os.listdir(out)) == 1 + 1 + 2 + 1  # The index, both sets, and the hidden directory.
    (out / "model-r8-00001-of-00001.safetensors").write_bytes(b"of somebody else")
    tb.convert(prefix, target, shards=2)
    assert len(os.listdir(out)) == 1 + 2 + 1
    assert (out / "model-r8-00001-of-00001.safetensors").read_bytes() == b"of somebody else"
    assert sorted(read_all(target)) == sorted(TENSORS)


def test_conversion_that_somebody_else_is_at_is_left_alone(prefix, out):
    with start_python(SLOW, prefix, out / "a.safetensors") as process:
        assert process.stdout.readline() == "written\n"
        (left,) = os.listdir(out)
        tb.convert(prefix, out / "a.safetensors")
        assert sorted(os.listdir(out)) == [left, "a.safetensors"]
        process.kill()


INTERRUPTED = r"""
import os, signal, sys, threading, time
import tensorbundle as tb
from tensorbundle.conversion import {module} as module
write = module.write_all
def slow(*arguments):
    time.sleep(0.02)
    write(*arguments)
module.write_all = slow
def interrupt():
    global sent
    sent = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.3, interrupt).start()
try:
    tb.convert(sys.argv[1], sys.argv[2], threads=2, **eval(sys.argv[3]))
except KeyboardInterrupt:
    print(time.monotonic() - sent)
"""


@pytest.mark.parametrize(
    ("module", "options"),
    [("moving", {}), ("moving", {"cast": "float16"}), ("safetensors_target", {"transpose": "w"})],
)
def test_ctrl_c_ends_it_in_time_and_leaves_nothing(tmp_path, out, module, options):
    tb.save(tmp_path / "large", {"w": np.zeros((100, 1 << 20), np.uint8).view(np.float32)}, durable=False)
    script = INTERRUPTED.replace("{module}", module)
    for _ in range(5):  # The machine may have other things to do at that moment.
        late = float(run_python(script, tmp_path / "large", out / "a.safetensors", options))
        assert os.listdir(out) == []
        if late < 0.1:
            break
    assert late < 0.1


# Memory.

MEASURE = r"""
import json, re, sys, threading, time
import tensorbundle as tb

def anonymous():
    with open("/proc/self/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1]) << 10

tb.convert(sys.argv[1] + "-small", sys.argv[2] + ".small.npz")
tb.convert(sys.argv[1] + "-small", sys.argv[2] + "-small")
tb.convert(sys.argv[1] + "-small", sys.argv[2] + ".small.safetensors", cast="float16", transpose="w")
before, most, ended = anonymous(), 0, False
def watch():
    global most
    while not ended:
        most = max(most, anonymous())
        time.sleep(0.002)
thread = threading.Thread(target=watch)
thread.start()
try:
    tb.convert(sys.argv[1], sys.argv[2], **eval(sys.argv[3]))
finally:
    ended = True
    thread.join()
print(most - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A variable of 256 MiB; 4 GiB, and another of 2, where large tests are wanted."""
    folder = tmp_path_factory.mktemp("large")
    rows = (1 << 20) if os.environ.get("TENSORBUNDLE_LARGE_TESTS") else (1 << 16)
    with tb.CheckpointWriter(folder / "ckpt", durable=False) as writer:
        row = np.arange(1 << 20, dtype=np.float32).reshape(1 << 10, 1 << 10)
        writer.add_chunks("w", "float32", (rows, 1 << 10), (row for _ in range(rows >> 10)))
        if rows == 1 << 20:
            writer.add_chunks("v", "float32", (rows >> 1, 1 << 10), (row for _ in range(rows >> 11)))
    tb.save(folder / "ckpt-small", {"w": np.zeros((2, 3), np.float32)}, durable=False)
    yield folder / "ckpt"
    shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("target", ["out", "out.safetensors", "out.npz"])
@pytest.mark.parametrize(
    "options",
    [{"alignment": 128}, {"cast": "float16"}, {"cast": "float64"}, {"transpose": "w"}],
    ids=["same", "narrower", "wider", "transposed"],
)
def test_memory_is_bounded_whatever_the_size(large, tmp_path, target, options):
    taken = int(run_python(MEASURE, large, tmp_path / target, options))
    shutil.rmtree(tmp_path)
    assert taken < 80 * MIB
