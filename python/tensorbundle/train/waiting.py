"""``checkpoints_iterator``: one checkpoint after the other, as somebody else saves them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tensorbundle.train.states import latest_checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

# The directory is looked at so often.
_INTERVAL_SECONDS = 1.0


def checkpoints_iterator(
    checkpoint_dir: str | os.PathLike[str],
    min_interval_secs: float = 0,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """Waits for new checkpoints of a directory and gives the newest, again and again.

    Args:
        checkpoint_dir: Where they will be; it needn't exist yet.
        min_interval_secs: At least so many seconds lie between two.
        timeout: Seconds to wait for a new one; None: for ever.
        timeout_fn: Called when these are over; if it gives true, or isn't there, the iteration ends.

    Yields:
        Prefixes. One that has been replaced before anybody asked is left out.

    Raises:
        DataLossError: The ``checkpoint`` file names no checkpoint.
    """
    last: str | None = None
    while True:
        found = _wait(checkpoint_dir, last, timeout)
        if found is None:
            if timeout_fn is None or timeout_fn():
                return
            continue
        start = time.monotonic()
        last = found
        yield found
        _sleep_until(start + min_interval_secs)


def _wait(directory: str | os.PathLike[str], last: str | None, timeout: float | None) -> str | None:
    """The latest checkpoint as soon as it is another than ``last``; None if that takes too long."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        found = latest_checkpoint(directory)
        if found is not None and found != last:
            return found
        now = time.monotonic()
        if end is not None and now >= end:
            return None
        _sleep_until(now + _INTERVAL_SECONDS if end is None else min(now + _INTERVAL_SECONDS, end))


def _sleep_until(moment: float) -> None:
    rest = moment - time.monotonic()
    if rest > 0:
        time.sleep(rest)
