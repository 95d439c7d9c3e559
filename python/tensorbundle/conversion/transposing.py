"""Tensors with their axes in another order, in bounded memory whatever their size.

A tensor that is larger than what is held at a time is gathered from its bytes in a file, once for each part of the
result: those parts are large, so that there are few of them. Where its bytes don't lie in a file as they are, because
they are encoded, in pieces or in the other byte order, they are first written to one, without its axes being changed.
"""

from __future__ import annotations

import contextlib
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import dtypes
from tensorbundle.conversion.file_bytes import mapped, open_raw, write_all
from tensorbundle.formats import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorbundle.conversion.plan import PlannedTensor
    from tensorbundle.formats import Source

# What is held at a time. Parts of the result: the more, the fewer passes over the tensor.
_PART_BYTES = 32 << 20
# Rows of the source that are gathered from at a time: what they have of a part stays in a core's cache.
_TILE_ROWS = 2048
_CHUNK_BYTES = 4 << 20


def transposed(source: Source, tensor: PlannedTensor, workspace: str) -> Iterator[NDArray[Any]]:
    """The elements of a tensor in the order that they have once its axes are in theirs.

    Args:
        source: What has the tensor.
        tensor: Which, and the order of its axes.
        workspace: A directory for a file, which is gone when the iterator ends.

    Returns:
        An iterator over arrays of rank 1, of the source's element type.

    Raises:
        DataLossError: The tensor is damaged.
        OSError: The system refuses.
    """
    dtype = dtypes.numpy_dtype(tensor.source_dtype)
    if dtype.itemsize * math.prod(tensor.source_shape) <= _PART_BYTES:
        yield np.ascontiguousarray(source.read(tensor.source).transpose(tensor.axes)).reshape(-1)
        return
    with _mapped(source, tensor, dtype, workspace) as array:
        view = array.transpose(tensor.axes)
        for box in pieces.boxes(tensor.shape, _PART_BYTES, dtype.itemsize):
            yield _gathered(view[box], tensor)


def _gathered(part: NDArray[Any], tensor: PlannedTensor) -> NDArray[Any]:
    """A part of the result, row-major: filled from a few rows of the source at a time."""
    assert tensor.axes is not None  # noqa: S101 - what comes here is transposed
    out = np.empty(part.shape, part.dtype)
    axis = tensor.axes.index(0)
    for begin in range(0, part.shape[axis], _TILE_ROWS):
        tile = (slice(None),) * axis + (slice(begin, begin + _TILE_ROWS),)
        out[tile] = part[tile]
    return out.reshape(-1)


@contextlib.contextmanager
def _mapped(source: Source, tensor: PlannedTensor, dtype: np.dtype[Any], workspace: str) -> Iterator[NDArray[Any]]:
    """The tensor as it is in the source, its checksum compared: a view of a mapped file."""
    raw = source.raw(tensor.source)
    with contextlib.ExitStack() as stack:
        if raw is None:
            path = os.path.join(workspace, f"scratch-{os.urandom(8).hex()}")
            stack.callback(_unlink, path)
            _spill(source, tensor, path)
            descriptor, offset = os.open(path, os.O_RDONLY | os.O_CLOEXEC), 0
        else:
            for _ in source.chunks(tensor.source, _CHUNK_BYTES):  # Which compares its checksum.
                pass
            descriptor, offset = open_raw(raw), raw.offset
        mapping = np.frombuffer(mapped(descriptor), np.uint8)
        count = math.prod(tensor.source_shape)
        yield mapping[offset : offset + count * dtype.itemsize].view(dtype).reshape(tensor.source_shape)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # The conversion has ended, and its workspace is gone.
        os.unlink(path)


def _spill(source: Source, tensor: PlannedTensor, path: str) -> None:
    with open(path, "xb", buffering=0) as file:
        at = 0
        for _, chunk in source.chunks(tensor.source, _CHUNK_BYTES):
            content = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
            write_all(file.fileno(), content, at)
            at += content.size
