"""Python in a process of its own: where its end, its memory or its signals are what a test is about."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

SECONDS = 120


def environment(**more: str) -> dict[str, str]:
    """That of this process, with the modules that it can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def command(script: str, *arguments: object) -> list[str]:
    """What runs a script; warnings are errors there, too, and a crash says where it was."""
    return [sys.executable, "-W", "error", "-X", "faulthandler", "-c", script, *map(str, arguments)]


def run_python(script: str, *arguments: object, **more_environment: str) -> str:
    """Runs a script that must succeed without a word on stderr; returns what it printed."""
    done = subprocess.run(
        command(script, *arguments),
        env=environment(**more_environment),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"status {done.returncode}: {done.stderr[-4000:]}"
    return done.stdout


def start_python(script: str, *arguments: object, **options: Any) -> subprocess.Popen:
    """Starts a script with pipes for text; the test talks to it and waits for its end."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(script, *arguments), env=environment(), text=True, **pipes, **options)
