"""The test files in a directory: written when they are not there yet, by a process that has TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.python.rival_process import ROOT, RivalError, environment


def ensure(directory, sizes, names):
    """What ``write_files`` recorded of each name; files of these sizes that are there already are used again."""
    missing = [name for name in names if _record(directory, sizes, name) is None]
    if missing:
        command = [sys.executable, "-m", "benchmarks.python.write_files", str(directory), sizes, *missing]
        wrote = subprocess.run(command, check=False, cwd=ROOT, env=environment(), capture_output=True, text=True)
        if wrote.returncode:
            raise RivalError(f"could not write the test files: {wrote.stderr.strip()[-2000:]}")
    return {name: _record(directory, sizes, name) for name in names}


def _record(directory, sizes, name):
    path = Path(directory, f"{name}.json")
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return record if record["sizes"] == sizes and Path(record["data"]).is_file() else None
