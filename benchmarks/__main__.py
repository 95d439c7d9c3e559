"""``python -m benchmarks [report]``."""

import sys

from benchmarks.python import report, run


def main():
    arguments = sys.argv[1:]
    return report.main(arguments[1:]) if arguments[:1] == ["report"] else run.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
