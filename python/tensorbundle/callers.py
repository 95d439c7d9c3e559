"""Warnings that point at the caller of this package, not into it."""

from __future__ import annotations

import os
import sys
import warnings

# TensorFlow looks for a checkpoint's files by pattern and takes these for more than themselves.
_PATTERN_CHARACTERS = "[\\"


def warn(message: str, category: type[Warning]) -> None:
    """Issues a warning at the first caller outside this package."""
    level = 1
    frame = sys._getframe()  # noqa: SLF001 - there is no public way
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "tensorbundle":
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def warn_of_patterns(path: str) -> None:
    """Issues a warning if TensorFlow would not find a checkpoint of this prefix."""
    absolute = os.path.abspath(path)
    for character in _PATTERN_CHARACTERS:
        if character in absolute:
            warn(
                f"TensorFlow will not find this checkpoint: it takes {character!r} in {absolute!r} for a pattern",
                UserWarning,
            )
            return
