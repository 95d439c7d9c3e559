"""The types and shapes of the tensors of a checkpoint, and whether what is restored from them fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tensorbundle import errors, inputs
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.saved_model.signatures import data_type
from tensorbundle.train.dtypes import as_dtype


class StoredTensor(NamedTuple):
    """A tensor of a checkpoint: its ``DataType`` and its shape."""

    dtype: int
    shape: tuple[int, ...]


def describe(variables: Any) -> tuple[Mapping[str, Any], dict[str, StoredTensor]]:
    """What is to be saved, and what it will be once it is.

    Args:
        variables: As for :func:`tensorbundle.save`, but a mapping.

    Returns:
        The same tensors, an opened checkpoint as it is and others as arrays; and each tensor by its name.

    Raises:
        TypeError, ValueError: As :func:`tensorbundle.save`.
    """
    if isinstance(variables, Checkpoint):
        return variables, {e.name: StoredTensor(data_type(e.tf_dtype), tuple(e.shape)) for e in variables.entries()}
    if not isinstance(variables, Mapping):
        raise TypeError(f"variables must be a mapping from names to arrays, not {type(variables).__name__}")
    arrays = {name: inputs.to_array(name, value) for name, value in variables.items()}
    return arrays, {name: StoredTensor(data_type(a.dtype), a.shape) for name, a in arrays.items()}


def require(stored: Mapping[str, StoredTensor], key: str, dtype: int, shape: Any | None, of: str) -> None:
    """Checks that a tensor is there and fits: restoring would notice too late, or not at all.

    Args:
        stored: The tensors that there are.
        key: Name of the tensor.
        dtype: ``DataType`` that it must have.
        shape: ``TensorShapeProto`` that it must fit, or None.
        of: What it is restored into, for messages.

    Raises:
        BuilderError: It is not, or doesn't.
    """
    if key not in stored:
        raise errors.BuilderError(f"{of} is restored from {key!r}, and no tensor of that name is given", tensor=key)
    found = stored[key]
    if found.dtype != dtype or not _fits(found.shape, shape):
        expected = f"{type_name(dtype)}{'' if shape is None else _shape_text(shape)}"
        given = f"{type_name(found.dtype)}{list(found.shape)}"
        raise errors.BuilderError(f"{of} is {expected}, the tensor given for it, {key!r}, is {given}", tensor=key)


def _fits(shape: tuple[int, ...], expected: Any | None) -> bool:
    if expected is None:
        return True
    sizes = [dim.size for dim in expected.dim]
    return len(sizes) == len(shape) and all(size in (-1, found) for size, found in zip(sizes, shape, strict=True))


def _shape_text(shape: Any) -> str:
    return "[" + ", ".join("?" if dim.size == -1 else str(dim.size) for dim in shape.dim) + "]"


def type_name(number: int) -> str:
    """TensorFlow's name of the element type of that number in ``DataType``."""
    try:
        return as_dtype(number).name
    except TypeError:
        return f"of type {number}"
