"""Keeping other processes out with ``flock``, where the file system has it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Whoever keeps a directory for longer is not about to finish: the native writer waits as long.
_PATIENCE_SECONDS = 300.0
_SHORTEST_WAIT_SECONDS = 0.001
_LONGEST_WAIT_SECONDS = 0.02

# What file systems answer that can't lock this, or only what is open for writing.
_CANT_LOCK = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EBADF})


def try_lock(descriptor: int) -> bool | None:
    """Locks an open file or directory until :func:`release`, or until every process that has it is gone.

    Returns:
        True if it is locked now, False if somebody else has it locked, None if this file system can't lock it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _CANT_LOCK:
            return None
        if error.errno != errno.EWOULDBLOCK:
            raise
        return False
    return True


def release(descriptor: int) -> None:
    """Unlocks and closes what :func:`try_lock` was given: a child that was forked meanwhile must not keep the lock."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


@contextlib.contextmanager
def directory_lock(path: str, patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """A context that one process, and one thread, is in at a time. Where directories can't be locked, any number is.

    Raises:
        BlockingIOError: Somebody else has had the directory locked for ``patience`` seconds.
        OSError: It can't be opened.
    """
    give_up = time.monotonic() + patience
    wait = _SHORTEST_WAIT_SECONDS
    while True:
        # Opened each time: another directory may have taken the name, and the lock of the old one keeps nobody out.
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if try_lock(descriptor) is not False:
                yield
                return
        finally:
            release(descriptor)
        if time.monotonic() >= give_up:
            message = f"somebody else has had the directory locked for {patience:g} s"
            raise BlockingIOError(errno.EWOULDBLOCK, message, path)
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
