"""Numbered versions for a model server: what is one, what a server minds, and that they come and go whole."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import corpus, servable
from support.processes import run_python, start_python
from support.servable import files_in, write_model, write_saved_model

import tensorbundle as tb
from tensorbundle import errors, files, locks
from tensorbundle.saved_model import records, serving
from tensorbundle.saved_model import workshop as workshops

MOST = 2**63 - 1
IS_ROOT = os.geteuid() == 0
NOBODY = 65534
LEFTOVER = ".publishing-0123456789abcdef"


def fill(number: int = 0, **options: Any) -> Callable[[str], None]:
    return lambda directory: write_model(directory, number, **options)


def number_in(version: str | os.PathLike[str]) -> int:
    """The number that its variables tell, every byte of which is as it was written."""
    return int(tb.load(os.path.join(version, "variables", "variables"))["w"][0])


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models" / "half_plus_two"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "made"
    write_model(directory, 5)
    return directory


# What is a version.


def test_versions_are_folders_named_by_numbers(tmp_path):
    for name in ["3", "00000012", "1700000000", str(MOST), "0"]:
        (tmp_path / name).mkdir()
    for name in [
        "v4",
        "4.0",
        "-5",
        "+6",
        " 7",
        "7 ",
        "0x8",
        "1_0",
        "",
        "\u0663",
        str(MOST + 1),
        "temp-9",
        ".10",
        "1e3",
    ]:
        (tmp_path / (name or "x")).mkdir()
    (tmp_path / "11").touch()
    (tmp_path / "13").symlink_to("3")
    (tmp_path / "14").symlink_to("nowhere")
    assert serving.versions(tmp_path) == [0, 3, 12, 13, 1700000000, MOST]
    assert serving.latest(tmp_path) == str(tmp_path / str(MOST))
    assert serving.paths(tmp_path) == [
        str(tmp_path / name) for name in ["0", "3", "00000012", "13", "1700000000", str(MOST)]
    ]


def test_of_two_names_of_a_number_the_server_loads_the_last(tmp_path):
    for name in ["001", "01", "1"]:
        (tmp_path / name).mkdir()
    assert serving.versions(tmp_path) == [1]
    assert serving.latest(tmp_path) == str(tmp_path / "1")


def test_no_versions(tmp_path):
    assert (serving.versions(tmp_path), serving.latest(tmp_path)) == ([], None)
    assert (serving.versions(tmp_path / "none"), serving.latest(tmp_path / "none")) == ([], None)
    (tmp_path / "file").touch()
    for function in (serving.versions, serving.latest, serving.check):
        with pytest.raises(NotADirectoryError):
            function(tmp_path / "file")


def test_relative_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given, path in [("", "1"), ("m", "m/1"), ("m/", "m/2"), (Path("m"), "m/3"), (b"m", "m/4")]:
        assert serving.publish(given, fill()) == path
        assert serving.latest(given) == path
    assert serving.publish("m/../m", fill()) == "m/../m/5"
    assert serving.check("m").versions == (1, 2, 3, 4, 5)


# Publishing.


def test_first_version(base):
    seen = []

    def write(directory: str) -> None:
        seen.append(directory)
        assert (os.path.isabs(directory), os.listdir(directory)) == (True, [])
        assert (serving.versions(base), serving.latest(base)) == ([], None)
        assert not serving.check(base)
        write_model(directory, 7)

    assert serving.publish(base, write) == str(base / "1")
    assert Path(seen[0]).parent.parent == base
    assert os.listdir(base) == ["1"]
    assert number_in(base / "1") == 7
    assert serving.check(base)


def test_numbers_continue_after_the_highest(base):
    paths = [serving.publish(base, fill(number)) for number in (1, 2)]
    (base / "00000041").mkdir()
    paths.append(serving.publish(base, fill(42)))
    (base / "50").touch()  # A server takes it for a version.
    paths.append(serving.publish(base, fill(51)))
    assert [os.path.basename(path) for path in paths] == ["1", "2", "42", "51"]
    assert [number_in(path) for path in paths] == [1, 2, 42, 51]


def test_what_is_written_is_what_is_published(base, model):
    path = serving.publish(base, lambda directory: shutil.copytree(model, directory, dirs_exist_ok=True))
    assert files_in(path) == files_in(model)


def test_permissions_are_the_process_own(base):
    old = os.umask(0o027)
    try:
        path = serving.publish(base, fill())
    finally:
        os.umask(old)
    assert os.stat(path).st_mode & 0o777 == 0o750


def test_given_version(base):
    assert serving.publish(base, fill(), version=np.int64(7)) == str(base / "7")
    assert serving.publish(base, fill(), version=0) == str(base / "0")
    assert serving.publish(base, fill()) == str(base / "8")
    assert serving.publish(base, fill(), version=MOST) == str(base / str(MOST))
    with pytest.raises(errors.LimitError, match=re.escape(f"{str(base / str(MOST))!r} has the highest number")):
        serving.publish(base, fill())
    assert sorted(os.listdir(base)) == sorted(["0", "7", "8", str(MOST)])


@pytest.mark.parametrize("name", ["7", "007"])
@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_given_version_is_never_replaced(base, name, make):
    base.mkdir(parents=True)
    make(base / name)
    with pytest.raises(FileExistsError) as caught:
        serving.publish(base, fill(), version=7)
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, str(base / name))
    assert os.listdir(base) == [name]


def test_timestamps(base, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.9)
    names = [os.path.basename(serving.publish(base, fill(), version="timestamp")) for _ in range(3)]
    assert names == ["1700000000", "1700000001", "1700000002"]
    monkeypatch.setattr(time, "time", lambda: 1_600_000_000.0)  # The clock was set back: a server serves the highest.
    assert serving.publish(base, fill(), version="timestamp") == str(base / "1700000003")
    assert serving.publish(base, fill()) == str(base / "1700000004")


@pytest.mark.parametrize("durable", [True, False])
def test_synced_before_it_has_its_name(base, monkeypatch, durable):
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    def rename(source: str, target: str) -> None:
        calls.append(f"rename {os.path.basename(target)}")
        os.replace(source, target)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("only Linux tells what a descriptor is of")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    serving.publish(base, fill(), durable=durable)
    calls = [re.sub(r".*\.publishing-[0-9a-f]{16}/", "", call) for call in calls]
    synced = {
        "new/assets/vocabulary.txt",
        "new/assets",
        "new/variables/variables.index",
        "new/variables/variables.data-00000-of-00001",
        "new/variables",
        "new/saved_model.pb",
        "new",
        str(base.parent),  # Has the name of the new base directory.
        str(base.parent.parent),
    }
    if durable:
        assert set(calls[:9]) == synced
        assert calls[9:] == ["rename 1", str(base)]
    else:
        assert calls == ["rename 1"]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"keep": 0}, ValueError, "keep must be positive, or None to keep all, not 0"),
        ({"keep": True}, TypeError, "keep must be an integer, not True"),
        ({"keep": 2.0}, TypeError, "keep must be an integer, not 2.0"),
        ({"version": -1}, ValueError, f"version must be from 0 to {MOST}, not -1"),
        ({"version": MOST + 1}, ValueError, f"version must be from 0 to {MOST}, not {MOST + 1}"),
        ({"version": "7"}, TypeError, "version must be an integer, not '7'"),
        ({"version": False}, TypeError, "version must be an integer, not False"),
        ({"write": "export/1"}, TypeError, "write must be a function that fills a directory, not 'export/1'"),
    ],
)
def test_wrong_arguments(base, options, kind, message):
    with pytest.raises(kind) as caught:
        serving.publish(base, **{"write": pytest.fail, **options})
    assert str(caught.value) == message
    assert not base.exists()


# Keeping some.


def published(base: Path, *numbers: int) -> None:
    for number in numbers:
        serving.publish(base, fill(number), version=number)


def test_keep_removes_the_lowest(base):
    published(base, 1, 2, 3)
    serving.publish(base, fill(), keep=np.int8(2))
    assert serving.versions(base) == [3, 4]
    serving.publish(base, fill(), keep=10)
    assert serving.versions(base) == [3, 4, 5]
    serving.publish(base, fill(), keep=1)
    assert os.listdir(base) == ["6"]


def test_keep_never_removes_the_new_one_nor_the_newest(base):
    published(base, 5, 6, 7)
    serving.publish(base, fill(), keep=2, version=3)
    assert serving.versions(base) == [3, 6, 7]


def test_keep_counts_numbers_and_spares_what_is_no_version(base):
    published(base, 1, 2)
    (base / "002").mkdir()
    (base / "0").touch()
    (base / "notes").mkdir()
    serving.publish(base, fill(), keep=2)
    assert sorted(os.listdir(base)) == ["0", "002", "2", "3", "notes"]


def test_a_link_goes_and_what_it_leads_to_stays(base, model):
    base.mkdir(parents=True)
    (base / "1").symlink_to(model)
    before = files_in(model)
    serving.publish(base, fill(), keep=1)
    assert os.listdir(base) == ["2"]
    assert files_in(model) == before


def test_old_versions_are_renamed_away_before_any_of_their_files_goes(base, monkeypatch):
    published(base, 1, 2)
    whole = {f"old-{number}": files_in(base / str(number)) for number in (1, 2)}
    seen = []

    def rmtree(path: str) -> None:
        seen.append(os.path.basename(path))
        assert files_in(path) == whole[seen[-1]]
        assert serving.versions(base) == [3]
        remove(path)

    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    published_path = serving.publish(base, fill(), keep=1)
    assert published_path == str(base / "3")
    assert sorted(seen) == ["old-1", "old-2"]
    assert os.listdir(base) == ["3"]


def test_old_version_that_cannot_be_removed_is_removed_by_the_next(base, monkeypatch):
    published(base, 1)

    def refuse(path: str) -> None:
        raise PermissionError(errno.EPERM, "no", path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        with pytest.raises(PermissionError):
            serving.publish(base, fill(), keep=1)
    assert serving.versions(base) == [2]
    assert serving.check(base)
    serving.publish(base, fill())
    assert sorted(os.listdir(base)) == ["2", "3"]


# Nothing is left of what fails.


class FailureError(Exception):
    pass


@pytest.mark.parametrize("kind", [FailureError, KeyboardInterrupt, SystemExit])
def test_failing_write_leaves_nothing(tmp_path, base, kind):
    def write(directory: str) -> None:
        write_model(directory)
        raise kind("failed")

    with pytest.raises(kind, match="failed"):
        serving.publish(base, write)
    assert os.listdir(tmp_path) == []
    published(base, 4)
    before = files_in(base)
    with pytest.raises(kind, match="failed"):
        serving.publish(base, write, keep=1)
    assert files_in(base) == before
    assert os.listdir(base) == ["4"]


REFUSED: dict[str, tuple[Callable[[str], object], type[Exception], str]] = {
    "nothing": (lambda _: None, errors.BuilderError, "has no saved_model.pb"),
    "removed": (shutil.rmtree, errors.BuilderError, "leads nowhere; a version is a directory"),
    "tags": (
        fill(change=lambda made: made.meta_info_def.tags.append("gpu")),
        errors.BuilderError,
        "has no meta graph with exactly the tags {serve}; it has {gpu, serve}",
    ),
    "two reasons": (
        fill(change=lambda made: (set_input()(made), asset_named("gone")(made))),
        errors.BuilderError,
        "has asset 'gone', which is missing; has signature 'serving_default', input 'x': it names no tensor",
    ),
}


@pytest.mark.parametrize(("write", "kind", "text"), REFUSED.values(), ids=REFUSED)
def test_what_a_server_refuses_is_not_published(tmp_path, base, write, kind, text):
    with pytest.raises(kind) as caught:
        serving.publish(base, write)
    assert str(caught.value) == f"the new version can't be served, and is not published: it {text}"
    assert os.listdir(tmp_path) == []


def test_damage_is_not_published(tmp_path, base):
    with pytest.raises(
        errors.DataLossError, match=r"not published: it is damaged: .*saved_model\.pb' is no SavedModel"
    ):
        serving.publish(base, lambda directory: Path(directory, "saved_model.pb").write_bytes(b"\xff"))
    assert os.listdir(tmp_path) == []


def test_a_model_without_signatures_is_published(base):
    path = serving.publish(base, fill(change=lambda made: made.signature_def.clear()))
    assert texts(serving.check(base)) == [
        ("warning", path, "has no signatures: it would be loaded, and answer no request")
    ]


def test_base_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    for base in (tmp_path / "file", tmp_path / "file" / "models"):
        with pytest.raises(NotADirectoryError):
            serving.publish(base, pytest.fail)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("function", ["rename", "listdir", "mkdir"])
def test_a_system_that_refuses_leaves_nothing(tmp_path, base, monkeypatch, function):
    published(base, 1)
    real = getattr(os, function)
    before = files_in(base)

    def refuse(path: str, *rest: Any, **options: Any) -> Any:
        if function != "mkdir" or path.endswith("new"):
            raise OSError(errno.EIO, "refused", path)
        return real(path, *rest, **options)

    def write(directory: str) -> None:
        write_model(directory)
        patch.setattr(os, function, refuse)

    with monkeypatch.context() as patch:
        if function == "mkdir":
            patch.setattr(os, function, refuse)
        with pytest.raises(OSError, match="refused"):
            serving.publish(base, write)
    if function == "listdir":  # Without it nothing can be removed either: that is for the next.
        published(base, 2)
        shutil.rmtree(base / "2")
    assert files_in(base) == before
    assert os.listdir(base) == ["1"]


def test_a_chdir_in_between_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def write(directory: str) -> None:
        os.chdir("elsewhere")
        write_model(directory)

    assert serving.publish("m", write) == "m/1"
    assert serving.versions(tmp_path / "m") == [1]


def test_checkpoints_may_be_saved_anywhere_meanwhile(base):
    def write(directory: str) -> None:
        for place in (base, Path(directory)):
            tb.save(place / "ckpt", {"a": np.zeros(3)})  # Locks the directory.
        write_model(directory)

    assert serving.publish(base, write) == str(base / "1")


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that another user can get to, who owns it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        if IS_ROOT:
            os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def test_a_model_that_is_only_for_reading(shared_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = (
        "import os, shutil, sys\n"
        "from support.servable import write_model\n"
        "from tensorbundle.saved_model import serving\n"
        "base = sys.argv[1]\n"
        "serving.publish('imports', write_model, keep=1)\n"  # What is imported is root's, too.
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "def write(directory):\n"
        "    write_model(directory)\n"
        "    for folder, _, _ in os.walk(directory, topdown=False): os.chmod(folder, 0o555)\n"
        "print([serving.publish(base, write, keep=1) for _ in range(3)])\n"
        "os.chmod(os.path.join(base, '3'), 0o555)\n"
        "serving.publish(base, write, keep=1)\n"
        "print(os.listdir(base))\n"
    )
    base = shared_folder / "base"
    out = run_python(script, base).splitlines()
    assert out == [str([str(base / name) for name in "123"]), "['4']"]


# Killed.

# A child publishes the third version, and is killed before its n-th call of the system that Python tells auditors of.
KILLED = """
import os, shutil, signal, sys
from tensorbundle.saved_model import records, serving

base, model = sys.argv[1:]
serving.check_model(model)  # Imports everything.

def publish():
    def write(directory):
        shutil.copytree(model, directory, dirs_exist_ok=True)
    return serving.publish(base, write, keep=2)

def child(last):
    count = 0
    def hook(event, _):
        nonlocal count
        if event == "open" or event.startswith(("os.", "fcntl.", "shutil.")):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    publish()
    os._exit(0)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        child(int(line))
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def test_killed_at_every_stage(tmp_path, base, model):
    template = tmp_path / "template"
    for number in (1, 2):
        write_model(template / str(number), number)
    whole = {str(number): files_in(template / str(number)) for number in (1, 2)} | {"3": files_in(model)}
    states = []
    with start_python(KILLED, base, model) as process:
        for stage in range(1, 1000):
            shutil.copytree(template, base)
            process.stdin.write(f"{stage}\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            names = [name for name in sorted(os.listdir(base)) if not name.startswith(".")]
            states.append(names)
            assert {name: files_in(base / name) for name in names} == {name: whole[name] for name in names}
            if status == 0:
                break
            assert status == signal.SIGKILL
            assert serving.check(base)
            newest = max(map(int, names))
            assert serving.publish(base, fill(9), keep=2, durable=False) == str(base / str(newest + 1))
            assert sorted(os.listdir(base)) == [str(newest), str(newest + 1)]  # And nothing of the killed one.
            shutil.rmtree(base)
        process.stdin.close()
    assert status == 0
    assert os.listdir(base) in (["2", "3"], ["3", "2"])
    kinds = [state for index, state in enumerate(states) if index == 0 or state != states[index - 1]]
    assert kinds == [["1", "2"], ["1", "2", "3"], ["2", "3"]]
    assert min(states.count(kind) for kind in kinds) >= 2
    assert len(states) > 50


def test_what_a_live_publisher_has_is_left_alone(base, model):
    script = (
        "import shutil, sys\n"
        "from tensorbundle.saved_model import serving\n"
        "def write(directory):\n"
        "    print(directory, flush=True)\n"
        "    sys.stdin.readline()\n"
        "    shutil.copytree(sys.argv[2], directory, dirs_exist_ok=True)\n"
        "print(serving.publish(sys.argv[1], write))\n"
    )
    with start_python(script, base, model) as process:
        place = process.stdout.readline().strip()
        assert serving.publish(base, fill(1), keep=1) == str(base / "1")
        assert os.path.isdir(place)
        assert serving.check(base)
        out, err = process.communicate("go on\n", timeout=60)
    assert (out, err) == (f"{base / '2'}\n", "")
    assert sorted(os.listdir(base)) == ["1", "2"]


def test_only_what_is_named_so_is_a_leftover(base):
    published(base, 1)
    for name in [LEFTOVER, LEFTOVER + "0", ".publishing-notes", "publishing-0123456789abcdef", ".hidden"]:
        (base / name).mkdir()
    (base / ".publishing-00000000000000ff").mkdir()
    (base / ".publishing-00000000000000ff" / "somebody's").touch()  # And no lock: nothing of ours.
    (base / ".publishing-00000000000000fe").touch()
    published(base, 2)
    assert sorted(os.listdir(base)) == [
        ".hidden",
        ".publishing-00000000000000fe",
        ".publishing-00000000000000ff",
        LEFTOVER + "0",
        ".publishing-notes",
        "1",
        "2",
        "publishing-0123456789abcdef",
    ]


@pytest.mark.parametrize(("idle_hours", "stays"), [(23, True), (25, False)])
def test_leftovers_where_nothing_can_be_locked(base, monkeypatch, idle_hours, stays):
    published(base, 1)
    (base / LEFTOVER).mkdir()
    (base / LEFTOVER / "lock").touch()
    then = time.time() - idle_hours * 3600
    os.utime(base / LEFTOVER, (then, then))
    monkeypatch.setattr(locks, "try_lock", lambda _: None)
    published(base, 2)
    assert (base / LEFTOVER).exists() == stays
    assert serving.versions(base) == [1, 2]


# Locks.


def test_a_directory_lock_keeps_others_out(tmp_path):
    with locks.directory_lock(str(tmp_path)):
        with pytest.raises(BlockingIOError) as caught, locks.directory_lock(str(tmp_path), patience=0.05):
            pytest.fail("it is locked")
        assert (caught.value.errno, caught.value.filename) == (errno.EWOULDBLOCK, str(tmp_path))
        assert caught.value.strerror == "somebody else has had the directory locked for 0.05 s"
    with locks.directory_lock(str(tmp_path), patience=0):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EBADF, errno.ENOTSUP])
def test_a_file_system_that_cannot_lock(tmp_path, base, monkeypatch, code):
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locks.directory_lock(str(tmp_path)), locks.directory_lock(str(tmp_path)):
        pass
    assert [serving.publish(base, fill(), keep=1) for _ in range(2)] == [str(base / "1"), str(base / "2")]
    assert os.listdir(base) == ["2"]


def test_another_error_of_locking_is_an_error(base, monkeypatch):
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        serving.publish(base, pytest.fail)


def test_a_lock_that_a_sweeper_got_first_is_another_attempt(base, monkeypatch):
    outcomes = iter([False])
    real = locks.try_lock

    def answer(descriptor: int) -> bool | None:
        first = next(outcomes, None)
        return real(descriptor) if first is None else first

    monkeypatch.setattr(locks, "try_lock", answer)
    assert serving.publish(base, fill()) == str(base / "1")
    assert os.listdir(base) == ["1"]


# Races.

PUBLISHER = """
import shutil, sys
from tensorbundle import locks
from tensorbundle.saved_model import records, serving

base, model, count, keep, can_lock = sys.argv[1:]
if not int(can_lock):
    real = locks.directory_lock
    locks.directory_lock = lambda path: __import__("contextlib").nullcontext()
serving.check_model(model)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(count)):
    path = serving.publish(
        base, lambda directory: shutil.copytree(model, directory, dirs_exist_ok=True), int(keep) or None, durable=False
    )
    print(path, flush=True)
"""


class Observer(threading.Thread):
    """Looks at every version that there is, again and again; a version that is gone meanwhile has been whole."""

    def __init__(self, base: Path, whole: dict[str, bytes]) -> None:
        super().__init__()
        self.base = base
        self.whole = whole
        self.looks = 0
        self.incomplete: list[tuple[str, str]] = []
        self._stop_wanted = threading.Event()

    def run(self) -> None:
        while not self._stop_wanted.is_set():
            for name in os.listdir(self.base) if self.base.exists() else []:
                if name.isdigit():
                    self.look(name)

    def look(self, name: str) -> None:
        self.looks += 1
        try:
            found = {file: (self.base / name / file).read_bytes() for file in self.whole}
        except FileNotFoundError as error:
            if (self.base / name).exists():
                self.incomplete.append((name, str(error)))
            return
        if found != self.whole:
            self.incomplete.append((name, "differs"))

    def stop(self) -> None:
        self._stop_wanted.set()
        self.join()


@pytest.mark.parametrize("keep", [0, 3], ids=["all are kept", "three are kept"])
@pytest.mark.parametrize("can_lock", [True, False], ids=["locked", "not locked"])
def test_several_publish_at_once(base, model, keep, can_lock):
    processes, count = 4, 12
    started = [start_python(PUBLISHER, base, model, count, keep, int(can_lock)) for _ in range(processes)]
    observer = Observer(base, files_in(model))
    try:
        for process in started:
            assert process.stdout.readline() == "ready\n"
        observer.start()
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
        if observer.is_alive():
            observer.stop()
    assert [err for _, err in results] == [""] * processes
    numbers = [[int(os.path.basename(path)) for path in out.splitlines()] for out, _ in results]
    assert all(each == sorted(each) for each in numbers)
    everything = sorted(number for each in numbers for number in each)
    assert observer.incomplete == []
    assert observer.looks > 0
    if can_lock or not keep:
        assert everything == list(range(1, processes * count + 1))
        assert serving.versions(base) == everything[-keep:]
    assert all(not name.startswith(".") for name in os.listdir(base))
    assert serving.check(base)


def test_versions_appear_in_the_order_of_their_numbers(base, model):
    """Or one could come below the highest, which no server would load."""
    seen: list[int] = []
    place = serving._place

    def watched(workshop: workshops.Workshop, wanted: int | str | None) -> int:
        number = place(workshop, wanted)
        seen.append(number)
        return number

    serving._place = watched
    try:
        threads = [
            threading.Thread(target=lambda: [serving.publish(base, fill(), durable=False) for _ in range(5)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        serving._place = place
    assert seen == list(range(1, 21))


def test_nobody_comes_between_a_number_and_its_name(base, monkeypatch):
    """Or others could publish that number and a higher one, and remove the first, before it is taken once more."""
    published(base, 1)
    waits_or_done = threading.Event()

    def publish_two() -> None:
        for _ in range(2):
            serving.publish(base, fill(), keep=1, durable=False)
        waits_or_done.set()

    def sleep(seconds: float) -> None:
        waits_or_done.set()
        real_sleep(seconds)

    def late(source: str, target: str) -> None:
        if threading.current_thread() is threading.main_thread() and target == str(base / "2"):
            others.start()
            assert waits_or_done.wait(60)
        rename(source, target)

    others = threading.Thread(target=publish_two)
    rename, real_sleep = os.rename, time.sleep
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(os, "rename", late)
    assert serving.publish(base, fill(2)) == str(base / "2")
    others.join()
    assert serving.versions(base) == [4]


def test_a_name_that_somebody_takes_at_the_last_moment(base, monkeypatch):
    published(base, 1)
    rename = os.rename

    def late(source: str, target: str) -> None:
        if target == str(base / "2"):
            os.mkdir(target)
            Path(target, "file").touch()
        elif target == str(base / "3"):
            Path(target).touch()
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    assert serving.publish(base, fill(4)) == str(base / "4")
    assert number_in(base / "4") == 4


# Checking.


def texts(report: serving.CheckReport) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.path, finding.text) for finding in report.findings]


def test_sound_base(base):
    published(base, 1, 20)
    (base / "README.md").touch()
    (base / ".cache").mkdir()
    report = serving.check(base)
    assert report
    assert (report.path, report.versions, report.findings) == (str(base), (1, 20), ())
    assert str(report) == f"{str(base)!r} is sound"
    assert repr(report) == f"<CheckReport {str(base)!r}: 2 versions, 0 findings>"
    assert pickle.loads(pickle.dumps(report)) == report


def test_base_with_findings(base):
    published(base, 3)
    (base / "v2").mkdir()
    (base / "-4").mkdir()
    (base / " +7").mkdir()
    (base / str(MOST + 1)).mkdir()
    (base / "03").mkdir()
    (base / "4").touch()
    (base / "5").symlink_to("nowhere")
    (base / "6").mkdir()
    report = serving.check(base)
    assert not report
    assert report.versions == (3, 4, 5, 6)
    taken = "is taken for version {} by a server, and by nothing else: a version is named by digits alone"
    stray = "is passed over: a version is named by a number below 2**63"
    assert report.findings == (
        serving.Finding(None, str(base / " +7"), "warning", taken.format(7)),
        serving.Finding(None, str(base / "-4"), "warning", taken.format(-4)),
        serving.Finding(None, str(base / str(MOST + 1)), "warning", stray),
        serving.Finding(None, str(base / "v2"), "warning", stray),
        serving.Finding(3, str(base / "03"), "warning", "is passed over: '3' is version 3 too"),
        serving.Finding(4, str(base / "4"), "error", "is a file; a version is a directory"),
        serving.Finding(5, str(base / "5"), "error", "leads nowhere; a version is a directory"),
        serving.Finding(6, str(base / "6"), "error", "has no saved_model.pb"),
    )
    assert str(report).splitlines()[:2] == [
        f"{str(base)!r} is not sound",
        f"  warning: {str(base / ' +7')!r} {taken.format(7)}",
    ]
    assert pickle.loads(pickle.dumps(report)) == report


def test_empty_base(base):
    base.mkdir(parents=True)
    assert texts(serving.check(base)) == [("error", str(base), "has no versions")]
    write_model(base)
    assert texts(serving.check(base)) == [
        ("error", str(base), "has no versions: it is a SavedModel itself, and should be in a folder named by a number")
    ]
    with pytest.raises(FileNotFoundError):
        serving.check(base / "none")


def two_main_ops(made: Any) -> None:
    made.collection_def["saved_model_main_op"].node_list.value.append("y")


def no_main_op(made: Any) -> None:
    made.collection_def["saved_model_main_op"].Clear()


def two_legacy_ops(made: Any) -> None:
    del made.collection_def["saved_model_main_op"]
    made.collection_def["legacy_init_op"].node_list.value.extend(["x", "y"])


def init_signature(output: str, name: str) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        made.signature_def["__saved_model_init_op"].outputs[output].name = name

    return change


def in_collection(*names: str) -> Callable[[Any], None]:
    """Assets as builders of TensorFlow 1 list them."""

    def change(made: Any) -> None:
        packed = list(made.asset_file_def)
        del made.asset_file_def[:]
        for asset, name in zip(packed * len(names), names, strict=True):
            asset.filename = name
            value = made.collection_def["saved_model_assets"].any_list.value.add()
            value.type_url = "type.googleapis.com/tensorflow.AssetFileDef"
            value.value = asset.SerializeToString()

    return change


def asset_named(name: str) -> Callable[[Any], None]:
    return lambda made: setattr(made.asset_file_def[0], "filename", name)


def set_input(**fields: Any) -> Callable[[Any], None]:
    """Another first input of the signature; without fields it names nothing."""

    def change(made: Any) -> None:
        info = made.signature_def["serving_default"].inputs["x"]
        info.Clear()
        if "name" in fields:
            info.name = fields["name"]
        if "sparse" in fields:
            sparse = info.coo_sparse
            sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name = fields["sparse"]
        for name in fields.get("composite", ()):
            info.composite_tensor.components.add(name=name)

    return change


SOUND: dict[str, Callable[[Any], object]] = {
    "as it is": lambda made: None,
    "no initial op": lambda made: made.collection_def.clear(),
    "legacy init op": lambda made: (
        made.collection_def.clear(),
        made.collection_def["legacy_init_op"].node_list.value.append("init"),
    ),
    "init signature": init_signature("__saved_model_init_op", "init:0"),
    "init signature before a wrong collection": lambda made: (
        two_main_ops(made),
        init_signature("__saved_model_init_op", "init")(made),
    ),
    "assets in a collection": in_collection("vocabulary.txt"),
    "no assets": lambda made: made.ClearField("asset_file_def"),
    "sparse input": set_input(sparse=("x:0", "x:1", "y:0")),
    "composite input": set_input(composite=("x:0", "y:0")),
    "a signature without outputs beside another": lambda made: (
        made.signature_def["setup"].inputs["x"].CopyFrom(made.signature_def["serving_default"].inputs["x"])
    ),
    "tag given twice": lambda made: made.meta_info_def.tags.append("serve"),
}

NOT_ONE = "can't be served: FILE: Expected exactly one SavedModel init op. The collection"

# What is done to a model, and what is said of it; FILE is that of the message.
MINDED: dict[str, tuple[Callable[[Any], object], str, str]] = {
    "other tags": (
        lambda made: made.meta_info_def.tags.append("train"),
        "error",
        "has no meta graph with exactly the tags {serve}; it has {serve, train}",
    ),
    "no tags": (
        lambda made: made.meta_info_def.ClearField("tags"),
        "error",
        "has no meta graph with exactly the tags {serve}; it has {}",
    ),
    "two main ops": (
        two_main_ops,
        "error",
        f"{NOT_ONE} 'saved_model_main_op' has 2: ['init', 'y']",
    ),
    "no main op": (
        no_main_op,
        "error",
        f"{NOT_ONE} 'saved_model_main_op' has 0: []",
    ),
    "two legacy ops": (
        two_legacy_ops,
        "error",
        f"{NOT_ONE} 'legacy_init_op' has 2: ['x', 'y']",
    ),
    "init signature without its output": (
        init_signature("other", "init"),
        "error",
        "can't be served: FILE: the signature '__saved_model_init_op' has no output of that name, but ['other']",
    ),
    "unknown initial op": (
        init_signature("__saved_model_init_op", "gone"),
        "error",
        "names op 'gone' to be run first, which its graph has not",
    ),
    "restore op": (
        lambda made: setattr(made.saver_def, "restore_op_name", "gone"),
        "error",
        "can't be restored: its graph has no node for the restore op 'gone'",
    ),
    "file name tensor": (
        lambda made: setattr(made.saver_def, "filename_tensor_name", ""),
        "error",
        "can't be restored: its graph has no node for the file name tensor ''",
    ),
    "asset missing": (asset_named("gone.txt"), "error", "has asset 'gone.txt', which is missing"),
    "asset that is a folder": (
        asset_named("."),
        "error",
        "can't be served: FILE: the asset '.' is refused: its name is that of no file",
    ),
    "asset above": (
        asset_named("../saved_model.pb"),
        "error",
        "can't be served: FILE: the asset '../saved_model.pb' is refused: its name leads out of 'assets'",
    ),
    "asset at the root": (
        asset_named("/etc/passwd"),
        "error",
        "can't be served: FILE: the asset '/etc/passwd' is refused: its name is an absolute path",
    ),
    "asset with NUL": (
        asset_named("a\0b"),
        "error",
        "can't be served: FILE: the asset 'a\\x00b' is refused: its name has a NUL in it",
    ),
    "asset without a name": (
        asset_named(""),
        "error",
        "can't be served: FILE: the asset '' is refused: its name is that of no file",
    ),
    "asset above, in a collection": (
        in_collection("../x"),
        "error",
        "can't be served: FILE: the asset '../x' is refused: its name leads out of 'assets'",
    ),
    "asset's tensor": (
        lambda made: setattr(made.asset_file_def[0].tensor_info, "name", "gone:0"),
        "error",
        "has asset 'vocabulary.txt' for tensor 'gone:0', which its graph has not",
    ),
    "no signatures": (
        lambda made: made.signature_def.clear(),
        "warning",
        "has no signatures: it would be loaded, and answer no request",
    ),
    "reserved signatures only": (
        lambda made: (made.signature_def.clear(), init_signature("__saved_model_init_op", "init")(made)),
        "warning",
        "has no signatures: it would be loaded, and answer no request",
    ),
    "no outputs": (
        lambda made: made.signature_def["serving_default"].outputs.clear(),
        "warning",
        "has no signature with outputs: it would be loaded, and answer no request",
    ),
    "unknown input": (
        set_input(name="gone:0"),
        "error",
        "has signature 'serving_default', input 'x': tensor 'gone:0' is not in its graph",
    ),
    "unknown part of a sparse input": (
        set_input(sparse=("x:0", "gone:1", "y:0")),
        "error",
        "has signature 'serving_default', input 'x': tensor 'gone:1' is not in its graph",
    ),
    "unknown part of a composite input": (
        set_input(composite=("x:0", "gone:0")),
        "error",
        "has signature 'serving_default', input 'x': tensor 'gone:0' is not in its graph",
    ),
    "input without a tensor": (set_input(), "error", "has signature 'serving_default', input 'x': it names no tensor"),
}


@pytest.mark.parametrize("change", SOUND.values(), ids=SOUND)
def test_sound_models(tmp_path, change):
    write_model(tmp_path / "model", change=change)
    assert texts(serving.check_model(tmp_path / "model")) == []


@pytest.mark.parametrize(("change", "severity", "text"), MINDED.values(), ids=MINDED)
def test_models_that_a_server_minds(tmp_path, change, severity, text):
    write_model(tmp_path / "model", change=change)
    report = serving.check_model(tmp_path / "model")
    text = text.replace("FILE", repr(str(tmp_path / "model" / "saved_model.pb")))
    assert texts(report) == [(severity, str(tmp_path / "model"), text)]
    assert (report.versions, report.findings[0].version) == ((), None)


def remove(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def replace(path: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_bytes(content)


def as_chunked(folder: Path) -> None:
    (folder / "saved_model.pb").rename(folder / "saved_model.cpb")


def as_link(folder: Path) -> None:
    (folder / "secret").touch()
    (folder / "assets" / "vocabulary.txt").unlink()
    (folder / "assets" / "vocabulary.txt").symlink_to("../secret")


def as_folder(folder: Path) -> None:
    (folder / "assets" / "vocabulary.txt").unlink()
    (folder / "assets" / "vocabulary.txt").mkdir()


def without_last_byte(folder: Path) -> None:
    os.truncate(folder / "variables" / "variables.data-00000-of-00001", 11)  # Of three numbers.


FILES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no message": (remove("saved_model.pb"), "error", r"has no saved_model\.pb"),
    "chunked": (
        as_chunked,
        "error",
        r"has only the chunked form of a saved_model\.pb, which servers do not read",
    ),
    "empty message": (
        replace("saved_model.pb", b""),
        "error",
        r"has no meta graph with exactly the tags \{serve\}; it has none at all",
    ),
    "damaged message": (
        replace("saved_model.pb", b"\xff" * 9),
        "damage",
        r"is damaged: '.*saved_model\.pb' is no SavedModel: .*",
    ),
    "no index": (
        remove("variables/variables.index"),
        "error",
        r"has no variables/variables\.index, though its graph restores variables",
    ),
    "damaged index": (replace("variables/variables.index", b"x" * 99), "damage", r"is damaged: .*variables\.index.*"),
    "no data": (
        remove("variables/variables.data-00000-of-00001"),
        "error",
        r"has 1 of 1 variables that can't be read: .*variables\.data-00000-of-00001.*",
    ),
    "short data": (without_last_byte, "damage", r"has 1 of 1 variables that can't be read: .*truncated.*"),
    "no asset": (remove("assets/vocabulary.txt"), "error", r"has asset 'vocabulary\.txt', which is missing"),
    "asset that leads outside": (
        as_link,
        "error",
        r"can't be served: .*: the asset 'vocabulary\.txt' is refused: a link leads out of 'assets', to '.*/1/secret'",
    ),
    "asset that is a folder": (as_folder, "error", r"has asset 'vocabulary\.txt', which is missing"),
}


@pytest.mark.parametrize(("break_it", "severity", "pattern"), FILES.values(), ids=FILES)
def test_files_that_a_server_minds(tmp_path, break_it, severity, pattern):
    write_model(tmp_path / "1")
    break_it(tmp_path / "1")
    ((found_severity, path, text),) = texts(serving.check(tmp_path))
    assert (found_severity, path) == (severity, str(tmp_path / "1"))
    assert re.fullmatch(pattern, text)


def test_variables_that_no_saver_restores_do_not_matter(tmp_path):
    write_model(tmp_path / "model", change=lambda made: made.ClearField("saver_def"))
    shutil.rmtree(tmp_path / "model" / "variables")
    assert serving.check_model(tmp_path / "model")


def test_the_first_meta_graph_with_the_tags_is_served(tmp_path):
    write_model(tmp_path / "model")
    good, bad = servable.meta_graph("serve"), servable.meta_graph("serve")
    two_main_ops(bad)
    write_saved_model(tmp_path / "model", servable.meta_graph("train"), good, bad)
    assert serving.check_model(tmp_path / "model")
    write_saved_model(tmp_path / "model", bad, good)
    assert not serving.check_model(tmp_path / "model")


def test_damage_in_a_meta_graph_that_is_not_served(tmp_path):
    write_model(tmp_path / "model")
    with open(tmp_path / "model" / "saved_model.pb", "ab") as file:
        file.write(bytes([2 << 3 | 2, 4, 2 << 3 | 2, 2, 0xFF, 0xFF]))  # Its graph_def is no message.
    ((severity, _, text),) = texts(serving.check_model(tmp_path / "model"))
    assert severity == "damage"
    assert text.startswith(f"is damaged: {str(tmp_path / 'model' / 'saved_model.pb')!r}")


def test_text_is_read_where_there_is_no_binary(tmp_path):
    write_model(tmp_path / "model")
    pb, pbtxt = tmp_path / "model" / "saved_model.pb", tmp_path / "model" / "saved_model.pbtxt"
    pbtxt.write_text("nonsense")
    assert serving.check_model(tmp_path / "model")
    pb.unlink()
    ((severity, _, text),) = texts(serving.check_model(tmp_path / "model"))
    assert severity == "damage"
    assert text.startswith(f"is damaged: {str(pbtxt)!r}, line 1: no text of a SavedModel: ")
    pbtxt.write_text('meta_graphs { meta_info_def { tags: "serve" } }')
    ((severity, _, text),) = texts(serving.check_model(tmp_path / "model"))
    assert (severity, text) == ("warning", "has no signatures: it would be loaded, and answer no request")


def test_what_cannot_be_read(base, monkeypatch):
    published(base, 1)
    path = str(base / "1" / "saved_model.pb")

    def refuse(_directory: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(records, "read", refuse)
    assert texts(serving.check(base)) == [("error", str(base / "1"), f"can't be read: {path!r}: Permission denied")]


def test_check_model_of_no_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        serving.check_model(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        serving.check_model(tmp_path / "file")


def test_a_version_that_is_pruned_meanwhile_is_no_finding(base, monkeypatch):
    published(base, 1, 2)
    numbered = serving._numbered

    def late(*arguments: Any, **options: Any) -> list[tuple[int, str]]:
        found = numbered(*arguments, **options)
        shutil.rmtree(base / "1", ignore_errors=True)
        return found

    monkeypatch.setattr(serving, "_numbered", late)
    assert serving.check(base)


def test_without_protobuf_nothing_is_begun(base):
    script = (
        "import sys\n"
        "sys.modules['google.protobuf'] = None\n"
        "from tensorbundle.saved_model import serving\n"
        "print(serving.versions(sys.argv[1]))\n"
        "for call in (lambda: serving.publish(sys.argv[1], print), lambda: serving.check('/'),\n"
        "             lambda: serving.check_model('/')):\n"
        "    try: call()\n"
        "    except ImportError as error: print('protobuf' in str(error))\n"
    )
    assert run_python(script, base) == "[]\nTrue\nTrue\nTrue\n"
    assert not base.exists()


# The corpus.

SOUND_BASES = {
    "serving-half-plus-two-2-versions": (123, 124),
    "serving-half-plus-two-cpu": (123,),
    "serving-half-plus-two-mkl": (123,),
    "serving-half-plus-two-regress-only": (123,),
    "serving-half-plus-two-tf2-cpu": (123,),
    "serving-matrix-half-plus-two": (1,),
    "serving-tf-text-regression-2020": (1,),
    "tf-half-plus-two-20170525": (123,),
    "tf-half-plus-two-pbtxt-20170525": (123,),
    "tf-half-plus-two-main-op-20170525": (123,),
    "tf-half-plus-two-forward-compatibility": (123,),
    "tfx-model-dir-2022/export/chicago-taxi": (1646034756,),
    "tfx-model-dir-201902-two-shards/export/chicago-taxi": (1551382555,),
}
# Why a server would not take the others; what is not listed is sound.
MINDED_MODELS = {
    "rust-regression-2018": "has no meta graph with exactly the tags {serve}; it has {serve, train}",
    "serving-half-plus-two-empty-config/00000123": "has asset 'foo.txt', which is missing",
    "sustainabite-recipe-model-lfs-pointer": "has 20 of 21 variables that can't be read: ",
    "sustainabite-text-vectorizer": "has no signatures: it would be loaded, and answer no request",
    "tf-half-plus-two-20160930": "has no variables/variables.index, though its graph restores variables",
    "tf-half-plus-two-20161013": "has no variables/variables.index, though its graph restores variables",
    "tf-half-plus-two-pbtxt-20160930": "has no variables/variables.index, though its graph restores variables",
    "tf-half-plus-two-sharded-20160927": "has no variables/variables.index, though its graph restores variables",
    "tf-session-bundle-saved-model-20161007": "has no variables/variables.index, though its graph restores variables",
    "tfx-tfma-eval-2022": "has no meta graph with exactly the tags {serve}; it has {eval}",
    "tfx-tftransform-tmp": "has no meta graph with exactly the tags {serve}; it has {transform}",
    "tfx-transform-fn-202003": "has no meta graph with exactly the tags {serve}; it has {transform}",
}


def corpus_models() -> dict[str, Path]:
    found = [file.parent for sample in corpus.samples() for file in sample.directory.rglob("saved_model.pb*")]
    root = corpus.paths.corpus_directory()
    return {str(folder.relative_to(root)): folder for folder in sorted(found)}


@pytest.fixture
def corpus_root() -> Path:
    root = corpus.paths.corpus_directory()
    if root is None:
        pytest.skip("there is no corpus")
    return root


@pytest.mark.parametrize(("name", "numbers"), SOUND_BASES.items(), ids=SOUND_BASES)
def test_bases_of_the_corpus(corpus_root, name, numbers):
    report = serving.check(corpus_root / name)
    assert texts(report) == []
    assert report.versions == tuple(serving.versions(corpus_root / name)) == numbers


def test_every_model_of_the_corpus(corpus_root):
    models = corpus_models()
    assert set(MINDED_MODELS) < set(models)
    assert len(models) == 57
    for name, directory in models.items():
        found = [finding.text for finding in serving.check_model(directory).findings]
        if name in MINDED_MODELS:
            assert [text.startswith(MINDED_MODELS[name]) for text in found] == [True], (name, found)
        else:
            assert found == [], name


def test_publishing_from_the_corpus(corpus_root, base):
    source = corpus_root / "serving-half-plus-two-2-versions" / "00000124"
    shutil.copytree(corpus_root / "serving-half-plus-two-2-versions", base)
    path = serving.publish(base, lambda directory: shutil.copytree(source, directory, dirs_exist_ok=True), keep=2)
    assert path == str(base / "125")
    assert serving.versions(base) == [124, 125]
    assert files_in(path) == files_in(source)
    assert serving.check(base)


def test_the_program_of_the_documentation(corpus_root, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    base = tmp_path / "models" / "half_plus_two"
    shutil.copytree(corpus_root / "serving-half-plus-two-2-versions", base)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert serving.versions(base) == [123, 124, 125]
    old, new = (tb.load(base / name / "variables") for name in ("00000124", "125"))
    assert (new["b"], new["a"], list(new)) == (old["b"] + 0.5, old["a"], list(old))
    assert serving.check(base)


def test_sync_tree_follows_no_links(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "loop").symlink_to(".")
    (tmp_path / "tree" / "away").symlink_to("/nowhere")
    os.mkfifo(tmp_path / "tree" / "pipe")  # Opening it would wait for a writer.
    files.sync_tree(str(tmp_path / "tree"))
    with pytest.raises(FileNotFoundError):
        files.sync_tree(str(tmp_path / "none"))
