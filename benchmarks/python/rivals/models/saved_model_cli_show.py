"""``saved_model_cli show --all --dir d``, from the start of the process to its end."""

from pathlib import Path

from benchmarks.python.rivals import program
from benchmarks.python.rivals.models import command


def prepare(job):
    return str(Path(job.prefix).parents[1])


def run(directory, _turn):
    return program.run_module("tensorflow.python.tools.saved_model_cli", "show", "--all", "--dir", directory)


def answer(output):
    return {"shown": command.tensor_names(output)}
