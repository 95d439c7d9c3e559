"""A rival's process as the harness sees it: started, asked, sampled, ended."""

import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.python import memory

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_SECONDS = 0.001


class RivalError(Exception):
    """A rival failed, or answered wrongly."""


class UnavailableError(RivalError):
    """A rival cannot run on this machine."""


class RivalProcess:
    """One rival in a process of its own.

    Attributes:
        about: What the rival does, in its own words; once it is ready.
        first: Seconds that its first run took, with what it puts off until then; once it is checked, if that was a run.
    """

    def __init__(self, module, job):
        self._module = module
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - `close` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.python.worker", module, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        self.about = None
        self.first = None

    def wait_until_ready(self):
        self.about = self._reply()["about"]

    def check(self):
        self._ask("check")
        self.first = self._reply()["first"]

    def run(self, turn, *, sample=False):
        """One timed run: what the worker measured and, with ``sample``, how much anonymous memory grew at its peak."""
        self._ask(f"run {turn}")
        peak = self._peak_until_reply() if sample else 0
        measured = self._reply()
        before = measured.pop("anonymous_before")
        measured["anonymous_peak"] = max(peak - before, measured["anonymous"])
        return measured

    def settle(self):
        self._ask("settle")
        self._reply()

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def _ask(self, command):
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # Its last reply says why.

    def _reply(self):
        line = self._process.stdout.readline()
        message = json.loads(line) if line else {"error": f"it ended with status {self._process.wait()}"}
        if "unavailable" in message:
            raise UnavailableError(message["unavailable"])
        if "error" in message:
            raise RivalError(f"{self._module}: {message['error']}{self._said()}")
        return message

    def _said(self):
        self._errors.seek(0)
        said = self._errors.read()[-2000:].strip()
        return f"\n{said}" if said else ""

    def _peak_until_reply(self):
        peak = 0
        while not select.select([self._process.stdout], [], [], SAMPLE_SECONDS)[0]:
            peak = max(peak, memory.usage(self._process.pid)["anonymous"])
        return peak


def environment():
    """TensorFlow quiet and without a graphics processor; the rest as it is."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
