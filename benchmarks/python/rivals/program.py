"""Starts a program afresh in this interpreter, and waits for its end."""

import subprocess
import sys


def run_module(module, *arguments, status=0):
    """What a module prints as a program.

    Raises:
        RuntimeError: It ended with another status.
    """
    return _run(["-m", module, *arguments], status)


def run_code(code, *arguments):
    """What some lines of Python print; else as ``run_module``."""
    return _run(["-c", code, *arguments], 0)


def _run(arguments, status):
    ran = subprocess.run([sys.executable, *arguments], check=False, capture_output=True, text=True)
    if ran.returncode != status:
        raise RuntimeError(f"{arguments[1]} ended with {ran.returncode}: {ran.stderr.strip()[-2000:]}")
    return ran.stdout
