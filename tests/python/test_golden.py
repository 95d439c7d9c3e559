"""The golden checkpoints mean what their manifests say: names, dtypes, shapes, values, and where it all lies."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from support import dtypes, golden, slices
from support.hashing import tensor_hash
from support.wire import unmask

import tensorbundle as tb

MODES = pytest.mark.parametrize("mmap", [None, True, False], ids=["auto", "map", "read"])

# What users get for TensorFlow's dtypes: written out, so that a slip in one table can't hide in another.
NUMPY_DTYPES = {
    "float32": "float32",
    "float64": "float64",
    "float16": "float16",
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8_e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "float8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float4_e2m1fn": ml_dtypes.float4_e2m1fn,
    "complex64": "complex64",
    "complex128": "complex128",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "int4": ml_dtypes.int4,
    "int2": ml_dtypes.int2,
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "uint4": ml_dtypes.uint4,
    "uint2": ml_dtypes.uint2,
    "qint8": "int8",
    "qint16": "int16",
    "qint32": "int32",
    "quint8": "uint8",
    "quint16": "uint16",
    "bool": "bool",
    "string": "object",
    "variant": "object",
}


def name_of(tensor: golden.GoldenTensor) -> str:
    return tensor.name.decode("utf-8", "surrogateescape")


def in_key_order(checkpoint: golden.GoldenCheckpoint) -> list[golden.GoldenTensor]:
    return [checkpoint.tensors[name] for name in sorted(checkpoint.tensors)]


def width_of_part(dtype: np.dtype) -> int:
    """What an element must be aligned to, and the unit in which it is swapped."""
    return dtype.itemsize // (2 if dtype.kind == "c" else 1)


def assert_is(array: np.ndarray, tensor: golden.GoldenTensor) -> None:
    assert type(array) is np.ndarray
    assert array.dtype == np.dtype(NUMPY_DTYPES[tensor.dtype]), tensor.name
    assert array.dtype.isnative
    assert array.shape == tensor.shape, tensor.name
    assert tensor_hash(array) == tensor.sha256, tensor.name
    if tensor.values is not None:
        assert_values(array.ravel().tolist(), tensor)


def assert_values(elements: list, tensor: golden.GoldenTensor) -> None:
    assert len(elements) == len(tensor.values)
    for element, value in zip(elements, tensor.values):
        found = (element.real, element.imag) if isinstance(element, complex) else (element,)
        expected = value if isinstance(value, tuple) else (value,)
        for one, other in zip(found, expected):
            both_nan = isinstance(other, float) and math.isnan(other) and math.isnan(one)
            assert both_nan or one == other, (tensor.name, elements)


def test_every_dtype_is_listed_and_stored():
    stored = {tensor.dtype for checkpoint in golden.checkpoints() for tensor in checkpoint.tensors.values()}
    assert NUMPY_DTYPES.keys() == dtypes.BY_NAME.keys() == stored
    assert len(golden.checkpoints()) >= 26


@MODES
def test_names_and_entries(golden_checkpoint, mmap):
    with tb.open(golden_checkpoint.prefix, mmap=mmap) as ckpt:
        expected = in_key_order(golden_checkpoint)
        assert list(ckpt) == [name_of(tensor) for tensor in expected]
        assert len(ckpt) == len(expected)
        assert ckpt.num_shards == golden_checkpoint.num_shards
        assert ckpt.problems() == {}
        for entry, tensor in zip(ckpt.entries(), expected):
            assert entry == ckpt.entry(entry.name)
            assert (entry.name, entry.tf_dtype, entry.shape) == (name_of(tensor), tensor.dtype, tensor.shape)
            assert entry.dtype == np.dtype(NUMPY_DTYPES[tensor.dtype])
            assert_place(entry, tensor)


def assert_place(entry: tb.Entry, tensor: golden.GoldenTensor) -> None:
    if tensor.extent is None:
        pieces = [slices.parse_slice(piece) for piece in tensor.slices]
        assert (entry.shard, entry.offset, entry.crc32c, entry.aligned) == (None, None, None, False)
        assert entry.slices == tuple(bounds(piece, tensor.shape) for piece in pieces)
        # The strings of a partitioned tensor have no fixed size; those of the golden ones are checked by their values.
        if tensor.dtype != "string":
            assert entry.nbytes == math.prod(tensor.shape) * entry.dtype.itemsize
        return
    assert (entry.shard, entry.offset, entry.nbytes) == tensor.extent
    assert entry.crc32c == unmask(tensor.checksum)
    assert entry.slices == ()
    fixed = tensor.dtype not in ("string", "variant")
    assert entry.aligned == (fixed and entry.offset % width_of_part(entry.dtype) == 0)


def bounds(piece: slices.Slice, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """A piece as slices with both ends written out."""
    return tuple(slice(*cut.indices(size)[:2]) for cut, size in zip(slices.indices(piece), shape))


@MODES
def test_every_value(golden_checkpoint, mmap):
    with tb.open(golden_checkpoint.prefix, mmap=mmap) as ckpt:
        loaded = ckpt.load()
        copies = ckpt.load(copy=True)
        unverified = ckpt.load(verify=False)
        assert list(loaded) == list(copies) == list(unverified) == list(ckpt)
        for tensor in golden_checkpoint.tensors.values():
            name = name_of(tensor)
            alone = ckpt[name]
            whole = ckpt.read(name, index=...)
            for array in (alone, whole, loaded[name], copies[name], unverified[name]):
                assert_is(array, tensor)
                assert array.flags.aligned
            assert copies[name].flags.writeable
            assert copies[name].flags.c_contiguous


@MODES
def test_output_arrays(golden_checkpoint, mmap):
    with tb.open(golden_checkpoint.prefix, mmap=mmap) as ckpt:
        # One of every other array lies backwards in memory.
        buffers = {entry.name: np.empty(entry.shape, entry.dtype) for entry in ckpt.entries()}
        for name in list(buffers)[::2]:
            buffers[name] = buffers[name][..., ::-1] if buffers[name].ndim else buffers[name]
        loaded = ckpt.load(out=buffers)
        for tensor in golden_checkpoint.tensors.values():
            assert loaded[name_of(tensor)] is buffers[name_of(tensor)]
            assert_is(buffers[name_of(tensor)], tensor)


@pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
def test_views_are_had_where_they_can_be(golden_checkpoint, mmap):
    views = copies = 0
    with tb.open(golden_checkpoint.prefix, mmap=mmap) as ckpt:
        for entry in ckpt.entries():
            array = ckpt[entry.name]
            fixed = entry.dtype.hasobject is False and not entry.slices
            native = golden_checkpoint.endianness == "little" or width_of_part(entry.dtype) == 1
            if mmap and fixed and native and entry.aligned and array.size:
                assert not array.flags.owndata, entry
                assert not array.flags.writeable, entry
                views += 1
            elif array.size:
                assert array.flags.writeable, entry
                copies += 1
    assert views + copies == sum(math.prod(tensor.shape) > 0 for tensor in golden_checkpoint.tensors.values())
    assert mmap or not views


def test_big_endian_files_are_swapped():
    found = [each for each in golden.checkpoints() if each.endianness == "big"]
    assert len(found) == 3
    for checkpoint in found:
        with tb.open(checkpoint.prefix) as ckpt:
            for name, array in ckpt.items():
                assert array.dtype.isnative, name


def test_repository_of_names_round_trips():
    checkpoint = golden.checkpoint("2.21.0/names")
    with tb.open(checkpoint.prefix) as ckpt:
        assert [name.encode("utf-8", "surrogateescape") for name in ckpt] == sorted(checkpoint.tensors)
        for name, tensor in checkpoint.tensors.items():
            assert name.decode("utf-8", "surrogateescape") in ckpt
            assert ckpt[name.decode("utf-8", "surrogateescape")].tolist() == tensor.values[0]
