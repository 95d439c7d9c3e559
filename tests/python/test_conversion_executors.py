"""Conversions whose files are written by executors: threads, processes, and workers of a Dask cluster."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import tasks as odd_tasks

import tensorbundle as tb
from tensorbundle import formats
from tensorbundle.conversion import running, tasks
from tensorbundle.conversion.watching import CancelledError

# From Python 3.12 on about forking with threads: NumPy's linear algebra has some, which do nothing.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

TENSORS = {
    **{f"layer_{i}/kernel": np.full((50, 100 + i), i, np.float32) for i in range(7)},
    "big": np.arange(300_000, dtype=np.float32).reshape(300, 1000),
    "empty": np.zeros((0, 2), np.int8),
    "step": np.array(3),
}
CASES = {
    "checkpoint": ("out", {"shards": 3, "alignment": 128}),
    "cast checkpoint": ("out", {"max_shard_bytes": 700_000, "cast": "bfloat16"}),
    "safetensors": ("out.safetensors", {"shards": 3}),
    "transposed safetensors": ("out.safetensors", {"max_shard_bytes": 1_300_000, "transpose": "big|kernel"}),
    "npz": ("out.npz", {"cast": "float16"}),
}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    tb.save(tmp_path_factory.mktemp("source") / "ckpt", TENSORS, durable=False)
    return tmp_path_factory.getbasetemp() / "source0" / "ckpt"


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two worker processes; the client of them."""
    distributed = pytest.importorskip("distributed")
    import dask

    few = dask.config.set(
        {"distributed.scheduler.allowed-failures": 0}
    )  # A task that kills a worker is not tried again.
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with few, distributed.LocalCluster(**options) as local, distributed.Client(local) as client:
        yield client


@pytest.fixture(params=["threads", "spawned processes", "forked processes", "dask"])
def executor(request) -> Iterator[concurrent.futures.Executor]:
    with _executor(request.param, request) as made:
        yield made


@contextlib.contextmanager
def _executor(kind: str, request: pytest.FixtureRequest) -> Iterator[concurrent.futures.Executor]:
    if kind == "dask":
        yield request.getfixturevalue("cluster").get_executor()
    elif kind == "threads":
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            yield pool
    else:
        with _processes("spawn" if kind.startswith("spawn") else "fork") as pool:
            yield pool


def _processes(method: str) -> concurrent.futures.ProcessPoolExecutor:
    return concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context(method))


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_the_serial_run(prefix, tmp_path, executor, case):
    target, options = CASES[case]
    serial = tb.convert(prefix, tmp_path / "serial" / target, **options)
    parallel = tb.convert(prefix, tmp_path / "parallel" / target, executor=executor, **options)
    assert files_in(tmp_path / "serial") == files_in(tmp_path / "parallel")
    assert [Path(file).name for file in serial.files] == [Path(file).name for file in parallel.files]
    assert serial.tensors == parallel.tensors


def test_progress_comes_file_by_file(prefix, tmp_path):
    calls = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        report = tb.convert(prefix, tmp_path / "a", shards=3, executor=pool, progress=lambda *call: calls.append(call))
    assert calls[-1] == (report.nbytes, report.nbytes, "")
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)


def test_task_pickles_with_its_source(prefix, tmp_path):
    kept = []

    class Keeping(concurrent.futures.Executor):
        def submit(self, function, task):
            kept.append(pickle.dumps((function, task)))
            future = concurrent.futures.Future()
            function, task = pickle.loads(kept[-1])
            future.set_result(function(task))
            return future

    tb.convert(prefix, tmp_path / "a.safetensors", shards=2, executor=Keeping())
    assert len(kept) == 2
    _, task = pickle.loads(kept[1])
    assert (task.number, task.count, task.settings.kind) == (1, 2, "safetensors")
    assert str(task) == f"shard 2 of 2 of {str(tmp_path / 'a.safetensors.index.json')!r}"
    assert [spec.name for spec in task.source.tensors()] == sorted(TENSORS)


def test_task_for_another_save_is_refused(tmp_path):
    tb.save(tmp_path / "in", {"w": np.zeros(3)}, durable=False)
    with formats.open_source(tmp_path / "in") as source:
        pickled = pickle.dumps(source)
    tb.save(tmp_path / "in", {"w": np.ones(3)}, durable=False)
    with pytest.raises(tb.errors.DataLossError, match="another save is at"):
        pickle.loads(pickled)


# What dies.


@pytest.fixture
def old(tmp_path):
    tb.save(tmp_path / "out" / "ckpt", {"old": np.arange(3)}, durable=False)
    return tmp_path / "out"


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_task_that_is_killed_fails_the_conversion(prefix, old, monkeypatch, method):
    before = files_in(old)
    monkeypatch.setattr(running.tasks, "run", odd_tasks.dying)
    with _processes(method) as pool, pytest.raises(tb.errors.ConversionError) as caught:
        tb.convert(prefix, old / "ckpt", shards=3, alignment=128, executor=pool)
    assert isinstance(caught.value.__cause__, concurrent.futures.BrokenExecutor)
    assert f" of 3 of {str(old / 'ckpt')!r}" in str(caught.value)
    assert files_in(old) == before
    monkeypatch.undo()
    with _processes(method) as pool:
        tb.convert(prefix, old / "ckpt", shards=3, alignment=128, executor=pool)
    assert sorted(tb.open(old / "ckpt")) == sorted(TENSORS)


def test_worker_of_a_cluster_that_is_killed_fails_the_conversion(prefix, old, monkeypatch, cluster):
    before = files_in(old)
    monkeypatch.setattr(running.tasks, "run", odd_tasks.dying)
    with pytest.raises(tb.errors.ConversionError) as caught:
        tb.convert(prefix, old / "ckpt", shards=3, alignment=128, executor=cluster.get_executor())
    assert str(caught.value).startswith(f"shard 2 of 3 of {str(old / 'ckpt')!r} failed: KilledWorker: ")
    assert files_in(old) == before


def test_task_that_raises_is_named(prefix, old, monkeypatch):
    before = files_in(old)
    monkeypatch.setattr(running.tasks, "run", odd_tasks.failing)
    with concurrent.futures.ThreadPoolExecutor(2) as pool, pytest.raises(tb.errors.ConversionError) as caught:
        tb.convert(prefix, old / "ckpt", shards=3, alignment=128, executor=pool)
    assert str(caught.value) == f"shard 2 of 3 of {str(old / 'ckpt')!r} failed: LookupError: what is this"
    assert isinstance(caught.value.__cause__, LookupError)
    assert files_in(old) == before


def test_damage_that_a_task_finds_is_the_error_of_the_conversion(tmp_path, executor):
    tb.save(tmp_path / "in", TENSORS, durable=False)
    with open(tmp_path / "in.data-00000-of-00001", "r+b") as file:
        file.write(b"\xff")
    with pytest.raises(tb.errors.DataLossError, match="Checksum does not match"):
        tb.convert(tmp_path / "in", tmp_path / "out" / "a.safetensors", shards=3, executor=executor)
    assert not (tmp_path / "out").exists()


def test_executor_that_takes_no_tasks_is_said(prefix, tmp_path):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(tb.errors.ConversionError, match=r"shard 1 of 1 .* could not be begun: RuntimeError: "):
        tb.convert(prefix, tmp_path / "a.npz", executor=pool)
    assert os.listdir(tmp_path) == []


def test_ctrl_c_cancels_what_waits(prefix, old, monkeypatch):
    before = files_in(old)
    monkeypatch.setattr(running.tasks, "run", odd_tasks.slow)
    with _processes("fork") as pool:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            tb.convert(prefix, old / "ckpt", shards=6, alignment=128, executor=pool)
        assert time.monotonic() - began < 0.5 + 0.1 + 0.4  # The pool itself takes its time to begin.
        assert files_in(old) == before
        for process in list(pool._processes.values()):
            process.kill()


def test_task_that_is_no_longer_wanted_leaves_nothing(prefix, tmp_path):
    """Its conversion has ended meanwhile, and with it the directory that the task would write to."""
    kept = []

    class Keeping(concurrent.futures.Executor):
        def submit(self, function, task):
            kept.append(task)
            raise RuntimeError("no")

    for target in ("a", "a.safetensors", "a.npz"):
        with pytest.raises(tb.errors.ConversionError):
            tb.convert(prefix, tmp_path / target, executor=Keeping(), alignment=128)
        with formats.open_source(prefix) as source, pytest.raises(CancelledError, match="is no longer wanted"):
            tasks.run(dataclasses.replace(kept[-1], source=source))
        assert os.listdir(tmp_path) == []
