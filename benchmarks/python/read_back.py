"""Reads a checkpoint with TensorFlow, in a process of its own: ``python -m benchmarks.python.read_back PREFIX``."""

import subprocess
import sys

from benchmarks.python.rival_process import ROOT, RivalError, environment


def digest_by_tensorflow(prefix):
    """``answers.digest`` of what TensorFlow finds; the process that asks never has TensorFlow in it."""
    command = [sys.executable, "-m", "benchmarks.python.read_back", prefix]
    read = subprocess.run(command, check=False, cwd=ROOT, env=environment(), capture_output=True, text=True)
    if read.returncode:
        raise RivalError(f"TensorFlow could not read {prefix}: {read.stderr.strip()[-2000:]}")
    return read.stdout.split()[-1]


def main():
    from benchmarks.python import answers
    from benchmarks.python.rivals.load import tensorflow

    prefix = sys.argv[1]
    print(answers.digest(tensorflow.load(prefix)))


if __name__ == "__main__":
    main()
