"""The native module: plumbing for the classes that users see. Its arrays, errors and entries reach them unchanged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

__version__: str

def crc32c(data: Any, value: int = 0) -> int:
    """CRC-32C of a contiguous buffer; `value` is the checksum of what came before it."""

def crc32c_combine(crc_a: int, crc_b: int, size_b: int) -> int:
    """CRC-32C of A followed by B, from their checksums and the length of B in bytes."""

def crc32c_mask(crc: int) -> int:
    """A checksum as table blocks and index entries store it."""

def crc32c_backend() -> str:
    """Name of the checksum backend in use."""

def crc32c_backends() -> list[str]:
    """Names of the checksum backends that this processor supports, slowest first."""

def fingerprint64(data: bytes) -> int:
    """FarmHash's Fingerprint64."""

def compare_indexes(a: Checkpoint, b: Checkpoint) -> tuple[list[str], list[str], list[tuple[Entry, Entry]], int]:
    """Names of one alone, names of the other alone, pairs of entries that may differ, and the number of the others.

    Those have the same dtype, shape, size and checksum. Raises what is wrong with an entry that can't be understood.
    """

def moments(elements: Any) -> tuple[int, int, int, int, int, float, float, float, float]:
    """Sums over a contiguous buffer of numbers of 8 to 64 bits in the host's byte order.

    Numbers of NaN, inf, -inf, zeros and finite elements; of the finite ones least, most, mean, and the sum of the
    squares of their distances from the mean. The last two are not finite where double precision has no such numbers.
    """

def sort_map_entries(data: bytes, fields: Sequence[Sequence[tuple[int, int, bool]]], message: int) -> bytes:
    """A serialized message with the entries of its maps in the order of their keys.

    `fields` lists the fields of each type that lead to maps: number, position of the field's type in the list, and
    whether it is a map's entry. `message` is the position of the type of the whole.
    """

@final
class Entry:
    """What the index says of one tensor. Immutable; equal and hashed by value."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def tf_dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def shard(self) -> int | None: ...
    @property
    def offset(self) -> int | None: ...
    @property
    def crc32c(self) -> int | None: ...
    @property
    def slices(self) -> tuple[tuple[slice, ...], ...]: ...
    @property
    def aligned(self) -> bool: ...

@final
class Checkpoint:
    """One opened checkpoint."""

    @staticmethod
    def open(prefix: str, access: Literal["auto", "map", "read"] = "auto") -> Checkpoint: ...
    @property
    def prefix(self) -> str: ...
    @property
    def num_shards(self) -> int: ...
    @property
    def missing_shards(self) -> list[str]:
        """Paths of shards that were not there; of the V1 format."""

    @property
    def identity(self) -> tuple[int, int]:
        """Size in bytes and CRC-32C of the index file; of the V1 format, of all files and over those of all blocks."""

    def __len__(self) -> int: ...
    def __contains__(self, name: str) -> bool: ...
    def names(self) -> list[str]:
        """Names of all tensors in key order, those that cannot be read included."""

    def entries(self) -> list[Entry]:
        """Entries in key order, without those whose record cannot be understood."""

    def entry(self, name: str) -> Entry: ...
    def key(self, name: str) -> str:
        """The key that a tensor is stored under."""

    def named(self, by: str) -> Checkpoint:
        """The same checkpoint under other names: by "path", "full_name" or "key"."""

    def object_graph(self) -> ObjectGraph | None: ...
    def problems(self) -> list[tuple[str, Exception]]:
        """What opening found: (name, why it cannot be read), in key order."""

    def problem_reasons(self, limit: int) -> tuple[int, int, list[tuple[Exception, int]]]:
        """Number of tensors with problems, number of reasons, and the first: (exception, number of tensors)."""

    def read(
        self,
        names: Sequence[str] | None = None,
        outs: Sequence[NDArray[Any] | None] | None = None,
        copy: bool | None = None,
        verify: bool = True,
        threads: int = 0,
        progress: Callable[[int, int, str], object] | None = None,
    ) -> list[NDArray[Any]]:
        """Arrays of `names`, in their order; None: all. `outs` are exact, C-contiguous, aligned and writable."""

    def view(self, name: str) -> NDArray[Any] | None:
        """Read-only view, nothing of it checked or read, or None where there can be no aligned view as it is stored."""

    def read_region(
        self,
        name: str,
        start: Sequence[int],
        shape: Sequence[int],
        step: Sequence[int],
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Copy of the elements start[d] + i * step[d], 0 <= i < shape[d]; nothing is checked but bounds."""

    def chunks(self, name: str, max_bytes: int, verify: bool = True, threads: int = 0) -> ChunkReader: ...
    def in_file_order(self, names: Sequence[str] | None) -> list[tuple[str, int]]:
        """(name, bytes of its array, for strings about so many) of `names`, by where they begin in the files."""

    def drop_cache(self, names: Sequence[str] | None) -> None:
        """Lets the system put what is stored of `names` out of the page cache."""

    def verify(
        self,
        names: Sequence[str] | None = None,
        threads: int = 0,
        progress: Callable[[int, int, str], object] | None = None,
    ) -> tuple[int, int, list[tuple[str, int | None, int | None, int | None, int | None, Exception]], list[str]]:
        """(tensors checked, bytes read, damaged as (name, shard, offset, expected, found, why), missing shards).

        The damaged in key order; missing shards if `names` is None.
        """

@final
class ChunkReader:
    """The chunks of one tensor, in row-major order. One thread at a time."""

    def has_next(self) -> bool: ...
    def next(self) -> tuple[tuple[slice, ...], NDArray[Any]]:
        """(index, array) of the next chunk, of which there must be one; views where there are any that are aligned."""

    def drop_cache(self) -> None:
        """Lets the system put what the last chunk was read from out of the page cache."""

@final
class ObjectGraph:
    """A decoded object graph; nodes are numbers."""

    @staticmethod
    def parse(record: bytes) -> ObjectGraph: ...
    def __len__(self) -> int: ...
    def children(self, node: int) -> list[tuple[str, int]]: ...
    def attributes(self, node: int) -> list[tuple[str, str, str]]:
        """(name, full name, checkpoint key) of each value."""

    def slots(self, node: int) -> list[tuple[str, int, int]]:
        """(name, node of the variable, node of the slot variable) of each slot."""

    def has_checkpoint_values(self, node: int) -> bool | None: ...
    def registered_savers(self) -> dict[int, tuple[str, str]]:
        """(name, object name) by node."""

    def path(self, node: int) -> str | None: ...
    def path_size(self, node: int) -> int:
        """Bytes of that path; 0 where there is none."""

    def parent(self, node: int) -> int:
        """The node that the path comes from, or -1."""

    def nodes_with_attributes(self) -> list[int]: ...
    def nodes_with_slots(self) -> list[int]: ...

def edit_object_graph(record: bytes, keys: Sequence[str], new_keys: Sequence[str | None]) -> bytes | None:
    """The record of a graph whose values have other keys, or are gone; None if nothing changes.

    `keys` are all of the checkpoint, in order; `new_keys` has what each becomes, None for one that goes.
    """

def encode_object_graph(
    nodes: Iterable[tuple[list[tuple[str, int]], list[tuple[str, str, str]], list[tuple[str, int, int]], bool]],
) -> bytes:
    """The record of a graph; of each node children, attributes and slots as ObjectGraph gives them, and has values."""

def escape_local_name(name: str) -> str:
    """A name as a part of a path."""

def from_dlpack(value: Any) -> NDArray[Any]:
    """A read-only array over the memory of another library's tensor."""

def first_not_bytes(elements: NDArray[Any]) -> int:
    """Position of the first element of a row-major object array that is no bytes object, or -1."""

def merge(
    prefixes: Iterable[str],
    destination: str,
    durable: bool = True,
    keep_sources: bool = False,
    partial: bool = False,
) -> None:
    """Makes several checkpoints one."""

def edit(
    prefix: str,
    destination: str | None,
    new_names: Callable[[list[str]], Iterable[str | None]],
    link: bool = False,
    durable: bool = True,
) -> None:
    """Renames and drops tensors of a checkpoint; `new_names` gives for each name another, or None to drop it."""

@final
class CheckpointWriter:
    """One checkpoint that is being written."""

    def __init__(
        self,
        prefix: str,
        shards: int = 1,
        max_shard_bytes: int = 0,
        alignment: int = 64,
        durable: bool = True,
        partial: bool = False,
        threads: int = 0,
        progress: Callable[[int, int, str], object] | None = None,
    ) -> None: ...
    def oversized(self, first: int = 0) -> list[str]:
        """Names of tensors that are larger than max_shard_bytes and stay whole, from that position on."""

    def add_many(
        self,
        items: Iterable[tuple[str, Any]],
        normalize: Callable[[str, Any], NDArray[Any]],
        tf_dtypes: Mapping[str, str] | None = None,
    ) -> None:
        """Writes (name, value) pairs, in parallel; `normalize` makes an array of a value that isn't a plain one."""

    def add_slice(
        self,
        name: str,
        value: Any,
        full_shape: Sequence[int],
        start: Sequence[int],
        normalize: Callable[[str, Any], NDArray[Any]],
        tf_dtype: str | None = None,
    ) -> None: ...
    def begin_chunks(self, name: str, tf_dtype: str, shape: Sequence[int]) -> None: ...
    def append_chunk(self, chunk: Any) -> None:
        """The next bytes of the tensor that was begun: a contiguous buffer."""

    def finish(self) -> None: ...
    def abandon(self) -> None: ...
