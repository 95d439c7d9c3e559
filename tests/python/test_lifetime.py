"""Who outlives whom: arrays, checkpoints, files, processes, threads and the interpreter."""

from __future__ import annotations

import contextlib
import copy
import gc
import multiprocessing
import operator
import os
import pickle
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import Bundle
from support.hashing import assert_same_bits, same_bits
from support.processes import run_python
from support.small import MIXED, MIXED_OPTIONS, assert_mixed

import tensorbundle as tb

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])


@pytest.fixture
def bundle(write_bundle) -> Bundle:
    return write_bundle(MIXED, **MIXED_OPTIONS)


def mappings_of(folder: Path) -> list[str]:
    """The parts of this process' memory that are files of a folder."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [line.split(maxsplit=5)[5] for line in lines if str(folder) in line]


def descriptors_of(folder: Path) -> list[str]:
    """The files of a folder that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # That of the listing itself is closed by now.
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in found if path.startswith(str(folder))]


# Arrays and what they came from.


@MODES
def test_arrays_outlive_the_checkpoint(bundle, mmap):
    ckpt = tb.open(bundle.prefix, mmap=mmap)
    arrays = ckpt.load()
    ckpt.close()
    assert ckpt.closed
    del ckpt
    gc.collect()
    assert_mixed(arrays)


@MODES
@pytest.mark.parametrize("verify", [True, False])
def test_arrays_and_the_checkpoint_outlive_the_files(bundle, mmap, verify):
    ckpt = tb.open(bundle.prefix, mmap=mmap, verify=verify)
    before = ckpt.load()
    for path in bundle.prefix.parent.iterdir():
        path.unlink()
    assert_mixed(before)
    assert_mixed(ckpt.load())
    assert_mixed(ckpt.load(copy=True))
    assert ckpt.verify()
    ckpt.close()
    assert_mixed(before)


@MODES
def test_arrays_and_the_checkpoint_outlive_renaming(write_bundle, tmp_path, mmap):
    ckpt = tb.open(write_bundle(MIXED, name="here/ckpt", **MIXED_OPTIONS).prefix, mmap=mmap)
    before = ckpt.load()
    (tmp_path / "here").rename(tmp_path / "elsewhere")
    assert_mixed(before)
    assert_mixed(ckpt.load())


@MODES
def test_the_rest_of_a_file_is_kept_by_any_part_of_an_array(bundle, mmap):
    kernel = MIXED["kernel"]
    array = tb.open(bundle.prefix, mmap=mmap)["kernel"]
    parts = {
        "slice": (array[10:20], kernel[10:20]),
        "element": (array[3, 4:5], kernel[3, 4:5]),
        "transposed": (array.T, kernel.T),
        "reshaped": (array.reshape(-1), kernel.reshape(-1)),
        "as bytes": (array.view("u1"), kernel.view("u1")),
        "buffer": (np.asarray(memoryview(array)), kernel),
    }
    del array
    gc.collect()
    for part, expected in parts.values():
        assert_same_bits(np.ascontiguousarray(part), np.ascontiguousarray(expected))


def test_closed_checkpoint_refuses_all_but_the_end(bundle):
    ckpt = tb.open(bundle.prefix)
    lazy = ckpt.lazy("kernel")
    with ckpt:
        pass
    ckpt.close()
    calls = [
        lambda: ckpt["step"],
        lambda: ckpt.read("step"),
        ckpt.load,
        ckpt.verify,
        lambda: ckpt.entry("step"),
        ckpt.entries,
        ckpt.problems,
        lambda: ckpt.num_shards,
        lambda: ckpt.lazy("step"),
        lambda: lazy[0],
        lambda: np.asarray(lazy),
        lambda: len(ckpt),
        lambda: list(ckpt),
        lambda: "step" in ckpt,
        ckpt.__enter__,
        lambda: pickle.dumps(ckpt),
        lambda: copy.copy(ckpt),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="is closed"):
            call()
    assert repr(ckpt).endswith(": closed>")
    assert not ckpt
    assert ckpt.path == str(bundle.prefix)
    assert lazy.shape == (300, 200)


def test_copies_of_a_checkpoint_close_on_their_own(bundle):
    ckpt = tb.open(bundle.prefix)
    twins = [copy.copy(ckpt), copy.deepcopy(ckpt)]
    for path in bundle.prefix.parent.iterdir():
        path.unlink()  # Nothing is opened again.
    ckpt.close()
    for twin in twins:
        assert_mixed(twin.load())
        assert (twin == ckpt, twin != ckpt) == (False, True)
        twin.close()


# What may be written to.


@on_linux
def test_views_stay_read_only(bundle):
    with tb.open(bundle.prefix, mmap=True) as ckpt:
        views = [ckpt["kernel"], ckpt.read("kernel", copy=False), ckpt.read("kernel", index=np.s_[3:9])]
        views += [ckpt.read("kernel", verify=False), np.asarray(ckpt.lazy("kernel"))]
    for view in views:
        assert not view.flags.writeable
        assert not view.flags.owndata
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.setflags(write=True)
        with pytest.raises(ValueError, match="WRITEABLE"):
            view[...].setflags(write=True)
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 1
        assert memoryview(view).readonly
    assert_mixed(tb.load(bundle.prefix))


@on_linux
def test_arrays_without_elements_are_like_the_others(bundle):
    with tb.open(bundle.prefix, mmap=True) as ckpt:
        views = [ckpt["empty"], ckpt.read("empty", copy=False), ckpt.load()["empty"], ckpt.lazy("empty")[:, 1:]]
        copies = [
            ckpt.read("empty", copy=True),
            ckpt.read("empty", copy=True, index=...),
            ckpt.load(copy=True)["empty"],
        ]
    assert [array.flags.writeable for array in views] == [False] * 4
    assert [array.flags.writeable for array in copies] == [True] * 3


@MODES
def test_copies_are_the_users_own(bundle, mmap):
    with tb.open(bundle.prefix, mmap=mmap) as ckpt:
        for name, value in MIXED.items():
            copies = [ckpt.read(name, copy=True) for _ in range(2)]
            assert not np.shares_memory(*copies) or not value.size
            for array in copies:
                assert array.flags.writeable
                array[...] = b"" if value.dtype == object else 0
        kernel = ckpt["kernel"]
        assert (kernel.flags.writeable, kernel.flags.owndata) == (not mmap, not mmap)
        assert_mixed(ckpt.load())


# Nothing leaks.


@on_linux
def test_mapping_goes_with_the_last_view(bundle, tmp_path):
    assert mappings_of(tmp_path) == []
    ckpt = tb.open(bundle.prefix, mmap=True)
    mapped = {str(bundle.data_path(shard)) for shard in (0, 1)}
    assert set(mappings_of(tmp_path)) == mapped
    view = ckpt["kernel"]
    ckpt.close()
    (path,) = set(mappings_of(tmp_path))  # That of the other shard has gone.
    assert path in mapped
    part = view[5:7].T
    del view
    assert set(mappings_of(tmp_path)) == {path}
    assert_same_bits(np.ascontiguousarray(part), np.ascontiguousarray(MIXED["kernel"][5:7].T))
    del part
    assert mappings_of(tmp_path) == []


@on_linux
@pytest.mark.parametrize(("mmap", "while_open"), [(True, 0), (False, 2), (None, 0)], ids=["map", "read", "auto"])
def test_descriptors(bundle, tmp_path, mmap, while_open):
    ckpt = tb.open(bundle.prefix, mmap=mmap)
    assert len(descriptors_of(tmp_path)) == while_open
    arrays = ckpt.load()
    ckpt.verify()
    assert len(descriptors_of(tmp_path)) == while_open
    ckpt.close()
    assert descriptors_of(tmp_path) == []
    assert_mixed(arrays)


@on_linux
def test_nothing_stays_open_after_an_error(bundle, tmp_path):
    index = bundle.index_path.read_bytes()
    bundle.index_path.write_bytes(index[:-1])
    with pytest.raises(tb.errors.DataLossError):
        tb.open(bundle.prefix, mmap=False)
    bundle.index_path.write_bytes(index)
    bundle.data_path(1).unlink()
    with pytest.warns(tb.errors.DamageWarning):
        ckpt = tb.open(bundle.prefix, mmap=False)
    with ckpt:
        assert len(descriptors_of(tmp_path)) == 1
        with pytest.raises(FileNotFoundError):
            ckpt.load()
    assert descriptors_of(tmp_path) == []
    assert mappings_of(tmp_path) == []


@on_linux
@MODES
def test_a_dropped_checkpoint_is_gone(bundle, tmp_path, mmap):
    ckpt = tb.open(bundle.prefix, mmap=mmap)
    array = ckpt["kernel"]
    dead = weakref.ref(ckpt)
    alive = weakref.ref(array)
    lazy = ckpt.lazy("kernel")
    del ckpt
    assert dead() is not None  # The lazy tensor has it.
    del lazy
    assert dead() is None  # Counted, not collected: there is no cycle.
    del array
    assert alive() is None
    assert (mappings_of(tmp_path), descriptors_of(tmp_path)) == ([], [])


@on_linux
def test_thousands_of_checkpoints(bundle, tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    kept = [tb.open(bundle.prefix, mmap=True)["step"] for _ in range(200)]
    for _ in range(2000):
        tb.open(bundle.prefix, mmap=False).read("step")
    assert len(os.listdir("/proc/self/fd")) == before
    assert {array[()] for array in kept} == {7}
    del kept
    assert mappings_of(tmp_path) == []


# The end of the interpreter.

AT_EXIT = r"""
import atexit, sys, threading
import numpy as np
import tensorbundle as tb

ckpt = tb.open(sys.argv[1], mmap=sys.argv[2] == "True")
array = ckpt["kernel"]
arrays = ckpt.load()
lazy = ckpt.lazy("kernel")

class Late:
    def __del__(self):  # When modules are taken apart.
        total = self.array[-1, -1]
        assert total == 59999, total

late = Late()
late.array = array
cycle = [ckpt, array]
cycle.append(cycle)

def read_late():
    assert float(array[-1, -1]) == 59999
    assert float(ckpt.load()["kernel"][-1, -1]) == 59999
    print("read at exit", flush=True)

atexit.register(read_late)
"""


@MODES
def test_interpreter_ends_with_everything_open(bundle, mmap):
    assert run_python(AT_EXIT, bundle.prefix, mmap) == "read at exit\n"


STILL_READING = r"""
import sys, threading
import tensorbundle as tb

ckpt = tb.open(sys.argv[1], mmap=sys.argv[2] == "True")
array = ckpt["kernel"]
reading = threading.Barrier(5)

def read(call):
    call()
    reading.wait()
    while True:
        call()

calls = [
    lambda: ckpt.load(copy=True, threads=2),
    lambda: ckpt.verify(threads=2, progress=lambda *_: None),
    lambda: ckpt.read("kernel", index=slice(None, None, 2)).sum(),
    lambda: tb.open(sys.argv[1]).load(),
]
for call in calls:
    threading.Thread(target=read, args=(call,), daemon=True).start()
reading.wait()
print("leaving", flush=True)
"""


@MODES
def test_interpreter_ends_while_threads_read(bundle, mmap):
    # Daemon threads are stopped wherever they are: between two calls, or in the middle of one.
    for _ in range(5):
        assert run_python(STILL_READING, bundle.prefix, mmap) == "leaving\n"


# Other processes.

FORK = r"""
import os, sys, warnings
import tensorbundle as tb

# From Python 3.12 on about forking with threads: NumPy's linear algebra has some, which do nothing.
warnings.simplefilter("ignore", DeprecationWarning)

ckpt = tb.open(sys.argv[1], mmap=sys.argv[2] == "True")
arrays = ckpt.load(threads=4)

def total():
    now = ckpt.load(copy=True, threads=4)
    assert ckpt.verify(threads=4)
    return [float(each["kernel"].sum()) for each in (arrays, now)] + [ckpt.read("kernel", index=-1).sum()]

expected = total()
for generation in range(3):
    child = os.fork()
    if child == 0:
        ok = total() == expected
        if generation == 2:
            grandchild = os.fork()
            if grandchild:
                ok = ok and os.waitpid(grandchild, 0)[1] == 0
            else:
                ok = total() == expected
        ckpt.close()
        os._exit(0 if ok and arrays["step"] == 7 else 1)
    assert total() == expected
    assert os.waitpid(child, 0)[1] == 0
assert total() == expected
print("same")
"""


@MODES
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork(bundle, mmap):
    # A descriptor is shared with the parent, position and all; reading must not move it.
    assert run_python(FORK, bundle.prefix, mmap) == "same\n"


@MODES
def test_spawned_processes_take_checkpoints(bundle, mmap):
    with tb.open(bundle.prefix, mmap=mmap) as ckpt, multiprocessing.get_context("spawn").Pool(1) as pool:
        array = pool.apply(operator.getitem, (ckpt, "kernel"))
        rows = pool.apply(operator.getitem, (ckpt.lazy("kernel"), slice(3, 5)))
        entry = pool.apply(operator.attrgetter("shape"), (ckpt.entry("kernel"),))
    assert_same_bits(array, MIXED["kernel"])
    assert_same_bits(rows, MIXED["kernel"][3:5])
    assert entry == (300, 200)


# Threads.


@MODES
def test_closing_while_others_read(bundle, mmap):
    """A call that has begun finishes with the right answer; one that comes later is refused. Nothing else happens."""
    finished = 0
    for _ in range(20):
        ckpt = tb.open(bundle.prefix, mmap=mmap)
        readers = [ReadsUntilRefused(ckpt) for _ in range(3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            assert reader.has_read.wait(60)
        ckpt.close()
        for reader in readers:
            reader.join()
            assert str(reader.refusal) == f"checkpoint {ckpt.path!r} is closed"
            assert all(same_bits(each["kernel"], MIXED["kernel"]) and each["step"] == 7 for each in reader.arrays)
            finished += len(reader.arrays)
    assert finished >= 60


class ReadsUntilRefused(threading.Thread):
    def __init__(self, ckpt: tb.Checkpoint) -> None:
        super().__init__()
        self.ckpt = ckpt
        self.has_read = threading.Event()
        self.arrays: list[dict[str, np.ndarray]] = []
        self.refusal: Exception | None = None

    def run(self) -> None:
        try:
            while True:
                self.arrays.append(self.ckpt.load(["kernel", "step"], copy=True))
                self.has_read.set()
        except ValueError as error:
            self.refusal = error
            self.has_read.set()
