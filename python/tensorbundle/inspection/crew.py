"""Threads that go through many tensors, how far they have come, and how they are stopped."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from typing import TYPE_CHECKING, TypeVar

from tensorbundle import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from tensorbundle.progress import ProgressFunction

    # Called with bytes that are done and the name of their tensor; raises if the work is to end.
    Tick: TypeAlias = Callable[[int, str], None]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# How often the calling thread looks for signals and reports.
_SECONDS = 0.05
# Items that have been given to threads and not been fetched: enough to keep all busy.
_AHEAD = 4


class _StoppedError(Exception):
    """The work ends because of an error elsewhere."""


class Crew:
    """Does the same to each of many things.

    Args:
        threads: As users give it: None for as many as this process may run on.
        total: Bytes that there are to do in all.
        report: Called from the calling thread; what it raises ends the work.
    """

    def __init__(self, threads: int | None, total: int, report: ProgressFunction | None) -> None:
        self._threads = opening.thread_count(threads) or _processors()
        self._total = total
        self._report = report
        self._lock = threading.Lock()
        self._done = 0
        self._name = ""
        self._stopped = False

    def run(self, work: Callable[[_Item, Tick], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
        """What ``work(item, tick)`` gives for each item, in their order."""
        if self._threads == 1 or len(items) == 1:
            yield from self._alone(work, items)
        else:
            yield from self._together(work, items)

    def _alone(self, work: Callable[[_Item, Tick], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        def tick(nbytes: int, name: str) -> None:
            self._tick(nbytes, name)
            self._tell()

        for item in items:
            yield work(item, tick)

    def _together(self, work: Callable[[_Item, Tick], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        waiting: list[concurrent.futures.Future[_Result]] = []
        with concurrent.futures.ThreadPoolExecutor(self._threads) as pool:
            try:
                for item in items:
                    waiting.append(pool.submit(work, item, self._tick))
                    if len(waiting) > self._threads * _AHEAD:
                        yield self._result(waiting.pop(0))
                while waiting:
                    yield self._result(waiting.pop(0))
            except BaseException:
                self._stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _result(self, future: concurrent.futures.Future[_Result]) -> _Result:
        while not future.done():
            concurrent.futures.wait([future], _SECONDS)
            self._tell()
        return future.result()

    def _tick(self, nbytes: int, name: str) -> None:
        if self._stopped:
            raise _StoppedError
        with self._lock:
            self._done += nbytes
            self._name = name

    def _tell(self) -> None:
        if self._report is not None:
            self._report(self._done, self._total, self._name)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def batches(items: Iterable[_Item], size_of: Callable[[_Item], int], max_bytes: int) -> list[list[_Item]]:
    """Runs of items of at most so many bytes together, and a larger item alone: a small one isn't worth a call."""
    runs: list[list[_Item]] = []
    left = 0
    for item in items:
        size = size_of(item) + 1  # Many empty ones take time, too.
        if not runs or size > left:
            runs.append([])
            left = max_bytes
        runs[-1].append(item)
        left -= size
    return runs
