"""``python -m benchmarks``: runs cases and writes what they measured as JSON."""

import argparse
import contextlib
import datetime as dt
import json
import shlex
import sys
import tempfile
from pathlib import Path

from benchmarks.python import files, machine, report
from benchmarks.python.cases import CASES
from benchmarks.python.harness import Bench
from benchmarks.python.rival_process import RivalError

FILE_SYSTEMS_IN_MEMORY = ("tmpfs", "ramfs")


def run(cases, *, directory, sizes, rounds, threads, command, large_bytes=0):
    """Measures cases, name -> ``Case``, on files in a directory: everything that the JSON says."""
    directory = Path(directory).resolve()
    described = machine.describe(directory)
    if sizes == "full" and any(case.saves for case in cases.values()):
        require_disk(directory, described["disk"]["filesystem"])
    names = sorted({case.file for case in cases.values() if case.file is not None})
    say(f"files in {directory}: {', '.join(names) or 'none'}")
    records = files.ensure(directory, sizes, names)
    bench = Bench(records, directory, threads=threads, rounds=rounds, large_bytes=large_bytes)
    measured = {}
    for name, case in cases.items():
        measured[name] = bench.measure(case)
        say(f"{name}: {'; '.join(str(goal['said']) for goal in measured[name]['goals'])}")
    return {
        "command": command,
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "sizes": sizes,
        "rounds": rounds,
        "threads": threads,
        "machine": described,
        "versions": machine.versions(),
        "files": {name: {key: record[key] for key in ("tensors", "bytes")} for name, record in records.items()},
        "cases": measured,
    }


def require_disk(directory, filesystem):
    if filesystem in FILE_SYSTEMS_IN_MEMORY:
        raise RivalError(f"{directory} is in memory ({filesystem}): take a directory on a disk, with --dir")


def main(arguments):
    options = parse(arguments)
    chosen = {name: CASES[name] for name in options.case or CASES}
    with contextlib.ExitStack() as stack:
        directory = options.dir or stack.enter_context(tempfile.TemporaryDirectory(prefix="tensorbundle-benchmarks-"))
        Path(directory).mkdir(parents=True, exist_ok=True)
        try:
            results = run(
                chosen,
                directory=directory,
                sizes="quick" if options.quick else "full",
                rounds=options.rounds or (3 if options.quick else 9),
                threads=options.threads,
                large_bytes=options.large_tensor,
                command=shlex.join(["python", "-m", "benchmarks", *arguments]),
            )
        except RivalError as error:
            say(f"stopped: {error}")
            return 1
    print(report.summary(results, goals=True))
    if options.quick:
        say("the files were small: no number here says anything")
    complete = not options.quick and chosen.keys() == CASES.keys()
    out = options.out or (report.default_results() if complete else None)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        say(f"written: {out}")
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures tensorbundle and its rivals. `python -m benchmarks report` makes the tables.",
    )
    parser.add_argument("--case", nargs="+", metavar="NAME", choices=CASES, help=f"only these: {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, help="per case (9; 3 with --quick)")
    parser.add_argument(
        "--quick", action="store_true", help="small files: shows that everything runs, measures nothing"
    )
    parser.add_argument("--dir", type=Path, help="where the test files are, or will be and stay (default: temporary)")
    parser.add_argument("--out", type=Path, help="JSON (default: benchmarks/results/results.json after a complete run)")
    parser.add_argument("--threads", type=int, default=2, help="per rival (%(default)s)")
    parser.add_argument(
        "--large-tensor",
        type=int,
        default=0,
        metavar="BYTES",
        help="size of the one tensor of save_memory (default: as large as the model)",
    )
    return parser.parse_args(arguments)


def say(text):
    print(text, file=sys.stderr, flush=True)
