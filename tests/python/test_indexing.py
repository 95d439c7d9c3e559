"""Basic indexing, compared with NumPy's own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tensorbundle import indexing

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@st.composite
def shapes_with_indices(draw):
    shape = draw(SHAPES)
    index = draw(hnp.basic_indices(shape, max_dims=8, allow_newaxis=True, allow_ellipsis=True))
    return shape, index


def box(array: np.ndarray, region: indexing.Region) -> np.ndarray:
    """What reading the region gives, by its definition."""
    assert len(region.start) == len(region.shape) == len(region.step) == array.ndim
    for first, length, step, size in zip(region.start, region.shape, region.step, array.shape):
        assert step >= 1
        assert first >= 0
        assert length >= 0
        assert length == 0 or first + (length - 1) * step < size
    axes = [first + np.arange(length) * step for first, length, step in zip(region.start, region.shape, region.step)]
    return array[np.ix_(*axes)] if axes else array


def check(array: np.ndarray, index: object) -> None:
    expected = array[index]
    region = indexing.parse(index, array.shape)
    arranged = box(array, region)[region.arrange]
    selected = array[region.select]
    assert isinstance(arranged, np.ndarray)
    assert isinstance(selected, np.ndarray)
    assert region.result_shape == np.shape(expected)
    for actual in (arranged, selected):
        assert actual.shape == np.shape(expected)
        assert np.array_equal(actual, expected)
    flat = box(array, region).reshape(region.result_shape)
    if not region.reverses:
        assert np.array_equal(flat, expected)


@given(shapes_with_indices())
def test_any_basic_index_selects_what_numpy_selects(case):
    shape, index = case
    check(np.arange(int(np.prod(shape))).reshape(shape), index)


@given(size=st.integers(0, 12), bounds=st.tuples(*[st.none() | st.integers(-15, 15)] * 2), step=st.integers(-6, 6))
def test_any_slice_selects_what_numpy_selects(size, bounds, step):
    assume(step != 0)
    check(np.arange(size), slice(*bounds, step))


@given(SHAPES, st.lists(st.integers(-7, 7) | st.just(Ellipsis) | st.none(), max_size=6))
def test_refuses_what_numpy_refuses(shape, items):
    array = np.zeros(shape)
    index = tuple(items)
    refusal = ""
    try:
        array[index]
    except IndexError as error:
        refusal = str(error)
    if refusal:
        with pytest.raises(IndexError) as caught:
            indexing.parse(index, shape)
        assert str(caught.value) == refusal
    else:
        indexing.parse(index, shape)


def test_every_slice_of_three_elements():
    values = [None, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5]
    for bounds in itertools.product(values, values, [None, -4, -3, -2, -1, 1, 2, 3, 4]):
        check(np.arange(3), slice(*bounds))


@pytest.mark.parametrize("index", [np.int64(1), np.uint8(1), np.array(1), np.int32(-1)], ids=repr)
def test_anything_with_an_index_method_is_an_integer(index):
    region = indexing.parse(index, (3, 2))
    assert region.start == (int(index) % 3, 0)
    assert region.result_shape == (2,)


def test_huge_bounds_are_clipped():
    region = indexing.parse(slice(-(10**30), 10**30, 10**25), (4,))
    assert (region.start, region.shape, region.step) == ((0,), (1,), (1,))


def test_huge_integer_is_out_of_bounds():
    with pytest.raises(IndexError, match=r"^index 1000000000000000000000 is out of bounds for axis 0 with size 4$"):
        indexing.parse(10**21, (4,))


@pytest.mark.parametrize(
    ("index", "kind"),
    [
        (True, "bool"),
        (np.True_, "bool"),
        ([0, 1], "list"),
        (np.array([0, 1]), "ndarray"),
        (np.array([True]), "ndarray"),
        (1.0, "float"),
        ("name", "str"),
        ({1}, "set"),
        ((0, [1]), "list"),
        ((slice(None), False), "bool"),
    ],
    ids=repr,
)
def test_other_indices_are_refused(index, kind):
    with pytest.raises(IndexError) as caught:
        indexing.parse(index, (3, 2))
    message = str(caught.value)
    assert message.startswith("only integers, slices (`:`), ellipsis (`...`) and numpy.newaxis (`None`) are valid")
    assert f"not {kind}" in message
    assert message.endswith("read it whole to index it by arrays, lists or booleans")


def test_zero_step_is_refused_as_numpy_does():
    with pytest.raises(ValueError, match=r"^slice step cannot be zero$"):
        indexing.parse(slice(None, None, 0), (3,))


def test_slice_bounds_must_be_integers():
    with pytest.raises(TypeError, match="slice indices must be integers"):
        indexing.parse(slice("a", None), (3,))


def test_box_of_an_empty_selection_is_empty_and_inside():
    region = indexing.parse((slice(2, 2), slice(5, None)), (3, 2))
    assert (region.start, region.shape, region.step) == ((0, 0), (0, 0), (1, 1))
