"""Whatever is saved, in whatever way, lies in the files as the format wants it and is read back, bit by bit."""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support import dtypes, slices, stored, values
from support.bundle_writer import encode_entry
from support.hashing import assert_same_bits
from support.strategies import names, pieces_of, shapes
from support.table import build_table
from support.tensors import Typed, Variant, encode_tensor
from support.wire import bytes_field, int_field

import tensorbundle as tb

NAMES = [dtype.name for dtype in dtypes.DTYPES if dtype.name != "variant"]
QUANTIZED = ("qint", "quint")

keys = names.filter(lambda name: name[0]).map(lambda name: name.decode("utf-8", "surrogateescape"))


@dataclasses.dataclass(frozen=True)
class Given:
    """A tensor as it is given, in some layout, and the row-major array that it stands for."""

    dtype: str
    given: Any
    expected: np.ndarray

    def encoded(self, piece: slices.Slice | None = None) -> Any:
        part = self.expected if piece is None else self.expected[slices.indices(piece)]
        if self.dtype == "variant":
            return encode_tensor(Variant(part.ravel().tolist(), part.shape))
        return encode_tensor(Typed(np.ascontiguousarray(part).reshape(part.shape), self.dtype))


@st.composite
def layouts(draw: st.DrawFn, array: np.ndarray) -> np.ndarray:
    """The same elements, lying in memory in another way."""
    order = draw(st.permutations(range(array.ndim)))
    back = np.argsort(order)
    array = np.array(array.transpose(order), order="C").transpose(back)
    flips = tuple(slice(None, None, draw(st.sampled_from([1, -1]))) for _ in array.shape)
    array = np.array(array[flips])[flips] if array.ndim else array
    if draw(st.booleans()):
        room = np.empty((*array.shape, 2), array.dtype)
        room[..., 1] = array
        array = room[..., 1]
    if array.dtype.kind != "O" and draw(st.booleans()):
        swapped = array.astype(array.dtype.newbyteorder(">"))
        # A conversion may change not-a-numbers; these are kept as they are.
        array = swapped if swapped.astype(array.dtype).tobytes() == array.tobytes() else array
    if array.dtype.kind != "O" and draw(st.booleans()):
        shifted = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        shifted[...] = array
        array = shifted if shifted.tobytes() == array.tobytes() else array
    return array


@st.composite
def tensors(draw: st.DrawFn, sliced: bool = False) -> Given:
    dtype = draw(st.sampled_from([*NAMES, "variant"]))
    shape = draw(shapes.filter(lambda shape: shape and 0 not in shape) if sliced else shapes)
    source = "string" if dtype == "variant" else dtype
    expected = values.filled(source, shape, draw(st.integers(0, 300)))
    broadcast = [n for n, size in enumerate(shape) if size > 1]
    if broadcast and draw(st.integers(0, 5)) == 0:
        narrow = expected.take([0], draw(st.sampled_from(broadcast)))
        return Given(dtype, np.broadcast_to(narrow, shape), np.ascontiguousarray(np.broadcast_to(narrow, shape)))
    return Given(dtype, draw(layouts(expected)), expected)


options = st.fixed_dictionaries(
    {
        "shards": st.integers(1, 5),
        "max_shard_bytes": st.none() | st.integers(1, 400),
        "alignment": st.sampled_from([1, 2, 16, 64, 512]),
        "threads": st.sampled_from([1, 2, None]),
        "durable": st.just(False),
    }
)


def add(writer: tb.CheckpointWriter, name: str, tensor: Given) -> None:
    writer.add(name, tensor.given, dtype=tensor.dtype)


def add_pieces(writer: tb.CheckpointWriter, name: str, tensor: Given, pieces: list[slices.Slice]) -> None:
    for piece in pieces:
        cut = slices.indices(piece)
        start = [extent.start or 0 for extent in cut]
        writer.add_slice(name, tensor.given[cut], tensor.expected.shape, start, dtype=tensor.dtype)


def add_chunks(writer: tb.CheckpointWriter, name: str, tensor: Given, size: int) -> None:
    flat = tensor.expected.reshape(-1)
    chunks = [flat[at : at + size] for at in range(0, flat.size, size)]
    writer.add_chunks(name, tensor.dtype, tensor.expected.shape, chunks)


def assert_sound(prefix: Path, tensors: dict[str, Given], options: dict[str, Any], *, fresh: bool) -> None:
    """Every entry says what lies there, pieces make up their tensors, and nothing else is in the files."""
    stored.assert_only_checkpoint(prefix)
    found = stored.entries(prefix)
    reached = set()
    for name, tensor in tensors.items():
        key = name.encode("utf-8", "surrogateescape")
        reached.add(key)
        entry = found[key]
        assert (entry.dtype, entry.shape) == (dtypes.BY_NAME[tensor.dtype].number, tensor.expected.shape)
        count = np.zeros(tensor.expected.shape, int)
        for piece in entry.slices:
            piece_key = slices.slice_key(key, piece)
            reached.add(piece_key)
            count[slices.indices(piece)] += 1
            assert_holds(prefix, piece_key, tensor.encoded(piece))
        if entry.slices:
            assert (count == 1).all()
        else:
            assert_holds(prefix, key, tensor.encoded())
    assert reached == found.keys()
    if fresh:  # What moves to an added shard leaves its bytes behind.
        assert_gaps_are_zeros(prefix, options["alignment"])
    assert stored.index_of(prefix) == index_as_tensorflow_writes_it(prefix)


def assert_holds(prefix: Path, key: bytes, expected: Any) -> None:
    entry = stored.entries(prefix)[key]
    assert (entry.dtype, entry.shape, entry.size, entry.crc) == (
        expected.dtype,
        expected.shape,
        len(expected.data),
        expected.crc,
    )
    assert stored.stored_bytes(prefix, key) == expected.data


def assert_gaps_are_zeros(prefix: Path, alignment: int) -> None:
    pieces = stored.pieces(prefix).values()
    for shard, path in enumerate(stored.data_files(prefix)):
        data = path.read_bytes()
        assert len(data) % alignment == 0
        end = 0
        for entry in sorted((e for e in pieces if e.shard == shard), key=lambda e: (e.offset, e.size)):
            assert entry.offset % alignment == 0
            assert 0 <= entry.offset - end < alignment
            assert not any(data[end : entry.offset])
            end = entry.offset + entry.size
        assert 0 <= len(data) - end < alignment
        assert not any(data[end:])


def index_as_tensorflow_writes_it(prefix: Path) -> bytes:
    header = int_field(1, stored.num_shards(prefix)) + bytes_field(3, int_field(1, 1))
    records = [(key, encode_entry(entry)) for key, entry in stored.entries(prefix).items()]
    return build_table([(b"", header), *records])


def assert_reads(prefix: Path, tensors: dict[str, Given]) -> None:
    for mmap in (True, False):
        with tb.open(prefix, mmap=mmap) as ckpt:
            assert {entry.name: entry.tf_dtype for entry in ckpt.entries()} == {
                name: tensor.dtype for name, tensor in tensors.items()
            }
            assert ckpt.verify()
            arrays = ckpt.load()
        for name, tensor in tensors.items():
            assert_same_bits(arrays[name], tensor.expected, name)


def is_cut(tensor: Given, limit: int | None) -> bool:
    dtype = dtypes.BY_NAME[tensor.dtype]
    return bool(limit and dtype.assembles and 1 <= tensor.expected.ndim <= 8 and dtype.size <= limit) and (
        tensor.expected.nbytes > limit
    )


@given(st.dictionaries(keys, tensors(), min_size=1, max_size=6), options)
def test_everything_that_is_saved_is_read(tensors, options):
    plain = {name: tensor for name, tensor in tensors.items() if not tensor.dtype.startswith((*QUANTIZED, "variant"))}
    tensors = plain or {"w": Given("float32", np.ones(3, "f4"), np.ones(3, "f4"))}
    limit = options["max_shard_bytes"]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prefix = Path(folder) / "x"
        tb.save(prefix, {name: tensor.given for name, tensor in tensors.items()}, **options)
        assert_sound(prefix, tensors, options, fresh=True)
        assert_reads(prefix, tensors)
        found = stored.entries(prefix)
        cut = {name for name in tensors if found[name.encode("utf-8", "surrogateescape")].slices}
        assert cut == {name for name, tensor in tensors.items() if is_cut(tensor, limit)}
        large = [name for name, tensor in tensors.items() if limit and len(tensor.encoded().data) > limit]
        assert len(caught) == len(large) - len(cut)
        if limit is None:
            assert stored.num_shards(prefix) == min(options["shards"], len(tensors))
        assert all(entry.size <= limit for key, entry in stored.pieces(prefix).items() if limit and key[:1] == b"\0")


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Calls of a writer, each with the tensors that it adds."""
    given = draw(st.dictionaries(keys, tensors(), min_size=1, max_size=5))
    whole = draw(st.dictionaries(keys, tensors(sliced=True), max_size=2))
    found: list[tuple[Any, ...]] = []
    for name, tensor in {**given, **whole}.items():
        if name in whole:
            # Spelled in either way: both are the same piece.
            found.append(("pieces", name, tensor, draw(pieces_of(tensor.expected.shape))))
        elif draw(st.booleans()):
            found.append(("chunks", name, tensor, draw(st.integers(1, 50))))
        else:
            found.append(("add", name, tensor))
    return draw(st.permutations(found))


@given(st.lists(st.tuples(steps(), options), min_size=1, max_size=3))
def test_everything_that_is_added_is_read(saves):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        prefix = Path(folder) / "x"
        opened = []
        for calls, options in saves:
            expected = {name: tensor for _, name, tensor, *_ in calls}
            with tb.CheckpointWriter(prefix, **options) as writer:
                for kind, name, tensor, *how in calls:
                    {"add": add, "pieces": add_pieces, "chunks": add_chunks}[kind](writer, name, tensor, *how)
            assert_sound(prefix, expected, options, fresh=not opened)
            assert_reads(prefix, expected)
            opened.append((tb.open(prefix), expected))
        # Each is still what it was.
        for ckpt, expected in opened:
            for name, tensor in expected.items():
                assert_same_bits(ckpt[name], tensor.expected, name)
            ckpt.close()


@given(st.dictionaries(keys, tensors(), min_size=1, max_size=5), options, st.integers(1, 8))
def test_number_of_threads_changes_no_byte(tensors, options, threads):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for place, number in (("a", 1), ("b", threads)):
            with tb.CheckpointWriter(f"{folder}/{place}/x", **{**options, "threads": number}) as writer:
                for name, tensor in tensors.items():
                    add(writer, name, tensor)
        assert stored.files(f"{folder}/a") == stored.files(f"{folder}/b")
