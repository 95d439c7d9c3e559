"""A fresh interpreter that does nothing."""

from benchmarks.python.rivals.importing import interpreter


def prepare(_job):
    return "pass"


def run(code, _turn):
    return interpreter.execute(code)


def answer(output):
    return {"output": output}
