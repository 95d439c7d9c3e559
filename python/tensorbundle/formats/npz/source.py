"""An ``.npz`` file as a source of tensors, read and decompressed as it is asked for."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING, Any

from tensorbundle import errors, files, streaming
from tensorbundle.formats import source
from tensorbundle.formats.npz import members
from tensorbundle.formats.source import DEFAULT_MAX_BYTES, RawBytes, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from tensorbundle.formats.npz.members import Member
    from tensorbundle.formats.source import Chunk


class NpzSource:
    """The arrays of an ``.npz`` file; see :class:`tensorbundle.formats.Source`.

    Each array's CRC-32 is compared whenever the array is read to its end. Strings of fixed width become ``bytes``, text
    as UTF-8, without the zeros that pad them. Object arrays, which are pickles, records and dates are listed, not read.
    """

    kind = "npz"

    def __init__(self, archive: zipfile.ZipFile, path: str, *, verify: bool) -> None:
        self.path = path
        self.metadata: dict[str, str] = {}
        self._verify = verify
        descriptor = _descriptor(archive)
        self._identity = source.identity(os.fstat(descriptor))
        self._members = members.members(archive.infolist(), descriptor, path)
        self._archive: zipfile.ZipFile | None = archive

    @classmethod
    def open(cls, path: str, *, verify: bool = True) -> NpzSource:
        """Opens a file.

        Raises:
            DataLossError: It is damaged, or of another kind.
            UnimplementedError: It is encrypted, or compressed in a way that NumPy doesn't.
            OSError: It can't be read.
        """
        path = files.absolute(path)
        with members.damage_reported(path):
            archive = zipfile.ZipFile(path)
        try:
            return cls(archive, path, verify=verify)
        except BaseException:
            archive.close()
            raise

    def tensors(self) -> list[TensorSpec]:
        """What is in the file; see :meth:`tensorbundle.formats.Source.tensors`."""
        self._opened()
        return [
            TensorSpec(
                name, member.header.dtype.tf_name or member.header.dtype.descr, member.header.shape, member.nbytes
            )
            for name, member in self._members.items()
        ]

    def chunks(self, name: str, max_bytes: int = DEFAULT_MAX_BYTES) -> Iterator[Chunk]:
        """The tensor piece by piece; see :meth:`tensorbundle.formats.Source.chunks`."""
        from tensorbundle.formats.npz import runs

        archive, member = self._opened(), self._readable(name)
        return runs.chunks(archive, member, streaming.byte_count(max_bytes), self.path)

    def read(self, name: str) -> NDArray[Any]:
        """The whole tensor, always a copy; see :meth:`tensorbundle.formats.Source.read`."""
        from tensorbundle.formats.npz import runs

        archive, member = self._opened(), self._readable(name)
        return runs.whole(archive, member, self.path)

    def raw(self, name: str) -> RawBytes | None:
        """The elements in the file; see :meth:`tensorbundle.formats.Source.raw`.

        None of an array that is to be verified: its CRC-32 is one of more than these bytes.
        """
        archive, member = self._opened(), source.find(self._members, name, self.path)
        dtype = member.header.dtype
        if self._verify or not member.is_stored or dtype.tf_name in (None, "bool", "string") or dtype.order == ">":
            return None
        if member.is_column_major:
            return None
        with members.damage_reported(self.path, name):
            offset = members.offset_in_file(_descriptor(archive), member)
        return RawBytes(self.path, offset, member.nbytes, None, self._identity)

    def close(self) -> None:
        """Ends reading; see :meth:`tensorbundle.formats.Source.close`."""
        if self._archive is not None:
            self._archive.close()
        self._archive = None

    def __enter__(self) -> Self:
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        self._opened()
        return _reopen, (self.path, self._verify, self._identity)

    def __repr__(self) -> str:
        state = "closed" if self._archive is None else f"{len(self._members)} tensors"
        return f"<tensorbundle.formats.NpzSource {self.path!r}: {state}>"

    def _opened(self) -> zipfile.ZipFile:
        if self._archive is None:
            raise ValueError(f"{self.path!r} is closed")
        return self._archive

    def _readable(self, name: str) -> Member:
        member = source.find(self._members, name, self.path)
        if member.header.dtype.descr == "|O":
            text = f"array {name!r} in {self.path!r} is of Python objects: it is a pickle, which can run any program"
            raise errors.UnimplementedError(text, path=self.path, tensor=name)
        if member.header.dtype.tf_name is None:
            raise source.unsupported(name, member.header.dtype.descr, self.path)
        return member


def _reopen(path: str, verify: bool, identity: tuple[int, int, int]) -> NpzSource:
    """A source from its pickle."""
    opened = NpzSource.open(path, verify=verify)
    source.check_identities(path, [opened._identity], [identity])  # noqa: SLF001 - a method of the class, but for pickle
    return opened


def _descriptor(archive: zipfile.ZipFile) -> int:
    if archive.fp is None:
        raise ValueError("the archive is closed")
    return archive.fp.fileno()
