"""``tf.io.gfile``: what programs ask of the file system before they read a checkpoint."""

from __future__ import annotations

import glob as globbing
import os
from typing import TYPE_CHECKING

from tensorbundle import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

_Path = str | bytes | os.PathLike[str]


def exists(path: _Path) -> bool:
    """True if there is a file or a directory of that name."""
    return os.path.exists(path)


def isdir(path: _Path) -> bool:
    """True if there is a directory of that name."""
    return os.path.isdir(path)


def listdir(path: _Path) -> list[str]:
    """Names of what is in a directory.

    Raises:
        NotFoundError: There is no such directory.
    """
    path = os.fsdecode(path)
    if not os.path.isdir(path):
        raise errors.NotFoundError(f"Could not find directory {path}", path=path)
    return os.listdir(path)


def glob(pattern: _Path | Iterable[_Path]) -> list[str]:
    """The files whose names match a pattern, or one of several."""
    patterns = [pattern] if isinstance(pattern, (str, bytes, os.PathLike)) else pattern
    return [name for each in patterns for name in globbing.glob(os.fsdecode(each))]
