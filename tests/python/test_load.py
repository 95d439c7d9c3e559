"""``Checkpoint.load`` and ``tb.load``: many tensors at once."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import write_bundle
from support.hashing import assert_same_bits, tensor_hash

import tensorbundle as tb

TENSORS = {
    "dense/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "dense/bias": np.arange(4, dtype=np.float32),
    "dense/kernel/Adam": np.ones((3, 4), np.float32),
    "step": np.array(7, np.int64),
    "names": [b"one", b"two"],
}
ORDER = ["dense/bias", "dense/kernel", "dense/kernel/Adam", "names", "step"]


@pytest.fixture
def prefix(tmp_path) -> Path:
    return write_bundle(tmp_path / "ckpt", TENSORS).prefix


@pytest.fixture
def ckpt(prefix):
    with tb.open(prefix) as checkpoint:
        yield checkpoint


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """64 MiB in two tensors, the second of them damaged at its end."""
    tensors = {"a": np.zeros(1 << 23, np.float32), "b": np.zeros(1 << 23, np.float32)}
    prefix = tmp_path_factory.mktemp("large") / "ckpt"
    write_bundle(prefix, tensors)
    return prefix


# Selection.


def test_loads_everything_in_key_order(ckpt):
    arrays = ckpt.load()
    assert list(arrays) == ORDER
    for name, array in arrays.items():
        assert_same_bits(array, TENSORS[name], name)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"names": ["step", "dense/bias"]}, ["dense/bias", "step"]),
        ({"names": iter(["step", "step"])}, ["step"]),
        ({"names": []}, []),
        ({"names": {"step": 1}}, ["step"]),
        ({"include": "kernel"}, ["dense/kernel", "dense/kernel/Adam"]),
        ({"include": "kernel$"}, ["dense/kernel"]),
        ({"include": "^kernel"}, []),
        ({"include": ["bias", re.compile("STEP", re.IGNORECASE)]}, ["dense/bias", "step"]),
        ({"include": []}, []),
        ({"exclude": "Adam"}, ["dense/bias", "dense/kernel", "names", "step"]),
        ({"exclude": ["dense", "names"]}, ["step"]),
        ({"exclude": []}, ORDER),
        ({"include": re.compile("dense"), "exclude": "Adam|bias"}, ["dense/kernel"]),
        ({"names": ["step", "dense/bias"], "include": "dense"}, ["dense/bias"]),
        ({"names": ["step", "dense/bias"], "exclude": "dense"}, ["step"]),
    ],
)
def test_selection(ckpt, prefix, options, expected):
    if not hasattr(options.get("names"), "__next__"):
        assert list(tb.load(prefix, **options)) == expected
    assert list(ckpt.load(**options)) == expected


@pytest.mark.parametrize("names", ["step", b"step"])
def test_bare_name_is_refused(ckpt, names):
    for call in (ckpt.load, ckpt.verify):
        with pytest.raises(TypeError, match="names must be an iterable of names, not a single one: give"):
            call(names)


@pytest.mark.parametrize("names", [[b"step"], [7], [None]])
def test_names_must_be_strings(ckpt, names):
    with pytest.raises(TypeError, match=r"^names of tensors are str, not "):
        ckpt.load(names)


def test_unknown_name_is_not_found(ckpt):
    for names in (["step", "dense/baas"], ["\ud800"]):
        for call in (ckpt.load, ckpt.verify):
            with pytest.raises(tb.errors.NotFoundError, match="not found in checkpoint"):
                call(names)


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_patterns_must_be_of_text(ckpt, option):
    with pytest.raises(TypeError, match=f"^{option} takes regular expressions over str, not b'x'$"):
        ckpt.load(**{option: [re.compile(b"x")]})
    with pytest.raises(ValueError, match=rf"^{option}: '\(': missing \)"):
        ckpt.load(**{option: "("})


# Outputs.


def test_out_is_filled_for_the_names_it_has(ckpt):
    kernel = np.zeros((3, 4), np.float32)
    strided = np.zeros(8, np.float32)[::2]
    names = np.empty(2, object)
    arrays = ckpt.load(out={"dense/kernel": kernel, "dense/bias": strided, "names": names})
    assert list(arrays) == ORDER
    assert arrays["dense/kernel"] is kernel
    assert arrays["dense/bias"] is strided
    assert arrays["names"] is names
    for name, array in arrays.items():
        assert_same_bits(array, TENSORS[name], name)


def test_out_for_what_is_not_loaded_is_refused(ckpt):
    step = np.array(0, np.int64)
    for options in ({"names": ["names"]}, {"exclude": "step"}):
        with pytest.raises(ValueError, match=r"^out has arrays for tensors that are not loaded: 'step'$"):
            ckpt.load(out={"step": step}, **options)
    assert step == 0


def test_wrong_out_is_refused_before_anything_is_read(ckpt):
    kernel = np.zeros((3, 4), np.float32)
    with pytest.raises(TypeError, match=r"^out for 'step' must be of int64, not float64$"):
        ckpt.load(out={"dense/kernel": kernel, "step": np.array(0.0)})
    assert not kernel.any()
    with pytest.raises(ValueError, match=r"^copy=False asks for a view, which out= excludes$"):
        ckpt.load(out={"step": np.array(0)}, copy=False)


def test_copies_and_views(prefix):
    for array in tb.load(prefix, exclude="names", mmap=True).values():
        assert not array.flags.writeable or not array.flags.aligned or array.flags.owndata is not None
    for array in tb.load(prefix, copy=True, mmap=True).values():
        assert array.flags.writeable
        assert array.flags.aligned
    views = tb.load(prefix, include="dense", copy=False, mmap=True)
    assert all(not array.flags.writeable for array in views.values())
    with pytest.raises(ValueError, match="a view is not possible"):
        tb.load(prefix, copy=False, mmap=True)


def test_copies_do_not_share_memory(tmp_path):
    tensors = {f"t{number}": np.full(number, number, np.int32) for number in range(40)}
    prefix = write_bundle(tmp_path / "ckpt", tensors).prefix
    first, second = tb.load(prefix, copy=True), tb.load(prefix, copy=True)
    for array in first.values():
        array[:] = -1
    for name, array in second.items():
        assert_same_bits(array, tensors[name])


@pytest.mark.parametrize("threads", [1, 2, 7, None])
@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("shards", [1, 3])
def test_any_number_of_threads_gives_the_same(tmp_path, threads, mmap, shards):
    generator = np.random.default_rng(0)
    tensors = {f"t{number}": generator.random(size) for number, size in enumerate([0, 1, 100_000, 7, 3_000_000, 50])}
    prefix = write_bundle(tmp_path / "ckpt", tensors, shards=shards).prefix
    with tb.open(prefix, mmap=mmap) as ckpt:
        for copy in (None, True):
            for name, array in ckpt.load(copy=copy, threads=threads).items():
                assert_same_bits(array, tensors[name], name)
        out = {name: np.empty_like(value) for name, value in tensors.items()}
        ckpt.load(out=out, threads=threads)
        for name, array in out.items():
            assert_same_bits(array, tensors[name], name)
        assert ckpt.verify(threads=threads)


def test_wrong_number_of_threads(ckpt):
    for call in (ckpt.load, ckpt.verify):
        with pytest.raises(ValueError, match=r"^threads must be at least 1, not 0$"):
            call(threads=0)


def test_load_by_path_closes_what_it_opened(prefix):
    arrays = tb.load(prefix)
    for path in prefix.parent.iterdir():
        path.unlink()
    for name, array in arrays.items():
        assert_same_bits(array, TENSORS[name], name)


# Progress and interruption.


def test_progress_is_called_from_this_thread(large):
    calls = []
    arrays = tb.load(large, copy=True, progress=lambda *call: calls.append((threading.current_thread(), *call)))
    total = sum(array.nbytes for array in arrays.values())
    assert {call[0] for call in calls} == {threading.current_thread()}
    assert {call[2] for call in calls} == {total}
    done = [call[1] for call in calls]
    assert done == sorted(done)
    assert done[-1] == total
    assert {call[3] for call in calls} <= {"a", "b"}


def test_error_of_the_progress_function_ends_the_call(large):
    class StopError(Exception):
        pass

    error = StopError("enough")

    def stop(done, total, name):
        raise error

    with tb.open(large) as ckpt:
        for call in (lambda **options: ckpt.load(copy=True, **options), ckpt.verify):
            with pytest.raises(StopError) as caught:
                call(progress=stop)
            assert caught.value is error
        assert ckpt.load(copy=True)["a"].sum() == 0


@pytest.mark.parametrize("progress", [5, "bar", object()])
def test_progress_must_be_callable(ckpt, progress):
    for call in (ckpt.load, ckpt.verify):
        with pytest.raises(TypeError, match=r"^progress must be True or a function \(done, total, name\), not "):
            call(progress=progress)


@pytest.mark.parametrize("progress", [None, False])
def test_no_progress(ckpt, progress):
    assert list(ckpt.load(progress=progress)) == ORDER


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_interrupt_ends_a_long_call(large):
    """A signal that comes while the native code works is honoured, and not at the end of a long read."""
    with tb.open(large, mmap=False) as ckpt:
        ends = []

        def interrupt() -> None:
            time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGINT)
            ends.append(time.perf_counter())

        thread = threading.Thread(target=interrupt)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it is the loop that is interrupted
            thread.start()
            while True:
                ckpt.load(copy=True)
        waited = time.perf_counter()
        thread.join()
        assert waited - ends[0] < 1
        assert ckpt.load()["a"].sum() == 0


def test_other_threads_run_while_the_native_code_reads(large):
    counted = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            counted += 1

    thread = threading.Thread(target=count)
    with tb.open(large, mmap=False) as ckpt:
        thread.start()
        before = counted
        ckpt.load(copy=True, threads=1)
        during = counted - before
        stop.set()
        thread.join()
    assert during > 100


# What TensorFlow wrote.


def test_corpus_loads_as_tensorflow_reads_it(corpus_checkpoint):
    readable = {name for name, expected in corpus_checkpoint.tensors.items() if expected.error is None}
    if not corpus_checkpoint.complete:
        with pytest.warns(tb.errors.DamageWarning):
            ckpt = tb.open(corpus_checkpoint.prefix)
    else:
        ckpt = tb.open(corpus_checkpoint.prefix)
    assert set(ckpt) == set(corpus_checkpoint.tensors)
    for options in ({}, {"copy": True}):
        for name, array in ckpt.load(readable, **options).items():
            expected = corpus_checkpoint.tensors[name]
            assert ckpt.entry(name).tf_dtype == expected.dtype
            assert array.shape == expected.shape
            assert tensor_hash(array) == expected.sha256
    assert bool(ckpt.verify(readable))
    assert set(ckpt.problems()) == set(ckpt) - readable
