"""``load_checkpoint``, ``list_variables`` and ``load_variable``: checkpoints by path, or by their directory."""

from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING, Any

import tensorbundle as tb
from tensorbundle.train import recent
from tensorbundle.train.reader import CheckpointReader, as_name, as_path

if TYPE_CHECKING:
    from collections.abc import Callable


def load_checkpoint(ckpt_dir_or_file: str | bytes | os.PathLike[str]) -> CheckpointReader:
    """A reader of a checkpoint.

    Args:
        ckpt_dir_or_file: Whatever :func:`tensorbundle.open` takes. A directory means the latest checkpoint in it, even
            where it has the name of a prefix.

    Raises:
        ValueError: There is no checkpoint in the directory.
        NotFoundError, DataLossError, OpError: As :class:`CheckpointReader`.
    """
    return _read_by(CheckpointReader, ckpt_dir_or_file)


def list_variables(ckpt_dir_or_file: str | bytes | os.PathLike[str]) -> list[tuple[str, list[int]]]:
    """Name and shape of every tensor, sorted by name.

    Raises:
        ValueError, NotFoundError, DataLossError, OpError: As :func:`load_checkpoint`.
    """
    return sorted(_recent(ckpt_dir_or_file).get_variable_to_shape_map().items(), key=operator.itemgetter(0))


def load_variable(ckpt_dir_or_file: str | bytes | os.PathLike[str], name: str | bytes) -> Any:
    """Reads one tensor.

    The checkpoint stays open for the next call, which uses it again if its files are what they were.

    Args:
        ckpt_dir_or_file: As for :func:`load_checkpoint`.
        name: Its name; ``":0"`` at the end is left out.

    Returns:
        An array that can be written to. Of a scalar, NumPy's scalar, and ``bytes`` of a string.

    Raises:
        NotFoundError: There is no such tensor.
        ValueError, DataLossError, OpError: As :func:`load_checkpoint` and :meth:`CheckpointReader.get_tensor`.
    """
    return _recent(ckpt_dir_or_file).get_tensor(as_name(name).removesuffix(":0"))


def _recent(path: str | bytes | os.PathLike[str]) -> CheckpointReader:
    return _read_by(recent.reader, path)


def _read_by(
    opening: Callable[[str], CheckpointReader], ckpt_dir_or_file: str | bytes | os.PathLike[str]
) -> CheckpointReader:
    path = as_path(ckpt_dir_or_file)
    if not os.path.isdir(path):
        return opening(path)
    try:
        return opening(os.path.join(path, ""))  # With the slash it can't be a prefix.
    except (tb.errors.NotFoundError, tb.errors.DataLossError) as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        found = f"Couldn't find 'checkpoint' file or checkpoints in given directory {path}: {error.__cause__.strerror}"
        raise ValueError(found) from error.__cause__
