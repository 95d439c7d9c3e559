"""The checkpoints that were read last, kept open as long as their files stay as they are.

``load_variable`` opens a checkpoint, reads one tensor and forgets it, and programs call it in a loop. Here the opened
checkpoint is kept, and each call looks at its files instead: another save there, a data file that came or went, another
checkpoint that is now the latest, and it is opened anew.

There is no lock: what is kept is a tuple that is only ever replaced. A thread that comes between loses an entry at
worst, and a child of ``fork`` finds a whole one.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from tensorbundle.train.reader import CheckpointReader, as_path

if TYPE_CHECKING:
    from collections.abc import Iterable

# As many checkpoints are kept; a converter compares two or three.
_MAX_KEPT = 4

_Identity = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class _Kept:
    """One path and what was found there.

    Attributes:
        path: From the root.
        files: Whatever decides what the path means, and what is in it.
        identity: What these were like before the reader was opened; None if nobody looked in time.
        reader: The opened checkpoint.
    """

    path: str
    files: tuple[str, ...]
    identity: _Identity | None
    reader: CheckpointReader | None


_kept: tuple[_Kept, ...] = ()


def reader(path: str | bytes | os.PathLike[str]) -> CheckpointReader:
    """The checkpoint at ``path`` as it is now, opened only if it wasn't yet.

    Raises:
        NotFoundError, DataLossError, OpError: As :class:`CheckpointReader`.
    """
    path = _from_root(as_path(path))
    known = next((kept for kept in _kept if kept.path == path), None)
    files = _guessed_files(path) if known is None else known.files
    identity = _identity(files)  # Before opening: what comes after it is seen by the next call.
    if known is not None and known.reader is not None and known.identity == identity:
        return known.reader
    opened = CheckpointReader(path)
    found = _files(path, opened)
    _keep(_Kept(path, found, identity, opened) if found == files else _Kept(path, found, None, None))
    return opened


def _keep(new: _Kept) -> None:
    """Puts it in front, and lets go of what is old: an open file takes up the disk though its name is gone."""
    global _kept  # noqa: PLW0603 - one per process, as the files are
    others = (kept for kept in _kept if kept.path != new.path and kept.identity == _identity(kept.files))
    _kept = (new, *others)[:_MAX_KEPT]


def _from_root(path: str) -> str:
    return path if os.path.isabs(path) or not path else os.path.join(os.getcwd(), path)


def _guessed_files(path: str) -> tuple[str, ...]:
    """The files of the usual checkpoint: a prefix, and one data file."""
    return _deciding(path) + _saved(path, 1)


def _files(path: str, opened: CheckpointReader) -> tuple[str, ...]:
    return _deciding(path) + _saved(opened.checkpoint.path, opened.checkpoint.num_shards)


def _deciding(path: str) -> tuple[str, ...]:
    """What says which checkpoint a path means; a directory changes when a file in it comes or goes."""
    return path, f"{path}.index", os.path.join(path, "checkpoint")


def _saved(path: str, shards: int) -> tuple[str, ...]:
    """The files that a checkpoint may have, in either format."""
    name, shard, count = path.rpartition("-?????-of-")
    v1 = [f"{name}-{number:05d}-of-{count}" for number in range(shards)] if shard else [path]
    return f"{path}.index", *(f"{path}.data-{number:05d}-of-{shards:05d}" for number in range(shards)), *v1


def _identity(files: Iterable[str]) -> _Identity:
    return tuple(map(_look, files))


def _look(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
