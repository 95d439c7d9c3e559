"""The arrays in a zip file: what each is, checked against what the zip file says, and its bytes."""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from typing import TYPE_CHECKING, NamedTuple

from tensorbundle import errors
from tensorbundle.formats.npz import npy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO

_ENCRYPTED = 0x1
# Deflate makes no more of a byte; a claim of more is none of an honest file.
_MAX_RATIO = 1032
_LOCAL_HEADER = b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30
_STEP_BYTES = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OverflowError, RuntimeError, UnicodeError, ValueError)


class Member(NamedTuple):
    """One array of an ``.npz`` file.

    Attributes:
        name: Of the array.
        info: What the zip file says of it.
        header: What its own header says.
        begin: Where its elements begin, uncompressed.
        nbytes: What they take, uncompressed.
    """

    name: str
    info: zipfile.ZipInfo
    header: npy.Header
    begin: int
    nbytes: int

    @property
    def is_stored(self) -> bool:
        """True if it isn't compressed."""
        return self.info.compress_type == zipfile.ZIP_STORED

    @property
    def is_column_major(self) -> bool:
        """True if the elements don't lie in row-major order."""
        header = self.header
        return header.is_column_major and header.size > 0 and sum(size > 1 for size in header.shape) > 1


@contextlib.contextmanager
def damage_reported(path: str, name: str | None = None) -> Iterator[None]:
    """Turns what ``zipfile`` raises of a damaged file into this package's errors, which pass."""
    where = f"{path!r}" if name is None else f"array {name!r} in {path!r}"
    try:
        yield
    except errors.TensorBundleError:
        raise
    except NotImplementedError as error:
        raise errors.UnimplementedError(f"{where}: {error}", path=path, tensor=name) from error
    except _DAMAGE as error:
        text = f"{where} is damaged{' or no zip file' if name is None else ''}: {error}"
        raise errors.DataLossError(text, path=path, tensor=name) from error


def members(infos: Iterable[zipfile.ZipInfo], descriptor: int, path: str) -> dict[str, Member]:
    """Every array of a file, in the file's order; nothing of their elements is looked at.

    Args:
        infos: What the zip file says of its members.
        descriptor: Of the zip file.
        path: For messages.

    Raises:
        DataLossError: It is damaged, or has something else in it than arrays.
        UnimplementedError: It is encrypted, or compressed in a way that NumPy doesn't.
    """
    file_size = os.fstat(descriptor).st_size
    found: dict[str, Member] = {}
    for info in infos:
        if info.filename.endswith("/"):  # A directory.
            continue
        name = info.filename.removesuffix(".npy")
        if name in found:
            raise errors.DataLossError(f"{path!r} is damaged: array {name!r} is there twice", path=path, tensor=name)
        with damage_reported(path, name):
            _check_info(info, file_size)
            found[name] = _member(descriptor, info, name)
    return found


def _check_info(info: zipfile.ZipInfo, file_size: int) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise NotImplementedError("it is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError(
            f"it is compressed by method {info.compress_type} of zip files, which NumPy doesn't use"
        )
    if info.compress_size > file_size:
        raise ValueError(f"expected at most the file's {file_size} bytes, found a size of {info.compress_size}")
    most = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else _MAX_RATIO)
    if info.file_size > most:
        raise ValueError(f"{info.compress_size} stored bytes can't be {info.file_size}: expected at most {most}")


def _member(descriptor: int, info: zipfile.ZipInfo, name: str) -> Member:
    start = _start(descriptor, info)
    prefix = npy.parse_prefix(start)
    begin = prefix.nbytes + prefix.header_bytes
    text = start[prefix.nbytes : begin]
    if len(text) < prefix.header_bytes:
        raise ValueError(f"expected a header of {prefix.header_bytes} bytes, found {len(text)}")
    header = npy.parse_header(text, prefix.encoding)
    nbytes = info.file_size - begin
    dtype = header.dtype
    if dtype.tf_name is not None and nbytes != header.size * dtype.size:
        described = f"{dtype.descr} of shape {list(header.shape)}"
        raise ValueError(f"expected {header.size * dtype.size} bytes of {described}, found {nbytes}")
    return Member(name, info, header, begin, nbytes)


def _start(descriptor: int, info: zipfile.ZipInfo) -> bytes:
    """What a member begins with, at least an array's header. ``zipfile`` would compare the CRC-32 of a short member."""
    at = _data_offset(descriptor, info)
    stored = os.pread(descriptor, min(info.compress_size, 2 * npy.MAX_BYTES), at)
    if info.compress_type == zipfile.ZIP_STORED:
        return stored[: npy.MAX_BYTES]
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, npy.MAX_BYTES)


def offset_in_file(descriptor: int, member: Member) -> int:
    """Where the elements of an array that isn't compressed begin in the zip file.

    Raises:
        ValueError: There is no such array.
    """
    return _data_offset(descriptor, member.info) + member.begin


def _data_offset(descriptor: int, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin, compressed or not."""
    at = info.header_offset
    local = os.pread(descriptor, _LOCAL_HEADER_BYTES, at) if at >= 0 else b""
    if len(local) < _LOCAL_HEADER_BYTES or not local.startswith(_LOCAL_HEADER):
        raise ValueError(f"there is no local header at {at}")
    name_bytes, extra_bytes = int.from_bytes(local[26:28], "little"), int.from_bytes(local[28:30], "little")
    return at + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes


def fill(stream: IO[bytes], out: memoryview) -> None:
    """Reads until ``out`` is full; with the last byte of a member its CRC-32 is compared.

    Raises:
        EOFError: The member ends before.
    """
    at = 0
    while at < len(out):
        part = stream.read(min(_STEP_BYTES, len(out) - at))
        if not part:
            raise EOFError(f"it ends {len(out) - at} bytes early")
        out[at : at + len(part)] = part
        at += len(part)


def steps(stream: IO[bytes]) -> Iterator[bytes]:
    """The rest of a member, in steps; at its end its CRC-32 is compared."""
    while part := stream.read(_STEP_BYTES):
        yield part


def skip(stream: IO[bytes], count: int) -> None:
    """Reads what comes before the elements."""
    fill(stream, memoryview(bytearray(count)))
