"""``tensorbundle saved-model show d``, from the start of the process to its end."""

from pathlib import Path

from benchmarks.python.rivals import program
from benchmarks.python.rivals.models import command


def prepare(job):
    return str(Path(job.prefix).parents[1])


def run(directory, _turn):
    return program.run_module("tensorbundle.cli", "saved-model", "show", directory)


def answer(output):
    return {"shown": command.tensor_names(output)}
