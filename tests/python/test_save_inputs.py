"""What ``save`` takes for arrays: buffers, objects that give one, and tensors of other libraries, where they lie."""

from __future__ import annotations

import array
import ctypes
import gc
import mmap as mmap_module
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import dtypes, stored, values
from support.hashing import assert_same_bits
from support.processes import run_python

import tensorbundle as tb
from tensorbundle import inputs


def saved(folder: Path, value: Any) -> tuple[str, np.ndarray]:
    """TensorFlow's name of the type that a value is stored as, and what is read back."""
    tb.save(folder / "x", {"w": value})
    with tb.open(folder / "x") as ckpt:
        return ckpt.entry("w").tf_dtype, ckpt["w"]


# What is no NumPy array.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (array.array("f", [1, 2]), np.array([1, 2], "f4")),
        (array.array("q", [-1]), np.array([-1])),
        (bytearray(b"ab"), np.array([97, 98], "u1")),
        (memoryview(b"ab"), np.array([97, 98], "u1")),
        (memoryview(bytes(12)).cast("h", (2, 3)), np.zeros((2, 3), "i2")),
        (memoryview(np.arange(6).reshape(2, 3))[::-1], np.arange(6).reshape(2, 3)[::-1]),
        ((ctypes.c_float * 3)(1, 2, 3), np.array([1, 2, 3], "f4")),
        (((ctypes.c_int16 * 2) * 2)((1, 2), (3, 4)), np.array([[1, 2], [3, 4]], "i2")),
        ((ctypes.c_int32.__ctype_be__ * 2)(1, -2), np.array([1, -2], "i4")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_buffers(tmp_path, value, expected):
    assert_same_bits(saved(tmp_path, value)[1], np.ascontiguousarray(expected))


def test_mapped_memory(tmp_path):
    with mmap_module.mmap(-1, 4096) as memory:
        memory[:3] = b"abc"
        assert saved(tmp_path, memory)[1].tobytes() == b"abc" + bytes(4093)


class GivesArray:
    """Has ``__array__`` and nothing else."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize(
    "value",
    [np.arange(6, dtype=">i4").reshape(2, 3).T, np.array([b"a\0", b""], object), values.interesting("bfloat16")],
    ids=["numbers", "strings", "bfloat16"],
)
def test_objects_that_give_an_array(tmp_path, value):
    native = value if value.dtype == object else np.ascontiguousarray(value, value.dtype.newbyteorder("="))
    assert_same_bits(saved(tmp_path, GivesArray(value))[1], native)


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (TypeError("no such thing"), TypeError, r"^tensor 'w': no such thing$"),
        (RuntimeError("still on its way"), TypeError, r"^tensor 'w': still on its way$"),
        (ValueError("odd"), ValueError, r"^tensor 'w': odd$"),
        (OSError("far away"), OSError, r"^far away$"),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_object_that_gives_no_array(tmp_path, raised, expected, message):
    with pytest.raises(expected, match=message):
        tb.save(tmp_path / "x", {"a": 1, "w": GivesArray(raised)})
    assert stored.files(tmp_path) == {}


class GivesDLPack:
    """Has ``__dlpack__`` and nothing else."""

    def __init__(self, value: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self.value = value
        self.device = device

    def __dlpack__(self, **options: Any) -> Any:
        return self.value.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(10, dtype="i2")[::-3],
        np.broadcast_to(np.zeros(1, "c8"), (2, 2)).copy()[:, :1],
        np.array(5, "u8"),
        np.zeros((0, 3), "f2"),
        np.array([True, False]),
    ],
    ids=lambda value: f"{value.dtype}{value.shape}",
)
def test_dlpack(tmp_path, value):
    assert_same_bits(saved(tmp_path, GivesDLPack(value))[1], np.ascontiguousarray(value).reshape(value.shape))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "?"])
def test_dlpack_hands_over_every_type_of_numpys(tmp_path, dtype):
    value = np.arange(3).astype(dtype)
    assert_same_bits(saved(tmp_path, GivesDLPack(value))[1], value)


def test_dlpack_is_given_back(tmp_path):
    value = np.arange(3.0)
    gone = weakref.ref(value)
    tb.save(tmp_path / "x", {"w": GivesDLPack(value)})
    del value
    gc.collect()
    assert gone() is None
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt["w"].tolist() == [0, 1, 2]


def test_dlpack_of_elsewhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^tensor 'w' is on device 2:1, not on the CPU: copy it there first$"):
        tb.save(tmp_path / "x", {"w": GivesDLPack(np.zeros(2), (2, 1))})
    assert stored.files(tmp_path) == {}


class DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class DLManagedTensor(ctypes.Structure):
    _fields_ = (("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class HandmadeDLPack:
    """Hands out bytes as elements of any type, and counts how often they were given back."""

    def __init__(self, content: bytes, code: int, bits: int, shape: tuple[int, ...], **fields: Any) -> None:
        self.bytes = ctypes.create_string_buffer(content, len(content))
        self.given_back = 0
        self.deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.take_back)
        self.shape = (ctypes.c_int64 * len(shape))(*shape)
        strides = fields.pop("strides", None)
        self.strides = None if strides is None else (ctypes.c_int64 * len(shape))(*strides)
        tensor = DLTensor(ctypes.addressof(self.bytes), 1, 0, len(shape), code, bits, 1, self.shape, self.strides)
        for name, value in fields.items():
            setattr(tensor, name, value)
        self.managed = DLManagedTensor(tensor, None, ctypes.cast(self.deleter, ctypes.c_void_p))

    def take_back(self, managed: int) -> None:
        self.given_back += 1

    def __dlpack__(self, *, stream: None = None) -> Any:
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return new(ctypes.addressof(self.managed), b"dltensor", None)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


DLPACK_CODES = {
    "bfloat16": (4, 16),
    "bool": (6, 8),
    "float8_e4m3b11fnuz": (9, 8),
    "float8_e4m3fn": (10, 8),
    "float8_e4m3fnuz": (11, 8),
    "float8_e5m2": (12, 8),
    "float8_e5m2fnuz": (13, 8),
}


@pytest.mark.parametrize("name", DLPACK_CODES)
def test_dlpack_of_types_that_numpy_lacks(tmp_path, name):
    value = values.interesting(name)[: len(values.interesting(name)) // 2 * 2].reshape(2, -1)
    given = HandmadeDLPack(value.tobytes(), *DLPACK_CODES[name], value.shape)
    dtype, array = saved(tmp_path, given)
    assert dtype == name
    assert_same_bits(array, value)
    assert given.given_back == 1


def test_dlpack_of_strides_and_an_offset(tmp_path):
    value = np.arange(6, dtype="<i4")
    given = HandmadeDLPack(value.tobytes(), 0, 32, (2, 2), strides=(1, 2), byte_offset=4)
    assert saved(tmp_path, given)[1].tolist() == [[1, 3], [2, 4]]
    nothing = HandmadeDLPack(b"", 2, 32, (0, 3), data=None)
    assert saved(tmp_path, nothing)[1].shape == (0, 3)
    assert (given.given_back, nothing.given_back) == (1, 1)


@pytest.mark.parametrize(
    ("code", "bits", "fields", "message"),
    [
        (2, 128, {}, "a checkpoint can't hold DLPack elements of type code 2, 128 bits"),
        (3, 64, {}, "a checkpoint can't hold DLPack elements of type code 3, 64 bits"),
        (0, 4, {}, "a checkpoint can't hold DLPack elements of type code 0, 4 bits"),
        (2, 32, {"lanes": 4}, "a checkpoint can't hold DLPack elements of type code 2, 32 bits"),
        (2, 32, {"device_type": 2}, "the tensor is not in the memory of the CPU"),
    ],
)
def test_dlpack_of_other_elements_is_refused(tmp_path, code, bits, fields, message):
    given = HandmadeDLPack(bytes(64), code, bits, (1,), **fields)
    with pytest.raises(TypeError, match=f"^tensor 'w': {message}$"):
        tb.save(tmp_path / "x", {"w": given})
    assert given.given_back == 1
    assert stored.files(tmp_path) == {}


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(6, dtype=">i4")[::-1],
        values.interesting("bfloat16"),
        GivesDLPack(np.arange(3)),
        GivesArray(np.arange(3)),
        array.array("f", [1, 2]),
        memoryview(b"abc"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_elements_are_taken_where_they_lie(value):
    whole = getattr(value, "value", value)
    taken = inputs.to_array("w", value)
    assert np.shares_memory(taken, np.asarray(whole))


MEASURE = r"""
import json, re, sys
import numpy as np
import tensorbundle as tb

def status(what):
    with open("/proc/self/status") as file:
        return int(re.search(what + r":\s+(\d+) kB", file.read())[1]) << 10

folder, change = sys.argv[1:]
array = eval(change)(np.ones((1 << 12, 1 << 12), "f8"))
tb.save(folder + "/small", {"w": array[:2, :2]}, durable=False)  # What is imported and allocated once.
before, most = status("RssAnon"), 0

def watch(done, total, name):
    global most
    most = max(most, status("RssAnon") - before)

tb.save(folder + "/x", {"w": array}, durable=False, threads=2, progress=watch)
print(most)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    "change",
    ["lambda a: a", "lambda a: a.T", "lambda a: a.view('>f8')", "lambda a: a[::-1]", "lambda a: a.view('?')"],
    ids=["plain", "transposed", "swapped", "backwards", "bool"],
)
def test_saving_takes_no_memory(tmp_path, change):
    # Of 128 MiB.
    assert int(run_python(MEASURE, tmp_path, change)) < 16 << 20


# Other libraries.


@pytest.fixture(scope="module")
def torch() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def jax() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("jax")


TORCH_TYPES = {
    **{name: name for name in ("float32", "float64", "float16", "bfloat16", "bool", "complex64", "complex128")},
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{name: name for name in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")},
}


@pytest.mark.parametrize("name", TORCH_TYPES)
def test_torch_tensors(tmp_path, torch, name):
    numbers = [[0, 1, 1], [1, 0, 1]]
    tensor = torch.tensor(numbers, dtype=torch.float32).to(getattr(torch, name))
    expected = np.array(numbers).astype(dtypes.BY_NAME[TORCH_TYPES[name]].numpy)
    tb.save(tmp_path / "x", {"w": tensor, "t": tensor.T, "s": tensor[1, 1], "none": tensor[:0], "cut": tensor[:, 1:]})
    stored.assert_stored(
        tmp_path / "x",
        {
            "w": expected,
            "t": np.ascontiguousarray(expected.T),
            "s": expected[1, 1],
            "none": expected[:0],
            "cut": np.ascontiguousarray(expected[:, 1:]),
        },
    )


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_torch_tensors_are_taken_where_they_lie(torch, name):
    tensor = torch.ones((3, 4), dtype=getattr(torch, name), requires_grad=True)
    for given in (tensor, tensor.T, tensor[1:], torch.nn.Parameter(tensor)):
        taken = inputs.to_array("w", given)
        assert taken.__array_interface__["data"][0] == given.data_ptr()
        assert taken.shape == tuple(given.shape)


def test_torch_tensors_with_history(tmp_path, torch):
    leaf = torch.arange(6.0).reshape(2, 3).to(torch.bfloat16).requires_grad_()
    expected = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)
    assert_same_bits(saved(tmp_path, (leaf * 2).T)[1], np.ascontiguousarray((expected * ml_dtypes.bfloat16(2)).T))
    assert leaf.requires_grad


def test_torch_tensors_that_are_conjugated_or_negated_when_read(tmp_path, torch):
    lazy = torch.tensor([1 + 2j, 3 - 4j]).conj()
    assert_same_bits(saved(tmp_path, lazy)[1], np.array([1 - 2j, 3 + 4j], "c8"))
    assert_same_bits(saved(tmp_path, lazy.imag)[1], np.array([-2, 4], "f4"))


@pytest.mark.parametrize("layout", ["sparse", "meta", "list of bfloat16"])
def test_torch_tensors_without_elements_are_refused(tmp_path, torch, layout):
    value: Any = {
        "sparse": lambda: torch.eye(2).to_sparse(),
        "meta": lambda: torch.ones(2, device="meta"),
        "list of bfloat16": lambda: [torch.ones(2, dtype=torch.bfloat16)] * 2,
    }[layout]()
    with pytest.raises(TypeError, match=r"^tensor 'w': "):
        tb.save(tmp_path / "x", {"w": value})
    assert stored.files(tmp_path) == {}


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16", "bool", "int4", "uint2", "float8_e4m3b11fnuz"])
def test_jax_arrays(tmp_path, jax, name):
    given = jax.numpy.arange(6).reshape(2, 3).astype(name)
    expected = np.arange(6).reshape(2, 3).astype(dtypes.BY_NAME[name].numpy)
    tb.save(tmp_path / "x", {"w": given, "t": given.T, "s": given[1, 1], "none": given[:0]})
    stored.assert_stored(
        tmp_path / "x",
        {"w": expected, "t": np.ascontiguousarray(expected.T), "s": expected[1, 1], "none": expected[:0]},
    )


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_jax_arrays_are_taken_where_they_lie(jax, name):
    given = jax.numpy.arange(1000).astype(name)
    assert inputs.to_array("w", given).__array_interface__["data"][0] == given.unsafe_buffer_pointer()


def test_strings_are_given_back_after_saving(tmp_path):
    kept = [b"one of many", b"another"]
    array = np.array([*kept, b""], object)
    before = [sys.getrefcount(element) for element in kept]
    tb.save(tmp_path / "x", {"s": array, "t": array[::-1], "u": array.reshape(3, 1)})
    assert [sys.getrefcount(element) for element in kept] == before
    mixed = np.array([*kept, 5], object)
    before = [sys.getrefcount(element) for element in kept]
    with pytest.raises(TypeError, match="object arrays may hold bytes and str only"):
        tb.save(tmp_path / "x", {"s": array, "t": mixed})
    assert [sys.getrefcount(element) for element in kept] == before


def test_strings_that_are_replaced_meanwhile_are_saved_as_they_were(tmp_path):
    array = np.array([bytes([65 + i]) * 40 for i in range(20)], object)
    others = []

    def tensors():
        yield "s", array
        array[:] = None  # Nothing else refers to the strings, and others of their size take the memory that is free.
        others.extend(bytes([97 + i]) * 40 for i in range(26))
        yield "t", np.zeros(1)

    tb.save(tmp_path / "x", tensors())
    assert tb.load(tmp_path / "x")["s"].tolist() == [bytes([65 + i]) * 40 for i in range(20)]
