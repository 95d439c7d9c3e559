"""Checkpoints, arrays, entries and reports, taken apart and put together again by ``pickle``."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from support.bundle_writer import Bundle, build_bundle
from support.hashing import assert_same_bits
from support.small import MIXED, MIXED_OPTIONS, assert_mixed

import tensorbundle as tb

MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])


@pytest.fixture
def bundle(write_bundle) -> Bundle:
    return write_bundle(MIXED, **MIXED_OPTIONS)


@MODES
def test_pickle_opens_the_same_save(bundle, mmap):
    with tb.open(bundle.prefix, mmap=mmap, verify=False, threads=3) as ckpt:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pickle.loads(pickle.dumps(ckpt, protocol)) as twin:
                assert twin is not ckpt
                assert twin.path == ckpt.path
                assert twin._options == {"verify": False, "mmap": mmap, "threads": 3}
                assert_mixed(twin.load())
        assert len(pickle.dumps(ckpt)) < 1000


def test_pickle_is_of_the_absolute_path(bundle, monkeypatch):
    monkeypatch.chdir(bundle.prefix.parent)
    pickled = pickle.dumps(tb.open("ckpt"))
    monkeypatch.chdir("/")
    assert_mixed(pickle.loads(pickled).load())


@pytest.mark.parametrize("change", ["values", "names", "order of the data"])
def test_pickle_of_another_save(bundle, change):
    pickled = pickle.dumps(tb.open(bundle.prefix))
    other = dict(MIXED)
    if change == "values":
        other["step"] = np.array(8, "<i8")
    elif change == "names":
        other["more"] = np.int8(1)
    else:
        other = dict(reversed(other.items()))
    image = build_bundle(other, **MIXED_OPTIONS)
    for name, data in image.files(bundle.prefix.name).items():
        bundle.prefix.with_name(name).write_bytes(data)
    with pytest.raises(tb.errors.DataLossError, match="another save is at") as caught:
        pickle.loads(pickled)
    assert str(bundle.prefix) in str(caught.value)
    assert caught.value.path == str(bundle.prefix)


def test_pickle_of_a_save_that_is_gone(bundle):
    pickled = pickle.dumps(tb.open(bundle.prefix))
    bundle.index_path.unlink()
    with pytest.raises(FileNotFoundError, match="no checkpoint here"):
        pickle.loads(pickled)


@MODES
def test_arrays_pickle_by_value(bundle, mmap):
    arrays = tb.load(bundle.prefix, mmap=mmap)
    pickled = [pickle.dumps(arrays, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for path in bundle.prefix.parent.iterdir():
        path.unlink()
    for data in pickled:
        assert_mixed(pickle.loads(data))
    assert_mixed(copy.deepcopy(arrays))


def test_entries_reports_and_lazy_tensors_pickle(bundle):
    with tb.open(bundle.prefix) as ckpt:
        entries = ckpt.entries()
        assert pickle.loads(pickle.dumps(entries)) == entries
        lazy = pickle.loads(pickle.dumps(ckpt.lazy("kernel")))
        assert_same_bits(lazy[7], MIXED["kernel"][7])
        path = bundle.data_path(ckpt.entry("kernel").shard)
        damaged = bytearray(path.read_bytes())
        damaged[ckpt.entry("kernel").offset] ^= 1
        path.write_bytes(damaged)
        report = tb.open(bundle.prefix).verify()
    twin = pickle.loads(pickle.dumps(report))
    assert (twin.checked, twin.nbytes, len(twin.damaged)) == (report.checked, report.nbytes, 1)
    assert str(twin) == str(report)
    assert type(twin.damaged[0].cause) is tb.errors.DataLossError
