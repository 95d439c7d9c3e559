"""Where the rivals of this folder write, and how what they wrote is compared."""

import os

from benchmarks.python.rivals.save import folder


def fresh(job, turn):
    """A path in a folder of its own, which is made: programs that write one file do not make any."""
    path = folder.fresh(job, turn)
    os.makedirs(os.path.dirname(path))
    return f"{path}.safetensors"


def answer(path):
    return {"safetensors": path}


discard = folder.remove
