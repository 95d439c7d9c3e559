"""The ``checkpoint`` file, and the files of a checkpoint, under TensorFlow's names and by its rules."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from typing import TYPE_CHECKING

import tensorbundle as tb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_Path = str | os.PathLike[str]

_SHARDS = re.compile(r"-[0-9?]+-of-[0-9]+\Z")


def latest_checkpoint(checkpoint_dir: _Path, latest_filename: str | None = None) -> str | None:
    """The prefix of the newest checkpoint of a directory; see :func:`tensorbundle.latest_checkpoint`."""
    return tb.latest_checkpoint(checkpoint_dir, latest_filename)


def get_checkpoint_state(checkpoint_dir: _Path, latest_filename: str | None = None) -> tb.CheckpointState | None:
    """What the ``checkpoint`` file of a directory says; see :meth:`tensorbundle.CheckpointState.read`.

    Args:
        checkpoint_dir: The directory.
        latest_filename: Name of the file; None: ``checkpoint``.

    Returns:
        The state, with its paths joined to the directory; None if there is none that can be understood.

    Raises:
        DataLossError: A ``ValueError``: the file names no checkpoint.
    """
    return tb.CheckpointState.read(os.path.join(checkpoint_dir, latest_filename or "checkpoint"))


def generate_checkpoint_state_proto(
    save_dir: _Path,
    model_checkpoint_path: _Path,
    all_model_checkpoint_paths: Iterable[_Path] | None = None,
    all_model_checkpoint_timestamps: Iterable[float] | None = None,
    last_preserved_timestamp: float | None = None,
) -> tb.CheckpointState:
    """A state as it stands in the file: with a relative ``save_dir``, relative paths are seen from there.

    Args:
        save_dir: Where the file will be.
        model_checkpoint_path: Prefix of the newest checkpoint.
        all_model_checkpoint_paths: All prefixes, oldest first; the newest is added if it isn't the last one.
        all_model_checkpoint_timestamps: Seconds since the epoch at which each of these was saved.
        last_preserved_timestamp: Seconds since the epoch of the newest one that is kept for good.

    Raises:
        ValueError: There are timestamps, but not as many as prefixes.
    """
    directory = os.fspath(save_dir)
    newest = os.fspath(model_checkpoint_path)
    prefixes = [os.fspath(prefix) for prefix in all_model_checkpoint_paths or ()]
    if prefixes[-1:] != [newest]:
        prefixes.append(newest)
    timestamps = tuple(all_model_checkpoint_timestamps or ())
    if timestamps and len(timestamps) != len(prefixes):
        raise ValueError(
            f"Checkpoint timestamps, if provided, must match checkpoint paths: "
            f"{len(timestamps)} timestamps for {len(prefixes)} checkpoints"
        )
    return tb.CheckpointState(
        _seen_from(directory, newest),
        tuple(_seen_from(directory, prefix) for prefix in prefixes),
        timestamps,
        last_preserved_timestamp or 0.0,
    )


def update_checkpoint_state(  # noqa: PLR0917 - TensorFlow's signature
    save_dir: _Path,
    model_checkpoint_path: _Path,
    all_model_checkpoint_paths: Iterable[_Path] | None = None,
    latest_filename: str | None = None,
    all_model_checkpoint_timestamps: Iterable[float] | None = None,
    last_preserved_timestamp: float | None = None,
) -> None:
    """Writes the ``checkpoint`` file of a directory, at one stroke and durably.

    Prefixes inside the directory are written relative to it, so that it can be moved; others absolute.

    Args:
        save_dir: The directory. If its path is absolute, relative prefixes are relative to it, else to the working
            directory.
        model_checkpoint_path: As for :func:`generate_checkpoint_state_proto`, like the others.
        all_model_checkpoint_paths: The same.
        latest_filename: Name of the file; None: ``checkpoint``.
        all_model_checkpoint_timestamps: The same.
        last_preserved_timestamp: The same.

    Raises:
        RuntimeError: The newest checkpoint has the name of the file.
        ValueError: There are timestamps, but not as many as prefixes.
        OSError: The file can't be written.
    """
    written = generate_checkpoint_state_proto(
        save_dir,
        model_checkpoint_path,
        all_model_checkpoint_paths,
        all_model_checkpoint_timestamps,
        last_preserved_timestamp,
    )
    if os.path.join(save_dir, latest_filename or "checkpoint") == os.fspath(model_checkpoint_path):
        raise RuntimeError(f"Save path {str(model_checkpoint_path)!r} is that of the checkpoint state file itself")
    tb.CheckpointState(
        os.path.join(save_dir, written.model_checkpoint_path),
        tuple(os.path.join(save_dir, prefix) for prefix in written.all_model_checkpoint_paths),
        written.all_model_checkpoint_timestamps,
        written.last_preserved_timestamp,
    ).write(save_dir, latest_filename)


def checkpoint_exists(checkpoint_prefix: _Path) -> bool:
    """True if there is something of that name: a checkpoint's index, or files of format V1, by their pattern too."""
    return bool(_existing(os.fspath(checkpoint_prefix)))


def get_checkpoint_mtimes(checkpoint_prefixes: Sequence[_Path]) -> list[float]:
    """When some checkpoints were last written, in whole seconds since the epoch; those that are gone are left out.

    Raises:
        TypeError: A single path is no sequence of them.
    """
    if isinstance(checkpoint_prefixes, (str, bytes)):
        raise TypeError(f"checkpoint_prefixes must be several prefixes, not one: {checkpoint_prefixes!r}")
    found = (_existing(os.fspath(prefix)) for prefix in checkpoint_prefixes)
    return [max(float(int(os.stat(file).st_mtime)) for file in files) for files in found if files]


def remove_checkpoint(
    checkpoint_prefix: _Path, checkpoint_format_version: int = 2, meta_graph_suffix: str = "meta"
) -> None:
    """Removes the files of a checkpoint, the index first; those that aren't there are no error.

    Args:
        checkpoint_prefix: Prefix, or the file or pattern (``model-?????-of-00002``) of a checkpoint of format V1. Taken
            literally otherwise: ``*`` is no wildcard here.
        checkpoint_format_version: 1 for format V1.
        meta_graph_suffix: Ending of the file with the graph that ``Saver`` wrote beside it.

    Raises:
        OSError: A file can't be removed.
    """
    prefix = os.fspath(checkpoint_prefix)
    names = [f"{_SHARDS.sub('', prefix)}.{meta_graph_suffix}"]
    if checkpoint_format_version == 1:
        names += [prefix, *_v1_shards(prefix)]
    else:
        names += [f"{prefix}.index", *sorted(_beside(prefix, r"\.data-[0-9]{5,}-of-[0-9]{5,}"))]
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _seen_from(directory: str, prefix: str) -> str:
    if os.path.isabs(prefix) or os.path.isabs(directory):
        return prefix
    return os.path.relpath(prefix, directory or os.curdir)


def _existing(prefix: str) -> list[str]:
    """Files of a checkpoint, by which it can be told that it is there: its name is literal, or else a pattern."""
    for name in (f"{prefix}.index", prefix):
        if found := [name] if os.path.exists(name) else glob.glob(name):
            return found
    return []


def _v1_shards(pattern: str) -> Iterator[str]:
    """The files that ``<name>-?????-of-<number>`` stands for."""
    name, shards, count = pattern.rpartition("-?????-of-")
    if shards and count.isdecimal():
        yield from _beside(name, rf"-[0-9]{{5}}-of-{count}")


def _beside(prefix: str, ending: str) -> list[str]:
    """The files whose name is that of ``prefix`` and an ending."""
    directory, name = os.path.split(prefix)
    wanted = re.compile(re.escape(name) + ending)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = [entry for entry in os.listdir(directory or os.curdir) if wanted.fullmatch(entry)]
        return [os.path.join(directory, entry) for entry in names]
    return []
