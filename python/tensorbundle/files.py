"""What is at a path, what a path means, replacing a small file at one stroke, and bringing files to the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COPY_BYTES = 1 << 20
# A message names this many files.
_MAX_LISTED = 5


def is_file(path: str) -> bool:
    """True for a regular file. The system's refusal to look is an error."""
    return stat.S_ISREG(_mode(path))


def is_directory(path: str) -> bool:
    """True for a directory. The system's refusal to look is an error."""
    return stat.S_ISDIR(_mode(path))


def _mode(path: str) -> int:
    """Type and permissions of what is at ``path``, 0 for nothing."""
    try:
        return os.stat(path).st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return 0
        raise


def listed(paths: Sequence[str]) -> str:
    """For a message: the first of these paths, and how many there are besides."""
    shown = ", ".join(repr(path) for path in paths[:_MAX_LISTED])
    more = len(paths) - _MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def absolute(path: str) -> str:
    """The path from the root, tidied as far as that can't change its meaning: ``..`` may follow a symbolic link."""
    # The working directory may be gone, which is nothing to an absolute path.
    from_root = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    if ".." in from_root.split(os.sep):
        return from_root
    tidy = os.path.normpath(from_root)
    return tidy if os.path.basename(from_root) else os.path.join(tidy, "")


def relative(path: str, directory: str) -> str | None:
    """The path seen from a directory that it lies in, by its name; None if it doesn't."""
    base = os.path.join(absolute(directory), "")
    from_root = absolute(path)
    if not from_root.startswith(base):
        return None
    inside = from_root[len(base) :]
    return None if not inside or ".." in inside.split(os.sep) else inside


def make_directories(path: str, *, durable: bool) -> list[str]:
    """Makes a directory, and those above it that are missing.

    Returns:
        What was made, the lowest one first.
    """
    made = []
    above = absolute(path)
    while not is_directory(above) and os.path.dirname(above) != above:
        made.append(above)
        above = os.path.dirname(above)
    os.makedirs(path, exist_ok=True)
    if durable:
        for directory in reversed(made):
            sync_directory(os.path.dirname(directory))
    return made


def replace(path: str, content: bytes, *, durable: bool) -> None:
    """Puts a file in place of what is at ``path``: there is the old content or the new one at any moment.

    Args:
        path: Where; its directory exists.
        content: All of the new file.
        durable: True: the new file survives a power cut. False: it survives the end of the process.

    Raises:
        OSError: It can't be written. What was there is there still.
    """
    with _replacing(path, durable) as descriptor:
        _write_all(descriptor, content)


def copy(source: str, path: str, *, durable: bool) -> None:
    """Puts a copy of a file in place of what is at ``path``, as :func:`replace` does."""
    with open(source, "rb") as file, _replacing(path, durable) as descriptor:
        while block := file.read(_COPY_BYTES):
            _write_all(descriptor, block)


@contextlib.contextmanager
def _replacing(path: str, durable: bool) -> Iterator[int]:
    """The descriptor of a new file, which has the name when the block ends, and is gone if that raises."""
    import secrets  # Which takes longer to import than all else here.

    temporary = f"{path}.tmp{secrets.token_hex(16)}"  # As TensorFlow names its own.
    try:
        with open(temporary, "xb", buffering=0) as file:
            yield file.fileno()
            if durable:
                _sync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path) or os.curdir)


def sync_tree(directory: str) -> None:
    """Returns once a directory is on the disk with every file and directory in it. Links are not followed.

    Raises:
        OSError: The system can't open or write something of it.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                sync_tree(entry.path)
            elif entry.is_file(follow_symlinks=False):
                _sync_file(entry.path)
    sync_directory(directory)


def sync_directory(directory: str) -> None:
    """Returns once the names in a directory are on the disk, where the file system knows such a thing."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(descriptor: int) -> None:
    """Returns once the bytes are on the disk, and not merely in its cache, as far as the system can tell."""
    import fcntl

    full = getattr(fcntl, "F_FULLFSYNC", None)  # On macOS, where fsync leaves them in that cache.
    if full is not None:
        with contextlib.suppress(OSError):  # Some file systems don't know it.
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
