"""The process of one rival: ``python -m benchmarks.python.worker MODULE JOB``.

Reads commands from standard input and answers each with one line of JSON on what was standard output; whatever the
rival prints goes to standard error. Commands: ``check``, ``run TURN``, ``settle`` (look at the answer of the last run,
if it is to be touched, and let go of it and of its files).
"""

import dataclasses
import gc
import importlib
import json
import os
import sys
import time

from benchmarks.python import memory
from benchmarks.python.rivals import Unavailable


@dataclasses.dataclass(frozen=True)
class Job:
    """What a rival has to know.

    Attributes:
        prefix: The checkpoint.
        data: Its one data file.
        bytes: That file's size.
        directory: Where it may put files of its own.
        scratch: A folder for what it saves, where the case saves.
        file: What is in the checkpoint, a name in ``contents.CONTENTS``.
        sizes: Of which sizes, a name in ``contents.SIZES``.
        large_bytes: Size of the tensor where a case saves a single one; 0: ``bytes``.
        threads: How many threads it may use.
        starts: First rows for the case that reads rows.
        truth: What ``answers`` compares with.
        touch: Whether every byte of the answer is read after each run.
    """

    prefix: str
    data: str
    bytes: int
    directory: str
    scratch: str
    file: str
    sizes: str
    large_bytes: int
    threads: int
    starts: tuple[int, ...]
    truth: dict
    touch: bool


class Worker:
    """One rival and its state."""

    def __init__(self, module, job):
        self._rival = importlib.import_module(module)
        self._job = job
        self._state = self._rival.prepare(job)
        self._result = None

    def check(self):
        """The thorough look at one answer. Says how long the rival's first run took, if it was a run."""
        first, result = None, None
        if hasattr(self._rival, "check"):
            answer = self._rival.check(self._state)
        else:
            start = time.perf_counter()
            result = self._rival.run(self._state, 0)
            first = time.perf_counter() - start
            answer = self._rival.answer(result)
        self._require(answer, thorough=True)
        self._discard(result)
        return {"first": first}

    def run(self, turn):
        gc.collect()
        before = memory.usage()
        start = time.perf_counter()
        self._result = self._rival.run(self._state, turn)
        seconds = time.perf_counter() - start
        after = memory.usage()
        return {
            "seconds": seconds,
            "anonymous_before": before["anonymous"],
            "anonymous": after["anonymous"] - before["anonymous"],
            "page_tables": after["page_tables"] - before["page_tables"],
        }

    def settle(self):
        if self._job.touch:
            self._require(self._rival.answer(self._result), thorough=False)
        self._discard(self._result)
        self._result = None
        return {}

    def _discard(self, result):
        if hasattr(self._rival, "discard"):
            self._rival.discard(result)

    def _require(self, answer, *, thorough):
        # Imported late: NumPy is part of what some cases measure.
        from benchmarks.python import answers

        answers.require(answer, self._job.truth, threads=self._job.threads, thorough=thorough)


def serve(worker, commands, reply):
    for line in commands:
        command, *arguments = line.split()
        reply(getattr(worker, command)(*map(int, arguments)))


def main():
    module, job = sys.argv[1:]
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(message):
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    fields = json.loads(job)
    try:
        worker = Worker(module, Job(**{**fields, "starts": tuple(fields["starts"])}))
        reply({"about": sys.modules[module].__doc__.strip()})
        serve(worker, sys.stdin, reply)
    except (Unavailable, ModuleNotFoundError) as error:
        reply({"unavailable": str(error)})
    except Exception as error:  # noqa: BLE001 - the parent says whose it was
        reply({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
