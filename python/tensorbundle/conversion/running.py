"""The tasks of a conversion, one after the other or by an executor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorbundle import errors
from tensorbundle.conversion import tasks

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Sequence

    from tensorbundle.conversion.tasks import Task
    from tensorbundle.progress import ProgressFunction

_POLL_SECONDS = 0.05
# What says which tensor or file it is about, and stays what it is.
_TELLING = (errors.TensorBundleError, OSError, ValueError, MemoryError)


def run_all(
    todo: Sequence[Task], executor: concurrent.futures.Executor | None, report: ProgressFunction | None
) -> None:
    """Runs all tasks; when it returns or raises, none of them begins any more.

    Args:
        todo: The tasks.
        executor: What runs them, or None: this thread, one after the other.
        report: What to tell how far they have come: by an executor, after each.

    Raises:
        ConversionError: A task died, or what ran it did. Names the file that it was to write.
        Exception: What a task raised, if that tells by itself what it is about.
    """
    total = sum(task.nbytes for task in todo)
    if executor is None:
        _serially(todo, report, total)
    else:
        _by_executor(todo, executor, report, total)


def _serially(todo: Sequence[Task], report: ProgressFunction | None, total: int) -> None:
    done = 0
    for task in todo:
        done += tasks.run(task, report, done, total)
    if report is not None:
        report(done, total, "")


def _by_executor(
    todo: Sequence[Task], executor: concurrent.futures.Executor, report: ProgressFunction | None, total: int
) -> None:
    import concurrent.futures  # Which takes longer to import than many a conversion.

    futures: dict[concurrent.futures.Future[int], Task] = {}
    done = 0
    try:
        for task in todo:
            futures[_submitted(executor, task)] = task
        pending = set(futures)
        while pending:
            # For no longer than this, so that a signal is met in time.
            ended, pending = concurrent.futures.wait(pending, _POLL_SECONDS, concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                done += _result(future, futures[future])
            if report is not None:
                report(done, total, "")
    finally:
        for future in futures:
            future.cancel()


def _submitted(executor: concurrent.futures.Executor, task: Task) -> concurrent.futures.Future[int]:
    try:
        return executor.submit(tasks.run, task)
    except RuntimeError as error:  # It is broken, or shut down.
        raise errors.ConversionError(f"{task} could not be begun: {type(error).__name__}: {error}") from error


def _result(future: concurrent.futures.Future[int], task: Task) -> int:
    from concurrent.futures import CancelledError

    try:
        return future.result()
    except CancelledError as error:
        raise errors.ConversionError(f"{task} was cancelled") from error
    except _TELLING:
        raise
    except Exception as error:
        raise errors.ConversionError(f"{task} failed: {type(error).__name__}: {error}") from error
