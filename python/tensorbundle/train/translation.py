"""From what this package raises to what callers of TensorFlow's readers expect: its classes, and words they look for.

The library's messages have most of those words already. Here come those that only make sense to whoever called a
function of TensorFlow's, and its classes where ours is the system's ``OSError``, which its callers don't catch.
"""

from __future__ import annotations

import os

from tensorbundle import errors

_TRUNCATED = ": truncated: "  # What the native module says of a data file that ends before a tensor does.


def of_opening(error: Exception, path: str) -> Exception:
    """What to raise when ``path`` can't be opened as a checkpoint."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        if os.path.exists(path):
            message = f"Unable to open table file {path}: not an sstable (bad magic number): {error.strerror}"
            return errors.DataLossError(message, path=path)
        message = f"Failed to find any matching files for {path}: {error.strerror}"
        return errors.NotFoundError(message, path=path)
    if isinstance(error, errors.DataLossError) and _is_of_v1(error):
        message = f"Unable to open table file {error.message}"
        return errors.DataLossError(message, path=error.path, tensor=error.tensor, offset=error.offset)
    return _of_system(error) if isinstance(error, OSError) else error


def _is_of_v1(error: errors.DataLossError) -> bool:
    """True for damage in a file of format V1: the native module names the file first, and of V2 that is an index."""
    return error.path is not None and error.message.startswith(f"{error.path}: ") and not error.path.endswith(".index")


def of_reading(error: Exception, name: str) -> Exception:
    """What to raise when tensor ``name`` can't be read."""
    if isinstance(error, OSError):
        return _of_system(error, name)
    if isinstance(error, errors.DataLossError) and _TRUNCATED in error.message:
        message = f"Read less bytes than requested: {error.message}"
        return errors.OutOfRangeError(message, path=error.path, tensor=error.tensor, offset=error.offset)
    return error


def _of_system(error: OSError, name: str | None = None) -> errors.OpError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    about = "" if name is None else f"tensor {name!r}: "
    path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else None
    return errors.OpError(f"{about}{path}; {reason}" if path else f"{about}{reason}", path=path, tensor=name)
