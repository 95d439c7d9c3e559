"""``tensorbundle ls``, from the start of the process to its end."""

import re

from benchmarks.python.rivals import program

_LINE = re.compile(r"(\S+) +(\w+) +\[([0-9, ]*)\] ")


def prepare(job):
    return job.prefix


def run(prefix, _turn):
    return program.run_module("tensorbundle.cli", "ls", prefix)


def answer(output):
    lines = filter(None, map(_LINE.match, output.splitlines()))
    return {"listing": [(line[1], line[2], tuple(map(int, line[3].split(",") if line[3] else ()))) for line in lines]}
