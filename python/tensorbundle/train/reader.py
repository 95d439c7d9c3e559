"""``CheckpointReader``: a checkpoint under the names that TensorFlow's reader has."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import tensorbundle as tb
from tensorbundle.train import dtypes, translation

if TYPE_CHECKING:
    from tensorbundle.train.dtypes import DType


class CheckpointReader:
    """Reads the tensors of one checkpoint, as ``tf.train.load_checkpoint`` and ``NewCheckpointReader`` give it.

    It stays the save that it was when it was made, whatever happens to the files. Threads may share it.

    Args:
        filepattern: Whatever :func:`tensorbundle.open` takes.

    Attributes:
        checkpoint: What it reads, as a :class:`tensorbundle.Checkpoint`.

    Raises:
        NotFoundError: There is nothing of that name; the message says what is there instead.
        DataLossError: It is no checkpoint, or its index is damaged.
        OpError: The system refuses to read it.

    Warns:
        DamageWarning: Some tensors can't be read, because a data file is missing for instance; the others can. Or
            shards of format V1 are missing, whose tensors can't be listed.
    """

    def __init__(self, filepattern: str | bytes | os.PathLike[str]) -> None:
        path = as_path(filepattern)
        try:
            self.checkpoint = tb.open(path)
        except (OSError, tb.errors.OpError) as error:
            raise translation.of_opening(error, path) from error

    def has_tensor(self, tensor_str: str | bytes) -> bool:
        """True if there is a tensor of that name."""
        return as_name(tensor_str) in self.checkpoint

    def get_tensor(self, tensor_str: str | bytes) -> Any:
        """Reads one tensor, and compares its checksum.

        Returns:
            An array that can be written to. Of a scalar, NumPy's scalar, and ``bytes`` of a string.

        Raises:
            NotFoundError: There is no such tensor.
            DataLossError: It is damaged. An ``OutOfRangeError``, also an ``IndexError``, if its file is cut off.
            OpError: A data file is missing or can't be read.
        """
        name = as_name(tensor_str)
        try:
            array = self.checkpoint.read(name, copy=True)
        except (OSError, tb.errors.OpError) as error:
            raise translation.of_reading(error, name) from error
        return array if array.ndim else array[()]

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shape of each tensor, as a list, by name, in key order."""
        return {name: list(shape) for name, shape in self._shapes}

    def get_variable_to_dtype_map(self) -> dict[str, DType]:
        """The element type of each tensor by name, in key order."""
        return self._dtypes.copy()

    def debug_string(self) -> bytes:
        """A line for each tensor: name, element type, shape."""
        lines = (_described(entry) for entry in self.checkpoint.entries())
        return "".join(lines).encode("utf-8", "surrogateescape")

    # Programs ask for these again and again, and a checkpoint stays what it is.

    @functools.cached_property
    def _shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return tuple((entry.name, entry.shape) for entry in self.checkpoint.entries())

    @functools.cached_property
    def _dtypes(self) -> dict[str, DType]:
        by_name = dtypes.BY_NAME
        return {entry.name: by_name[entry.tf_dtype] for entry in self.checkpoint.entries()}


def NewCheckpointReader(filepattern: str | bytes | os.PathLike[str]) -> CheckpointReader:  # noqa: N802 - TensorFlow's name
    """A :class:`CheckpointReader` of that checkpoint."""
    return CheckpointReader(filepattern)


def as_path(path: str | bytes | os.PathLike[str]) -> str:
    """A path as text.

    Raises:
        TypeError: It isn't a path.
    """
    return os.fsdecode(path)


def as_name(name: str | bytes) -> str:
    """The name of a tensor as text; bytes that are no UTF-8 become lone surrogates.

    Raises:
        TypeError: It is neither text nor bytes.
    """
    if isinstance(name, bytes):
        return name.decode("utf-8", "surrogateescape")
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a tensor as str or bytes, got {name!r}")
    return name


def _described(entry: tb.Entry) -> str:
    shape = ",".join(map(str, entry.shape))
    return f"{entry.name} ({dtypes.word(dtypes.BY_NAME[entry.tf_dtype])}) [{shape}]\n"


CheckpointReader.__module__ = "tensorbundle.train"  # Where users find it, and where pickles look.
