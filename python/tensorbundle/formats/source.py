"""What every file of tensors is to those who read it: a list of tensors, and the elements of each."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Protocol

from tensorbundle import errors, selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import TypeAlias, TypeVar

    from numpy.typing import NDArray
    from typing_extensions import Self

    Chunk: TypeAlias = tuple[tuple[slice, ...], NDArray[Any]]
    _T = TypeVar("_T")

#: What a call holds at a time unless it is told otherwise, in bytes.
DEFAULT_MAX_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """What a file says of one tensor.

    Attributes:
        name: Its name.
        dtype: TensorFlow's name of its element type, such as ``"float32"``. Of a type that TensorFlow's format lacks,
            the name that the file's own format has for it: such a tensor can be listed, not read.
        shape: Its shape; ``()`` for a scalar.
        nbytes: What its elements take in the file, uncompressed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


@dataclasses.dataclass(frozen=True)
class RawBytes:
    """The elements of a tensor as one run of little-endian, row-major bytes of a local file.

    Attributes:
        path: The file, an absolute path. Another file may have the name by now: ``crc32c``, where there is one, tells.
        offset: Where they begin, in bytes.
        nbytes: How many bytes they are.
        crc32c: Their checksum, as the file has it, or None. Whoever uses the bytes compares it.
        identity: What tells the file from another of its name (:func:`identity`), where no checksum does.
    """

    path: str
    offset: int
    nbytes: int
    crc32c: int | None
    identity: tuple[int, int, int] | None = dataclasses.field(default=None, compare=False)


class Source(Protocol):
    """An opened file of tensors, or several that belong together; a context manager.

    A source stays the file that was opened, even if the file is replaced or removed. It pickles as what it was opened
    with: unpickling opens the path again and raises ``DataLossError`` if another file is there. Arrays outlive
    ``close()``. Threads may share one.
    """

    @property
    def path(self) -> str:
        """Absolute path of what was opened."""

    @property
    def kind(self) -> str:
        """``"checkpoint"``, ``"safetensors"`` or ``"npz"``."""

    @property
    def metadata(self) -> dict[str, str]:
        """Text that the file carries besides its tensors: the ``__metadata__`` of safetensors, else empty."""

    def tensors(self) -> list[TensorSpec]:
        """What is in the file, in its own order; nothing of the tensors' elements is read."""

    def chunks(self, name: str, max_bytes: int = DEFAULT_MAX_BYTES) -> Iterator[Chunk]:
        """The tensor piece by piece: ``(index, array)``, in row-major order, each contiguous in the row-major whole.

        Args:
            name: Its name.
            max_bytes: What a piece may take; one element is always given, however large.

        Returns:
            An iterator. Where ``array`` belongs in the whole is told by ``index``, a slice for each dimension: ``()``
            for a scalar. An empty tensor is one empty piece. A file's checksums are compared on the way: a piece may
            turn out to have been damaged only when the iterator ends.

        Raises:
            NotFoundError: There is no such tensor.
            UnimplementedError: It is of a type that TensorFlow's format lacks.
            DataLossError: It is damaged.
            TypeError, ValueError: ``max_bytes`` is no positive integer, or the source is closed.
        """

    def read(self, name: str) -> NDArray[Any]:
        """The whole tensor, a read-only view of the file where one can be had; of strings an object array of ``bytes``.

        Raises:
            NotFoundError, UnimplementedError, DataLossError, ValueError: As in :meth:`chunks`.
        """

    def raw(self, name: str) -> RawBytes | None:
        """Where the elements lie as bytes to be used as they are; None if they don't, or must be checked first.

        Raises:
            NotFoundError: There is no such tensor.
            ValueError: The source is closed.
        """

    def close(self) -> None:
        """Ends reading. May be called again."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def find(tensors: Mapping[str, _T], name: object, path: str) -> _T:
    """What ``tensors`` has of a name.

    Raises:
        NotFoundError: Nothing; the message offers names that are like it.
    """
    if isinstance(name, str) and name in tensors:
        return tensors[name]
    message = selection.not_found_message(name, list(tensors), path)
    raise errors.NotFoundError(message, path=path, tensor=name if isinstance(name, str) else None)


def unsupported(name: str, dtype: str, path: str) -> errors.UnimplementedError:
    """The error for a tensor of a type that TensorFlow's format lacks."""
    return errors.UnimplementedError(
        f"tensor {name!r} in {path!r} is of type {dtype}, which TensorFlow's checkpoints don't have",
        path=path,
        tensor=name,
    )


def identity(status: os.stat_result) -> tuple[int, int, int]:
    """What tells a file from another that took its name."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def check_identities(path: str, found: Sequence[tuple[int, int, int]], pickled: Sequence[tuple[int, int, int]]) -> None:
    """Raises ``DataLossError`` if the files at ``path`` aren't those that were pickled."""
    if list(found) != list(pickled):
        raise errors.DataLossError(f"another file is at {path!r} now than the one that was pickled", path=path)
