"""``tensorbundle`` on the command line, and ``python -m tensorbundle.cli``."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command; says what to install if its own dependencies are missing."""
    try:
        from tensorbundle.cli.app import app
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write('the command line needs click and rich: pip install "tensorbundle[cli]"\n')
        sys.exit(2)
    app(prog_name="tensorbundle")


if __name__ == "__main__":
    main()
