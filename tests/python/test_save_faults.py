"""Saving when something goes wrong: the process is killed, the system refuses, somebody else saves to the same prefix.

At any moment the old checkpoint or the new one is there, whole, and whatever was left over goes with the next save.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import disks, publish, saving
from support.processes import start_python
from support.saving import Call, Outcome, Saver

import tensorbundle as tb

OLD, NEW, NEXT = 1, 2, 3
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PAGE = 4 * KIB
NOBODY, ANOTHER = 65534, 65533
MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
DURABLE = pytest.mark.parametrize("durable", [True, False], ids=["durable", "not durable"])
LARGE = pytest.mark.skipif(
    not os.environ.get("TENSORBUNDLE_LARGE_TESTS"), reason="writes gigabytes: set TENSORBUNDLE_LARGE_TESTS"
)
IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def saver() -> Iterator[Saver]:
    with Saver() as each:
        yield each


@pytest.fixture(scope="module")
def tracing_saver(saver: Saver) -> Saver:
    """The same where system calls can be watched and interfered with."""
    if reason := saving.why_no_strace():
        pytest.skip(reason)
    return saver


@dataclass(frozen=True)
class Situation:
    """What a save finds, and how it is made."""

    old_shards: int | None = 1  # None: no checkpoint yet.
    killed_shards: int | None = None  # Those of an earlier save that was killed when only its index had no name.
    options: dict[str, Any] = field(default_factory=lambda: {"durable": True})

    @property
    def number(self) -> int | None:
        """The save that is there before."""
        return None if self.old_shards is None else OLD


SITUATIONS = {
    "fresh": Situation(None),
    "fresh, two shards": Situation(None, options={"durable": True, "shards": 2}),
    "one shard over one": Situation(),
    "one shard over two": Situation(2),
    "two shards over one": Situation(options={"durable": True, "shards": 2}),
    "two shards over two": Situation(2, options={"durable": True, "shards": 2}),
    "after a killed one": Situation(killed_shards=3),
    "after a killed one of as many shards": Situation(killed_shards=2, options={"durable": True, "shards": 2}),
    "fresh, after a killed one": Situation(None, killed_shards=2),
    "fresh, not durable": Situation(None, options={"durable": False}),
    "one shard over one, not durable": Situation(options={"durable": False}),
    "two shards over two, not durable": Situation(2, options={"durable": False, "shards": 2}),
    "space is reserved": Situation(options={"durable": True, "shards": 2, "size": 700_000}),
}


class Stage:
    """A folder that a situation can be brought about in again and again."""

    def __init__(self, saver: Saver, folder: Path, situation: Situation) -> None:
        self.saver = saver
        self.situation = situation
        self.prefix = folder / "run" / "ckpt"
        self._template = folder / "template"
        self._template.mkdir()
        if situation.old_shards is not None:
            saving.save(self._template / "ckpt", OLD, shards=situation.old_shards)
        self.reset()
        if situation.killed_shards is not None:
            self.kill_at_commit(shards=situation.killed_shards)
            shutil.rmtree(self._template)
            shutil.copytree(self.prefix.parent, self._template)
            self.reset()

    def reset(self) -> None:
        shutil.rmtree(self.prefix.parent, ignore_errors=True)
        shutil.copytree(self._template, self.prefix.parent)

    def save(self, **options: Any) -> Outcome:
        return self.saver.save(self.prefix, NEW, **{**self.situation.options, **options})

    def rehearse(self, **options: Any) -> Outcome:
        """What the save asks of the system if nothing goes wrong."""
        outcome = self.save(**options)
        assert (outcome.signal, outcome.error) == (None, None)
        assert saving.number_at(self.prefix) == NEW
        saving.assert_alone(self.prefix)
        self.reset()
        return outcome

    def commit(self, outcome: Outcome) -> int:
        """Which of the calls gave the new index its name."""
        return outcome.position("rename", str(publish.index_path(self.prefix)))

    def kill_at_commit(self, **options: Any) -> None:
        """Leaves what a save leaves that is killed when everything is there but the name of the index."""
        rehearsal = self.rehearse(trace=saving.CHANGES, **options)
        call = rehearsal.calls[self.commit(rehearsal)]
        outcome = self.save(trace=saving.CHANGES, inject=[call.injection("signal=KILL")], **options)
        assert outcome.signal == signal.SIGKILL
        assert publish.old_data_files(self.prefix)


def assert_next_save_cleans_up(prefix: Path, shards: int = 1) -> None:
    saving.save(prefix, NEXT, shards=shards)
    assert saving.number_at(prefix) == NEXT
    saving.assert_alone(prefix)


# Killed.


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)
def test_killed_before_any_call_leaves_one_save_whole(tracing_saver, tmp_path, situation):
    stage = Stage(tracing_saver, tmp_path, situation)
    rehearsal = stage.rehearse(trace=saving.CHANGES)
    commit = stage.commit(rehearsal)
    killed = 0
    for position, call in enumerate(rehearsal.calls):
        if not call.changes_something:
            continue
        stage.reset()
        outcome = stage.save(trace=saving.CHANGES, inject=[call.injection("signal=KILL")])
        # It was this very call: as many had been made as were rehearsed.
        assert (outcome.signal, len(outcome.calls)) == (signal.SIGKILL, position + 1), call
        assert saving.number_at(stage.prefix) == (NEW if position > commit else situation.number), call
        assert_next_save_cleans_up(stage.prefix, 1 + position % 3)
        killed += 1
    assert killed > commit - 10 > 0


EDIT = {"rename": [["^w/", "v/"]], "drop": "^b/"}
EDITED = {False: {"b": "b", "w": "w"}, True: {"w": "v"}}  # Path -> the start of its key.


def edited_at(prefix: Path) -> bool:
    """Whether the objects at a prefix are as the edit leaves them, or as they were: whole, either way."""
    with tb.open(prefix) as ckpt:
        assert ckpt.verify()
        keys = {path: key.partition("/")[0] for path, key in ckpt.object_graph.variables.items()}
        was_edited = keys == EDITED[True]
        assert keys == EDITED[was_edited]
        assert list(ckpt)[1:] == [f"{key}/.ATTRIBUTES/VARIABLE_VALUE" for key in sorted(keys.values())]
        assert ckpt.named("path")["w"].tolist() == [1, 2, 3]
        return was_edited


@pytest.mark.parametrize("shards", [1, 2])
@DURABLE
def test_an_edit_of_objects_that_is_killed_leaves_them_whole(tracing_saver, tmp_path, shards, durable):
    prefix = tmp_path / "run" / "ckpt"

    def reset() -> None:
        shutil.rmtree(prefix.parent, ignore_errors=True)
        tb.save_objects(prefix, {"w": np.array([1, 2, 3]), "b": 4}, save_counter=None, shards=shards, durable=False)

    def edit(**options: Any) -> Outcome:
        return tracing_saver.save(prefix, 0, child={"edit": {**EDIT, "durable": durable}}, **options)

    reset()
    rehearsal = edit(trace=saving.CHANGES)
    assert (rehearsal.signal, rehearsal.error, edited_at(prefix)) == (None, None, True)
    saving.assert_alone(prefix)
    index = f"{prefix}.index"
    # Of two data files the one of a single small tensor is copied, so that one is left beside the new one.
    assert any(call.name.startswith("link") for call in rehearsal.calls) == (shards == 1)
    killed = Counter()
    for position, call in enumerate(rehearsal.calls):
        if not call.changes_something:
            continue
        reset()
        outcome = edit(trace=saving.CHANGES, inject=[call.injection("signal=KILL")])
        assert (outcome.signal, outcome.calls[-1].name) == (signal.SIGKILL, call.name)
        was_edited = any(done.name.startswith("rename") and done.paths[-1] == index for done in outcome.calls[:-1])
        assert edited_at(prefix) == was_edited, call
        # What it left goes with the next edit, or save.
        if was_edited or position % 2:
            assert_next_save_cleans_up(prefix, 1 + position % 3)
        else:
            tb.edit(prefix, **EDIT)
            assert edited_at(prefix)
            saving.assert_alone(prefix)
        killed[was_edited] += 1
    assert killed[False] > 8
    assert killed[True] > 1


KILLS = r"""
import itertools, os, random, signal, sys, time, warnings
from support import saving

# From Python 3.12 on about forking with threads: NumPy's linear algebra has some, which do nothing.
warnings.simplefilter("ignore", DeprecationWarning)
prefix, kills = sys.argv[1], int(sys.argv[2])
moments = random.Random(20)
saving.save(prefix, 0)  # What is imported on first use is so before the forking.
for kill in range(kills):
    saved, say = os.pipe()
    process = os.fork()
    if process == 0:
        for number in itertools.count(kill):
            saving.save(prefix, number, shards=1 + number % 3)
            if number == kill:
                os.write(say, b"x")
    os.close(say)
    assert os.read(saved, 1)
    time.sleep(moments.uniform(0, 0.01))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(saved)
    print(kill + 1, flush=True)
"""


def test_killed_at_random_while_others_read(tmp_path):
    prefix = tmp_path / "ckpt"
    saving.save(prefix, 0)
    killer = start_python(KILLS, prefix, 150, start_new_session=True)
    seen: Counter[int] = Counter()
    try:
        while killer.poll() is None:
            seen[saving.number_in(tb.load(prefix))] += 1
        stdout, stderr = killer.communicate()
        assert (killer.returncode, stderr, stdout.split()[-1]) == (0, "", "150")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(killer.pid, signal.SIGKILL)  # It, and the child that it has not killed yet.
        killer.communicate()
    assert len(seen) >= 5, seen
    assert saving.number_at(prefix) is not None
    assert_next_save_cleans_up(prefix)


# What is brought to the disk, and in which order.

FILES = {
    r"ckpt\.data-(\d{5})\.tmp-[0-9a-f]{16}": "data {}",
    r"ckpt\.data-(\d{5})-of-(\d{5})": "data {} of {}",
    r"ckpt\.index(?:\.tmp-[0-9a-f]{16})?": "index",
    r"run": "directory",
}
DEEDS = {
    "write": "written",
    "pwrite64": "written",
    "ftruncate": "written",
    "fallocate": "written",
    "fsync": "synced",
    "fdatasync": "synced",
    "sync_file_range": "sent to the disk",
    "rename": "named",
    "renameat": "named",
    "renameat2": "named",
    "unlink": "removed",
    "unlinkat": "removed",
}


def event_of(call: Call) -> str | None:
    """What a call did, and to which file; None if it changed nothing."""
    deed = DEEDS.get(call.name)
    if call.name == "flock" and call.paths[0].endswith("/run"):
        deed = "unlocked" if "LOCK_UN" in call.arguments else "locked"
    if deed is None or call.error is not None:
        return None
    for pattern, what in FILES.items():
        if found := re.fullmatch(pattern, Path(call.paths[0]).name):
            return f"{what.format(*map(int, found.groups()))} {deed}"
    raise AssertionError(call)


def events_of(outcome: Outcome) -> list[str]:
    """What happened; of several writes to one file the last one."""
    events = [event for call in outcome.calls if (event := event_of(call)) is not None]
    return [
        event
        for position, event in enumerate(events)
        if not event.endswith("written") or event not in events[position + 1 :]
    ]


@pytest.mark.parametrize("old_shards", [None, 1, 2])
@DURABLE
def test_order_of_events(tracing_saver, tmp_path, old_shards, durable):
    stage = Stage(tracing_saver, tmp_path, Situation(old_shards, options={"durable": durable, "shards": 2}))
    outcome = stage.rehearse(trace=[*saving.CHANGES, "sync_file_range"])
    data = [f"data {shard}" for shard in range(3 if old_shards == 2 else 2)]
    expected = [
        *(f"{each} written" for each in data),
        *(f"{each} synced" for each in data),
        "directory locked",
        "index written",
        *(f"{each} named" for each in data),
        "directory synced",
        "index synced",
        "index named",
        "directory synced",
        *(f"data {shard} of {old_shards} removed" for shard in range(old_shards or 0)),
        "directory unlocked",
    ]
    if durable:
        assert [event for event in events_of(outcome) if not event.endswith("sent to the disk")] == expected
    else:
        # Not even asked for.
        assert events_of(outcome) == [event for event in expected if not event.endswith("synced")]


def test_names_of_new_directories_are_brought_to_the_disk(tracing_saver, tmp_path):
    prefix = tmp_path / "new" / "run" / "ckpt"
    calls = tracing_saver.save(prefix, NEW, trace=["mkdir", "mkdirat", "fsync"], durable=True).calls
    made = [(call.name[:5], Path(call.paths[0])) for call in calls if call.error is None]
    assert made == [
        ("mkdir", tmp_path / "new"),
        ("fsync", tmp_path),
        ("mkdir", tmp_path / "new" / "run"),
        ("fsync", tmp_path / "new"),
        ("fsync", prefix.parent),
        ("fsync", prefix.parent),
    ]
    assert tracing_saver.save(tmp_path / "2" / "ckpt", NEW, trace=["fsync"]).calls == []


def test_order_of_events_after_a_killed_save(tracing_saver, tmp_path):
    """What tells the data files of the dead from others goes last."""
    stage = Stage(tracing_saver, tmp_path, Situation(None, killed_shards=2))
    outcome = stage.rehearse(trace=saving.CHANGES)
    removed = [event for event in events_of(outcome) if event.endswith("removed")]
    assert removed == ["data 0 of 2 removed", "data 1 of 2 removed", "index removed"]


# Refused.


def asks_for(call: Call, *names: str) -> bool:
    """Whether it is one of these calls; ``create`` is one that opens a new file."""
    return call.name in names or ("create" in names and "O_CREAT" in call.arguments)


NAMING = ("rename", "renameat", "renameat2")
SPACE = ("create", "pwrite64", "ftruncate", "fallocate")
REMOVING = ("unlink", "unlinkat")


def assert_refused(stage: Stage, call: Call, outcome: Outcome, error: int, before: dict[str, bytes]) -> None:
    """An error that says what and where, and all is as it was."""
    assert (outcome.signal, outcome.error.errno) == (None, error), call
    assert Path(outcome.error.filename).is_relative_to(stage.prefix.parent)
    assert outcome.error.filename in outcome.error.strerror
    assert os.strerror(error) in outcome.error.strerror
    after = saving.files_in(stage.prefix.parent)
    # What a killed save had left may be gone already.
    kept = before if stage.situation.killed_shards is None else {name: before[name] for name in after if name in before}
    assert after == kept, call
    assert saving.number_at(stage.prefix) == stage.situation.number


@pytest.mark.parametrize(
    ("situation", "calls"),
    [
        ("fresh", saving.CHANGES),
        ("one shard over one", saving.REQUESTS),
        ("two shards over two", saving.CHANGES),
        ("two shards over two, not durable", saving.CHANGES),
        ("fresh, after a killed one", saving.REQUESTS),
        ("after a killed one", saving.CHANGES),
        ("space is reserved", saving.CHANGES),
    ],
)
def test_any_call_that_fails_leaves_one_save_whole(tracing_saver, tmp_path, situation, calls):
    stage = Stage(tracing_saver, tmp_path, SITUATIONS[situation])
    before = saving.files_in(stage.prefix.parent)
    old_shards = stage.situation.old_shards or 0
    rehearsal = stage.rehearse(trace=calls)
    commit = stage.commit(rehearsal)
    for position, call in enumerate(rehearsal.calls):
        stage.reset()
        outcome = stage.save(trace=calls, inject=[call.injection("error=EIO")])
        assert any(each.nth == call.nth and each.error == "EIO" for each in outcome.calls if each.name == call.name)
        if position <= commit and outcome.error is not None:
            assert_refused(stage, call, outcome, errno.EIO, before)
            assert_next_save_cleans_up(stage.prefix)
            continue
        assert not asks_for(call, *SPACE, *NAMING, "fsync", "fdatasync") or position > commit, call
        assert saving.number_at(stage.prefix) == NEW, call
        kept = set(os.listdir(stage.prefix.parent)) - set(saving.names_of(stage.prefix))
        if outcome.error is not None:
            assert_not_synced(stage, outcome)
            assert kept == {publish.data_name("ckpt", i, old_shards) for i in range(old_shards)}
        else:
            # Only if it was about this very file that it could not be removed, or could not be seen to be nobody's.
            assert not kept or (kept <= before.keys() and Path(call.paths[0]).name in before), call
        assert_next_save_cleans_up(stage.prefix)


def assert_not_synced(stage: Stage, outcome: Outcome) -> None:
    """The one error after which the new save is there."""
    assert (outcome.error.errno, outcome.error.filename) == (errno.EIO, str(stage.prefix.parent))
    assert outcome.error.strerror == (
        "the new checkpoint is in its place, but may not survive a power cut, so the old one's data files are kept: "
        f"sync {stage.prefix.parent}: {os.strerror(errno.EIO)}"
    )


@pytest.mark.parametrize(
    ("error", "names"),
    [
        ("ENOSPC", (*SPACE, *NAMING)),
        ("EDQUOT", ("pwrite64", "fallocate")),
        ("EACCES", ("create", *NAMING)),
        ("EROFS", ("create", *NAMING)),
        ("EMFILE", ("create",)),
    ],
)
def test_a_refusal_is_an_error_with_its_number_and_file(tracing_saver, tmp_path, error, names):
    stage = Stage(tracing_saver, tmp_path, SITUATIONS["space is reserved"])
    before = saving.files_in(stage.prefix.parent)
    calls = [call for call in stage.rehearse(trace=saving.CHANGES).calls if asks_for(call, *names)]
    assert calls
    for call in calls:
        stage.reset()
        outcome = stage.save(trace=saving.CHANGES, inject=[call.injection(f"error={error}")])
        assert_refused(stage, call, outcome, getattr(errno, error), before)


@pytest.mark.parametrize(
    ("error", "names"),
    [
        # Where space can't be reserved there may be space all the same.
        ("EOPNOTSUPP", ("fallocate",)),
        ("ENOSYS", ("fallocate", "sync_file_range")),
        # No locks here.
        ("ENOLCK", ("flock",)),
        ("ENOSYS", ("flock",)),
        # What is removed next time.
        ("EACCES", REMOVING),
        ("EBUSY", REMOVING),
        # A signal came.
        ("EINTR", ("open", "openat", "flock", *SPACE, "fsync", "fdatasync", "close", "fcntl")),
    ],
)
def test_a_refusal_that_does_no_harm(tracing_saver, tmp_path, error, names):
    stage = Stage(tracing_saver, tmp_path, SITUATIONS["space is reserved"])
    calls = [call for call in stage.rehearse(trace=saving.REQUESTS).calls if asks_for(call, *names)]
    assert calls
    for call in calls:
        stage.reset()
        outcome = stage.save(trace=saving.REQUESTS, inject=[call.injection(f"error={error}")])
        assert (outcome.signal, outcome.error) == (None, None), call
        assert saving.number_at(stage.prefix) == NEW, call
        assert_next_save_cleans_up(stage.prefix)


@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP"])
def test_a_directory_that_cannot_be_synced_needs_no_syncing(tracing_saver, tmp_path, error):
    stage = Stage(tracing_saver, tmp_path, SITUATIONS["one shard over one"])
    stage.rehearse(trace=["fsync"])
    outcome = stage.save(trace=["fsync"], inject=[f"fsync:error={error}"])
    assert outcome.error is None
    assert [call.error for call in outcome.calls] == [error] * 2
    saving.assert_alone(stage.prefix)


@pytest.mark.parametrize("taken", [1, 4, 60])
def test_writing_goes_on_after_a_part(tracing_saver, tmp_path, taken):
    # strace has the system take nothing and say that it took a part. That is of zeros, so it is there all the same.
    prefix = tmp_path / "ckpt"
    assert tracing_saver.save(prefix, 0, trace=["pwrite64"]).calls[0].result > taken
    outcome = tracing_saver.save(tmp_path / "again", 0, trace=["pwrite64"], inject=[f"pwrite64:retval={taken}:when=1"])
    assert outcome.error is None
    first, second = outcome.calls[:2]
    assert first.result == taken
    assert first.arguments.endswith(", 0")
    assert second.arguments.endswith(f", {taken}")
    assert saving.number_at(tmp_path / "again") == 0
    assert publish.data_path(tmp_path / "again", 0, 1).read_bytes() == publish.data_path(prefix, 0, 1).read_bytes()


def test_a_file_that_takes_nothing_is_not_asked_for_ever(tracing_saver, tmp_path):
    stage = Stage(tracing_saver, tmp_path, SITUATIONS["one shard over one"])
    before = saving.files_in(stage.prefix.parent)
    outcome = stage.save(trace=["pwrite64"], inject=["pwrite64:retval=0"])
    assert len(outcome.calls) == 1
    assert_refused(stage, outcome.calls[0], outcome, errno.EIO, before)


def test_limit_on_the_size_of_files(saver, tmp_path):
    stage = Stage(saver, tmp_path, Situation(2, options={"size": 1000}))
    before = saving.files_in(stage.prefix.parent)
    refused = 0
    for limit in [0, 1, 7, 64, 100, *range(150, 6000, 450)]:
        stage.reset()
        outcome = stage.save(child={"limit": limit})
        assert outcome.signal is None
        if outcome.error is None:
            assert max(path.stat().st_size for path in stage.prefix.parent.iterdir()) <= limit
            saving.assert_alone(stage.prefix)
            assert saving.number_at(stage.prefix) == NEW
        else:
            refused += 1
            assert_refused(stage, None, outcome, errno.EFBIG, before)
    assert 5 <= refused < 18


def test_limit_on_the_size_of_files_where_space_is_reserved(saver, tmp_path):
    stage = Stage(saver, tmp_path, Situation(options={"size": 700_000}))
    before = saving.files_in(stage.prefix.parent)
    for limit in (64 * KIB, MIB, 2_799_999):
        assert_refused(stage, None, stage.save(child={"limit": limit}), errno.EFBIG, before)
    assert stage.save(child={"limit": 3 * MIB}).error is None


@pytest.mark.parametrize(("size", "step"), [(5 * KIB, 1), (700_000, 97)], ids=["small", "space is reserved"])
def test_full_disk(tmp_path, size, step):
    """However much room there is: for nothing, for some of the data, for all but the index."""
    with disks.disk(tmp_path / "disk", 8 * MIB) as folder:
        prefix = folder / "run" / "ckpt"
        saving.save(prefix, OLD)
        before = saving.files_in(prefix.parent)
        outcomes = []
        for pages in itertools.count(0, step):
            filler = folder / "filler"
            filler.write_bytes(bytes(disks.free_bytes(folder) - pages * PAGE))
            assert disks.free_bytes(folder) == pages * PAGE
            try:
                saving.save(prefix, NEW, size=size, shards=2)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                assert Path(error.filename).is_relative_to(prefix.parent)
                assert saving.files_in(prefix.parent) == before
                assert disks.free_bytes(folder) == pages * PAGE
                assert saving.number_at(prefix) == OLD
                outcomes.append("full")
            else:
                outcomes.append("saved")
                break
            filler.unlink()
        assert len(outcomes) > 5
        assert saving.number_at(prefix) == NEW
        saving.assert_alone(prefix)


def test_read_only_disk(tmp_path):
    with disks.disk(tmp_path / "disk", MIB) as folder:
        saving.save(folder / "ckpt", OLD)
        before = saving.files_in(folder)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with pytest.raises(OSError, match="Read-only") as caught:
            saving.save(folder / "ckpt", NEW)
        assert caught.value.errno == errno.EROFS
        assert caught.value.filename.startswith(f"{folder}/ckpt.data-00000.tmp-")
        with pytest.raises(OSError, match="Read-only") as caught:
            saving.save(folder / "new" / "ckpt", NEW)
        assert (caught.value.errno, caught.value.filename) == (errno.EROFS, str(folder / "new"))
        assert saving.files_in(folder) == before
        assert saving.number_at(folder / "ckpt") == OLD


def as_user(user: int, folder: Path) -> dict[str, Any]:
    """For ``Saver.save``: as that user if this one is root. Names are relative to ``folder``: above it is root's."""
    return {"directory": str(folder), **({"user": user} if IS_ROOT else {})}


@pytest.mark.parametrize("mode", [0o555, 0o311], ids=["may not be written", "may not be listed"])
def test_directory_without_permission(saver, tmp_path, mode):
    folder = tmp_path / "run"
    saving.save(folder / "ckpt", OLD)
    if mode == 0o311 and IS_ROOT:
        os.chown(folder, NOBODY, NOBODY)
    before = saving.files_in(folder)
    folder.chmod(mode)
    try:
        outcome = saver.save("ckpt", NEW, child=as_user(NOBODY, folder))
    finally:
        folder.chmod(0o755)
    assert outcome.error.errno == errno.EACCES
    assert outcome.error.filename.startswith("ckpt.data-00000.tmp-" if mode == 0o555 else ".")
    assert saving.files_in(folder) == before
    assert saving.number_at(folder / "ckpt") == OLD


@pytest.mark.skipif(not IS_ROOT, reason="only root can be two users")
def test_what_another_user_left_in_a_shared_directory_is_in_nobodys_way(saver, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o1777)
    assert saver.save("ckpt", OLD, child=as_user(NOBODY, folder)).error is None
    others = ["ckpt.data-00000.tmp-0123456789abcdef", "ckpt.index.tmp-0123456789abcdef", "ckpt.data-00000-of-00003"]
    image = publish.index_path(folder / "ckpt").read_bytes()
    for name in others:
        (folder / name).write_bytes(image)
        os.chown(folder / name, ANOTHER, ANOTHER)
    assert saver.save("ckpt", NEW, child=as_user(NOBODY, folder)).error is None
    assert saving.number_at(folder / "ckpt") == NEW
    assert sorted(os.listdir(folder)) == sorted([*saving.names_of(folder / "ckpt"), *others])
    assert_next_save_cleans_up(folder / "ckpt")


@pytest.mark.parametrize("options", [{}, {"durable": True}, {"shards": 3}], ids=str)
def test_directory_that_vanishes_meanwhile(tmp_path, options):
    folder = tmp_path / "run"
    saving.save(folder / "ckpt", OLD)
    with pytest.raises(FileNotFoundError) as caught:
        saving.save(folder / "ckpt", NEW, progress=lambda *_: shutil.rmtree(folder, ignore_errors=True), **options)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(folder))
    assert not folder.exists()


def test_another_directory_in_its_place_meanwhile(tmp_path):
    folder, moved = tmp_path / "run", tmp_path / "moved"
    saving.save(folder / "ckpt", OLD)

    def move(*_: object) -> None:
        if not moved.exists():
            folder.rename(moved)
            folder.mkdir()

    with pytest.raises(FileNotFoundError):
        saving.save(folder / "ckpt", NEW, progress=move)
    assert list(folder.iterdir()) == []
    assert saving.number_at(moved / "ckpt") == OLD
    assert_next_save_cleans_up(moved / "ckpt")


@pytest.mark.parametrize("error", [RuntimeError("enough"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_exception_of_the_callback_leaves_everything_as_it_was(tmp_path, error):
    prefix = tmp_path / "ckpt"
    saving.save(prefix, OLD)
    before = saving.files_in(tmp_path)

    def progress(*_: object) -> None:
        raise error

    with pytest.raises(type(error)):
        saving.save(prefix, NEW, progress=progress)
    assert saving.files_in(tmp_path) == before


# Somebody else.

TOLD = r"""
import sys
from support import saving

print("ready", flush=True)
for line in sys.stdin:
    number, shards, size, durable = map(int, line.split())
    saving.save(sys.argv[1], number, shards=shards, size=size, durable=bool(durable))
    print(number, flush=True)
"""


@contextlib.contextmanager
def children(script: str, *arguments: list[object]) -> Iterator[list[subprocess.Popen]]:
    """A process per list of arguments, each ready."""
    with contextlib.ExitStack() as stack:
        processes = [start_python(script, *each) for each in arguments]
        for process in processes:
            stack.callback(process.communicate)
            stack.callback(process.kill)
        for process in processes:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield processes


def tell(process: subprocess.Popen, line: str) -> None:
    process.stdin.write(line + "\n")
    process.stdin.flush()


def test_of_two_saves_at_once_one_is_there_whole(tmp_path):
    prefix = tmp_path / "ckpt"
    last: Counter[int] = Counter()
    with children(TOLD, [prefix], [prefix]) as writers:
        for number in range(0, 300, 2):
            size = (10, 1000, 30_000)[number % 3]
            for i, writer in enumerate(writers):
                tell(writer, f"{number + i} {1 + (number // 2 + i) % 3} {size} {number % 10 == 0:d}")
            assert [int(writer.stdout.readline()) for writer in writers] == [number, number + 1]
            found = saving.number_at(prefix)
            assert found in (number, number + 1)
            saving.assert_alone(prefix)
            last[found - number] += 1
    assert last.total() == 150


def test_saves_of_many_threads_at_once(tmp_path):
    prefix = tmp_path / "ckpt"
    saves = [
        threading.Thread(target=saving.save, args=(prefix, number), kwargs={"shards": 1 + number % 3, "threads": 2})
        for number in range(24)
    ]
    for thread in saves:
        thread.start()
    for thread in saves:
        thread.join()
    assert saving.number_at(prefix) in range(24)
    saving.assert_alone(prefix)


REPLACES = r"""
import itertools, select, sys
from support import saving

prefix, first, step, least = sys.argv[1], *map(int, sys.argv[2:])
print("ready", flush=True)
for number in itertools.count(first, step):
    saving.save(prefix, number, shards=1 + number % 3, size=10 + number % 500)
    if number >= least and select.select([sys.stdin], [], [], 0)[0]:
        break
print(number)
"""


@MODES
@pytest.mark.parametrize("writers", [1, 2])
def test_each_opening_finds_one_save_whole(tmp_path, mmap, writers):
    prefix = tmp_path / "ckpt"
    saving.save(prefix, 0)
    seen: Counter[int] = Counter()
    patience = time.monotonic() + 60
    with children(REPLACES, *([prefix, i, writers, 200] for i in range(writers))) as processes:
        while seen.total() < 1000 or len(seen) < 20:
            # A warning would be an error here: nothing is ever missing.
            with tb.open(prefix, mmap=mmap) as ckpt:
                arrays = ckpt.load()
                seen[saving.number_in(arrays)] += 1
                assert saving.number_in(ckpt.load(copy=True)) == saving.number_in(arrays)
            assert time.monotonic() < patience, seen
        for process in processes:
            stdout, stderr = process.communicate("stop\n")
            assert (process.returncode, stderr) == (0, "")
            assert int(stdout) >= 200
    saving.assert_alone(prefix)


@MODES
@DURABLE
def test_who_has_the_old_save_open_goes_on_reading_it(tmp_path, mmap, durable):
    prefix = tmp_path / "ckpt"
    saving.save(prefix, OLD, shards=2, size=5000)
    with tb.open(prefix, mmap=mmap) as ckpt:
        early = ckpt.load()
        for number in range(NEW, NEW + 12):
            saving.save(prefix, number, shards=1 + number % 3, durable=durable)
            assert saving.number_in(ckpt.load()) == saving.number_in(ckpt.load(copy=True)) == OLD
            assert ckpt.verify()
            assert saving.number_at(prefix) == number
            saving.assert_alone(prefix)
    assert saving.number_in(early) == OLD


def test_saving_what_is_mapped_from_the_same_prefix(tmp_path):
    prefix = tmp_path / "ckpt"
    saving.save(prefix, OLD, size=5000)
    for _ in range(4):
        with tb.open(prefix, mmap=True) as ckpt:
            tb.save(prefix, ckpt.load())
            assert saving.number_in(ckpt.load()) == OLD
        assert saving.number_at(prefix) == OLD
        saving.assert_alone(prefix)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Holds the lock that commits are made under."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def wait_for_files(folder: Path, count: int) -> None:
    patience = time.monotonic() + 60
    while len(os.listdir(folder)) < count:
        assert time.monotonic() < patience
        time.sleep(0.002)


@pytest.mark.parametrize("progress", [None, lambda *_: None], ids=["silent", "with progress"])
def test_who_has_the_directory_is_waited_for(tmp_path, progress):
    prefix = tmp_path / "ckpt"
    saving.save(prefix, OLD)
    thread = threading.Thread(target=saving.save, args=(prefix, NEW), kwargs={"shards": 2, "progress": progress})
    with locked(tmp_path):
        thread.start()
        wait_for_files(tmp_path, 4)
        thread.join(0.3)
        assert thread.is_alive()
        assert saving.number_at(prefix) == OLD
        saving.save(tmp_path / "elsewhere" / "ckpt", NEXT)
    thread.join()
    assert saving.number_at(prefix) == NEW
    shutil.rmtree(tmp_path / "elsewhere")
    saving.assert_alone(prefix)


WAITS = r"""
import sys, time
from support import saving

print("ready", flush=True)
sys.stdin.readline()
try:
    saving.save(sys.argv[1], 2)
except KeyboardInterrupt:
    print(time.monotonic())
"""


def test_interrupt_while_waiting(tmp_path):
    """It ends the wait within 0.5 s. A busy machine may take longer to notice, but not every time."""
    saving.save(tmp_path / "ckpt", OLD)
    before = saving.files_in(tmp_path)
    late = []
    with locked(tmp_path):
        for _ in range(4):
            with children(WAITS, [tmp_path / "ckpt"]) as (process,):
                tell(process, "go")
                wait_for_files(tmp_path, 3)
                time.sleep(0.1)
                sent = time.monotonic()
                process.send_signal(signal.SIGINT)
                stdout, stderr = process.communicate()
            assert (process.returncode, stderr) == (0, "")
            late.append(float(stdout) - sent)
            assert saving.files_in(tmp_path) == before
            if late[-1] < 0.5:
                break
    assert late[-1] < 0.5, late


# What was left over.

WRITES = r"""
import sys
import tensorbundle as tb
from support import saving

with tb.CheckpointWriter(sys.argv[1], shards=2, durable=False) as writer:
    writer.add_many(saving.tensors_of(7))
    print("ready", flush=True)
    sys.stdin.readline()
print("done")
"""


def temporaries_in(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if ".tmp-" in name)


def test_files_of_a_living_writer_stay(tmp_path):
    prefix = tmp_path / "ckpt"
    with children(WRITES, [prefix]) as (process,):
        (first, second) = temporaries_in(tmp_path)
        for number in range(4):
            saving.save(prefix, number, shards=1 + number % 2)
            assert saving.number_at(prefix) == number
            assert sorted(os.listdir(tmp_path)) == sorted([*saving.names_of(prefix), first, second])
        assert process.communicate("finish\n") == ("done\n", "")
    assert saving.number_at(prefix) == 7
    saving.assert_alone(prefix)


def test_files_of_a_killed_writer_go(tmp_path):
    prefix = tmp_path / "ckpt"
    with children(WRITES, [prefix], [prefix]) as (killed, living):
        assert len(temporaries_in(tmp_path)) == 4
        killed.kill()
        killed.communicate()
        saving.save(prefix, NEW)
        assert len(temporaries_in(tmp_path)) == 2
        assert living.communicate("finish\n") == ("done\n", "")
    saving.assert_alone(prefix)


def test_files_of_a_writer_that_was_dropped_go_at_once(tmp_path):
    writer = tb.CheckpointWriter(tmp_path / "ckpt", shards=3)
    writer.add_many(saving.tensors_of(NEW))
    assert len(temporaries_in(tmp_path)) == 3
    del writer
    assert os.listdir(tmp_path) == []


OTHERS = [
    "ckpt",
    "ckpt-10",
    "ckpt-1.index",
    "ckpt-1.data-00000",
    "ckpt-1.data-00000-of-00001",
    "ckpt-1.index.tmp-x",
    "ckpt-1-",
    "xckpt-1",
]


def leave(prefix: Path, image: bytes) -> dict[str, bytes]:
    """What a save with two shards leaves at a prefix that is killed when only its index has no name."""
    files = {f"{prefix.name}.index.tmp-00000000000000{digits}": image for digits in ("0a", "ff")}
    files |= {f"{prefix.name}.data-00002.tmp-{'7' * 16}": b"more"}
    files |= {publish.data_name(prefix.name, shard, 2): b"data" for shard in range(2)}
    for name, content in files.items():
        (prefix.parent / name).write_bytes(content)
    return files


def image_of_two_shards(folder: Path) -> bytes:
    saving.save(folder / "ckpt", OLD, shards=2)
    return publish.index_path(folder / "ckpt").read_bytes()


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("has_index", [False, True])
def test_leftovers_of_other_prefixes_stay(tmp_path, other, has_index):
    image = image_of_two_shards(tmp_path / "image")
    folder = tmp_path / "run"
    folder.mkdir()
    prefix = folder / "ckpt-1"
    if has_index:
        saving.save(prefix, OLD)
        saving.save(folder / other, OLD, shards=3)
    kept = {**leave(folder / other, image), **saving.files_in(folder)}
    mine = {path.name for path in [publish.index_path(prefix), *publish.old_data_files(prefix)]} if has_index else set()
    for number in (NEW, NEXT):
        saving.save(prefix, number)
        assert saving.number_at(prefix) == number
        mine |= set(saving.names_of(prefix))
        now = saving.files_in(folder)
        assert {name: now[name] for name in now if name not in mine} == {
            name: kept[name] for name in kept if name not in mine
        }
        assert set(saving.names_of(prefix)) <= now.keys()
    if has_index:
        assert saving.number_at(folder / other) == OLD
    saving.save(folder / other, NEW)
    assert saving.number_at(prefix) == NEXT
    assert set(os.listdir(folder)) == {*saving.names_of(prefix), *saving.names_of(folder / other)}


@pytest.mark.parametrize("old", [None, 1, 2, 3])
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_data_files_without_an_index_go(tmp_path, old, shards):
    image = image_of_two_shards(tmp_path / "image")
    prefix = tmp_path / "run" / "ckpt"
    prefix.parent.mkdir()
    if old is not None:
        saving.save(prefix, OLD, shards=old)
    if old != 2:
        leave(prefix, image)
    saving.save(prefix, NEW, shards=shards)
    assert saving.number_at(prefix) == NEW
    saving.assert_alone(prefix)


def test_what_may_belong_to_a_damaged_index_stays_until_the_commit(tracing_saver, tmp_path):
    stage = Stage(tracing_saver, tmp_path, Situation(2, options={"shards": 2}))
    index = publish.index_path(stage.prefix)
    damaged = index.read_bytes()[:-5]
    before = {**saving.files_in(stage.prefix.parent), index.name: damaged}
    rehearsal = stage.rehearse(trace=saving.CHANGES)
    commit = rehearsal.calls[stage.commit(rehearsal)]
    index.write_bytes(damaged)
    assert stage.save(trace=saving.CHANGES, inject=[commit.injection("signal=KILL")]).signal == signal.SIGKILL
    after = saving.files_in(stage.prefix.parent)
    assert after.keys() > before.keys()
    assert {name: after[name] for name in before} == before
    # And a killed save with as many shards is not taken for the one that the damaged index is of.
    leave(stage.prefix.parent / "other", image_of_two_shards(tmp_path / "image"))
    assert_next_save_cleans_up_but(stage.prefix, "other")


def assert_next_save_cleans_up_but(prefix: Path, other: str) -> None:
    saving.save(prefix, NEXT, shards=2)
    assert saving.number_at(prefix) == NEXT
    assert {name for name in os.listdir(prefix.parent) if not name.startswith(other)} == set(saving.names_of(prefix))


STRANGERS = [
    "ckpt-1",
    "ckpt-1.data-backup",
    "ckpt-1.data-00000",
    "ckpt-1.data-00000-of-00001.bak",
    "ckpt-1.data-0000-of-0001",
    "ckpt-1.data-00000-of-00001.tempstate1234567890",
    "ckpt-1.data-00000.tmp-0123",
    "ckpt-1.data-00000.tmp-0123456789ABCDEF",
    "ckpt-1.data-00000-of-00001.tmp-0123456789abcdef",
    "ckpt-1.data-x.tmp-0123456789abcdef",
    "ckpt-1.index.bak",
    "ckpt-1.index.tempstate1234567890",
    "ckpt-1.index.tmp",
    "ckpt-1.index.tmp-0123456789abcdef0",
    "ckpt-1.meta",
    "ckpt-1.tmp",
    "ckpt-1.tmp-0123456789abcdef",
    "checkpoint",
]


def test_files_of_strangers_stay(tmp_path):
    prefix = tmp_path / "ckpt-1"
    strangers = {name: name.encode() for name in STRANGERS}
    for name, content in strangers.items():
        (tmp_path / name).write_bytes(content)
    for number in range(4):
        saving.save(prefix, number, shards=1 + number % 2)
        assert saving.number_at(prefix) == number
        now = saving.files_in(tmp_path)
        assert {name: now.pop(name) for name in STRANGERS} == strangers
        assert sorted(now) == saving.names_of(prefix)


def test_what_is_named_like_a_leftover_and_is_no_file_stays(tmp_path):
    prefix = tmp_path / "ckpt"
    saving.save(prefix, OLD)
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    names = [f"ckpt.{what}.tmp-{'e' * 15}{i}" for i in range(3) for what in ("index", "data-00000")]
    for name in names[:2]:
        (tmp_path / name).symlink_to(target)
    for name in names[2:4]:
        (tmp_path / name).mkdir()
    for name in names[4:]:
        os.mkfifo(tmp_path / name)
    for number in (NEW, NEXT):
        saving.save(prefix, number)
        assert saving.number_at(prefix) == number
        assert sorted(os.listdir(tmp_path)) == sorted([*saving.names_of(prefix), "target", *names])
    assert target.read_bytes() == b"mine"
    assert [stat.S_IFMT((tmp_path / name).lstat().st_mode) for name in names[::2]] == [
        stat.S_IFLNK,
        stat.S_IFDIR,
        stat.S_IFIFO,
    ]


# Large.


@pytest.mark.parametrize("size", [2**17 - 1, 2**17, 2**17 + 1, 3 * 2**17 + 5])
def test_what_is_written_in_several_blocks(tmp_path, size):
    kernel = saving.tensors_of(NEW, size)["kernel"]
    whole, parts = tmp_path / "whole" / "ckpt", tmp_path / "parts" / "ckpt"
    saving.save(whole, NEW, size=size)
    assert saving.number_at(whole) == NEW
    with tb.CheckpointWriter(parts) as writer:
        writer.add("before", np.arange(3, dtype="u1"))
        writer.add_chunks("kernel", "uint32", kernel.shape, np.array_split(kernel, 7))
        writer.add("after", np.arange(5, dtype="u1"))
    with tb.open(parts) as ckpt:
        assert ckpt.verify()
        np.testing.assert_array_equal(ckpt["kernel"], kernel)
        assert (ckpt["before"].tolist(), ckpt["after"].tolist()) == ([0, 1, 2], [0, 1, 2, 3, 4])


@LARGE
@pytest.mark.parametrize("gibibytes", [2, 4])
@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunks"])
def test_more_than_two_and_four_gibibytes(tmp_path, gibibytes, chunked):
    """One tensor, in one data file, with a tensor behind it."""
    size = gibibytes * GIB + 3 * KIB + 1
    places = np.array([0, 1, GIB, 2 * GIB - 1, 2 * GIB, size - 2, size - 1])
    large = np.zeros(size, "u1")
    large[places] = values = np.arange(1, 8, dtype="u1")
    with tb.CheckpointWriter(tmp_path / "ckpt", durable=False) as writer:
        if chunked:
            writer.add_chunks(
                "large", "uint8", large.shape, (large[i : i + 300_000_001] for i in range(0, size, 300_000_001))
            )
        else:
            writer.add("large", large)
        writer.add("end", np.arange(9, dtype="<i4"))
    try:
        assert publish.data_path(tmp_path / "ckpt", 0, 1).stat().st_size >= size + 36
        with tb.open(tmp_path / "ckpt") as ckpt:
            assert ckpt.verify()
            assert ckpt["end"].tolist() == list(range(9))
            found = ckpt["large"]
            assert found.shape == (size,)
            np.testing.assert_array_equal(found[places], values)
            assert np.count_nonzero(found) == len(places)
            del found
    finally:
        shutil.rmtree(tmp_path)
