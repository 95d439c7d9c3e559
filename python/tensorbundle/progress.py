"""How far a long call has come: a function of the user's, or a bar on the terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    ProgressFunction: TypeAlias = Callable[[int, int, str], object]


@contextlib.contextmanager
def reporting(progress: bool | ProgressFunction | None, title: str) -> Iterator[ProgressFunction | None]:
    """The function to call with (bytes done, bytes in total, name of a tensor), or None.

    Args:
        progress: Such a function, or True for a bar on stderr: shown if that is a terminal and ``rich`` is installed.
        title: What the bar is of.

    Raises:
        TypeError: ``progress`` is something else.
    """
    if progress is None or progress is False:
        yield None
    elif progress is not True:
        if not callable(progress):
            raise TypeError(f"progress must be True or a function (done, total, name), not {progress!r}")
        yield progress
    elif not sys.stderr.isatty():
        yield None
    else:
        with _bar(title) as update:
            yield update


@contextlib.contextmanager
def _bar(title: str) -> Iterator[ProgressFunction | None]:
    try:
        from rich import console, progress
    except ImportError:
        yield None
        return
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def update(done: int, total: int, _name: str) -> None:
            bar.update(task, completed=done, total=total)

        yield update
