"""``save``: what is given is what is stored, under the names that it is given, or nothing is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import dtypes, stored, values
from support.bundle_writer import build_bundle, write_bundle
from support.hashing import as_array, assert_same_bits
from support.tensors import Typed, Variant, encode_tensor

import tensorbundle as tb
from tensorbundle import inputs

MIB = 1 << 20
MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
SHAPES = [(), (0,), (0, 3), (3,), (2, 3), (1, 1, 1), (40, 25)]
# Those that arrays tell by themselves: not the quantized ones, whose arrays are plain integers.
OWN = [dtype for dtype in dtypes.DTYPES if not dtype.name.startswith(("qint", "quint", "variant"))]


def saved(folder: Path, value: Any) -> tuple[str, np.ndarray]:
    """TensorFlow's name of the type that a value is stored as, and what is read back."""
    tb.save(folder / "x", {"w": value})
    with tb.open(folder / "x") as ckpt:
        return ckpt.entry("w").tf_dtype, ckpt["w"]


# Types.


@MODES
@pytest.mark.parametrize("dtype", OWN, ids=lambda dtype: dtype.name)
def test_every_dtype_round_trips(tmp_path, dtype, mmap):
    tensors = {f"{shape}": values.filled(dtype.name, shape, 1) for shape in SHAPES}
    tensors["all"] = values.interesting(dtype.name)
    tb.save(tmp_path / "x", tensors)
    stored.assert_stored(tmp_path / "x", tensors)
    with tb.open(tmp_path / "x", mmap=mmap) as ckpt:
        assert {entry.tf_dtype for entry in ckpt.entries()} == {dtype.name}
        assert ckpt.verify().checked == len(tensors)
        for name, value in tensors.items():
            assert_same_bits(ckpt[name], value, name)


def test_all_dtypes_in_one_checkpoint(tmp_path):
    tensors = {dtype.name: values.filled(dtype.name, (3, 7)) for dtype in OWN}
    assert tb.save(tmp_path / "x", tensors, shards=3) == str(tmp_path / "x")
    stored.assert_stored(tmp_path / "x", tensors)
    stored.assert_only_checkpoint(tmp_path / "x")


@pytest.mark.parametrize("dtype", [dtype for dtype in dtypes.FIXED if dtype.bits or dtype.name == "bool"], ids=str)
def test_bits_that_mean_nothing_are_not_stored(tmp_path, dtype):
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    noisy = codes.view(dtype.numpy)
    mask = (1 << dtype.bits) - 1
    clean = (codes != 0).astype(np.uint8) if dtype.name == "bool" else codes & mask
    tb.save(tmp_path / "x", {"w": noisy, "transposed": noisy.T, "scalar": noisy[15, 15]})
    assert stored.stored_bytes(tmp_path / "x", "w") == clean.tobytes()
    assert stored.stored_bytes(tmp_path / "x", "transposed") == clean.T.tobytes()
    assert stored.stored_bytes(tmp_path / "x", "scalar") == clean[15, 15].tobytes()
    with tb.open(tmp_path / "x") as ckpt:
        assert ckpt.verify().checked == 3


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (True, "bool", np.True_),
        (7, "int64", np.int64(7)),
        (-(2**63), "int64", np.int64(-(2**63))),
        (2**64 - 1, "uint64", np.uint64(2**64 - 1)),
        (0.1, "float64", np.float64(0.1)),
        (1 - 2j, "complex128", np.complex128(1 - 2j)),
        ([1, 2, 3], "int64", np.array([1, 2, 3])),
        (((1.5, 2), (3, 4)), "float64", np.array([[1.5, 2], [3, 4]])),
        (range(4), "int64", np.arange(4)),
        ([], "float64", np.zeros(0)),
        ([[], []], "float64", np.zeros((2, 0))),
        ([np.arange(2, dtype="f4"), np.ones(2, "f4")], "float32", np.array([[0, 1], [1, 1]], "f4")),
        (np.float32(0.25), "float32", np.float32(0.25)),
        (ml_dtypes.bfloat16(1.5), "bfloat16", ml_dtypes.bfloat16(1.5)),
        (np.longlong(5), "int64", np.int64(5)),
        (np.ulonglong(5), "uint64", np.uint64(5)),
    ],
    ids=repr,
)
def test_python_numbers_and_sequences(tmp_path, value, dtype, expected):
    found, array = saved(tmp_path, value)
    assert found == dtype
    assert_same_bits(array, expected)


# Strings.

TEXT = "gr\u00fc\u00df \U0001f600"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", b""),
        (b"a\0b\0", b"a\0b\0"),
        ("", b""),
        (TEXT, TEXT.encode()),
        ("not\udcff text", b"not\xff text"),
        (np.bytes_(b"ab"), b"ab"),
        (np.str_(TEXT), TEXT.encode()),
        ([b"a\0", b"", "\0", TEXT], [b"a\0", b"", b"\0", TEXT.encode()]),
        ([[b"a", b"b\0"], [b"c", b""]], np.array([[b"a", b"b\0"], [b"c", b""]], object)),
        ((("a", "b"),), np.array([[b"a", b"b"]], object)),
        (np.array([b"a\0b", b"c"]), [b"a\0b", b"c"]),
        (np.array(["a", TEXT]), [b"a", TEXT.encode()]),
        (np.array(["a", TEXT], ">U9"), [b"a", TEXT.encode()]),
        (np.array(b"one"), b"one"),
        (np.array([], "S3"), np.empty(0, object)),
        (np.array([], object), np.empty(0, object)),
        (np.empty((0, 3), object), np.empty((0, 3), object)),
        (np.array([b"a\0", "b", bytearray(b"c"), memoryview(b"d")], object), [b"a\0", b"b", b"c", b"d"]),
        (np.array([[b"a", "b"], ["c", b"d"]], object).T, np.array([[b"a", b"c"], [b"b", b"d"]], object)),
        (np.array([b"a", b"b", b"c"], object)[::-2], [b"c", b"a"]),
        (np.broadcast_to(np.array(b"x", object), (2, 2)), np.full((2, 2), b"x", object)),
        (np.array([b"a", b"bb", b"c"])[::-1], [b"c", b"bb", b"a"]),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_strings(tmp_path, value, expected):
    dtype, array = saved(tmp_path, value)
    assert dtype == "string"
    assert_same_bits(array, expected)
    stored.assert_stored(tmp_path / "x", {"w": as_array(expected)})


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="a NumPy without StringDType")
def test_numpys_strings_of_any_length(tmp_path):
    value = np.array([["a", TEXT], ["x" * 1000, "nul\0"]], np.dtypes.StringDType())
    dtype, array = saved(tmp_path, value.T)
    assert dtype == "string"
    assert array.tolist() == [[b"a", b"x" * 1000], [TEXT.encode(), b"nul\0"]]
    with pytest.raises(TypeError, match=r"^tensor 'w': .* this one has NoneType at \[1\]$"):
        tb.save(tmp_path / "y", {"w": np.array(["a", None], np.dtypes.StringDType(na_object=None))})


def test_strings_of_many_sizes(tmp_path):
    # Larger than what is written at once, and many small ones.
    long = [b"x" * (3 * MIB), b"", b"y" * 700_000, *[b"%d" % number for number in range(20_000)]]
    tensors = {"long": as_array(long), "scalar": as_array(long[0]), "after": np.arange(5)}
    tb.save(tmp_path / "x", tensors, threads=2, shards=2)
    stored.assert_stored(tmp_path / "x", tensors)


def test_array_of_strings_is_not_changed(tmp_path):
    value = np.array(["a", b"b"], object)
    assert saved(tmp_path, value)[1].tolist() == [b"a", b"b"]
    assert value.tolist() == ["a", b"b"]


# Memory layouts.

BASE = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


def misaligned(whole: np.ndarray) -> np.ndarray:
    room = np.empty(whole.nbytes + 1, np.uint8)
    shifted = room[1:].view(whole.dtype).reshape(whole.shape)
    shifted[...] = whole
    return shifted


def fields(whole: np.ndarray) -> np.ndarray:
    record = np.zeros(whole.shape, [("a", "u1"), ("b", whole.dtype), ("c", "u2")])
    record["b"] = whole
    return record["b"]


LAYOUTS = {
    "column-major": np.asfortranarray,
    "transposed": lambda whole: whole.T,
    "axes moved": lambda whole: whole.transpose(2, 0, 3, 1),
    "negative": lambda whole: whole[::-1, :, ::-1],
    "last negative": lambda whole: whole[..., ::-1],
    "steps": lambda whole: whole[:, ::2, 1::2, ::3],
    "cut": lambda whole: whole[:, 1:, :, 2:4],
    "broadcast": lambda whole: np.broadcast_to(whole[:1, :, :1], whole.shape),
    "broadcast scalar": lambda whole: np.broadcast_to(whole[0, 0, 0, 1], (3, 4)),
    "diagonal": lambda whole: whole[0, 0].diagonal(),
    "new axes": lambda whole: whole[:, None, 1, :, None, ::2],
    "misaligned": misaligned,
    "field of records": fields,
    "windows": lambda whole: np.lib.stride_tricks.sliding_window_view(whole[0, 0], (2, 3)),
    "nothing": lambda whole: whole[:, 3:, ::-1],
    "one element": lambda whole: whole[1:, 2:, 3:, 4:].T,
    "read-only": lambda whole: np.frombuffer(whole.tobytes(), whole.dtype).reshape(whole.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["int8", "bfloat16", "float32", "complex64", "complex128", "int4", "bool"])
def test_layouts(tmp_path, dtype, layout):
    given = LAYOUTS[layout](values.interesting(dtype)[BASE % len(values.interesting(dtype))])
    tb.save(tmp_path / "x", {"before": np.int8(1), "w": given, "after": np.int8(2)}, alignment=1)
    stored.assert_stored(tmp_path / "x", {"before": np.int8(1), "w": np.ascontiguousarray(given), "after": np.int8(2)})


@pytest.mark.parametrize("layout", ["transposed", "negative", "misaligned"])
@pytest.mark.parametrize("dtype", [dtype for dtype in OWN if dtype.size > 1], ids=lambda dtype: dtype.name)
def test_foreign_byte_order(tmp_path, dtype, layout):
    whole = values.interesting(dtype.name)[BASE % len(values.interesting(dtype.name))]
    foreign = dtype.numpy.newbyteorder(">" if sys.byteorder == "little" else "<")
    given = np.empty(whole.shape, foreign)
    # By its bytes: a conversion might lose the payload of a not-a-number.
    given.view(np.uint8)[...] = whole.view(f"u{dtype.swap}").byteswap().view(np.uint8)
    assert not given.dtype.isnative
    assert inputs.to_array("w", given) is not None
    tb.save(tmp_path / "x", {"w": given, "v": LAYOUTS[layout](given)})
    stored.assert_stored(tmp_path / "x", {"w": whole, "v": np.ascontiguousarray(LAYOUTS[layout](whole))})


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole,
        lambda whole: whole.T,
        lambda whole: whole[::-1, ::3],
        lambda whole: whole.astype(">f8"),
        lambda whole: whole.astype(">f8").T,
        lambda whole: whole[:, 1:],
        lambda whole: whole.astype(bool).T,
        lambda whole: np.broadcast_to(whole[0], (700, 1001)),
    ],
    ids=["plain", "transposed", "steps", "swapped", "swapped and transposed", "cut", "bool", "broadcast"],
)
def test_arrays_larger_than_what_is_written_at_once(tmp_path, change, threads):
    given = change(np.arange(700 * 1001, dtype="f8").reshape(700, 1001))
    tb.save(tmp_path / "x", {"w": given}, threads=threads, alignment=1)
    expected = np.ascontiguousarray(given, given.dtype.newbyteorder("<"))
    stored.assert_stored(tmp_path / "x", {"w": expected})


def test_subclasses_are_plain_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "raw", "f4", "w+", shape=(2, 3))
    mapped[...] = np.arange(6).reshape(2, 3)
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.5, 2.5]])
    tensors = {
        "memmap": mapped,
        "matrix": matrix,
        "unmasked": np.ma.array([1, 2, 3]),
        "unmasked in a list": [np.ma.array([1, 2]), [3, 4]],
        "records": np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])["b"],
    }
    tb.save(tmp_path / "x", tensors)
    plain = {"memmap": np.arange(6, dtype="f4").reshape(2, 3), "matrix": np.array([[1.5, 2.5]])}
    stored.assert_stored(
        tmp_path / "x",
        {
            **plain,
            "unmasked": np.array([1, 2, 3]),
            "unmasked in a list": np.array([[1, 2], [3, 4]]),
            "records": np.array([2.5]),
        },
    )


# What is refused.


class MakesAnArray:
    def __init__(self, array: Any) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._array


def refused() -> dict[str, tuple[Any, type[Exception], str]]:
    masked = np.ma.array([1, 2], mask=[True, False])
    holds = "object arrays may hold bytes and str only, this one has"
    return {
        "mapping": ({"kernel": np.zeros(2)}, TypeError, f"{holds} dict$"),
        "none": (None, TypeError, f"{holds} NoneType$"),
        "set": ({1}, TypeError, f"{holds} set$"),
        "generator": ((i for i in "a"), TypeError, f"{holds} generator$"),
        "object": (object(), TypeError, f"{holds} object$"),
        "large number": (2**70, TypeError, "the integer is too large for any integer type$"),
        "large numbers": ([[1], [-(2**64)]], TypeError, r"the integer at \[1, 0\] is too large for any integer type$"),
        "masked in a list": ([masked, masked], TypeError, "a checkpoint can't hold masked elements"),
        "masked in a tuple in a list": (
            [([1], masked[1:]), ([2], masked[:1])],
            TypeError,
            "a checkpoint can't hold masked elements",
        ),
        "masked scalar in a list": ([1, np.ma.masked], TypeError, "a checkpoint can't hold masked elements"),
        "masked by way of __array__": (MakesAnArray(masked), TypeError, "a checkpoint can't hold masked elements"),
        "masked text": ([np.ma.array(["a"], mask=[True])], TypeError, "a checkpoint can't hold masked elements"),
        "objects": (np.array([[b"a"], [3]], object), TypeError, rf"{holds} int at \[1, 0\]$"),
        "text and numbers": (["a", 1], TypeError, rf"{holds} int at \[1\]$"),
        "masked": (masked, TypeError, r"a checkpoint can't hold masked elements; use .filled\(\)$"),
        "masked scalar": (np.ma.masked, TypeError, r"a checkpoint can't hold masked elements; use .filled\(\)$"),
        "records": (np.zeros(2, "i4,f4"), TypeError, "a checkpoint can't hold elements of dtype .*i4"),
        "records of objects": (np.zeros(1, "O,i4"), TypeError, f"{holds} tuple"),
        "void": (np.zeros(2, "V4"), TypeError, r"a checkpoint can't hold elements of dtype \|V4$"),
        "times": (np.zeros(2, "M8[s]"), TypeError, r"a checkpoint can't hold elements of dtype datetime64\[s\]$"),
        "durations": (
            np.timedelta64(1, "s"),
            TypeError,
            r"a checkpoint can't hold elements of dtype timedelta64\[s\]$",
        ),
        "other floats": (
            np.zeros(1, ml_dtypes.float8_e3m4),
            TypeError,
            "a checkpoint can't hold elements of dtype float8_e3m4$",
        ),
        "ragged": ([[1, 2], [3]], ValueError, "setting an array element with a sequence"),
        "lone surrogate": ("a\ud800", ValueError, "text has no UTF-8: 'utf-8' codec can't encode"),
        "lone surrogates": (["a", "\ud800"], ValueError, r"text at \[1\] has no UTF-8: 'utf-8' codec can't encode"),
    }


@pytest.mark.parametrize("case", refused())
def test_refused_values(tmp_path, case):
    value, error, message = refused()[case]
    with pytest.raises(error, match=rf"^tensor 'deep/w': {message}") as raised:
        tb.save(tmp_path / "x", {"a": np.zeros(3), "deep/w": value})
    assert type(raised.value) is error
    assert stored.files(tmp_path) == {}


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="a long double is a double here")
def test_long_doubles_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"^tensor 'w': a checkpoint can't hold elements of dtype float\d+$"):
        tb.save(tmp_path / "x", {"w": np.longdouble(1)})
    assert stored.files(tmp_path) == {}


class Items(Mapping):
    """A mapping with odd items."""

    def __init__(self, items: list[Any]) -> None:
        self.given = items

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return len(self.given)

    def items(self) -> Any:
        return self.given


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ("abc", "tensors must be a mapping from names to arrays, not str"),
        (b"abc", "tensors must be a mapping from names to arrays, not bytes"),
        (np.zeros((2, 2)), "tensors must be a mapping from names to arrays, not ndarray"),
        (None, "tensors must be a mapping from names to arrays, not NoneType"),
        ([["a", 1]], "tensors must be a mapping, or give pairs of a name and an array, not list"),
        ([("a", 1), ("b",)], "tensors must be a mapping, or give pairs of a name and an array, not tuple"),
        (Items([["a", 1]]), "tensors must be a mapping, or give pairs of a name and an array, not list"),
        (Items([("a",)]), "tensors must be a mapping, or give pairs of a name and an array, not tuple"),
        (Items([5]), "tensors must be a mapping, or give pairs of a name and an array, not int"),
        ({1: 2}, "a tensor's name is a str, not int"),
        ({"a": 1, b"b": 2}, "a tensor's name is a str, not bytes"),
        ([(None, 1)], "a tensor's name is a str, not NoneType"),
    ],
    ids=lambda value: "" if isinstance(value, str) and " " in value else None,
)
def test_what_is_no_mapping_is_refused(tmp_path, tensors, message):
    with pytest.raises(TypeError) as raised:
        tb.save(tmp_path / "x", tensors)
    assert str(raised.value) == message
    assert stored.files(tmp_path) == {}


def test_other_mappings_and_pairs(tmp_path):
    tb.save(tmp_path / "pairs", iter([("b", 1), ("a", 2)]))
    tb.save(tmp_path / "items", Items([("b", 1), ("a", 2)]))
    tb.save(tmp_path / "dict", {"b": 1, "a": 2})
    assert stored.entries(tmp_path / "pairs")[b"a"].offset == 64
    for name in ("items", "dict"):
        assert stored.index_of(tmp_path / name) == stored.index_of(tmp_path / "pairs")


# Names.


def test_names_of_any_text(tmp_path):
    names = [
        "a",
        "a/b:0",
        " ",
        "nul\0inside",
        "line\nbreak",
        TEXT,
        "\x01",
        "\udcff\udcfe",
        "x\udced",
        "n" * 700_000,
        "n" * 700_000 + "o",
        "_CHECKPOINTABLE_OBJECT_GRAPH",
    ]
    tensors = {name: np.int32(number) for number, name in enumerate(names)}
    tb.save(tmp_path / "x", tensors)
    stored.assert_stored(tmp_path / "x", tensors)
    with tb.open(tmp_path / "x") as ckpt:
        assert list(ckpt) == sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))
        assert {name: int(array) for name, array in ckpt.load().items()} == dict(zip(names, range(len(names))))
    # Key for key, TensorFlow's bytes.
    assert stored.index_of(tmp_path / "x") == build_bundle(tensors, alignment=64).index


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"^tensor \"\": a tensor needs a name: the empty one is the format's own$"),
        ("\0", r"^tensor \"\\x00\": a name may not begin with a zero byte: these are the format's own$"),
        ("\0name", r"^tensor \"\\x00name\": a name may not begin with a zero byte: these are the format's own$"),
        ("\ud800", "surrogates not allowed"),
    ],
)
def test_refused_names(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        tb.save(tmp_path / "x", {"a": 1, name: 2})
    assert stored.files(tmp_path) == {}


def test_name_given_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^tensor \"a\": there is a tensor of this name already$"):
        tb.save(tmp_path / "x", [("a", 1), ("b", 2), ("a", 3)])
    assert stored.files(tmp_path) == {}


def test_no_tensor_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"/x: a checkpoint holds at least one tensor$") as raised:
        tb.save(tmp_path / "x", {})
    # Even while the error is looked at.
    assert raised.value is not None
    assert stored.files(tmp_path) == {}


def test_rank_254_is_the_highest(tmp_path):
    # NumPy's own limit is lower: chunks have no shape of their own.
    with tb.CheckpointWriter(tmp_path / "x") as writer:
        writer.add_chunks("w", "int8", (1,) * 254, [np.int8(5)])
        with pytest.raises(ValueError, match=r"^tensor \"v\": a tensor has at most 254 dimensions, not 255$"):
            writer.add_chunks("v", "int8", (1,) * 255, [np.int8(5)])
    assert stored.entries(tmp_path / "x")[b"w"].shape == (1,) * 254


# A checkpoint as what is saved.


@MODES
@pytest.mark.parametrize("endianness", ["little", "big"])
def test_checkpoint_keeps_its_types(tmp_path, endianness, mmap):
    tensors: dict[str, Any] = {
        dtype.name: Typed(values.filled(dtype.name, (3, 5)), dtype.name)
        for dtype in dtypes.DTYPES
        if dtype.name != "variant"
    }
    if endianness == "little":
        tensors["variant"] = Variant([b"\x0a\x03int", b"", b"x" * 300], (3, 1))
    tensors["sur\udcffrogate"] = Typed(values.filled("qint8", (2,)), "qint8")
    expected = {name.encode("utf-8", "surrogateescape"): encode_tensor(value) for name, value in tensors.items()}
    prefix = write_bundle(tmp_path / "a" / "x", tensors, endianness=endianness, shards=2).prefix
    with tb.open(prefix, mmap=mmap) as ckpt:
        tb.save(tmp_path / "b" / "x", ckpt)
    found = stored.entries(tmp_path / "b" / "x")
    assert found.keys() == expected.keys()
    for name, entry in found.items():
        assert (entry.dtype, entry.shape, entry.crc) == (
            expected[name].dtype,
            expected[name].shape,
            expected[name].crc,
        )
        assert stored.stored_bytes(tmp_path / "b" / "x", name) == expected[name].data


@MODES
def test_checkpoint_is_packed_anew(tmp_path, mmap):
    w = values.filled("qint8", (6, 4))
    prefix = write_bundle(
        tmp_path / "a" / "x", {"w": Typed(w, "qint8"), "b": np.arange(4)}, slices={"w": ["0,2:-", "2,4:-"]}, shards=2
    ).prefix
    with tb.open(prefix, mmap=mmap) as ckpt:
        tb.save(tmp_path / "b" / "x", ckpt)
    with tb.open(tmp_path / "b" / "x") as ckpt:
        assert (ckpt.num_shards, ckpt.entry("w").slices, ckpt.entry("w").tf_dtype) == (1, (), "qint8")
        assert_same_bits(ckpt["w"], w)


@MODES
def test_checkpoint_over_itself(tmp_path, mmap):
    tensors = {"w": np.arange(100_000.0), "s": [b"text"]}
    tb.save(tmp_path / "x", tensors)
    with tb.open(tmp_path / "x", mmap=mmap) as ckpt:
        tb.save(tmp_path / "x", ckpt, shards=3)
        assert_same_bits(ckpt["w"], tensors["w"])
    stored.assert_only_checkpoint(tmp_path / "x")
    stored.assert_stored(tmp_path / "x", tensors)


def test_part_of_a_checkpoint(tmp_path):
    tb.save(tmp_path / "x", {"a": 1, "b": [b"s"], "c": np.arange(3)})
    with tb.open(tmp_path / "x") as ckpt:
        tb.save(tmp_path / "y", ckpt.load(include="[bc]"))
    stored.assert_stored(tmp_path / "y", {"b": [b"s"], "c": np.arange(3)})
