"""The place in a base directory where a version is made before it has its name, and where old ones are taken apart."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import time
from typing import TYPE_CHECKING

from tensorbundle import files, locks

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

# Servers pass over what is no number, and people over what begins with a dot.
_PREFIX = ".publishing-"
_NAME = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{16}")
_LOCK = "lock"
_MOST_ATTEMPTS = 100
# Where files can't be locked, nobody works on what has not changed for this long.
_DAY_SECONDS = 24 * 3600.0


class Workshop:
    """A directory of one publisher's own, in a base directory; as a context manager it is there within the block.

    It has a file that its publisher holds a lock on for as long as it lives. The system gives up the locks of the dead:
    so a workshop whose lock can be had is a leftover, which the next one removes.

    Args:
        base: Absolute path of the base directory; made if it isn't there, and then removed if nothing was published.

    Attributes:
        base: The same.
        new: Path of the directory for the new version.
        made: Directories that were not there before.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self.new = ""
        self.made: list[str] = []
        self._path = ""
        self._lock: int | None = None

    def open_up(self) -> None:
        """Lets us rename, and one day remove, what may be a copy of a directory that is only for reading."""
        _open_up(self.new)

    def publish(self) -> None:
        """Says that the new version has its name: from now on the base directory stays."""
        self.made = []

    def take(self, path: str) -> None:
        """Moves what is at ``path`` in here, to be removed at the end; nothing, if it is gone already."""
        target = os.path.join(self._path, "old-" + os.path.basename(path))
        with contextlib.suppress(FileNotFoundError):
            try:
                os.rename(path, target)
            except PermissionError:
                _grant(path)
                os.rename(path, target)

    def __enter__(self) -> Self:
        try:
            self._open()
            _sweep(self.base)
            os.mkdir(self.new)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None:
            self._abandon()
            return
        try:
            _demolish(self._path)
        finally:
            self._release()

    def _abandon(self) -> None:
        """Removes what can be removed; the error that led here says more than another would."""
        with contextlib.suppress(OSError):
            _demolish(self._path)
        self._release()
        with contextlib.suppress(OSError):
            for directory in reversed(self.made):
                os.rmdir(directory)

    def _release(self) -> None:
        if self._lock is not None:
            locks.release(self._lock)
            self._lock = None

    def _open(self) -> None:
        """Makes the directory, and locks it."""
        for _ in range(_MOST_ATTEMPTS):
            self._path = os.path.join(self.base, _PREFIX + secrets.token_hex(8))
            self.new = os.path.join(self._path, "new")
            lock = os.path.join(self._path, _LOCK)
            self.made += _make_directories(self.base)
            # Whoever looks for leftovers may come before the lock, and another publisher take the base away.
            with contextlib.suppress(FileNotFoundError):
                os.mkdir(self._path)
                self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                if locks.try_lock(self._lock) is not False and os.path.exists(lock):
                    return
                self._release()
        raise FileExistsError(errno.EEXIST, "can't make a directory to publish from", self.base)


def _make_directories(path: str) -> list[str]:
    """Makes a directory, with parents; returns those that are new."""
    missing = []
    while not files.is_directory(path):
        missing.append(path)
        path = os.path.dirname(path)
    made = []
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory)
            made.append(directory)
    return made


def _sweep(base: str) -> None:
    """Removes what killed publishers have left, as far as the system lets us."""
    for name in os.listdir(base):
        if _NAME.fullmatch(name) is not None:
            with contextlib.suppress(OSError):
                _remove_leftover(os.path.join(base, name))


def _remove_leftover(path: str) -> None:
    try:
        lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        # Not locked yet, or what is left of one that is being removed: not removed unless it is empty.
        os.rmdir(path)
        return
    try:
        locked = locks.try_lock(lock)
        idle_seconds = time.time() - os.stat(path).st_mtime
        if locked or (locked is None and idle_seconds > _DAY_SECONDS):
            _demolish(path)
    finally:
        locks.release(lock)


def _demolish(workshop: str) -> None:
    """Removes a workshop; last the lock, without which it could not be told from one that is being made."""
    for name in os.listdir(workshop):
        if name != _LOCK:
            _remove(os.path.join(workshop, name))
    os.unlink(os.path.join(workshop, _LOCK))
    with contextlib.suppress(FileNotFoundError):  # An empty one is anybody's to remove.
        os.rmdir(workshop)


def _remove(path: str) -> None:
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
    else:
        _open_up(path)
        shutil.rmtree(path)


def _open_up(directory: str) -> None:
    """Lets the owner change every directory in a directory, and itself."""
    _grant(directory)
    for folder, names, _ in os.walk(directory):
        for name in names:
            _grant(os.path.join(folder, name))


def _grant(directory: str) -> None:
    """Lets the owner change a directory. Others may not, and are told so when they try."""
    with contextlib.suppress(OSError):
        mode = os.lstat(directory).st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(directory, stat.S_IMODE(mode) | stat.S_IRWXU)
