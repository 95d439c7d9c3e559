"""The elements of an array in a zip file, piece by piece in row-major order, with memory for one piece."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle.formats import pieces
from tensorbundle.formats.npz import members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorbundle.formats.npz.members import Member
    from tensorbundle.formats.source import Chunk

# Of a string, what Python's object and the reference to it take besides the characters.
_STRING_BYTES = 64
_LOCAL_HEADER = b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30


def is_column_major(member: Member) -> bool:
    """True if the elements don't lie in row-major order."""
    header = member.header
    return header.is_column_major and header.size > 0 and sum(size > 1 for size in header.shape) > 1


def chunks(archive: zipfile.ZipFile, member: Member, max_bytes: int, path: str) -> Iterator[Chunk]:
    """The pieces of an array; its CRC-32 is compared at the end, or before the first if it is column-major.

    Args:
        archive: The opened zip file.
        member: The array, of a type that can be read.
        max_bytes: What a piece may take.
        path: Of the zip file, for messages.

    Raises:
        DataLossError: The array is damaged.
    """
    dtype = member.header.dtype
    weight = dtype.size + (_STRING_BYTES if dtype.tf_name == "string" else 0)
    boxes = pieces.boxes(member.header.shape, max_bytes, weight)
    runs = (
        _column_major(archive, member, boxes, path) if is_column_major(member) else _row_major(archive, member, boxes)
    )
    with members.damage_reported(path, member.name):
        for box, run in runs:
            yield box, pieces.shaped(_elements(run, member), member.name, pieces.extent(box), path)


def offset_in_file(descriptor: int, member: Member) -> int:
    """Where the elements of an array that isn't compressed begin in the zip file.

    Raises:
        ValueError: There is no such array.
    """
    at = member.info.header_offset
    local = os.pread(descriptor, _LOCAL_HEADER_BYTES, at)
    if len(local) < _LOCAL_HEADER_BYTES or not local.startswith(_LOCAL_HEADER):
        raise ValueError(f"there is no local header at {at}")
    name_bytes, extra_bytes = int.from_bytes(local[26:28], "little"), int.from_bytes(local[28:30], "little")
    return at + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes + member.begin


def _row_major(
    archive: zipfile.ZipFile, member: Member, boxes: Iterator[tuple[slice, ...]]
) -> Iterator[tuple[tuple[slice, ...], NDArray[np.uint8]]]:
    with archive.open(member.info) as stream:
        members.skip(stream, member.begin)
        for box in boxes:
            run = np.empty(math.prod(pieces.extent(box)) * member.header.dtype.size, np.uint8)
            members.fill(stream, run.data)
            yield box, run


def _column_major(
    archive: zipfile.ZipFile, member: Member, boxes: Iterator[tuple[slice, ...]], path: str
) -> Iterator[tuple[tuple[slice, ...], NDArray[np.uint8]]]:
    """Picks each piece's elements from all over the array, which lies in a file without a name for that."""
    with tempfile.TemporaryFile() as spilled:
        with archive.open(member.info) as stream:
            members.skip(stream, member.begin)
            for part in members.steps(stream):
                spilled.write(part)
        spilled.flush()
        mapped = mmap.mmap(spilled.fileno(), member.nbytes, access=mmap.ACCESS_READ)
    elements = np.frombuffer(mapped, f"V{member.header.dtype.size}")
    whole: NDArray[Any] = pieces.shaped(elements, member.name, member.header.shape[::-1], path).T
    for box in boxes:
        yield box, np.ascontiguousarray(whole[box]).reshape(-1).view(np.uint8)


def _elements(run: NDArray[np.uint8], member: Member) -> NDArray[Any]:
    dtype = member.header.dtype
    if dtype.tf_name != "string":
        return pieces.elements(run, str(dtype.tf_name), dtype.order)
    texts = run.view(dtype.descr).tolist()
    strings = np.empty(len(texts), object)
    strings[:] = [text.encode("utf-8") for text in texts] if dtype.is_unicode else texts
    return strings
