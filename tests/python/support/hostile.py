"""Checkpoints that mean harm, and a process that reads them.

The process has little address space to spare: memory asked for on a file's word would fail there with another error
than the one expected. A crash or a hang shows as what it is, and costs one test.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from . import dtypes
from .bundle_writer import Mutations, write_bundle
from .hashing import as_array, tensor_hash
from .tensors import Typed

_SCRIPT = r"""
import json, resource, sys, warnings
import numpy as np
import tensorbundle as tb
from support.hashing import tensor_hash
from support.dtypes import name_of

def describe(error):
    facts = {key: getattr(error, key, None) for key in ("path", "tensor", "offset", "filename", "errno")}
    return {"error": type(error).__name__, "module": type(error).__module__, "message": str(error), **facts}

def outcome(call):
    try:
        array = call()
    except Exception as error:
        return describe(error)
    return {"dtype": name_of(array), "shape": list(array.shape), "sha256": tensor_hash(array)}

def entry(ckpt, name):
    try:
        return repr(ckpt.entry(name))
    except Exception as error:
        return describe(error)

def probe(path, mmap):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            ckpt = tb.open(path, mmap=mmap, threads=2)
        except Exception as error:
            return {"opened": describe(error)}
    calls = {
        "read": lambda name: ckpt[name],
        "copy": lambda name: ckpt.read(name, copy=True),
        "unverified": lambda name: ckpt.read(name, verify=False),
        "part": lambda name: ckpt.read(name, index=...),
        "verified part": lambda name: ckpt.read(name, index=..., verify=True),
        "load": lambda name: ckpt.load([name])[name],
        "lazy": lambda name: np.asarray(ckpt.lazy(name)),
    }
    report = ckpt.verify()
    try:
        everything = len(ckpt.load())
    except Exception as error:
        everything = describe(error)
    return {
        "opened": None,
        "warnings": [str(warning.message) for warning in caught],
        "tensors": {name: {key: outcome(lambda: call(name)) for key, call in calls.items()} for name in ckpt},
        "entries": {name: entry(ckpt, name) for name in ckpt},
        "listed": [entry.name for entry in ckpt.entries()],
        "damaged": {damage.name: describe(damage.cause) for damage in report.damaged},
        "load": everything,
    }

with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), used + (1 << 30)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for line in sys.stdin:
    answer = probe(*json.loads(line))
    answer["grown_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps(answer), flush=True)
"""

# No file here is larger than some hundred kilobytes. What a process takes besides is threads and fragments.
MOST_MEMORY_KIB = 48 << 10
_SECONDS = 60

# The bad tensor lies between two others, in the index and in the data.
FIRST = np.arange(5, dtype="<f4")
LAST = [b"one", b"", b"three"]
BAD = np.arange(6, dtype="<i4").reshape(2, 3)
# Where it lies, and where the file ends.
BAD_OFFSET, END = 20, 59


def neighbours(bad: Any = BAD) -> dict[str, Any]:
    """The tensors of most checkpoints here."""
    return {"a/first": FIRST, "bad": bad, "z/last": LAST}


class Reader:
    """The process that reads, started when it is needed and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        atexit.register(self.close)

    def ask(self, path: Path, mmap: bool) -> dict[str, Any]:
        """What came of opening a checkpoint and reading all of it in every way."""
        process = self._process = self._process or _start()
        process.stdin.write(json.dumps([os.fspath(path), mmap]).encode() + b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _SECONDS)
        line = process.stdout.readline() if ready else b""
        if line:
            return json.loads(line)
        process.kill()
        _, stderr = process.communicate()
        self._process = None
        how = f"died with status {process.returncode}" if ready else f"didn't answer for {_SECONDS} s"
        raise AssertionError(f"reading {path}, the reader {how}: {stderr.decode()[-2000:]}")

    def close(self) -> None:
        """Ends the process; the next question starts another."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


def _start() -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


READER = Reader()


class Attack:
    """Writes a checkpoint into a folder and tells what reading it comes to."""

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "ckpt"

    def __call__(
        self,
        tensors: Any,
        mutate: Mutations | None = None,
        *,
        most_memory_kib: int = MOST_MEMORY_KIB,
        **options: Any,
    ) -> Outcome:
        """``options`` are those of ``bundle_writer.build_bundle``."""
        write_bundle(self.prefix, tensors, mutate=mutate, commit="tensorflow", **options)
        return self.again(most_memory_kib)

    def again(self, most_memory_kib: int = MOST_MEMORY_KIB) -> Outcome:
        """Reads it, mapped and not: what comes out doesn't depend on that."""
        answers = [READER.ask(self.prefix, mmap) for mmap in (True, False)]
        for answer in answers:
            grown = answer.pop("grown_kib")
            assert grown < most_memory_kib, f"the reader took {grown} KiB"
        assert answers[0] == answers[1], "a mapped file reads otherwise than one that is read"
        return Outcome(self.prefix, answers[0])


@dataclasses.dataclass
class Outcome:
    """What reading a checkpoint came to.

    ``opened`` is the error of opening it. Else there are the warnings; by name what each way of reading gave, and the
    text or error of its entry; the names of ``entries()``; what ``verify()`` found, by name; the outcome of ``load()``.
    """

    prefix: Path
    answer: dict[str, Any]

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_") or key not in self.answer:
            raise AttributeError(f"{key}; there is {list(self.answer)}, opening gave {self.answer.get('opened')}")
        return self.answer[key]

    @property
    def index(self) -> str:
        return f"{self.prefix}.index"

    @property
    def index_size(self) -> int:
        return os.path.getsize(self.index)

    @property
    def offset(self) -> int:
        """Where the error of opening was."""
        return self.opened["offset"]

    def read(self, name: str) -> dict[str, Any]:
        """What each way of reading the tensor gave, which was the same."""
        (first, *others) = self.tensors[name].items()
        for call, result in others:
            assert result == first[1], f"{name!r}: {call} gave {result}, {first[0]} gave {first[1]}"
        return first[1]

    def assert_sound(self, name: str, value: Any) -> None:
        array = as_array(value.array if isinstance(value, Typed) else value)
        dtype = value.dtype if isinstance(value, Typed) else dtypes.of_array(array).name
        assert self.read(name) == {"dtype": dtype, "shape": list(array.shape), "sha256": tensor_hash(array)}
        assert name not in self.damaged

    def assert_neighbours(self) -> None:
        self.assert_sound("a/first", FIRST)
        self.assert_sound("z/last", LAST)

    def assert_unreadable(self, *facts: str, name: str = "bad", listed: bool = False, **expected: Any) -> None:
        """Opening saw it and warned once; reading fails in every way; the neighbours can be read.

        ``listed``: the index makes sense of the record, so that there is an entry.
        """
        error = self.read(name)
        assert_error(error, *facts, tensor=name, **expected)
        assert self.damaged == {name: error}
        assert self.load == error
        assert (name in self.listed) is listed
        entry = self.entries[name]
        assert entry.startswith(f"Entry(name={name!r}") if listed else entry == error, entry
        (warning,) = self.warnings
        assert f"1 of {len(self.tensors)} tensors in {str(self.prefix)!r} can't be read" in warning
        assert error["message"] in warning
        self.assert_neighbours()

    def assert_damaged(self, *facts: str, offset: int | None, name: str = "bad", error: str = "DataLossError") -> None:
        """Opening saw nothing; reading fails in every way, whether or not checksums are wanted."""
        found = self.read(name)
        assert_error(found, *facts, error=error, tensor=name, offset=offset)
        assert self.damaged == {name: found}
        assert self.load == found
        assert self.warnings == []
        self.assert_neighbours()

    def assert_refused(self, *facts: str, error: str = "DataLossError", offset: int | None = None) -> None:
        """It can't be opened, for damage of the index."""
        assert self.opened is not None, self.answer
        assert_error(self.opened, *facts, error=error, offset=offset)
        assert self.opened["path"] == self.index
        assert self.opened["message"].startswith(f"{self.index}: ")


def assert_error(
    found: dict[str, Any],
    *facts: str,
    error: str = "DataLossError",
    tensor: str | None = None,
    offset: int | None = None,
) -> None:
    """An error of this package with these words and this place."""
    assert (found.get("error"), found.get("module")) == (error, "tensorbundle.errors"), found
    for fact in facts:
        assert fact in found["message"], f"no {fact!r} in {found['message']!r}"
    assert (found["tensor"], found["offset"]) == (tensor, offset), found
    assert tensor is None or found["message"].startswith(f'tensor "{tensor}": '), found
