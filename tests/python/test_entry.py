"""``tb.Entry``: what the index says of a tensor."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from support import dtypes
from support.bundle_writer import Mutations, write_bundle
from support.hashing import canonical_bytes
from support.values import filled
from support.wire import crc32c

import tensorbundle as tb

FIELDS = ["name", "dtype", "tf_dtype", "shape", "nbytes", "shard", "offset", "crc32c", "slices", "aligned"]


@pytest.fixture
def entry(tmp_path) -> tb.Entry:
    tensors = {"first": np.zeros(3, np.uint8), "w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    with tb.open(write_bundle(tmp_path / "ckpt", tensors).prefix) as ckpt:
        return ckpt.entry("w")


def test_fields(entry):
    assert entry.name == "w"
    assert entry.dtype == np.float32
    assert entry.tf_dtype == "float32"
    assert entry.shape == (2, 3)
    assert entry.nbytes == 24
    assert entry.shard == 0
    assert entry.offset == 3
    assert entry.crc32c == crc32c(np.arange(6, dtype="<f4").tobytes())
    assert entry.slices == ()
    assert entry.aligned is False


def test_types_are_plain(entry):
    assert type(entry.shape) is tuple
    assert {type(dim) for dim in entry.shape} == {int}
    assert isinstance(entry.dtype, np.dtype)


@pytest.mark.parametrize("field", FIELDS)
def test_is_immutable(entry, field):
    with pytest.raises(AttributeError):
        setattr(entry, field, None)
    with pytest.raises(AttributeError):
        delattr(entry, field)


def test_has_no_other_attributes(entry):
    assert [name for name in dir(entry) if not name.startswith("_")] == sorted(FIELDS)
    with pytest.raises(AttributeError):
        entry.comment = "x"


def test_equality_and_hash_are_by_value(tmp_path):
    tensors = {"a": np.arange(4.0), "b": np.arange(4.0)}
    first = tb.open(write_bundle(tmp_path / "one", tensors).prefix)
    second = tb.open(write_bundle(tmp_path / "two", tensors).prefix)
    assert first.entry("a") == second.entry("a")
    assert hash(first.entry("a")) == hash(second.entry("a"))
    assert first.entry("a") != first.entry("b")
    assert first.entry("a") != "a"
    assert len({*first.entries(), *second.entries()}) == 2


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda entry: pickle.loads(pickle.dumps(entry))])
def test_clone_is_equal(entry, clone):
    assert clone(entry) == entry


def test_repr_says_what_it_is(entry):
    text = repr(entry)
    assert text.startswith("Entry(name='w'")
    assert "tf_dtype='float32'" in text
    assert "shape=(2, 3)" in text


@pytest.mark.parametrize("dtype", dtypes.FIXED, ids=lambda dtype: dtype.name)
def test_every_dtype(tmp_path, dtype):
    from support.tensors import Typed

    plain = dtype.name.removeprefix("q") if dtype.name.startswith(("qint", "quint")) else dtype.name
    array = filled(plain, (2, 5))
    with tb.open(write_bundle(tmp_path / "ckpt", {"w": Typed(array, dtype.name)}).prefix) as ckpt:
        entry = ckpt.entry("w")
    assert entry.tf_dtype == dtype.name
    assert entry.dtype == dtype.numpy
    assert entry.nbytes == 10 * dtype.size
    assert entry.crc32c == crc32c(canonical_bytes(array))


def test_strings(tmp_path):
    with tb.open(write_bundle(tmp_path / "ckpt", {"w": [b"ab", b"c"]}).prefix) as ckpt:
        entry = ckpt.entry("w")
    assert (entry.tf_dtype, entry.dtype, entry.shape) == ("string", np.dtype(object), (2,))
    assert entry.nbytes == 2 + 4 + 3


def test_sliced_tensor_has_no_place_of_its_own(tmp_path):
    bundle = write_bundle(tmp_path / "ckpt", {"w": np.zeros((4, 6))}, slices={"w": ["0,2:-", "2,2:0,3", "2,2:3,3"]})
    with tb.open(bundle.prefix) as ckpt:
        entry = ckpt.entry("w")
    assert entry.slices == (
        (slice(0, 2), slice(0, 6)),
        (slice(2, 4), slice(0, 3)),
        (slice(2, 4), slice(3, 6)),
    )
    assert (entry.shard, entry.offset, entry.crc32c) == (None, None, None)
    assert entry.nbytes == 192
    assert entry.shape == (4, 6)


def test_entries_are_all_of_them_in_key_order(tmp_path):
    tensors = {name: np.arange(3) for name in ("b", "a", "c/d")}
    with tb.open(write_bundle(tmp_path / "ckpt", tensors, shards=2).prefix) as ckpt:
        entries = ckpt.entries()
        assert [entry.name for entry in entries] == ["a", "b", "c/d"]
        assert [entry.shard for entry in entries] == [1, 0, 0]
        assert all(ckpt.entry(entry.name) == entry for entry in entries)
        assert all(math.prod(entry.shape) * 8 == entry.nbytes for entry in entries)


def test_name_that_is_not_utf8(tmp_path):
    with tb.open(write_bundle(tmp_path / "ckpt", {b"\xff\x00w": np.arange(3)}).prefix) as ckpt:
        assert [entry.name for entry in ckpt.entries()] == ["\udcff\0w"]
        assert ckpt.entry("\udcff\0w").shape == (3,)


def test_unknown_dtype_spoils_only_its_tensor(tmp_path):
    tensors = {"a": np.arange(3), "b": np.arange(3)}
    mutate = Mutations(entries={"a": {"dtype": 99}})
    prefix = write_bundle(tmp_path / "ckpt", tensors, mutate=mutate).prefix
    with pytest.warns(tb.errors.DamageWarning, match="1 of 2 tensors"):
        ckpt = tb.open(prefix)
    assert ckpt["b"].tolist() == [0, 1, 2]
    assert list(ckpt) == ["a", "b"]
    with pytest.raises(tb.errors.TensorBundleError) as caught:
        ckpt["a"]
    assert "99" in str(caught.value)


def test_dtype_alone_imports_numpy(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(3)}).prefix
    program = (
        "import sys, tensorbundle as tb\n"
        f"ckpt = tb.open({str(prefix)!r})\n"
        "entries = ckpt.entries(); repr(entries); hash(entries[0]); ckpt.problems(); list(ckpt); entries[0].aligned\n"
        "print('numpy' in sys.modules); entries[0].dtype; print('numpy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]
