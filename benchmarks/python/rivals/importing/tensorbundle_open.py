"""``import tensorbundle; tensorbundle.open``: with the native module, which the first use imports."""

from benchmarks.python.rivals.importing import interpreter


def prepare(_job):
    return "import tensorbundle; tensorbundle.open"


def run(code, _turn):
    return interpreter.execute(code)


def answer(output):
    return {"output": output}
