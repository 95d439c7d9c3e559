"""How far a task has come, and whether it is still wanted."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorbundle.progress import ProgressFunction

_INTERVAL_SECONDS = 0.05


class CancelledError(Exception):
    """The conversion that a task belongs to has ended."""


class Watch:
    """Counts the bytes that a task has dealt with.

    Args:
        workspace: The directory that the task writes to; when it goes, the task is no longer wanted.
        report: What to tell, or None.
        done: Bytes of tasks before this one.
        total: Bytes of all tasks.
    """

    def __init__(self, workspace: str, report: ProgressFunction | None = None, done: int = 0, total: int = 0) -> None:
        self._workspace = workspace
        self._report = report
        self._done = done
        self._total = total
        self._due = time.monotonic() + _INTERVAL_SECONDS

    def advance(self, nbytes: int, name: str) -> None:
        """So many bytes more; ``name`` is the tensor they are of. Called by one thread, often.

        Raises:
            CancelledError: The task is no longer wanted.
        """
        self._done += nbytes
        if time.monotonic() < self._due:
            return
        self.check()
        if self._report is not None:
            self._report(self._done, self._total, name)
        self._due = time.monotonic() + _INTERVAL_SECONDS

    def check(self) -> None:
        """Raises ``CancelledError`` if the task is no longer wanted."""
        if not os.path.isdir(self._workspace):
            raise CancelledError(f"{self._workspace!r} is gone, and what was to be written there is no longer wanted")
