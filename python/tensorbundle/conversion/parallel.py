"""The pieces of one job, done by several threads, while the calling one listens for signals and tells how it goes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tensorbundle.conversion.watching import Watch

_POLL_SECONDS = 0.05


class _Piece(Protocol):
    @property
    def nbytes(self) -> int: ...
    @property
    def name(self) -> str: ...


_P = TypeVar("_P", bound=_Piece)


def for_each(pieces: Iterable[_P], do: Callable[[_P], object], *, threads: int, watch: Watch) -> None:
    """Calls ``do`` for each piece, in their order, by at most so many threads; returns when all are done.

    Raises:
        CancelledError: See :class:`Watch`.
        BaseException: Whatever ``do`` raised first, or a signal's handler. No piece is begun after that.
    """
    crew = _Crew(pieces, do)
    workers = [threading.Thread(target=crew.work) for _ in range(threads)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(_POLL_SECONDS)
                watch.advance(*crew.take_progress())
    finally:
        crew.stop()
        for worker in workers:
            if worker.ident is not None:  # It was started.
                worker.join()
    crew.raise_failure()


class _Crew(Generic[_P]):
    """What the threads share."""

    def __init__(self, pieces: Iterable[_P], do: Callable[[_P], object]) -> None:
        self._pieces = iter(pieces)
        self._do = do
        self._lock = threading.Lock()
        self._stopped = False
        self._failure: BaseException | None = None
        self._done = 0
        self._name = ""

    def work(self) -> None:
        try:
            while (piece := self._next()) is not None:
                self._do(piece)
                with self._lock:
                    self._done += piece.nbytes
                    self._name = piece.name
        except BaseException as error:  # noqa: BLE001 - the calling thread raises it
            self._failure = self._failure or error
            self._stopped = True

    def _next(self) -> _P | None:
        with self._lock:
            return None if self._stopped else next(self._pieces, None)

    def take_progress(self) -> tuple[int, str]:
        """Bytes done since the last call, and a tensor that they are of."""
        with self._lock:
            done, self._done = self._done, 0
            return done, self._name

    def stop(self) -> None:
        self._stopped = True

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
