"""Tasks of conversions that end badly; modules of worker processes import them by name."""

from __future__ import annotations

import os
import signal
import time

from tensorbundle.conversion import tasks

# Before a test puts one of these in its place.
_run = tasks.run


def dying(task: tasks.Task) -> int:
    """Dies in the midst of the second file."""
    if task.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return _run(task)


def failing(task: tasks.Task) -> int:
    """Raises what nobody expects, for the second file."""
    if task.number == 1:
        raise LookupError("what is this")
    return _run(task)


def slow(task: tasks.Task) -> int:
    """Takes its time."""
    time.sleep(30 if task.number else 0)
    return _run(task)
