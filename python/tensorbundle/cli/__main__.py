"""``tensorbundle`` on the command line, and ``python -m tensorbundle.cli``."""

from __future__ import annotations

import atexit
import gc
import sys

_OBJECTS_UNTIL_COLLECTION = 100_000


def main() -> None:
    """Runs the command; says what to install if its own dependencies are missing."""
    _collect_less()
    # What stdout can't encode is escaped, as on stderr, and no error.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments = sys.argv[1:]
        if _is_plain_list(arguments):
            sys.exit(_list(arguments[1], arguments[2:]))
        _run()
    except KeyboardInterrupt:  # Before or after the command, which says it by itself.
        sys.stderr.write("tensorbundle: interrupted\n")
        sys.exit(130)


def _run() -> None:
    try:
        from tensorbundle.cli.app import app
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write('the command line needs click and rich: pip install "tensorbundle[cli]"\n')
        sys.exit(2)
    app(prog_name="tensorbundle")


def _collect_less() -> None:
    """Spares a short command a fifth of its time.

    Importing makes tens of thousands of objects, none of which is garbage. Python looks for it again and again
    meanwhile, and among all of them once more at the end, when the process gives its memory back anyhow. So it is with
    the lists of 200,000 tensors, which live until the end.
    """
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION, 50, 50)
    atexit.register(gc.freeze)


def _is_plain_list(arguments: list[str]) -> bool:
    """True for ``ls PATH [PATTERN...]``: without options it needs no click, whose import takes longer than the rest."""
    return arguments[:1] == ["ls"] and len(arguments) > 1 and not any(each.startswith("-") for each in arguments)


def _list(path: str, patterns: list[str]) -> int:
    from tensorbundle.cli import failures, listing

    try:
        with failures.flushed():
            return listing.run(path, patterns)
    except BaseException as error:  # noqa: BLE001 - whatever it is, users get one line
        return failures.end(error)


if __name__ == "__main__":
    main()
