"""The elements of a tensor as the target gets them, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle.conversion.casting import Cast
from tensorbundle.conversion.transposing import transposed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorbundle.conversion.plan import PlannedTensor
    from tensorbundle.formats import Source

_CHUNK_BYTES = 4 << 20


def elements(source: Source, tensor: PlannedTensor, workspace: str) -> Iterator[NDArray[Any]]:
    """The elements of one tensor, of fixed width, in row-major order.

    Args:
        source: What has it.
        tensor: What becomes of it.
        workspace: A directory for temporary files.

    Returns:
        An iterator over arrays of rank 1, of the target's element type. Each is of use until the next one is asked for.

    Raises:
        DataLossError: The tensor is damaged; at the latest when the iterator ends.
        ValueError: An element can't be converted.
        OSError: The system refuses.
    """
    parts = _stored(source, tensor) if tensor.axes is None else transposed(source, tensor, workspace)
    return parts if tensor.source_dtype == tensor.dtype else _cast(parts, tensor)


def _stored(source: Source, tensor: PlannedTensor) -> Iterator[NDArray[Any]]:
    for _, chunk in source.chunks(tensor.source, _CHUNK_BYTES):
        yield np.ascontiguousarray(chunk).reshape(-1)


def _cast(parts: Iterator[NDArray[Any]], tensor: PlannedTensor) -> Iterator[NDArray[Any]]:
    cast = Cast(tensor.source_dtype, tensor.dtype, tensor.source)
    buffer = np.empty(0, cast.target)
    for part in parts:
        if buffer.size < part.size:
            buffer = np.empty(part.size, cast.target)
        cast.into(buffer[: part.size], part)
        yield buffer[: part.size]
