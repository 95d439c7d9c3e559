"""Small files with every byte flipped, at every length, and with bytes behind: an error that says so, or the truth."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import publish
from support.bundle_writer import Bundle, Image, Typed, Variant, build_bundle, write_bundle
from support.hashing import as_array, same_bits
from support.table_fields import TRAILER_SIZE, table_fields
from support.wire import crc32c, fixed32, mask, read_varint

import tensorbundle as tb

SNAPPY = 1  # The compression kind of a block.
# What may come out of a damaged file, besides the truth. NotFoundError and InternalError may not.
CLEAR = (tb.errors.DataLossError, tb.errors.UnimplementedError, tb.errors.LimitError, OSError, ValueError)

PLAIN = {
    "bias": np.array([1.5, -2.0], "<f4"),
    "flags": np.array([True, False, True]),
    "nibbles": np.array([-8, 7, 0], ml_dtypes.int4),
    "step": np.array(100_000, "<i8"),
    "wide": np.array([[1 + 2j], [3 - 4j]], "<c16"),
}
STRINGS = {
    "list": Variant([b"\x0a\x01a", b""], (2,)),
    "names": [b"alpha", b"", b"\xff\0"],
    "none": np.zeros(0, object),
    "one": b"x" * 200,
}
KERNEL = np.arange(12, dtype="<i2").reshape(4, 3)
SLICED = {"after": np.float32(1), "kernel": KERNEL, "words": np.array([[b"a", b"bc"], [b"", b"def"]], object)}
SLICES = {"kernel": ["0,1:-", "1,3:0,2", "1,3:2,1"], "words": ["-:0,1", "-:1,1"]}

KINDS: dict[str, Callable[[], tuple[Image, dict[str, Any]]]] = {
    "plain": lambda: (build_bundle(PLAIN), PLAIN),
    "aligned": lambda: (build_bundle(PLAIN, alignment=64), PLAIN),
    "strings": lambda: (build_bundle(STRINGS), STRINGS),
    "sliced": lambda: (build_bundle(SLICED, slices=SLICES), SLICED),
    "sharded": lambda: (build_bundle({**PLAIN, **STRINGS}, shards=3), {**PLAIN, **STRINGS}),
    "snappy": lambda: (build_bundle(PLAIN, snappy=True), PLAIN),
    "entry per block": lambda: (build_bundle(PLAIN, block_size=1), PLAIN),
    "big-endian": lambda: (build_bundle(PLAIN, endianness="big"), PLAIN),
}
MODES = pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])


class Victim:
    """A checkpoint whose files are damaged, read, and mended again."""

    def __init__(self, folder: Path, kind: str, mmap: bool | None = None) -> None:
        image, tensors = KINDS[kind]()
        self.image = image
        self.truth = {name: as_array(value_of(value)) for name, value in tensors.items()}
        self.prefix = folder / "ckpt"
        self.mmap = mmap
        publish.publish(self.prefix, image.index, image.shards, commit="tensorflow")
        self.bundle = Bundle(self.prefix, image)
        self.cases = 0

    def open(self) -> tb.Checkpoint | None:
        """None if it is refused, with an error that says why."""
        self.cases += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tb.errors.DamageWarning)
            try:
                return tb.open(self.prefix, mmap=self.mmap, threads=1)
            except (tb.errors.DataLossError, tb.errors.UnimplementedError, tb.errors.LimitError) as error:
                refusal = error
        assert refusal.path == str(self.bundle.index_path)
        assert str(refusal).startswith(f"{self.bundle.index_path}: ")
        return None

    def damaged(self, ckpt: tb.Checkpoint) -> set[str]:
        """The tensors that can't be read; the others are right, to the bit."""
        assert list(ckpt) == sorted(self.truth)
        damaged = {name for name, value in self.truth.items() if not is_read(ckpt, name, value)}
        report = ckpt.verify(threads=1)
        assert {damage.name for damage in report.damaged} == damaged
        return damaged


def value_of(value: Any) -> Any:
    if isinstance(value, Variant):
        array = np.empty(len(value.elements), object)
        array[:] = value.elements
        return array.reshape(value.shape)
    return value.array if isinstance(value, Typed) else value


def is_read(ckpt: tb.Checkpoint, name: str, truth: np.ndarray) -> bool:
    array, error = attempt(ckpt, name)
    if error is None:
        assert same_bits(array, truth), (name, array, truth)
        return True
    assert type(error) is tb.errors.DataLossError, error
    assert error.tensor == name
    assert name in str(error)
    return False


def attempt(ckpt: tb.Checkpoint, name: str, **options: Any) -> tuple[np.ndarray | None, Exception | None]:
    """The array, or the error instead; any other error than a clear one comes through."""
    try:
        return ckpt.read(name, **options), None
    except CLEAR as error:
        return None, error


def owners(image: Image, shard: int, position: int) -> set[str]:
    """The tensors that a byte of a data file belongs to; none if it is padding."""
    found = set()
    for key, entry in image.entries.items():
        if not entry.slices and entry.shard == shard and entry.offset <= position < entry.offset + entry.size:
            found.add(name_of(key))
    return found


def name_of(key: bytes) -> str:
    """The tensor's name, also of the key of a piece; no name here has a byte that keys escape."""
    return (key[1 : key.index(b"\0\1")] if key.startswith(b"\0") else key).decode()


def flips(data: bytes) -> Iterator[tuple[int, int]]:
    """Every position with three bytes to put there: one differs in a single bit, one in all, one by chance."""
    for position, byte in enumerate(data):
        yield position, byte ^ 1 << position % 8
        yield position, byte ^ 0xFF
        yield position, (byte + position % 254 + 1) % 256


def flipped(path: Path, data: bytes) -> Iterator[int]:
    """Makes the flips in the file, one after the other, and yields where each is."""
    with path.open("r+b", buffering=0) as file:
        for position, other in flips(data):
            os.pwrite(file.fileno(), bytes([other]), position)
            yield position
            os.pwrite(file.fileno(), data[position : position + 1], position)


def cut(path: Path, data: bytes) -> Iterator[int]:
    """Cuts the file to every length below its own, and makes it whole at the end."""
    for length in reversed(range(len(data))):
        os.truncate(path, length)
        yield length
    path.write_bytes(data)


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def test_every_byte_of_the_index(tmp_path, kind):
    victim = Victim(tmp_path, kind)
    index = victim.image.index
    padding = padding_of_the_footer(index)
    opened = set()
    for position in flipped(victim.bundle.index_path, index):
        ckpt = victim.open()
        if ckpt is not None:
            opened.add(position)
            assert victim.damaged(ckpt) == set(), position
    # Only padding means nothing, and how long the number before it is: a bit more, and a zero of the padding ends it.
    assert opened | {padding.start - 1} == {padding.start - 1, *padding}
    assert victim.cases == 3 * len(index) >= 500


def padding_of_the_footer(index: bytes) -> range:
    at = len(index) - 48
    for _ in range(4):
        _, at = read_varint(index, at)
    return range(at, len(index) - 8)


@MODES
def test_every_byte_of_the_data(tmp_path, kind, mmap):
    victim = Victim(tmp_path, kind, mmap)
    for shard, data in enumerate(victim.image.shards):
        for position in flipped(victim.bundle.data_path(shard), data):
            ckpt = victim.open()
            assert ckpt.problems() == {}
            assert victim.damaged(ckpt) == owners(victim.image, shard, position), (shard, position)
    assert victim.damaged(victim.open()) == set()
    assert victim.cases == 3 * sum(map(len, victim.image.shards)) + 1 >= 130


def test_every_length_of_the_index(tmp_path, kind):
    victim = Victim(tmp_path, kind)
    index = victim.image.index
    for length in cut(victim.bundle.index_path, index):
        assert victim.open() is None, length
    for more in (b"\0", b"\n", b"x" * 47, bytes(48), index[:-1]):
        victim.bundle.index_path.write_bytes(index + more)
        assert victim.open() is None, more
    # A footer once more behind it is its footer.
    victim.bundle.index_path.write_bytes(index + index[-48:])
    assert victim.damaged(victim.open()) == set()
    assert victim.cases == len(index) + 6


@MODES
def test_every_length_of_the_data(tmp_path, kind, mmap):
    victim = Victim(tmp_path, kind, mmap)
    for shard, data in enumerate(victim.image.shards):
        path = victim.bundle.data_path(shard)
        lost: set[str] = set()
        for length in cut(path, data):
            lost |= owners(victim.image, shard, length)
            ckpt = victim.open()
            assert ckpt.problems().keys() == lost, (shard, length)
            assert all("truncated" in str(problem) for problem in ckpt.problems().values())
            assert victim.damaged(ckpt) == lost, (shard, length)
        for more in (b"\0", b"x" * 5000, data):
            path.write_bytes(data + more)
            assert victim.damaged(victim.open()) == set()
        path.write_bytes(data)
    assert victim.cases == sum(len(data) + 3 for data in victim.image.shards)


@MODES
def test_every_missing_file(tmp_path, kind, mmap):
    victim = Victim(tmp_path, kind, mmap)
    for shard, data in enumerate(victim.image.shards):
        path = victim.bundle.data_path(shard)
        path.unlink()
        ckpt = victim.open()
        lost = {name_of(key) for key, entry in victim.image.entries.items() if entry.shard == shard and entry.size}
        assert ckpt.problems().keys() == lost
        for name, truth in victim.truth.items():
            if name in lost:
                with pytest.raises(FileNotFoundError) as caught:
                    ckpt[name]
                assert caught.value.filename == str(path)
            else:
                assert is_read(ckpt, name, truth)
        path.write_bytes(data)
    victim.bundle.index_path.unlink()
    with pytest.raises(FileNotFoundError):
        tb.open(victim.prefix)


def test_every_byte_of_the_records_under_a_right_checksum(tmp_path, kind):
    """Somebody meant it: blocks are consistent, and what they say is not. A clear error or an array; never more."""
    victim = Victim(tmp_path, kind)
    index = victim.image.index
    opened = arrays = errors = 0
    with victim.bundle.index_path.open("r+b", buffering=0) as file:
        for start, size in blocks_of(index):
            for position, other in flips(index[start : start + size]):
                stored = bytearray(index[start : start + size + 1])
                stored[position] = other
                os.pwrite(file.fileno(), stored + fixed32(mask(crc32c(bytes(stored)))), start)
                ckpt = victim.open()
                if ckpt is not None:
                    opened += 1
                    read, failed = read_all(ckpt)
                    arrays += read
                    errors += failed
            os.pwrite(file.fileno(), index, 0)
    assert victim.cases >= 350
    assert opened >= 50
    assert arrays >= 200
    assert errors >= 20


def read_all(ckpt: tb.Checkpoint) -> tuple[int, int]:
    """How many tensors came out and how many failed, with checksums or without."""
    attempts = [(name, *attempt(ckpt, name, verify=verify)) for name in ckpt for verify in (True, False)]
    for name, array, error in attempts:
        entry = ckpt.entry(name) if error is None else None
        assert entry is None or (array.shape, array.dtype) == (entry.shape, entry.dtype)
    ckpt.verify(threads=1)
    failed = sum(error is not None for *_, error in attempts)
    return len(attempts) - failed, failed


def blocks_of(index: bytes) -> list[tuple[int, int]]:
    """(offset, size) of the data blocks and the index block."""
    at = len(index) - 48
    numbers = []
    for _ in range(4):
        value, at = read_varint(index, at)
        numbers.append(value)
    metaindex, _, *index_block = numbers
    if index[sum(index_block)] == SNAPPY:  # All of it is.
        return [(0, metaindex - TRAILER_SIZE), tuple(index_block)]
    found = table_fields(index)
    handles = [path.removesuffix(".offset") for path in found if path.endswith(".handle.offset")]
    return [(found[f"{handle}.offset"].value, found[f"{handle}.size"].value) for handle in handles] + [
        tuple(index_block)
    ]


@MODES
def test_checksums_that_nobody_compares(tmp_path, kind, mmap):
    """With ``verify=False`` a flipped byte is not found: shapes and dtypes are right all the same."""
    victim = Victim(tmp_path, kind, mmap)
    wrong = 0
    for shard, data in enumerate(victim.image.shards):
        for position in flipped(victim.bundle.data_path(shard), data):
            ckpt = victim.open()
            for name in owners(victim.image, shard, position):
                wrong += is_read_wrong(ckpt, name, victim.truth[name])
    assert wrong >= 20


def is_read_wrong(ckpt: tb.Checkpoint, name: str, truth: np.ndarray) -> bool:
    array, error = attempt(ckpt, name, verify=False)
    if error is not None:
        # Lengths must make sense for there to be strings.
        assert type(error) is tb.errors.DataLossError
        assert truth.dtype == object
        return False
    assert (array.shape, array.dtype) == (truth.shape, truth.dtype)
    return not same_bits(array, truth)


def test_sound_files_are_sound(tmp_path):
    for number, kind in enumerate(KINDS):
        victim = Victim(tmp_path / str(number), kind, True)
        assert victim.damaged(victim.open()) == set()
    assert write_bundle(tmp_path / "x", PLAIN).image.index == KINDS["plain"]()[0].index
