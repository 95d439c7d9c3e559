"""A hidden directory beside the target, in which everything is written before it gets its name.

Whoever fills it has it locked. So the next conversion to the same target can tell what a killed one has left from what
somebody is writing, as saving does with its temporary files.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from typing import TYPE_CHECKING

from tensorbundle import files, locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MARK = ".converting-"
_LOCK = "lock"
_GONE = "-gone"
_MAX_STEM_BYTES = 200
_TOKEN = re.compile(rf"[0-9a-f]{{16}}({_GONE})?")
# Where directories can't be locked, one that nobody has touched for so long is a leftover.
_UNTOUCHED_SECONDS = 24 * 3600.0


@contextlib.contextmanager
def workspace(directory: str, stem: str, take_back: Callable[[str, str], object]) -> Iterator[str]:
    """A context that has such a directory, which is gone afterwards, with what is still in it.

    Tasks that still write there when it goes find their files gone; see :class:`Watch`. Directories that had to be made
    for it go again if the context ends with an exception.

    Args:
        directory: Where the target will be; made if it is missing.
        stem: The beginning of the target's name.
        take_back: Called with ``directory`` and the path of what a killed conversion has left there, before that goes.

    Raises:
        OSError: The system refuses.
    """
    made = files.make_directories(directory, durable=False)
    try:
        path, descriptor = _made(directory, f".{_shortened(stem)}{_MARK}", take_back)
        try:
            yield path
        finally:
            _remove(path)
            locks.release(descriptor)
    except BaseException:
        for above in made:
            with contextlib.suppress(OSError):  # It isn't empty: somebody else writes there, too.
                os.rmdir(above)
        raise


def _shortened(stem: str) -> str:
    """As much of the target's name as leaves room for the rest, where a name may have 255 bytes."""
    return os.fsdecode(os.fsencode(stem)[:_MAX_STEM_BYTES])


def _made(directory: str, prefix: str, take_back: Callable[[str, str], object]) -> tuple[str, int]:
    """A new directory, locked, once leftovers are gone. One at a time: a new one isn't locked from the start."""
    with locks.directory_lock(directory):
        for name in os.listdir(directory):
            if name.startswith(prefix) and _TOKEN.fullmatch(name, len(prefix)):
                _remove_leftover(directory, name, take_back)
        path = os.path.join(directory, prefix + os.urandom(8).hex())
        os.mkdir(path)
        # A file of its own: the directory itself is locked by whoever saves a part of a checkpoint in it.
        descriptor = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
        locks.try_lock(descriptor)
        return path, descriptor


def _remove_leftover(directory: str, name: str, take_back: Callable[[str, str], object]) -> None:
    """Removes the directory of a conversion that is dead."""
    path = os.path.join(directory, name)
    try:
        descriptor = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # Killed before it had the lock, or while it removed the rest.
        _remove(path)
        return
    except OSError:
        return  # Somebody else's, who may be at work.
    try:
        is_free = locks.try_lock(descriptor)
        untouched = time.time() - os.stat(path).st_mtime
        if is_free or (is_free is None and untouched > _UNTOUCHED_SECONDS):
            take_back(directory, path)
            _remove(path)
    finally:
        locks.release(descriptor)


def _remove(path: str) -> None:
    """Takes the name away, by which tasks see that they are no longer wanted, and then removes what is there."""
    gone = path.removesuffix(_GONE) + _GONE
    with contextlib.suppress(OSError):
        os.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)
    # A task may have added a file while the others went: its next look at the directory ends it.
    shutil.rmtree(gone, ignore_errors=True)
