"""Warnings that point at the caller of this package, not into it."""

from __future__ import annotations

import sys
import warnings


def warn(message: str, category: type[Warning]) -> None:
    """Issues a warning at the first caller outside this package."""
    level = 1
    frame = sys._getframe()  # noqa: SLF001 - there is no public way
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "tensorbundle":
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
