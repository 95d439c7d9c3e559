"""Runs a module as a program, and finds the names of tensors in what it prints."""

import re
import subprocess
import sys


def execute(module, *arguments):
    return subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True).stdout


def tensor_names(output):
    return sorted(set(re.findall(r"\b\w+:\d+\b", output)))
