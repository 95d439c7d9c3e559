"""``LazyTensor``: looks like an array, reads when it is indexed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from support.bundle_writer import Mutations, write_bundle

import tensorbundle as tb

ARRAY = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.fixture
def ckpt(tmp_path):
    tensors = {"w": ARRAY, "scalar": np.array(3.5), "names": [b"a", b"b"]}
    with tb.open(write_bundle(tmp_path / "ckpt", tensors).prefix, mmap=True) as checkpoint:
        yield checkpoint


def test_attributes(ckpt):
    lazy = ckpt.lazy("w")
    assert isinstance(lazy, tb.LazyTensor)
    assert (lazy.name, lazy.shape, lazy.dtype, lazy.ndim, lazy.size, lazy.nbytes) == (
        "w",
        (4, 6),
        np.float32,
        2,
        24,
        96,
    )
    assert len(lazy) == 4
    assert repr(lazy) == "<LazyTensor 'w': float32 [4, 6]>"


@pytest.mark.parametrize(
    "index", [0, -1, slice(1, 3), (slice(None), 2), ..., (), None, (None, 1), (1, 2), slice(None, None, -2)]
)
def test_indexing_is_numpys(ckpt, index):
    part = ckpt.lazy("w")[index]
    assert isinstance(part, np.ndarray)
    assert part.shape == np.shape(ARRAY[index])
    assert np.array_equal(part, ARRAY[index])


def test_wrong_index(ckpt):
    with pytest.raises(IndexError, match="index 4 is out of bounds for axis 0 with size 4"):
        ckpt.lazy("w")[4]
    with pytest.raises(IndexError, match="only integers, slices"):
        ckpt.lazy("w")[[0, 1]]


def test_iterates_over_the_first_dimension(ckpt):
    assert [row.tolist() for row in ckpt.lazy("w")] == ARRAY.tolist()
    assert [bytes(element[()]) for element in ckpt.lazy("names")] == [b"a", b"b"]


def test_scalar_has_no_length(ckpt):
    lazy = ckpt.lazy("scalar")
    assert lazy[()] == 3.5
    for call in (len, iter):
        with pytest.raises(TypeError, match="0-d tensor"):
            call(lazy)


def test_becomes_an_array(ckpt):
    lazy = ckpt.lazy("w")
    for array in (np.asarray(lazy), np.array(lazy), np.asarray(lazy, np.float64), np.array(lazy, np.int8)):
        assert np.array_equal(array, ARRAY)
    assert np.asarray(lazy, np.float64).dtype == np.float64
    assert np.asarray(ckpt.lazy("scalar")).shape == ()
    assert np.asarray(ckpt.lazy("names")).tolist() == [b"a", b"b"]
    assert np.array_equal(np.add(lazy, 1), ARRAY + 1)


def test_array_protocol_honours_copy(ckpt):
    lazy = ckpt.lazy("w")
    view = lazy.__array__(copy=False)
    assert not view.flags.writeable
    assert np.shares_memory(view, ckpt["w"])
    assert lazy.__array__(copy=True).flags.writeable
    assert lazy.__array__(np.float64, copy=True).dtype == np.float64
    assert lazy.__array__(np.float32, copy=False).dtype == np.float32
    with pytest.raises(ValueError, match="which copy=False forbids"):
        lazy.__array__(np.float64, copy=False)
    with pytest.raises(ValueError, match="a view is not possible"):
        ckpt.lazy("names").__array__(copy=False)


def test_making_one_reads_nothing(tmp_path):
    mutate = Mutations(data=lambda _, data: data.__setitem__(0, 255))
    with tb.open(write_bundle(tmp_path / "ckpt", {"w": ARRAY}, mutate=mutate).prefix) as ckpt:
        lazy = ckpt.lazy("w")
        assert lazy[1:].shape == (3, 6)
        with pytest.raises(tb.errors.DataLossError):
            np.asarray(lazy)


def test_missing_name(ckpt):
    with pytest.raises(tb.errors.NotFoundError):
        ckpt.lazy("nothing")


def test_pickles_with_its_checkpoint(ckpt):
    twin = pickle.loads(pickle.dumps(ckpt.lazy("w")))
    assert type(twin) is tb.LazyTensor
    assert np.array_equal(twin[1], ARRAY[1])


def test_keeps_its_checkpoint(tmp_path):
    lazy = tb.open(write_bundle(tmp_path / "ckpt", {"w": ARRAY}).prefix).lazy("w")
    assert np.array_equal(lazy[2], ARRAY[2])
