"""What other threads, signals and callbacks see while a call is at work."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from support.hashing import assert_same_bits
from support.processes import run_python
from support.sparse import write_sparse, write_sparse_string

import tensorbundle as tb

GIB = 1 << 30
MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
TENSORS = {"a": np.arange(100_000, dtype="<f4"), "b": np.array([b"x", b"yy"], object), "c": np.array([True] * 1000)}


# The GIL.

TICKS = r"""
import json, sys, threading, time
import numpy as np
import tensorbundle as tb

ckpt = tb.open(sys.argv[1], mmap=sys.argv[2] == "True", threads=2)
out = np.empty(ckpt.entry("w").shape, "f4")
calls = {
    "verify": ckpt.verify,
    "load": lambda: ckpt.load(out={"w": out}),
    "part": lambda: ckpt.read("w", index=np.s_[::1], out=out),
}
ticks, stop = [], False

def tick():
    while not stop:
        ticks.append(time.monotonic())
        time.sleep(0)

thread = threading.Thread(target=tick)
thread.start()
while not ticks:
    time.sleep(0)
begin = time.monotonic()
calls[sys.argv[3]]()
end = time.monotonic()
stop = True
thread.join()
times = [begin, *(t for t in ticks if begin < t < end), end]
longest = max(b - a for a, b in zip(times, times[1:]))
print(json.dumps({"seconds": end - begin, "longest": longest, "ticks": len(times)}))
"""


@MODES
@pytest.mark.parametrize("call", ["verify", "load", "part"])
def test_other_threads_run(tmp_path, mmap, call):
    # The slow backend makes each take a good part of a second. With the GIL held there would be no tick in all of it.
    prefix = write_sparse(tmp_path / "ckpt", {"w": (GIB // 4 // 4,)}).prefix
    seen = json.loads(run_python(TICKS, prefix, mmap, call, TENSORBUNDLE_CRC32C="portable"))
    assert seen["ticks"] >= 20, seen
    assert seen["longest"] < seen["seconds"] / 2, seen


@MODES
def test_one_checkpoint_from_many_threads(write_bundle, mmap):
    with tb.open(write_bundle(TENSORS, alignment=64).prefix, mmap=mmap, threads=2) as ckpt:
        start = threading.Barrier(8)
        outcomes: list[list[dict[str, np.ndarray]]] = []

        def read() -> None:
            start.wait()
            loads = [ckpt.load(copy=copy) for copy in (None, True) * 10]
            parts = {name: ckpt.read(name, index=...) for name in TENSORS}
            outcomes.append([*loads, parts, dict(ckpt.items())] if ckpt.verify() else [])

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(arrays) for arrays in outcomes] == [22] * 8
    for arrays in outcomes:
        for loaded in arrays:
            for name, value in TENSORS.items():
                assert_same_bits(loaded[name], value, name)


# Signals.

INTERRUPT = r"""
import json, os, signal, sys, threading, time
import numpy as np
import tensorbundle as tb

prefix, mmap, call, threads = sys.argv[1:]
ckpt = tb.open(prefix, mmap=mmap == "True", threads=int(threads))
calls = {
    "verify": ckpt.verify,
    "verify with progress": lambda: ckpt.verify(progress=lambda *_: None),
    "read": lambda: ckpt["w"],
    "copy": lambda: ckpt.read("w", copy=True),
    "load": lambda: ckpt.load(copy=True),
    "part": lambda: ckpt.read("w", index=np.s_[::2], copy=True),
}
begun = threading.Event()

def interrupt():
    global sent
    begun.wait()
    start = time.process_time()
    while time.process_time() - start < 0.1:  # Work is being done: the call is under way.
        time.sleep(0.001)
    sent = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
outcome = "finished"
try:
    begun.set()
    calls[call]()
except BaseException as error:
    late = time.monotonic() - sent
    outcome = type(error).__name__
print(json.dumps({"outcome": outcome, "late": late}))
if "end" in ckpt:
    assert ckpt.read("end", verify=False).tolist() == [0]  # The checkpoint is none the worse for it.
"""

SHAPES = {"w": (6 * GIB // 4,), "end": (1,)}
CALLS = ["verify", "verify with progress", "read", "copy", "load", "part"]


def assert_interrupted(*arguments: object, **environment: str) -> None:
    """Ctrl-C ends a call within 100 ms. A busy machine may take longer to notice, but not every time."""
    late = []
    for _ in range(4):
        seen = json.loads(run_python(INTERRUPT, *arguments, **environment))
        assert seen["outcome"] == "KeyboardInterrupt"
        late.append(seen["late"])
        if seen["late"] < 0.3:
            return
    raise AssertionError(f"KeyboardInterrupt came after {late} s")


@MODES
@pytest.mark.parametrize("call", CALLS)
def test_interrupt_inside_one_huge_tensor(tmp_path, mmap, call):
    assert_interrupted(write_sparse(tmp_path / "ckpt", SHAPES, true=False).prefix, mmap, call, 2)


@MODES
def test_interrupt_with_one_thread(tmp_path, mmap):
    assert_interrupted(write_sparse(tmp_path / "ckpt", SHAPES, true=False).prefix, mmap, "verify", 1)


@MODES
def test_interrupt_inside_one_huge_string(tmp_path, mmap):
    # Shorter than the others, since all of it may have to be in memory; so by the slow backend.
    prefix = write_sparse_string(tmp_path / "ckpt", "w", 3 * GIB // 2).prefix
    assert_interrupted(prefix, mmap, "verify", 2, TENSORBUNDLE_CRC32C="portable")


HANDLED = r"""
import signal, sys, time
import tensorbundle as tb

seen = []
signal.signal(signal.SIGALRM, lambda *_: seen.append(time.monotonic()))
ckpt = tb.open(sys.argv[1], mmap=sys.argv[2] == "True")
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
begin = time.monotonic()
report = ckpt.verify()
end = time.monotonic()
signal.setitimer(signal.ITIMER_REAL, 0)
assert report and report.nbytes == ckpt.entry("w").nbytes, report
print(sum(begin < when < end for when in seen))
"""


@MODES
def test_handlers_of_other_signals_run_and_disturb_nothing(tmp_path, mmap):
    prefix = write_sparse(tmp_path / "ckpt", {"w": (GIB // 2 // 4,)}).prefix
    assert int(run_python(HANDLED, prefix, mmap, TENSORBUNDLE_CRC32C="portable")) >= 2


# Progress.


@MODES
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("call", ["load", "verify", "tb.load"])
def test_progress(write_bundle, mmap, threads, call):
    prefix = write_bundle(TENSORS).prefix
    calls: list[tuple[int, int, str]] = []
    callers = set()

    def progress(done, total, name):
        calls.append((done, total, name))
        callers.add(threading.get_ident())

    with tb.open(prefix, mmap=mmap, threads=threads) as ckpt:
        if call == "load":
            ckpt.load(progress=progress)
        elif call == "verify":
            ckpt.verify(progress=progress)
        else:
            tb.load(prefix, mmap=mmap, threads=threads, progress=progress)
        total = sum(entry.nbytes for entry in ckpt.entries())
    assert callers == {threading.get_ident()}
    assert calls[-1][:2] == (total, total)
    assert {each[1] for each in calls} == {total}
    assert [each[0] for each in calls] == sorted(each[0] for each in calls)
    assert {each[2] for each in calls} <= TENSORS.keys()


RISING = r"""
import json, sys, threading
import tensorbundle as tb

calls = []
ckpt = tb.open(sys.argv[1], mmap=sys.argv[2] == "True", threads=2)
assert ckpt.verify(progress=lambda *call: calls.append([*call, threading.get_ident() == threading.main_thread().ident]))
print(json.dumps(calls))
"""


@MODES
def test_progress_rises_inside_one_tensor(tmp_path, mmap):
    size = GIB // 2
    prefix = write_sparse(tmp_path / "ckpt", {"w": (size // 4,)}).prefix
    calls = json.loads(run_python(RISING, prefix, mmap, TENSORBUNDLE_CRC32C="portable"))
    done = [call[0] for call in calls]
    assert len(set(done)) >= 3, done
    assert done == sorted(done)
    assert done[-1] == size
    assert {tuple(call[1:]) for call in calls} == {(size, "w", True)}


class Unusual(BaseException):
    """An exception that nobody catches by mistake."""


@MODES
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "error", [Unusual("x"), KeyError("mine"), StopIteration(), KeyboardInterrupt(), tb.errors.DataLossError("not ours")]
)
@pytest.mark.parametrize("call", ["load", "copy", "verify"])
def test_exception_of_the_callback_comes_through(write_bundle, mmap, threads, error, call):
    def progress(*_):
        raise error

    with tb.open(write_bundle(TENSORS).prefix, mmap=mmap, threads=threads) as ckpt:
        calls = {
            "load": lambda: ckpt.load(progress=progress),
            "copy": lambda: ckpt.load(copy=True, progress=progress),
            "verify": lambda: ckpt.verify(progress=progress),
        }
        with pytest.raises(type(error)) as caught:
            calls[call]()
        assert caught.value is error
        assert error.__cause__ is None
        assert_same_bits(ckpt["a"], TENSORS["a"])


def test_callback_may_use_the_checkpoint(write_bundle):
    with tb.open(write_bundle(TENSORS).prefix) as ckpt:
        inner = []
        ckpt.load(copy=True, progress=lambda *_: inner.append(ckpt.load(["a"], copy=True)["a"]))
        assert_same_bits(inner[-1], TENSORS["a"])


def test_callback_may_close_the_checkpoint(write_bundle):
    ckpt = tb.open(write_bundle(TENSORS).prefix)
    arrays = ckpt.load(progress=lambda *_: ckpt.close())
    assert ckpt.closed
    assert_same_bits(arrays["a"], TENSORS["a"])


@pytest.mark.parametrize("progress", [1, "bar", [print]])
def test_progress_that_cannot_be_called(write_bundle, progress):
    with tb.open(write_bundle(TENSORS).prefix) as ckpt, pytest.raises(TypeError, match="progress must be True or a"):
        ckpt.load(progress=progress)
