"""The elements of an array in a zip file, piece by piece in row-major order, with memory for one piece."""

from __future__ import annotations

import math
import mmap
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import dtypes
from tensorbundle.formats import pieces
from tensorbundle.formats.npz import members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorbundle.formats.npz.dtypes import ElementType
    from tensorbundle.formats.npz.members import Member
    from tensorbundle.formats.source import Chunk

# Besides an array that is read whole.
_READ_BYTES = 8 << 20
# Of a string, what Python's object and the reference to it take besides the characters.
_STRING_BYTES = 64


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
    runs = _column_major(archive, member, boxes, path) if member.is_column_major else _row_major(archive, member, boxes)
    with members.damage_reported(path, member.name):
        for box, run in runs:
            yield box, pieces.shaped(_elements(run, member), member.name, pieces.extent(box), path)


def whole(archive: zipfile.ZipFile, member: Member, path: str) -> NDArray[Any]:
    """All elements of an array.

    Raises:
        DataLossError: The array is damaged.
    """
    header = member.header
    # Untouched memory is none: a member that claims too much ends before it is.
    flat = np.empty(header.size, dtypes.numpy_dtype(str(header.dtype.tf_name)))
    array = pieces.shaped(flat, member.name, header.shape, path)
    for box, part in chunks(archive, member, _READ_BYTES, path):
        array[box] = part
    return array


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
    array: NDArray[Any] = pieces.shaped(elements, member.name, member.header.shape[::-1], path).T
    for box in boxes:
        yield box, np.ascontiguousarray(array[box]).reshape(-1).view(np.uint8)


def _elements(run: NDArray[np.uint8], member: Member) -> NDArray[Any]:
    dtype = member.header.dtype
    if dtype.tf_name != "string":
        return pieces.elements(run, str(dtype.tf_name), dtype.order)
    found: list[bytes] = _utf8(run, dtype) if dtype.code_points else run.view(dtype.descr).tolist()
    strings = np.empty(len(found), object)
    strings[:] = found
    return strings


def _utf8(run: NDArray[np.uint8], dtype: ElementType) -> list[bytes]:
    # NumPy itself makes of code points that are none what no program expects.
    text = run.tobytes().decode("utf-32-le" if dtype.order == "<" else "utf-32-be")
    width = dtype.code_points
    return [text[at : at + width].rstrip("\0").encode("utf-8") for at in range(0, len(text), width)]
