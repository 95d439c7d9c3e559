"""Several publish at once, and others look on."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest
from support.processes import start_python
from support.servable import files_in, fill, number_in, published, write_model

from tensorbundle import locks
from tensorbundle.saved_model import serving
from tensorbundle.saved_model import workshop as workshops


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models" / "half_plus_two"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "made"
    write_model(directory, 5)
    return directory


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
