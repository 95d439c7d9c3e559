"""Runs cases: every rival in a process of its own, its answer checked first, then rounds in alternating order."""

import contextlib
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.python import memory
from benchmarks.python.rival_process import RivalError, RivalProcess, UnavailableError

MEASURES = ("seconds", "resident_pages", "anonymous", "anonymous_peak", "page_tables")
NO_FILE = {"prefix": "", "data": "", "bytes": 0, "sizes": "", "starts": [], "truth": {}}


class Bench:
    """What all cases of a run share.

    Attributes:
        records: What ``files.ensure`` gave, by name of file.
        directory: Where the files are.
        threads: How many threads a rival may use.
        rounds: How many rounds each case has.
        large_bytes: Size of the tensor where a case saves a single one; 0: the data file's.
    """

    def __init__(self, records, directory, *, threads, rounds, large_bytes=0):
        self._records = records
        self._directory = directory
        self._threads = threads
        self._rounds = rounds
        self._large_bytes = large_bytes

    def measure(self, case):
        """One case: what each rival measured, and how its goals came out."""
        rivals, unavailable = {}, {}
        with contextlib.ExitStack() as stack:
            job = {**self._job(case), "scratch": stack.enter_context(self._scratch(case))}
            started = {name: stack.enter_context(self._start(case, name, job)) for name in case.rivals}
            for name, process in started.items():
                reason = _make_ready(process)
                if case.fresh:
                    process.close()  # Each run has another, and may need the memory.
                if reason is None:
                    rivals[name] = process
                else:
                    unavailable[name] = reason
            if next(iter(case.rivals)) in unavailable:
                raise RivalError(f"tensorbundle: {next(iter(unavailable.values()))}")
            rounds = _Rounds(case, job, rivals)
            for turn in range(self._rounds * case.rounds):
                rounds.play(turn)
        return _outcome(case, rounds, unavailable)

    def _job(self, case):
        record = NO_FILE if case.file is None else self._records[case.file]
        job = {key: record[key] for key in NO_FILE}
        return {
            **job,
            "directory": str(self._directory),
            "file": case.file or "",
            "large_bytes": self._large_bytes,
            "threads": self._threads,
            "touch": case.touch,
        }

    def _scratch(self, case):
        if not case.saves:
            return contextlib.nullcontext("")
        return tempfile.TemporaryDirectory(prefix="saved-", dir=self._directory)

    def _start(self, case, name, job):
        return RivalProcess(module_of(case.rivals[name]), job)


class _Rounds:
    """The rounds of one case and their measurements, rival -> measure -> one number per round."""

    def __init__(self, case, job, rivals):
        self._case = case
        self._job = job
        self._rivals = rivals
        self.facts = {name: {"about": rival.about, "first_seconds": rival.first} for name, rival in rivals.items()}
        self.measured = {name: {} for name in rivals}

    def play(self, turn):
        """Every rival once; who was first is last in the next round."""
        names = list(self._rivals) if turn % 2 == 0 else list(reversed(self._rivals))
        for name in names:
            self._cool()
            for measure, value in self._run(name, turn).items():
                self.measured[name].setdefault(measure, []).append(value)

    def _run(self, name, turn):
        if not self._case.fresh:
            return self._run_in(self._rivals[name], turn)
        with RivalProcess(module_of(self._case.rivals[name]), self._job) as process:
            process.wait_until_ready()
            return self._run_in(process, turn)

    def _run_in(self, process, turn):
        measured = process.run(turn, sample=self._case.sample)
        if self._case.cold == "data":
            measured["resident_pages"] = memory.resident_pages(self._job["data"])
        process.settle()
        wanted = MEASURES if self._case.sample else ("seconds", "resident_pages")
        return {measure: measured[measure] for measure in wanted if measure in measured}

    def _cool(self):
        if self._case.saves:
            os.sync()  # Or the disk would still be busy with what the run before has left in the page cache.
            memory.fill_page_cache(Path(self._job["scratch"], "filler"), self._job["bytes"])
        files = {"": (), "data": ("data",), "all": ("data", "index")}[self._case.cold]
        for kind in files:
            path = Path(self._job["data"] if kind == "data" else self._job["prefix"] + ".index")
            if not memory.drop_page_cache(path):
                raise RivalError(f"{path} stays in the page cache: take a directory on a disk, with --dir")


def module_of(rival):
    return rival[1:] if rival.startswith(".") else f"benchmarks.python.rivals.{rival}"


def middle(values, statistic):
    """The number that stands for all rounds."""
    if statistic == "median" or len(values) == 1:
        return statistics.median(values)
    return statistics.quantiles(values, n=4, method="inclusive")[0]


def _make_ready(process):
    """Waits until a rival has prepared and its answer is right; returns why it cannot run here, if it can't."""
    try:
        process.wait_until_ready()
        process.check()
    except UnavailableError as error:
        return str(error)
    return None


def _outcome(case, rounds, unavailable):
    rivals, middles = {}, {}
    for name in case.rivals:
        if name in unavailable:
            rivals[name], middles[name] = {"unavailable": unavailable[name]}, None
            continue
        measured = rounds.measured[name]
        middles[name] = {measure: middle(values, case.statistic) for measure, values in measured.items()}
        rivals[name] = {**rounds.facts[name], "middle": middles[name], "rounds": measured}
    return {
        "title": case.title,
        "file": case.file,
        "cache": {"": "warm", "data": "data file cold", "all": "cold"}[case.cold],
        "statistic": case.statistic,
        "rivals": rivals,
        "goals": [goal.judge(middles) for goal in case.goals],
    }
