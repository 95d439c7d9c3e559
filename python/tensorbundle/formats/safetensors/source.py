"""Safetensors files as a source of tensors: mapped, all of them when the source is opened."""

from __future__ import annotations

import errno
import math
import mmap
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorbundle import errors, files, streaming
from tensorbundle.formats import source
from tensorbundle.formats.safetensors import jsontext
from tensorbundle.formats.safetensors.dtypes import BY_NAME
from tensorbundle.formats.safetensors.header import LENGTH_BYTES, Header, StoredTensor, parse_header, parse_length
from tensorbundle.formats.safetensors.sharding import parse_index
from tensorbundle.formats.source import DEFAULT_MAX_BYTES, RawBytes, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from tensorbundle.formats.source import Chunk


class _File(NamedTuple):
    """One opened file."""

    path: str
    header: Header
    mapped: mmap.mmap
    identity: tuple[int, int, int]


class SafetensorsSource:
    """The tensors of a safetensors file, or of all those that an index names; see :class:`tensorbundle.formats.Source`.

    The format has no checksums. Arrays are read-only views of the mapped file; those that don't lie aligned there are
    copied. As with every mapping, a file that another process cuts short ends the process that touches what is gone;
    :meth:`chunks` finds that out and raises, where the system knows how (Linux from 5.14 on).
    """

    kind = "safetensors"

    def __init__(self, path: str, opened: Sequence[_File], places: dict[str, _File], *, is_sharded: bool) -> None:
        self.path = path
        self._is_sharded = is_sharded
        self.metadata = _merged(opened)
        self._identities = [file.identity for file in opened]
        self._places: dict[str, _File] | None = places

    @classmethod
    def open(cls, path: str) -> SafetensorsSource:
        """Opens one file.

        Raises:
            DataLossError: It is damaged, or of another kind.
            OSError: It can't be read.
        """
        file = _open_file(files.absolute(path))
        return cls(file.path, [file], dict.fromkeys(file.header.tensors, file), is_sharded=False)

    @classmethod
    def open_index(cls, path: str) -> SafetensorsSource:
        """Opens an index file, and every file that it names.

        Raises:
            DataLossError: One of them is damaged or of another kind, or they contradict each other; or the index names
                a file outside its directory. A link in there may lead to where the index itself lies.
            FileNotFoundError: A file is missing.
            OSError: One can't be read.
        """
        path = files.absolute(path)
        weight_map = parse_index(_read_index(path), path)
        opened = {name: _open_shard(path, name) for name in dict.fromkeys(weight_map.values())}
        places = {tensor: _holder(path, tensor, opened[name]) for tensor, name in weight_map.items()}
        for name, file in opened.items():
            _check_no_others(path, name, file, weight_map)
        return cls(path, list(opened.values()), places, is_sharded=True)

    def tensors(self) -> list[TensorSpec]:
        """What is in the files; see :meth:`tensorbundle.formats.Source.tensors`."""
        return [_spec(name, file.header.tensors[name]) for name, file in self._opened().items()]

    def chunks(self, name: str, max_bytes: int = DEFAULT_MAX_BYTES) -> Iterator[Chunk]:
        """The tensor piece by piece; see :meth:`tensorbundle.formats.Source.chunks`."""
        file = source.find(self._opened(), name, self.path)
        stored, tf_name = _stored(name, file)
        return _chunks(name, file, stored, tf_name, streaming.byte_count(max_bytes))

    def read(self, name: str) -> NDArray[Any]:
        """The whole tensor; see :meth:`tensorbundle.formats.Source.read`."""
        from tensorbundle.formats import pieces

        file = source.find(self._opened(), name, self.path)
        stored, tf_name = _stored(name, file)
        return pieces.shaped(pieces.elements(stored, tf_name), name, file.header.tensors[name].shape, file.path)

    def raw(self, name: str) -> RawBytes | None:
        """The elements in their file; see :meth:`tensorbundle.formats.Source.raw`."""
        file = source.find(self._opened(), name, self.path)
        tensor = file.header.tensors[name]
        dtype = BY_NAME.get(tensor.dtype)
        # A bool may be stored as another byte than 0 and 1, which a copy of the bytes would pass on.
        if dtype is None or dtype.tf_name is None or dtype.tf_name == "bool":
            return None
        return RawBytes(file.path, tensor.begin, tensor.end - tensor.begin, None, file.identity)

    def close(self) -> None:
        """Ends reading; see :meth:`tensorbundle.formats.Source.close`."""
        self._places = None

    def __enter__(self) -> Self:
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        self._opened()
        return _reopen, (self.path, self._is_sharded, self._identities)

    def __repr__(self) -> str:
        state = "closed" if self._places is None else f"{len(self._places)} tensors"
        return f"<tensorbundle.formats.SafetensorsSource {self.path!r}: {state}>"

    def _opened(self) -> dict[str, _File]:
        """For each tensor its file."""
        if self._places is None:
            raise ValueError(f"{self.path!r} is closed")
        return self._places


def _reopen(path: str, is_sharded: bool, identities: Sequence[tuple[int, int, int]]) -> SafetensorsSource:
    """A source from its pickle."""
    opened = SafetensorsSource.open_index(path) if is_sharded else SafetensorsSource.open(path)
    source.check_identities(path, opened._identities, identities)  # noqa: SLF001 - a method of the class, but for pickle
    return opened


def _open_file(path: str) -> _File:
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        length = parse_length(os.pread(file.fileno(), LENGTH_BYTES, 0), status.st_size, path)
        header = parse_header(_read(file.fileno(), LENGTH_BYTES, length), status.st_size, path)
        mapped = mmap.mmap(file.fileno(), status.st_size, access=mmap.ACCESS_READ)
    return _File(path, header, mapped, source.identity(status))


def _read(descriptor: int, offset: int, size: int) -> bytes:
    """So many bytes, or fewer where the file ends before; the system may give them in parts."""
    parts = []
    while size and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)


def _read_index(path: str) -> bytes:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > jsontext.MAX_BYTES:
            message = f"expected an index of at most {jsontext.MAX_BYTES} bytes, found {size}"
            raise errors.DataLossError(f"{path!r}: {message}", path=path)
        return file.read(size)


def _open_shard(index: str, name: str) -> _File:
    """Opens a file that an index names."""
    directory = os.path.dirname(index)
    path = os.path.join(directory, name)
    is_plain = name and not os.path.isabs(name) and ".." not in name.split("/") and "\0" not in name
    # The cache of Hugging Face has links in its directories, to the index and its files in another one.
    homes = (os.path.realpath(directory), os.path.dirname(os.path.realpath(index)))
    if not is_plain or all(files.relative(os.path.realpath(path), home) is None for home in homes):
        raise errors.DataLossError(f"{index!r} names a file outside its directory: {name!r}", path=index)
    if not files.is_file(path):
        raise FileNotFoundError(errno.ENOENT, f"{os.path.basename(index)!r} names this file, which is missing", path)
    return _open_file(path)


def _holder(index: str, tensor: str, file: _File) -> _File:
    """The file that an index says holds a tensor; raises ``DataLossError`` if it doesn't."""
    if tensor not in file.header.tensors:
        text = f"{file.path!r} has no tensor {tensor!r}, which is there by {index!r}"
        raise errors.DataLossError(text, path=file.path, tensor=tensor)
    return file


def _check_no_others(index: str, name: str, file: _File, weight_map: dict[str, str]) -> None:
    """Raises ``DataLossError`` if a file has tensors that are elsewhere by its index, or nowhere."""
    for tensor in file.header.tensors:
        if weight_map.get(tensor) != name:
            place = f"is in {weight_map[tensor]!r}" if tensor in weight_map else "isn't anywhere"
            text = f"{file.path!r} has tensor {tensor!r}, which {place} by {index!r}"
            raise errors.DataLossError(text, path=file.path, tensor=tensor)


def _merged(opened: Sequence[_File]) -> dict[str, str]:
    """The metadata of all files; of a key that several have, that of the first."""
    merged: dict[str, str] = {}
    for file in opened:
        merged = {**(file.header.metadata or {}), **merged}
    return merged


def _spec(name: str, tensor: StoredTensor) -> TensorSpec:
    dtype = BY_NAME.get(tensor.dtype)
    tf_name = dtype.tf_name if dtype is not None else None
    return TensorSpec(name, tf_name or tensor.dtype, tensor.shape, tensor.end - tensor.begin)


def _stored(name: str, file: _File) -> tuple[NDArray[np.uint8], str]:
    """The bytes of a tensor, and TensorFlow's name of its type."""
    import numpy as np

    tensor = file.header.tensors[name]
    dtype = BY_NAME.get(tensor.dtype)
    if dtype is None or dtype.tf_name is None:
        raise source.unsupported(name, tensor.dtype, file.path)
    whole = np.frombuffer(file.mapped, np.uint8)
    return whole[tensor.begin : tensor.end], dtype.tf_name


def _chunks(name: str, file: _File, stored: NDArray[np.uint8], tf_name: str, max_bytes: int) -> Iterator[Chunk]:
    from tensorbundle.formats import mapping, pieces

    tensor = file.header.tensors[name]
    element_bytes = BY_NAME[tensor.dtype].bits // 8
    begin = 0
    for box in pieces.boxes(tensor.shape, max_bytes, element_bytes):
        shape = pieces.extent(box)
        end = begin + math.prod(shape) * element_bytes
        mapping.populate(file.mapped, tensor.begin + begin, tensor.begin + end, file.path)
        yield box, pieces.shaped(pieces.elements(stored[begin:end], tf_name), name, shape, file.path)
        begin = end
