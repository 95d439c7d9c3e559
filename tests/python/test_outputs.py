"""Reading one tensor: views and copies, arrays of the user's, parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import dtypes
from support.bundle_writer import Mutations, Typed, Variant, write_bundle
from support.hashing import assert_same_bits
from support.values import filled

import tensorbundle as tb

SHAPES = {"scalar": (), "empty": (0, 3), "vector": (17,), "cube": (3, 4, 5)}


def value_of(dtype: dtypes.DType, shape: tuple[int, ...]) -> object:
    if dtype is dtypes.VARIANT:
        count = int(np.prod(shape))
        return Variant([b"\x0a\x01x" + bytes([number]) for number in range(count)], shape)
    array = filled("string" if dtype.numpy is None else plain_name(dtype), shape)
    return Typed(array, dtype.name) if dtype.name.startswith(("qint", "quint")) else array


def plain_name(dtype: dtypes.DType) -> str:
    return dtype.name.removeprefix("q") if dtype.name.startswith(("qint", "quint")) else dtype.name


def array_of(value: object) -> np.ndarray:
    if isinstance(value, Variant):
        array = np.empty(len(value.elements), object)
        array[:] = value.elements
        return array.reshape(value.shape)
    return value.array if isinstance(value, Typed) else value


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> dict[str, tuple[Path, dict[str, object]]]:
    """Every dtype in every shape, in both byte orders; packed, so that many are misaligned."""
    folder = tmp_path_factory.mktemp("everything")
    kinds = {}
    for order in ("little", "big"):
        tensors = {
            f"{dtype.name}/{shape}": value_of(dtype, SHAPES[shape])
            for dtype in dtypes.DTYPES
            for shape in SHAPES
            if not (order == "big" and dtype is dtypes.VARIANT)
        }
        kinds[order] = write_bundle(folder / order, tensors, endianness=order).prefix, tensors
    return kinds


@pytest.fixture(params=[True, False], ids=["mmap", "pread"])
def mmap(request) -> bool:
    return request.param


@pytest.mark.parametrize("copy", [None, True])
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_dtype_and_shape(everything, order, copy, mmap):
    prefix, tensors = everything[order]
    with tb.open(prefix, mmap=mmap) as ckpt:
        assert len(ckpt) == len(tensors)
        for name, value in tensors.items():
            array = ckpt.read(name, copy=copy)
            expected = array_of(value)
            assert type(array) is np.ndarray
            assert array.dtype.isnative
            assert array.flags.aligned
            assert array.flags.c_contiguous
            if copy:
                assert array.flags.writeable
            assert_same_bits(array, expected, name)


def test_views_are_read_only_and_share_the_file(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(6, dtype=np.float32)}).prefix
    with tb.open(prefix, mmap=True) as ckpt:
        first, second = ckpt["w"], ckpt["w"]
        assert np.shares_memory(first, second)
        assert not first.flags.owndata
        assert not first.flags.writeable
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag to True"):
            first.flags.writeable = True
        base = first
        while isinstance(base, np.ndarray):
            assert not base.flags.writeable
            base = base.base
        copied = ckpt.read("w", copy=True)
        copied[:] = 0
        assert first.sum() == 15


def test_misaligned_tensor(tmp_path):
    tensors = {"a": np.array(True), "w": np.arange(6, dtype=np.float64)}
    prefix = write_bundle(tmp_path / "ckpt", tensors).prefix
    with tb.open(prefix, mmap=True) as ckpt:
        assert not ckpt.entry("w").aligned
        assert ckpt["w"].flags.aligned
        assert ckpt["w"].flags.writeable
        view = ckpt.read("w", copy=False)
        assert not view.flags.aligned
        assert not view.flags.writeable
        assert view.tolist() == [0, 1, 2, 3, 4, 5]
        part = ckpt.read("w", index=slice(1, 3), copy=False)
        assert not part.flags.aligned
        assert np.shares_memory(part, view)
        assert part.tolist() == [1, 2]
        assert ckpt.read("w", index=slice(1, 3)).flags.aligned


UNVIEWABLE = {
    "strings": {"tensors": {"w": [b"a", b"b"]}},
    "slices": {"tensors": {"w": np.arange(4.0)}, "slices": {"w": ["0,2", "2,2"]}},
    "swapped": {"tensors": {"w": np.arange(4.0)}, "endianness": "big"},
}


@pytest.mark.parametrize("kind", UNVIEWABLE)
@pytest.mark.parametrize("index", [None, 0, ()])
def test_no_view_is_an_error_for_copy_false(tmp_path, kind, index):
    prefix = write_bundle(tmp_path / "ckpt", **UNVIEWABLE[kind]).prefix
    with tb.open(prefix, mmap=True) as ckpt, pytest.raises(ValueError, match="a view is not possible") as caught:
        ckpt.read("w", copy=False, index=index)
    assert '"w"' in str(caught.value)


def test_no_view_without_a_mapping(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(4.0)}).prefix
    with tb.open(prefix, mmap=False) as ckpt:
        with pytest.raises(ValueError, match="a view is not possible"):
            ckpt.read("w", copy=False)
        assert ckpt["w"].flags.writeable


@pytest.mark.parametrize("copy", [0, 1, "no", np.True_])
def test_copy_is_one_of_three(tmp_path, copy):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(4.0)}).prefix
    with tb.open(prefix) as ckpt:
        for read in (lambda: ckpt.read("w", copy=copy), lambda: ckpt.load(copy=copy)):
            with pytest.raises(TypeError, match="copy must be None, True or False"):
                read()


# Arrays of the user's.


@pytest.mark.parametrize("order", ["little", "big"])
def test_out_is_filled_and_returned(everything, order, mmap):
    prefix, tensors = everything[order]
    with tb.open(prefix, mmap=mmap) as ckpt:
        for name, value in tensors.items():
            expected = array_of(value)
            out = np.empty(expected.shape, ckpt.entry(name).dtype)
            assert ckpt.read(name, out=out) is out
            assert_same_bits(out, expected, name)


def misaligned(array: np.ndarray) -> np.ndarray:
    storage = np.zeros(array.nbytes + 1, np.uint8)
    return storage[1:].view(array.dtype).reshape(array.shape)


AWKWARD = {
    "fortran": lambda array: np.zeros_like(array, order="F"),
    "strided": lambda array: np.zeros((array.shape[0], 2 * array.shape[1]), array.dtype)[:, ::2],
    "backwards": lambda array: np.zeros_like(array)[::-1],
    "misaligned": misaligned,
    "subclass": lambda array: np.zeros_like(array).view(np.matrix),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", AWKWARD)
@pytest.mark.parametrize("dtype", ["float64", "string"])
@pytest.mark.parametrize("index", [None, ..., (slice(None, None, -1),)], ids=repr)
def test_out_of_any_layout(tmp_path, kind, dtype, index):
    if kind == "misaligned" and dtype == "string":
        pytest.skip("objects are always aligned")
    array = filled(dtype, (3, 4))
    prefix = write_bundle(tmp_path / "ckpt", {"w": array}).prefix
    out = AWKWARD[kind](array)
    with tb.open(prefix) as ckpt:
        assert ckpt.read("w", out=out, index=index) is out
    assert_same_bits(np.asarray(out), array if index is None else array[index])


def test_out_in_a_file_of_the_users(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(4.0)}).prefix
    out = np.memmap(tmp_path / "out", np.float64, "w+", shape=(4,))
    with tb.open(prefix) as ckpt:
        assert ckpt.read("w", out=out) is out
    out.flush()
    assert (tmp_path / "out").read_bytes() == np.arange(4.0).tobytes()


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros(4, np.float32), TypeError, "out for 'w' must be of float64, not float32"),
        (np.zeros(4, ">f8"), TypeError, "out for 'w' must be of float64, not >f8"),
        (np.zeros(4, np.int64), TypeError, "out for 'w' must be of float64, not int64"),
        (np.zeros(5), ValueError, "out for 'w' must have shape (4,), not (5,)"),
        (np.zeros((4, 1)), ValueError, "out for 'w' must have shape (4,), not (4, 1)"),
        (np.broadcast_to(np.zeros(1), (4,)), ValueError, "out for 'w' is read-only"),
        ([0.0] * 4, TypeError, "out for 'w' must be a NumPy array, not list"),
        (bytearray(32), TypeError, "out for 'w' must be a NumPy array, not bytearray"),
    ],
)
@pytest.mark.parametrize("index", [None, ...])
def test_wrong_out_is_refused_before_anything_is_read(tmp_path, out, error, message, index):
    mutate = Mutations(data=lambda _, data: data.__setitem__(0, 255))
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(4.0)}, mutate=mutate).prefix
    with tb.open(prefix) as ckpt:
        with pytest.raises(error) as caught:
            ckpt.read("w", out=out, index=index)
        assert str(caught.value) == message


def test_out_excludes_a_view(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(4.0)}).prefix
    with tb.open(prefix) as ckpt:
        for index in (None, 0):
            with pytest.raises(ValueError, match=r"^copy=False asks for a view, which out= excludes$"):
                ckpt.read("w", out=np.zeros(4), copy=False, index=index)


# Parts.


INDICES = [0, -1, slice(1, None), slice(None, None, -2), ..., (), (None, 0, ..., None), (slice(2), 0, slice(0, 0))]


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("copy", [None, True])
def test_parts_of_every_dtype(everything, order, copy, mmap):
    prefix, tensors = everything[order]
    with tb.open(prefix, mmap=mmap) as ckpt:
        for name, value in tensors.items():
            expected = array_of(value)
            for index in [index for index in INDICES if fits(expected, index)]:
                part = ckpt.read(name, index=index, copy=copy)
                assert type(part) is np.ndarray
                assert part.flags.aligned
                if copy:
                    assert part.flags.writeable
                    assert part.flags.c_contiguous
                assert_same_bits(part, as_array(expected[index], expected), (name, index))


def as_array(part: object, whole: np.ndarray) -> np.ndarray:
    """Of an element, which NumPy gives bare, a 0-d array."""
    if isinstance(part, np.ndarray):
        return part
    array = np.empty((), whole.dtype)
    array[()] = part
    return array


def fits(array: np.ndarray, index: object) -> bool:
    try:
        array[index]
    except IndexError:
        return False
    return True


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    """One array, stored in every way that reading parts may meet."""
    cube = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    folder = tmp_path_factory.mktemp("cubes")
    ways = {
        "whole": {},
        "big": {"endianness": "big"},
        "misaligned": {"alignment": 1},
        "slices": {"slices": {"w": ["0,1:-:-", "1,3:0,2:-", "1,3:2,3:0,5", "1,3:2,3:5,1"]}},
        "shards": {"shards": 3, "slices": {"w": ["-:-:0,2", "-:-:2,2", "-:-:4,2"]}},
    }
    opened = {}
    for way, options in ways.items():
        first = {"a": np.array(True)} if way == "misaligned" else {}
        prefix = write_bundle(folder / way, {**first, "w": cube}, **options).prefix
        opened[way] = tb.open(prefix, mmap=True)
        opened[way + ", read"] = tb.open(prefix, mmap=False)
    yield cube, opened
    for checkpoint in opened.values():
        checkpoint.close()


@given(data=st.data())
def test_any_part_is_what_numpy_selects(cubes, data):
    cube, opened = cubes
    index = data.draw(hnp.basic_indices(cube.shape, allow_newaxis=True))
    expected = as_array(cube[index], cube)
    for way, ckpt in opened.items():
        for copy in (None, True):
            part = ckpt.read("w", index=(index,) if index is None else index, copy=copy)
            assert_same_bits(part, expected, (way, index))
        out = np.empty(expected.shape, cube.dtype)
        assert ckpt.read("w", index=(index,) if index is None else index, out=out) is out
        assert_same_bits(out, expected, (way, index))
        checked = ckpt.read("w", index=(index,) if index is None else index, verify=True)
        assert_same_bits(checked, expected, (way, index))


def test_part_of_a_view_is_a_view(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(12.0).reshape(3, 4)}).prefix
    with tb.open(prefix, mmap=True) as ckpt:
        part = ckpt.read("w", index=(slice(None), 1))
        assert np.shares_memory(part, ckpt["w"])
        assert not part.flags.writeable
        assert ckpt.read("w", index=(1, 1)).shape == ()


def test_wrong_index_is_refused_before_anything_is_read(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"w": np.arange(4.0)}).prefix
    with tb.open(prefix) as ckpt:
        with pytest.raises(IndexError, match=r"^index 4 is out of bounds for axis 0 with size 4$"):
            ckpt.read("w", index=4)
        with pytest.raises(IndexError, match=r"^too many indices for array: array is 1-dimensional, but 2 were"):
            ckpt.read("w", index=(0, 0))
        for wrong in ([0], np.array([0]), True, np.array([True] * 4)):
            with pytest.raises(IndexError, match=r"^only integers, slices"):
                ckpt.read("w", index=wrong)
