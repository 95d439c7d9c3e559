"""The options of opening and reading, and the warning of what opening found."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Literal

from tensorbundle import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Issues one warning if some tensors can't be read; it points at the caller of this package."""
    problems = dict(native.problems())
    if problems:
        message = _problems_message(problems, len(native), native.prefix)
        warnings.warn(message, errors.DamageWarning, stacklevel=_stack_level())


def _problems_message(problems: Mapping[str, Exception], total: int, path: str) -> str:
    """How many tensors can't be read, and why: missing files by their path, and the first of other reasons."""
    reasons: dict[str, int] = {}
    for problem in problems.values():
        reason = str(problem)
        if isinstance(problem, OSError) and problem.errno and problem.filename:
            # Without the tensor's name, so that a data file is named once for all its tensors.
            reason = f"{os.strerror(problem.errno)}: {problem.filename!r}"
        reasons[reason] = reasons.get(reason, 0) + 1
    shown = [f"{reason} ({count} tensors)" if count > 1 else reason for reason, count in reasons.items()]
    more = len(shown) - _MAX_REASONS
    listed = "; ".join(shown[:_MAX_REASONS]) + (f"; and {more} more reasons" if more > 0 else "")
    others = ", the others can" if len(problems) < total else ""
    return f"{len(problems)} of {total} tensors in {path!r} can't be read{others}: {listed}"


def _stack_level() -> int:
    """For warnings: how far up the first caller outside this package is, seen from the caller of this function."""
    level = 1
    frame = sys._getframe(1)  # noqa: SLF001 - there is no public way
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "tensorbundle":
        frame = frame.f_back
        level += 1
    return level
