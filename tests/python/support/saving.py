"""Saves in processes of their own: watched, hindered or killed at a system call of the test's choice, by strace.

Every tensor of a save holds the save's number, so that a mix of two gives itself away.

One process has everything loaded and forks a child per save. strace takes hold of the child when it is about to save,
so what it sees and counts is what the save asks of the system, and nothing of what starts an interpreter. It counts by
thread: the saves use one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import tensorbundle as tb

from . import publish
from .hashing import assert_same_bits
from .processes import SECONDS, start_python

if TYPE_CHECKING:
    from typing_extensions import Self

# All that changes what is on a disk, brings it there, or keeps others from doing so, under the names that one processor
# or another knows.
CHANGES = (
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "link",
    "linkat",
    "fsync",
    "fdatasync",
    "write",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "open",
    "openat",
    "mkdir",
    "mkdirat",
    "flock",
)
# And what asks about it. Neither `read` nor `write`, by which a child hears and reports.
REQUESTS = (
    *(name for name in CHANGES if name != "write"),
    *("pread64", "lseek", "stat", "lstat", "fstat", "newfstatat", "statx", "fstatfs", "fcntl", "fadvise64"),
    *("getdents64", "close", "sync_file_range", "copy_file_range", "ioctl", "getcwd"),
)
CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*?)(?:\)\s+= (?P<result>-?\d+|\?)(?: (?P<error>E\w+))?.*)?")
OPENED = re.compile(r"-?\d+<([^>]*)>")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


# What is saved.


def tensors_of(number: int, size: int = 40) -> dict[str, np.ndarray]:
    """The tensors of a save, ``size`` elements in the largest, each other than its neighbours."""
    return {
        "bias": np.full(7, number, "<i4"),
        "kernel": np.arange(size, dtype="<u4") * np.uint32(7) + np.uint32(number),
        "names": np.array([b"save %d" % number] * (1 + number % 3), object),
        "step": np.array(number, "<i8"),
    }


def save(prefix: Path | str, number: int, *, size: int = 40, **options: Any) -> None:
    tb.save(prefix, tensors_of(number, size), **{"threads": 1, "durable": False, **options})


def number_in(arrays: Mapping[str, np.ndarray]) -> int:
    """The number of the save that these tensors are, all of them and to the last bit."""
    number = int(arrays["step"])
    expected = tensors_of(number, arrays["kernel"].size)
    assert sorted(arrays) == sorted(expected)
    for name, value in expected.items():
        assert_same_bits(arrays[name], value, (number, name))
    return number


def number_at(prefix: Path) -> int | None:
    """The number of the save at a prefix, whole and with every checksum right; None if there is no checkpoint."""
    try:
        ckpt = tb.open(prefix)
    except FileNotFoundError as error:
        assert error.filename == str(prefix)  # And not a data file.
        return None
    with ckpt:
        assert ckpt.verify()
        return number_in(ckpt.load())


def names_of(prefix: Path) -> list[str]:
    """The names of the files that the checkpoint at a prefix consists of, by its index."""
    with tb.open(prefix) as ckpt:
        count = ckpt.num_shards
    return [*(publish.data_name(prefix.name, shard, count) for shard in range(count)), f"{prefix.name}.index"]


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_alone(prefix: Path) -> None:
    """The folder holds the checkpoint at ``prefix`` and nothing else."""
    assert sorted(os.listdir(prefix.parent)) == names_of(prefix)


# How it is saved.


@dataclass(frozen=True)
class Call:
    """A system call. ``nth``: how many of its name there were, with it. ``result``: None if it was never answered."""

    name: str
    nth: int
    arguments: str
    result: int | None
    error: str | None

    @property
    def paths(self) -> list[str]:
        """Those that it is about: of an open file, or as given."""
        opened = OPENED.match(self.arguments)
        return [opened[1]] if opened else QUOTED.findall(self.arguments)

    @property
    def changes_something(self) -> bool:
        """False if it opens what is there."""
        return not self.name.startswith("open") or "O_CREAT" in self.arguments

    def injection(self, what: str) -> str:
        """For strace: this call meets ``what``."""
        return f"{self.name}:{what}:when={self.nth}"


@dataclass(frozen=True)
class Outcome:
    """How a save went: ``signal`` ended it, or ``error`` came out of it, or neither."""

    signal: int | None
    error: OSError | None
    calls: list[Call]

    def position(self, name: str, path: str) -> int:
        """Where in ``calls`` the first of this name (or its ...at, or ...at2) is that gives a file this name."""
        return next(i for i, call in enumerate(self.calls) if call.name.startswith(name) and path in call.paths[-1:])


class Saver:
    """Makes saves in children. A context manager."""

    def __init__(self) -> None:
        self._process = start_python("from support import saving; saving.serve()")

    def __enter__(self) -> Self:
        assert self._read() == "ready"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()

    def save(
        self,
        prefix: Path | str,
        number: int,
        *,
        trace: Iterable[str] = (),
        inject: Iterable[str] = (),
        child: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Outcome:
        """One save.

        Args:
            prefix: Of the checkpoint.
            number: Of the save.
            trace: The system calls to watch.
            inject: What becomes of some of them, as strace's option of this name has it.
            child: What is particular about the process: its ``directory``, its ``user``, a ``limit`` on the size of
                files; or ``edit``, options of ``tb.edit``, which it then calls and saves nothing.
            options: Of ``save``.
        """
        request = {"prefix": str(prefix), "number": number, "options": options, **(child or {})}
        self._write(json.dumps(request))
        process = json.loads(self._read())
        with tempfile.NamedTemporaryFile("r") as log, contextlib.ExitStack() as stack:
            try:
                tracer = stack.enter_context(_strace(process, log.name, trace, inject)) if trace else None
            finally:
                self._write("go")
                ended = json.loads(self._read())
            if tracer is not None:
                tracer.communicate(timeout=SECONDS)
            calls = _parse(log.read())
        if os.WIFSIGNALED(ended["status"]):
            return Outcome(os.WTERMSIG(ended["status"]), None, calls)
        if ended["status"]:
            self._process.kill()
            raise AssertionError(self._process.communicate()[1])
        return Outcome(None, OSError(*ended["error"]) if ended["error"] else None, calls)

    def _write(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(self._process.stderr.read())
        return line.rstrip("\n")


def why_no_strace() -> str | None:
    """Why system calls can't be watched here; None if they can."""
    if sys.platform != "linux" or not shutil.which("strace"):
        return "strace is missing"
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            with tempfile.NamedTemporaryFile("r") as log, _strace(process.pid, log.name, ["read"], []) as tracer:
                tracer.terminate()
                tracer.communicate()
        except PermissionError as error:
            return str(error)
        finally:
            process.kill()
    return None


def _strace(process: int, log: str, trace: Iterable[str], inject: Iterable[str]) -> subprocess.Popen:
    """strace, once it has hold of a process."""
    options = ["-y", "-o", log, "-p", str(process), "-e", "trace=" + ",".join(f"?{name}" for name in trace)]
    for what in inject:
        options += ["-e", f"inject={what}"]
    tracer = subprocess.Popen(["strace", *options], stderr=subprocess.PIPE, text=True)
    said = tracer.stderr.readline()
    if "attached" not in said:
        said += tracer.communicate()[1]
        if "ot permitted" in said:
            raise PermissionError(f"strace may not: {said}")
        raise AssertionError(f"strace does not: {said}")
    return tracer


def _parse(log: str) -> list[Call]:
    calls = []
    seen: Counter[str] = Counter()
    for line in log.splitlines():
        if line.startswith(("---", "+++")):
            continue
        found = CALL.fullmatch(line)
        assert found, line
        seen[found["name"]] += 1
        answered = found["result"] not in (None, "?")
        result = int(found["result"]) if answered else None
        calls.append(Call(found["name"], seen[found["name"]], found["arguments"], result, found["error"]))
    return calls


# The process that forks, and its children.


def serve() -> None:
    """Reads a request, forks, says which process will save; told to go, lets it, and says how it ended."""
    # What is imported on first use is so before anything is counted.
    with tempfile.TemporaryDirectory() as folder:
        save(os.path.join(folder, "ckpt"), 0)
        tb.edit(os.path.join(folder, "ckpt"), drop="step", durable=False)
    # From Python 3.12 on about forking with threads: NumPy's linear algebra has some, which do nothing.
    warnings.simplefilter("ignore", DeprecationWarning)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        may_go, go = os.pipe()
        report, say = os.pipe()
        process = os.fork()
        if process == 0:
            _be_child(request, may_go, say)
        os.close(say)
        print(process, flush=True)
        sys.stdin.readline()
        os.write(go, b"x")
        status = os.waitpid(process, 0)[1]
        with open(report, encoding="utf-8") as said:
            text = said.read()
        for descriptor in (may_go, go):
            os.close(descriptor)
        print(json.dumps({"status": status, "error": json.loads(text) if text else None}), flush=True)


def _be_child(request: Mapping[str, Any], may_go: int, say: int) -> NoReturn:
    status = 1
    try:
        _prepare(request)
        os.read(may_go, 1)
        try:
            if "edit" in request:
                # On one processor, so by one thread: strace counts the calls of each thread apart.
                os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
                tb.edit(request["prefix"], **request["edit"])
            else:
                save(request["prefix"], request["number"], **request["options"])
        except OSError as error:
            os.write(say, json.dumps([error.errno, error.strerror, error.filename]).encode())
        status = 0
    finally:
        if status:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(status)


def _prepare(request: Mapping[str, Any]) -> None:
    if "directory" in request:
        os.chdir(request["directory"])
    if "limit" in request:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], request["limit"]))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, other programs do not.
    if "user" in request:
        os.setgroups([])
        os.setgid(request["user"])
        os.setuid(request["user"])
    if sys.platform == "linux":
        # Where only a parent may trace, so may anybody now: PR_SET_PTRACER, PR_SET_PTRACER_ANY.
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
