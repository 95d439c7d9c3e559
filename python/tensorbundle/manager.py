"""Saving again and again into one directory: numbering, the state file, and the removal of old checkpoints."""

from __future__ import annotations

import contextlib
import errno
import operator
import os
import re
import time
from typing import TYPE_CHECKING, Any, SupportsIndex, TypedDict

from tensorbundle import callers, files
from tensorbundle.state import CheckpointState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from tensorbundle.checkpoint import Checkpoint
    from tensorbundle.progress import ProgressFunction


_DATA_SUFFIX = r"\.data-[0-9]{5,}-of-[0-9]{5,}"


class SaveOptions(TypedDict, total=False):
    """What a manager hands on to :func:`tensorbundle.save`."""

    shards: int
    max_shard_bytes: int | None
    alignment: int
    durable: bool
    threads: int | None
    progress: bool | ProgressFunction | None


class CheckpointManager:
    """Saves numbered checkpoints into a directory and removes old ones, by the rules of TensorFlow's.

    ``tf.train.CheckpointManager`` and this class may take turns at one directory: a new manager continues from the
    ``checkpoint`` file that the last one has left, with the same checkpoints, and removes the same ones. At any one
    time a directory belongs to one manager; another that was made before doesn't know what this one saves.

    Only files named exactly ``<prefix>.index`` and ``<prefix>.data-?????-of-?????`` are ever removed, and only inside
    the directory: what the file names elsewhere is listed and rotated out, and stays.

    Args:
        directory: Where; made when the first checkpoint is saved.
        max_to_keep: How many checkpoints to keep, the newest ones; None: all.
        keep_checkpoint_every_n_hours: A checkpoint whose turn to go has come stays for good if it was saved this long
            after the last one that stayed so. It leaves :attr:`checkpoints`, and no manager removes it any more. None:
            none stays.
        checkpoint_name: What the checkpoints are called: this, a dash and a number.
        save_options: Options of :func:`tensorbundle.save`. ``durable`` goes for the ``checkpoint`` file as well.

    Raises:
        TypeError, ValueError: A wrong argument; nothing has been read then.
        DataLossError: The ``checkpoint`` file names no checkpoint.
        OSError: It can't be read.

    Warns:
        DamageWarning: It can't be understood. It is ignored, and replaced by the next save.
        RuntimeWarning: It is from the future: the clock was set back.

    Example:
        >>> manager = tb.CheckpointManager("run", max_to_keep=3)
        >>> weights = manager.load() if manager.latest_checkpoint else new_weights()
        >>> manager.save(weights)
        'run/ckpt-1'
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float | None = None,
        checkpoint_name: str = "ckpt",
        **save_options: Unpack[SaveOptions],
    ) -> None:
        self._directory = os.fsdecode(directory)
        self._max_to_keep = _checked_count(max_to_keep)
        self._keep_seconds = _checked_hours(keep_checkpoint_every_n_hours) * 3600.0
        self._prefix = os.path.join(self._directory, _checked_name(checkpoint_name))
        self._save_options = _checked_options(save_options)
        # Prefix -> time of saving, of what is to be removed one day; oldest first.
        self._active: dict[str, float] = {}
        self._latest: str | None = None
        self._last_preserved = 0.0
        self._recover(time.time())

    @property
    def directory(self) -> str:
        """The directory, as it was given."""
        return self._directory

    @property
    def checkpoints(self) -> list[str]:
        """Prefixes of the checkpoints that are managed, oldest first; without those that stay for good."""
        return list(self._active)

    @property
    def latest_checkpoint(self) -> str | None:
        """Prefix of the newest checkpoint, or None before the first."""
        return self._latest

    def save(
        self,
        tensors: Mapping[str, ArrayLike] | Iterable[tuple[str, ArrayLike]],
        checkpoint_number: SupportsIndex | None = None,
    ) -> str:
        """Saves a checkpoint, records it in the ``checkpoint`` file, and then removes what is too old.

        Whatever the moment of a crash, the file names a checkpoint that is complete.

        Args:
            tensors: Arrays by name, as for :func:`tensorbundle.save`.
            checkpoint_number: Its number; a checkpoint of that number is replaced. None: one more than any that the
                directory has, or that this manager knows.

        Returns:
            Its prefix.

        Raises:
            TypeError, ValueError: A wrong argument, before anything has been written.
            OSError: It can't be saved, and everything is as it was; or it is saved, but can't be recorded, or an older
                one can't be removed, which the next call tries again.
        """
        from tensorbundle import writer

        number = self._next_number() if checkpoint_number is None else _checked_number(checkpoint_number)
        prefix = f"{self._prefix}-{number}"
        writer.save(prefix, tensors, **self._save_options)
        self._active.pop(prefix, None)  # A checkpoint that is saved anew is the youngest.
        self._active[prefix] = time.time()
        self._latest = prefix
        # Before anything is removed: the file never names only what is gone.
        self._record(prefix)
        if self._sweep():
            self._record(prefix)
        return prefix

    def open(self, **options: Any) -> Checkpoint:
        """Opens the newest checkpoint, with the options of :func:`tensorbundle.open`.

        Raises:
            FileNotFoundError: There is none yet, or its files are gone.
        """
        from tensorbundle.checkpoint import Checkpoint

        return Checkpoint(self._require_latest(), **options)

    def load(self, names: Iterable[str] | None = None, **options: Any) -> dict[str, NDArray[Any]]:
        """Loads the newest checkpoint, with the options of :func:`tensorbundle.load`.

        Raises:
            FileNotFoundError: There is none yet, or its files are gone.
        """
        from tensorbundle.reading import load

        return load(self._require_latest(), names, **options)

    def __repr__(self) -> str:
        return f"<tensorbundle.CheckpointManager {self._directory!r}: {len(self._active)} checkpoints>"

    def _require_latest(self) -> str:
        if self._latest is None:
            raise FileNotFoundError(errno.ENOENT, "no checkpoint has been saved in this directory yet", self._directory)
        return self._latest

    def _recover(self, now: float) -> None:
        """Continues from the state file, as TensorFlow's manager does."""
        state = CheckpointState.read(self._directory)
        if state is None:
            # A second ago: what is saved at once, when the clock has not moved on, is younger than this.
            self._last_preserved = now - 1.0
            return
        self._latest = state.model_checkpoint_path
        self._last_preserved = state.last_preserved_timestamp
        if now < self._last_preserved:
            behind = self._last_preserved - now
            callers.warn(f"the clock is {behind:.0f} s behind the checkpoints in {self._directory!r}", RuntimeWarning)
            self._last_preserved = now
        paths = state.all_model_checkpoint_paths
        times = state.all_model_checkpoint_timestamps or (self._last_preserved,) * len(paths)
        for prefix, saved in zip(paths, times, strict=False):
            # What is not younger than the last one that stays for good may be that one, and stays as well.
            if min(saved, now) > self._last_preserved and "\0" not in prefix:
                self._active[prefix] = min(saved, now)

    def _record(self, latest: str) -> None:
        """Writes the state file."""
        state = CheckpointState(latest, tuple(self._active), tuple(self._active.values()), self._last_preserved)
        state.write(self._directory, durable=self._save_options.get("durable", True))

    def _sweep(self) -> bool:
        """Removes the oldest checkpoints, or lets them stay for good, until there are no more than wanted.

        Returns:
            True if the list has changed.
        """
        before = len(self._active)
        while self._max_to_keep is not None and len(self._active) > self._max_to_keep:
            prefix, saved = next(iter(self._active.items()))
            if self._keep_seconds and saved - self._keep_seconds >= self._last_preserved:
                self._last_preserved = saved
            elif self._owns(prefix):
                _remove(prefix)
            del self._active[prefix]
        return len(self._active) < before

    def _owns(self, prefix: str) -> bool:
        """True for a checkpoint inside the directory, by its name or by where links lead.

        A state file may come with a copied directory and name, by absolute paths, the checkpoints of the original.
        """
        if files.relative(prefix, self._directory) is not None:
            return True
        parent = os.path.realpath(os.path.dirname(prefix))
        return files.relative(os.path.join(parent, "x"), os.path.realpath(self._directory)) is not None

    def _next_number(self) -> int:
        """One more than the highest number of this name in the directory, also of what is not managed."""
        directory, name = os.path.split(self._prefix)
        number = re.compile(rf"{re.escape(name)}-([0-9]{{1,18}})(?:\.index|{_DATA_SUFFIX})?")
        known = [os.path.basename(prefix) for prefix in (*self._active, self._latest or "")]
        with contextlib.suppress(FileNotFoundError):
            known += os.listdir(directory or os.curdir)
        return max((int(match[1]) for match in map(number.fullmatch, known) if match), default=0) + 1


def _remove(prefix: str) -> None:
    """Removes a checkpoint's files, as far as they are there; first the index, without which the rest means nothing."""
    _unlink(prefix + ".index")
    directory, name = os.path.split(prefix)
    data_file = re.compile(re.escape(name) + _DATA_SUFFIX)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for file in sorted(os.listdir(directory or os.curdir)):
            if data_file.fullmatch(file):
                _unlink(os.path.join(directory, file))


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def _checked_count(max_to_keep: SupportsIndex | None) -> int | None:
    if max_to_keep is None:
        return None
    count = _integer("max_to_keep", max_to_keep)
    if count < 1:
        raise ValueError(f"max_to_keep must be positive, or None to keep all, not {count}")
    return count


def _checked_hours(hours: float | None) -> float:
    """The hours as a number; 0 for None."""
    if hours is not None and not hours >= 0:
        raise ValueError(f"keep_checkpoint_every_n_hours must be None or a number of hours, not {hours!r}")
    return float(hours or 0)


def _checked_name(name: str) -> str:
    if os.path.isabs(name) or ".." in name.split(os.sep) or not os.path.basename(name) or "\0" in name:
        raise ValueError(f"checkpoint_name must be a name inside the directory, not {name!r}")
    return name


def _checked_number(number: SupportsIndex) -> int:
    checked = _integer("checkpoint_number", number)
    if checked < 0:
        raise ValueError(f"checkpoint_number must not be negative: {checked}")
    return checked


def _integer(what: str, value: SupportsIndex) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    return operator.index(value)


def _checked_options(options: SaveOptions) -> SaveOptions:
    """The options, the names of which are known now rather than after hours of training."""
    for name in options:
        if name not in SaveOptions.__annotations__:
            raise TypeError(f"CheckpointManager() got an unexpected keyword argument {name!r}")
    return options


CheckpointManager.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
