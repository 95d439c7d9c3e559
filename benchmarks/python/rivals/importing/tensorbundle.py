"""``import tensorbundle`` in a fresh interpreter."""

from benchmarks.python.rivals.importing import interpreter


def prepare(_job):
    return "import tensorbundle"


def run(code, _turn):
    return interpreter.execute(code)


def answer(output):
    return {"output": output}


def check(code):
    return {"output": interpreter.execute(f"{code}, sys; print('numpy' * ('numpy' in sys.modules), end='')")}
