"""Processes that a command starts, and that Ctrl-C leaves to it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class WorkerPool(concurrent.futures.ProcessPoolExecutor):
    """Processes to which a terminal's Ctrl-C is nothing: they would all print where they were, the youngest at once.

    The command gets it, and its tasks end when they see that they are no longer wanted.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        # A forked child would have what this process has locked.
        super().__init__(count, multiprocessing.get_context("spawn"))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Starts processes as they are needed; what is blocked here stays so in them."""
        with _interrupts_held_back():
            return super().submit(fn, *args, **kwargs)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
