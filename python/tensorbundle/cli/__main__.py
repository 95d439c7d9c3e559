"""``tensorbundle`` on the command line, and ``python -m tensorbundle.cli``."""

from __future__ import annotations

import atexit
import gc
import sys

_OBJECTS_UNTIL_COLLECTION = 50_000


def main() -> None:
    """Runs the command; says what to install if its own dependencies are missing."""
    _collect_less()
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
    meanwhile, and among all of them once more at the end, when the process gives its memory back anyhow.
    """
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION)
    atexit.register(gc.freeze)


if __name__ == "__main__":
    main()
