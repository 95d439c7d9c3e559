"""The options of opening and reading, and the warning of what opening found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from tensorbundle import callers, errors, files

if TYPE_CHECKING:
    from tensorbundle import _core

# More threads than this would only wait for each other.
_MAX_THREADS = 1024
# A warning names this many reasons.
_MAX_REASONS = 3

_ACCESS: dict[bool | None, Literal["auto", "map", "read"]] = {None: "auto", True: "map", False: "read"}


def access(mmap: object) -> Literal["auto", "map", "read"]:
    """The native module's word for ``mmap``."""
    if isinstance(mmap, str) and mmap == "c":
        raise errors.UnimplementedError('mmap="c" (private, writable views) is reserved and not supported yet')
    if mmap is not None and not isinstance(mmap, bool):
        raise TypeError(f"mmap must be None, True or False, not {mmap!r}")
    return _ACCESS[mmap]


def thread_count(threads: int | None) -> int:
    """The native module's number of threads, in which 0 means all."""
    if threads is None:
        return 0
    if isinstance(threads, bool) or not hasattr(threads, "__index__"):
        raise TypeError(f"threads must be None or an integer, not {threads!r}")
    count = threads.__index__()
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return min(count, _MAX_THREADS)


def check_copy(copy: object, has_out: bool) -> None:
    """Refuses a ``copy`` that is none of NumPy's three, or that an output array contradicts."""
    if copy is not None and not isinstance(copy, bool):
        raise TypeError(f"copy must be None, True or False, not {copy!r}")
    if copy is False and has_out:
        raise ValueError("copy=False asks for a view, which out= excludes")


def warn_of_problems(native: _core.Checkpoint) -> None:
    """Issues one warning if shards are missing or tensors can't be read; it points at the caller of this package."""
    found = [text for text in (_missing_shards(native), _problems(native)) if text]
    if found:
        callers.warn("; ".join(found), errors.DamageWarning)


def _missing_shards(native: _core.Checkpoint) -> str:
    missing = native.missing_shards
    if not missing:
        return ""
    return (
        f"{len(missing)} of the {native.num_shards} shards of {native.prefix!r} are missing: {files.listed(missing)}; "
        "what they alone hold can't be listed"
    )


def _problems(native: _core.Checkpoint) -> str:
    num_problems, num_reasons, reasons = native.problem_reasons(_MAX_REASONS)
    if num_problems == 0:
        return ""
    shown = [_reason(error) + (f" ({count} tensors)" if count > 1 else "") for error, count in reasons]
    more = num_reasons - len(shown)
    listed = "; ".join(shown) + (f"; and {more} more reasons" if more > 0 else "")
    others = ", the others can" if num_problems < len(native) else ""
    return f"{num_problems} of {len(native)} tensors in {native.prefix!r} can't be read{others}: {listed}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno and error.filename:
        # Without the tensor's name: the file is the problem of all its tensors.
        return f"{os.strerror(error.errno)}: {error.filename!r}"
    return str(error)
