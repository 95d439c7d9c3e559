"""The checkpoint as a mapping: what is there, how it lives, closes, pickles and forks."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from support import tensorflow_oracle
from support.bundle_writer import write_bundle
from support.hashing import assert_same_bits
from support.small import MODEL, MODEL_ORDER

import tensorbundle as tb


@pytest.fixture
def prefix(tmp_path) -> Path:
    return write_bundle(tmp_path / "ckpt", MODEL).prefix


@pytest.fixture
def ckpt(prefix):
    with tb.open(prefix) as checkpoint:
        yield checkpoint


def total_of(checkpoint: tb.Checkpoint) -> float:
    return float(checkpoint["dense/kernel"].sum())


# A mapping.


def test_is_a_mapping_in_key_order(ckpt):
    assert isinstance(ckpt, Mapping)
    assert len(ckpt) == 4
    assert list(ckpt) == list(ckpt.keys()) == MODEL_ORDER
    assert [name for name, _ in ckpt.items()] == MODEL_ORDER
    for (name, array), value in zip(ckpt.items(), ckpt.values()):
        assert_same_bits(array, MODEL[name], name)
        assert_same_bits(value, MODEL[name], name)


def test_key_order_is_that_of_the_names_bytes(tmp_path):
    names = [b"B", b"a", b"\xff", "\u00e9".encode(), "\U0001f600".encode(), "\uffee".encode(), b"a/b", b"a0"]
    write_bundle(tmp_path / "ckpt", {name: np.zeros(1, np.uint8) for name in names})
    expected = [name.decode("utf-8", "surrogateescape") for name in sorted(names)]
    with tb.open(tmp_path / "ckpt") as checkpoint:
        assert list(checkpoint) == expected
        assert list(checkpoint.load()) == expected
        assert list(checkpoint.load(reversed(expected))) == expected
        assert [entry.name for entry in checkpoint.entries()] == expected


def test_has_no_other_attributes(ckpt):
    assert not hasattr(ckpt, "__dict__")
    with pytest.raises(AttributeError):
        ckpt.verfy = False
    for name in ("path", "closed", "num_shards"):
        with pytest.raises(AttributeError):
            setattr(ckpt, name, 1)


def test_containment(ckpt):
    assert "step" in ckpt
    for absent in ("steps", "", b"step", 7, None, "\ud800", "step\0"):
        assert absent not in ckpt


def test_get_gives_the_default_for_what_is_not_there(ckpt):
    assert ckpt.get("nothing") is None
    assert ckpt.get("nothing", 5) == 5
    assert ckpt.get("step") == 7


@pytest.mark.parametrize("read", ["__getitem__", "read", "entry", "lazy"])
def test_missing_name_offers_the_nearest(ckpt, prefix, read):
    with pytest.raises(tb.errors.NotFoundError) as caught:
        getattr(ckpt, read)("dense/kernels")
    error = caught.value
    assert str(error) == (
        f"Key 'dense/kernels' not found in checkpoint '{prefix}'; the nearest names are 'dense/kernel', 'dense/bias'"
    )
    assert (error.path, error.tensor, error.__cause__, error.__suppress_context__ or error.__context__) == (
        str(prefix),
        "dense/kernels",
        None,
        None,
    )
    assert isinstance(error, KeyError)


@pytest.mark.parametrize("name", [b"step", 7, None, ("step",)])
def test_name_that_is_no_string_is_not_found(ckpt, name):
    with pytest.raises(tb.errors.NotFoundError, match=f"names of tensors are str, not {type(name).__name__}$"):
        ckpt[name]


def test_equality_and_hash_are_identity(ckpt, prefix):
    with tb.open(prefix) as other:
        assert ckpt == ckpt  # noqa: PLR0124
        assert ckpt != other
        assert len({ckpt, other, ckpt}) == 2


def test_repr_is_short(ckpt, prefix):
    assert repr(ckpt) == f"<tensorbundle.Checkpoint '{prefix}': 4 tensors>"
    ckpt.close()
    assert repr(ckpt) == f"<tensorbundle.Checkpoint '{prefix}': closed>"


def test_is_immutable(ckpt):
    with pytest.raises(TypeError):
        ckpt["step"] = 1
    with pytest.raises(TypeError):
        del ckpt["step"]
    with pytest.raises(AttributeError):
        ckpt.path = "elsewhere"


def test_names_complete_in_notebooks(ckpt):
    assert ckpt._ipython_key_completions_() == MODEL_ORDER


# Closing.


def test_arrays_outlive_everything(prefix):
    with tb.open(prefix, mmap=True) as checkpoint:
        view = checkpoint["dense/kernel"]
        part = view[1:]
        lazy_part = checkpoint.lazy("dense/bias")[2:]
    assert checkpoint.closed
    for path in prefix.parent.iterdir():
        path.unlink()
    del checkpoint, view
    gc.collect()
    assert part.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert lazy_part.tolist() == [2, 3]


def test_closed_checkpoint_refuses(ckpt, prefix):
    lazy = ckpt.lazy("step")
    ckpt.close()
    ckpt.close()
    calls = [
        lambda: ckpt["step"],
        lambda: ckpt.read("step"),
        lambda: ckpt.read("step", index=()),
        lambda: ckpt.get("step"),
        lambda: ckpt.entry("step"),
        ckpt.entries,
        ckpt.problems,
        ckpt.load,
        ckpt.verify,
        lambda: ckpt.lazy("step"),
        lambda: lazy[()],
        lambda: np.asarray(lazy),
        lambda: len(ckpt),
        lambda: list(ckpt),
        lambda: "step" in ckpt,
        lambda: ckpt.num_shards,
        ckpt.__enter__,
        lambda: pickle.dumps(ckpt),
        lambda: copy.copy(ckpt),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^checkpoint .* is closed$") as caught:
            call()
        assert str(caught.value) == f"checkpoint '{prefix}' is closed"
    assert ckpt.path == str(prefix)
    assert lazy.shape == ()


def test_files_are_let_go_with_the_last_user(prefix):
    def open_files() -> int:
        with Path("/proc/self/maps").open() as maps:
            mapped = sum(str(prefix) in line for line in maps)
        return mapped + sum(
            str(prefix) in os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
        )

    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc")
    checkpoint = tb.open(prefix, mmap=True)
    view = checkpoint["dense/kernel"]
    checkpoint.close()
    assert open_files() > 0
    del view
    assert open_files() == 0


# One save, whole.


@pytest.mark.parametrize("mmap", [True, False])
def test_stays_the_save_that_was_opened(prefix, mmap):
    with tb.open(prefix, mmap=mmap) as checkpoint:
        write_bundle(prefix, {"other": np.zeros(2)})
        assert list(checkpoint) == MODEL_ORDER
        for name, expected in MODEL.items():
            assert_same_bits(checkpoint[name], expected, name)
    with tb.open(prefix) as checkpoint:
        assert list(checkpoint) == ["other"]


# Copies, pickles, processes, threads.


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy])
def test_copy_is_a_handle_of_its_own(ckpt, clone):
    twin = clone(ckpt)
    assert twin != ckpt
    assert twin.path == ckpt.path
    ckpt.close()
    assert total_of(twin) == 66


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_opens_again_with_the_same_options(prefix, protocol):
    with tb.open(prefix, verify=False, mmap=False, threads=2) as checkpoint:
        twin = pickle.loads(pickle.dumps(checkpoint, protocol))
    assert twin.path == str(prefix)
    assert twin._options == {"verify": False, "mmap": False, "threads": 2}
    assert total_of(twin) == 66


def test_pickle_knows_the_class_by_its_public_name(ckpt):
    assert tb.Checkpoint.__module__ == "tensorbundle"
    assert b"ctensorbundle\nCheckpoint\n" in pickle.dumps(ckpt, 2)


def test_pickle_refuses_another_save(ckpt, prefix):
    pickled = pickle.dumps(ckpt)
    write_bundle(prefix, {"other": np.zeros(2)})
    with pytest.raises(tb.errors.DataLossError) as caught:
        pickle.loads(pickled)
    assert str(caught.value) == f"another save is at '{prefix}' now than the one that was pickled"
    assert caught.value.path == str(prefix)


def test_pickle_of_what_is_gone(ckpt, prefix):
    pickled = pickle.dumps(ckpt)
    Path(f"{prefix}.index").unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)


def test_crosses_to_spawned_processes(ckpt):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(total_of, ckpt).result() == 66


def run_program(text: str) -> str:
    """Output of a Python program in a fresh interpreter; it must be all that it says."""
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("mmap", [True, False])
def test_survives_fork(prefix, mmap):
    # In an interpreter of its own: other tests leave threads behind, which is no place to fork.
    assert (
        run_program(f"""
import os, tensorbundle as tb
ckpt = tb.open({str(prefix)!r}, mmap={mmap})
ckpt.load(threads=4)
child = os.fork()
if child == 0:
    os._exit(int(ckpt.load(copy=True, threads=4)["step"]))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), ckpt["dense/kernel"].sum())
""")
        == "7 66.0\n"
    )


def test_threads_share_it(prefix):
    failures = []
    with tb.open(prefix) as checkpoint:

        def work() -> None:
            for number in range(50):
                arrays = checkpoint.load(copy=[None, True][number % 2], threads=2)
                if arrays["step"] != 7 or arrays["dense/kernel"].sum() != 66:
                    failures.append(number)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_closing_while_others_read(prefix):
    unexpected = []
    for _ in range(20):
        checkpoint = tb.open(prefix)
        started = threading.Event()

        def work(checkpoint=checkpoint, started=started) -> None:
            started.set()
            try:
                while True:
                    checkpoint.load(copy=True)
            except ValueError as error:
                if "is closed" not in str(error):
                    unexpected.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        checkpoint.close()
        thread.join()
    assert unexpected == []


def test_reading_at_interpreter_exit(prefix):
    assert (
        run_program(f"""
import atexit, tensorbundle as tb
ckpt = tb.open({str(prefix)!r})
view = ckpt["dense/kernel"]
atexit.register(lambda: print(view.sum(), ckpt.load()["step"]))
""")
        == "66.0 7\n"
    )


def test_truncated_file_is_an_error_and_no_crash_when_it_is_read(prefix):
    with tb.open(prefix, mmap=False) as checkpoint:
        os.truncate(f"{prefix}.data-00000-of-00001", 10)
        with pytest.raises((tb.errors.DataLossError, OSError)):
            checkpoint["dense/kernel"]


def test_tensorflow_reads_the_same(tmp_path):
    tensorflow_oracle.require()
    tensorflow_oracle.save(tmp_path / "ckpt", MODEL.items())
    with tb.open(tmp_path / "ckpt") as checkpoint:
        assert checkpoint.entries() is not None
        assert {entry.name: entry.tf_dtype for entry in checkpoint.entries()} == tensorflow_oracle.names(
            tmp_path / "ckpt"
        )
        for name, expected in tensorflow_oracle.read(tmp_path / "ckpt").items():
            assert_same_bits(checkpoint[name], expected, name)
