"""Whatever is written can be read: all dtypes, shapes and layouts, whole and in part, against NumPy."""

from __future__ import annotations

import dataclasses
import tempfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import dtypes, values
from support.bundle_writer import write_bundle
from support.hashing import as_array, assert_same_bits
from support.strategies import names, pieces_of, shapes
from support.tensors import Raw, Typed

import tensorbundle as tb

NAMES = [dtype.name for dtype in dtypes.DTYPES if dtype.name != "variant"]
# A byte of these counts in part: the other bits of it may be anything.
NOISY = {dtype.name: dtype for dtype in dtypes.FIXED if dtype.bits or dtype.name == "bool"}


@dataclasses.dataclass(frozen=True)
class Written:
    """A tensor to write, and what it must be read as."""

    value: Any
    expected: np.ndarray
    dtype: str


@st.composite
def tensors(draw: st.DrawFn, sliced: bool = False) -> Written:
    dtype = draw(st.sampled_from(NAMES))
    shape = draw(shapes.filter(lambda shape: shape and 0 not in shape) if sliced else shapes)
    expected = values.filled(dtype, shape, draw(st.integers(0, 300)))
    if dtype in NOISY and not sliced and draw(st.booleans()):
        return noisy(draw, dtype, expected)
    return Written(Typed(expected, dtype), expected, dtype)


def noisy(draw: st.DrawFn, dtype: str, expected: np.ndarray) -> Written:
    """The same values, with bits set in each byte that don't count. Of a bool, all count, and any makes it true."""
    described = NOISY[dtype]
    codes = np.frombuffer(draw(st.binary(min_size=expected.size, max_size=expected.size)), np.uint8)
    if dtype == "bool":
        expected = (codes != 0).reshape(expected.shape)
    else:
        kept = (codes & (1 << described.bits) - 1).reshape(expected.shape)
        # A view keeps what is above: int4 has it as copies of the sign.
        expected = as_values(kept, described)
    return Written(Raw(described.number, expected.shape, codes.tobytes()), expected, dtype)


def as_values(codes: np.ndarray, described: dtypes.DType) -> np.ndarray:
    return values.interesting(described.name)[codes]


@st.composite
def checkpoints(draw: st.DrawFn) -> tuple[dict[bytes, Written], dict[str, Any]]:
    """Tensors, and how they are written."""
    written = draw(st.dictionaries(names.filter(lambda name: name[0]), tensors(), max_size=5))
    partitioned = draw(st.dictionaries(names.filter(lambda name: name[0]), tensors(sliced=True), max_size=2))
    pieces = {name: draw(pieces_of(tensor.expected.shape)) for name, tensor in partitioned.items()}
    shards = draw(st.integers(1, 4))
    where = draw(st.lists(st.integers(0, shards - 1), min_size=1, max_size=8))
    options = {
        "shards": shards,
        "shard_of": lambda name, piece: where[(len(name) + piece) % len(where)],
        "alignment": draw(st.sampled_from([1, 1, 2, 3, 16, 64])),
        "endianness": draw(st.sampled_from(["little", "little", "big"])),
        "snappy": draw(st.sampled_from([False, "literal", "copies", "auto"])),
        "block_size": draw(st.sampled_from([1, 100, 262144])),
        "restart_interval": draw(st.sampled_from([1, 2, 16])),
        "shorten_keys": draw(st.booleans()),
        "slices": pieces,
    }
    return {**written, **partitioned}, options


def text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


@given(checkpoints(), st.sampled_from([True, None, False]), st.sampled_from([None, 1, 3]))
def test_everything_that_is_written_is_read(written, mmap, threads):
    expected, options = written
    with tempfile.TemporaryDirectory() as folder:
        prefix = write_bundle(f"{folder}/x", {n: t.value for n, t in expected.items()}, **options).prefix
        with tb.open(prefix, mmap=mmap, threads=threads) as ckpt:
            assert list(ckpt) == [text(name) for name in sorted(expected)]
            assert ckpt.problems() == {}
            loads = [ckpt.load(), ckpt.load(copy=True), ckpt.load(verify=False), dict(ckpt.items())]
            outs = {entry.name: np.empty(entry.shape, entry.dtype, "F") for entry in ckpt.entries()}
            loads.append(ckpt.load(out=outs))
            assert ckpt.verify()
            entries = {entry.name: entry for entry in ckpt.entries()}
    for name, tensor in expected.items():
        for arrays in loads:
            assert_same_bits(arrays[text(name)], tensor.expected, name)
        entry = entries[text(name)]
        assert (entry.tf_dtype, entry.shape) == (tensor.dtype, tensor.expected.shape)
        assert loads[-1][text(name)] is outs[text(name)]


# Parts of a tensor, as NumPy has them.


def items(size: int) -> st.SearchStrategy[int | slice]:
    """An index of one dimension, within it or, for slices, beyond."""
    edges = st.none() | st.integers(-size - 3, size + 3)
    steps = st.none() | st.integers(-4, 4).filter(bool)
    cuts = st.builds(slice, edges, edges, steps)
    return st.integers(-size, size - 1) | cuts | cuts if size else cuts


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    """A basic index of an array of this shape: also shorter, with an ellipsis anywhere, with new dimensions."""
    index: list[Any] = [draw(items(size)) for size in shape]
    if draw(st.booleans()):
        low, high = sorted(draw(st.tuples(*[st.integers(0, len(index))] * 2)))
        index[low:high] = [...]
    elif draw(st.booleans()):
        del index[draw(st.integers(0, len(index))) :]
    for _ in range(draw(st.integers(0, 2))):
        index.insert(draw(st.integers(0, len(index))), None)
    return index[0] if len(index) == 1 and draw(st.booleans()) and index[0] is not None else tuple(index)


@st.composite
def stored_ways(draw: st.DrawFn, tensor: Written) -> dict[str, Any]:
    """How a tensor lies in its file: plain, misaligned, in pieces, in the other byte order."""
    shape = tensor.expected.shape
    options: dict[str, Any] = {"alignment": draw(st.sampled_from([1, 64]))}
    if not isinstance(tensor.value, Raw):
        options["endianness"] = draw(st.sampled_from(["little", "little", "big"]))
    if shape and 0 not in shape and draw(st.booleans()) and not isinstance(tensor.value, Raw):
        options["slices"] = {"w": draw(pieces_of(shape))}
    return options


@given(st.data(), st.sampled_from([True, False]))
def test_every_part_is_numpys(data, mmap):
    tensor = data.draw(tensors())
    options = data.draw(stored_ways(tensor))
    whole = tensor.expected
    with tempfile.TemporaryDirectory() as folder:
        # A byte before it: without alignment it is misaligned.
        bundle = write_bundle(f"{folder}/x", {"before": np.int8(1), "w": tensor.value}, **options)
        with tb.open(bundle.prefix, mmap=mmap) as ckpt:
            for _ in range(8):
                index = data.draw(indices(whole.shape))
                copy = data.draw(st.sampled_from([None, True]))
                verify = data.draw(st.booleans())
                expected = as_array(whole[index]) if whole.dtype == object else np.asarray(whole[index])
                part = ckpt.read("w", index=index, copy=copy, verify=verify)
                assert isinstance(part, np.ndarray)
                assert_same_bits(np.ascontiguousarray(part).reshape(part.shape), expected, (index, tensor))
                out = np.empty(expected.shape, whole.dtype, data.draw(st.sampled_from("CF")))
                assert ckpt.read("w", index=index, out=out, verify=verify) is out
                assert_same_bits(out, expected, (index, tensor))
                lazy = ckpt.lazy("w")[index]
                assert_same_bits(np.ascontiguousarray(lazy).reshape(lazy.shape), expected, (index, tensor))
                if copy:
                    assert part.flags.writeable
                    assert part.flags.aligned


@given(st.data(), st.sampled_from([True, False]))
def test_what_numpy_refuses_is_refused(data, mmap):
    shape = data.draw(shapes)
    whole = np.zeros(shape, "<f4")
    wrong = st.one_of(
        st.just((0,) * (len(shape) + 1)),
        st.just((..., ...)),
        st.integers(6, 2**70),
        st.integers(-(2**70), -6),
        st.tuples(st.just(...), st.integers(6, 9)),
        st.just(slice(None, None, 0)),
        st.just((slice("a"), ...)),
    )
    index = data.draw(wrong)
    with pytest.raises((IndexError, ValueError, TypeError)) as numpys:
        whole[index]
    with tempfile.TemporaryDirectory() as folder:
        prefix = write_bundle(f"{folder}/x", {"w": whole}).prefix
        with tb.open(prefix, mmap=mmap) as ckpt, pytest.raises(numpys.type):
            ckpt.read("w", index=index)
