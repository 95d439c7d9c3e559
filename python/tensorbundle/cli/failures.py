"""How a command ends that fails: one line on stderr, an exit code, and with ``--json`` a document on stdout."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys

from tensorbundle import errors
from tensorbundle.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

WRONG_USE = 2
DAMAGED = 3
INTERNAL = 70  # EX_SOFTWARE of sysexits.h.
INTERRUPTED = 130  # As shells say it: 128 and the number of the signal, here SIGINT's,
NO_READER = 141  # and here SIGPIPE's.

# How names of data files end, of either format.
_DATA_FILE = re.compile(r"-[0-9]{5,}-of-[0-9]{5,}\Z")


def end(
    error: BaseException, outcome: tuple[int, str] | None = None, *, debug: bool = False, as_json: bool = False
) -> int:
    """Says why a command failed.

    Args:
        error: What it raised.
        outcome: Exit code and text, where they are known better than from the error.
        debug: Print the traceback instead of the line.
        as_json: Print a document on stdout, too.

    Returns:
        The exit code.
    """
    code, text = outcome or _outcome(error)
    if code == NO_READER:
        _close_stdout()
        return code
    if debug:
        import traceback

        output.write("".join(traceback.format_exception(error)), err=True)
    else:
        output.write(f"tensorbundle: {output.printable(text)}\n", err=True)
    if _path(error) == output.STDOUT:
        _close_stdout()
    elif as_json and code != INTERRUPTED:
        output.print_json({"error": text, "kind": type(error).__name__, "path": _path(error)})
    return code


@contextlib.contextmanager
def flushed() -> Iterator[None]:
    """A block whose output has left this process when it ends: what can't be written is an error in time."""
    try:
        yield
    finally:
        with output.writing():
            if sys.stdout is not None:
                sys.stdout.flush()


def _outcome(error: BaseException) -> tuple[int, str]:
    """Exit code and text."""
    if _is_lost_data(error):
        return DAMAGED, output.reason(error)
    for kind, code, text in _OUTCOMES:
        if isinstance(error, kind):
            return code, text(error)
    return INTERNAL, _internal_text(error)


def _is_lost_data(error: BaseException) -> bool:
    """True where a data file of a checkpoint is missing: its index is there, so the path was not wrong."""
    says_so = isinstance(error, FileNotFoundError) and (error.strerror or "").endswith(os.strerror(errno.ENOENT))
    return says_so and _DATA_FILE.search(_path(error) or "") is not None


def _internal_text(error: BaseException) -> str:
    named = " ".join(f"{type(error).__name__}: {error}".split())
    return f"internal error: {named}; please report it with what --debug shows"


def _path(error: BaseException) -> str | None:
    path = error.filename if isinstance(error, OSError) else getattr(error, "path", None)
    return os.fsdecode(path) if isinstance(path, (str, bytes)) else None


def _close_stdout() -> None:
    """Sends what is still to be written nowhere: Python would try again at its end, and complain."""
    with contextlib.suppress(OSError, ValueError):  # Tests have a stdout without a descriptor.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


# The first that fits. A ValueError is what the library says of an argument that it can't take.
_OUTCOMES: tuple[tuple[type[BaseException], int, Callable[[Any], str]], ...] = (
    (KeyboardInterrupt, INTERRUPTED, lambda _: "interrupted"),
    (BrokenPipeError, NO_READER, str),
    (errors.DataLossError, DAMAGED, str),
    (errors.InternalError, INTERNAL, _internal_text),
    (errors.TensorBundleError, WRONG_USE, str),
    (OSError, WRONG_USE, output.reason),
    (MemoryError, WRONG_USE, lambda _: "there is not enough memory"),
    (ValueError, WRONG_USE, str),
)
