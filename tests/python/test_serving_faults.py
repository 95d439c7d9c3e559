"""Publishing that fails or is killed, whenever that is: what there was stays, and nothing else does."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.processes import run_python, start_python
from support.servable import asset_named, files_in, fill, published, set_input, texts, write_model

import tensorbundle as tb
from tensorbundle import errors, locks
from tensorbundle.saved_model import serving

IS_ROOT = os.geteuid() == 0
NOBODY = 65534
LEFTOVER = ".publishing-0123456789abcdef"


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "models" / "half_plus_two"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "made"
    write_model(directory, 5)
    return directory


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
