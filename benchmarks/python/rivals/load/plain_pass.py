"""A pass over a fresh mapping of the data file that adds up its 64-bit words: what reading every byte once costs."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.python.rivals import Unavailable


def prepare(job):
    return compiled(Path(job.directory)), os.fsencode(job.data), job.threads


def run(state, _turn):
    return Pass(*state)


def answer(result):
    return {"words": result.total}


class Pass:
    """One mapping of the file and the sum of its words; like an array's, its pages go when it does."""

    def __init__(self, library, path, threads):
        self._library = library
        self._size = ctypes.c_size_t()
        self._address = library.MapFile(path, ctypes.byref(self._size))
        if not self._address:
            raise OSError(f"could not map {path!r}")
        self.total = library.SumWords(self._address, self._size, threads)

    def __del__(self):
        self._library.UnmapFile(ctypes.c_void_p(self._address), self._size)


def compiled(directory):
    """The helper beside this file as a library, built for this processor."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        raise Unavailable("there is no C++ compiler")
    library = directory / "plain_pass.so"
    source = Path(__file__).with_suffix(".cc")
    options = ["-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-pthread"]
    subprocess.run([compiler, *options, source, "-o", library], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.MapFile.restype = ctypes.c_void_p
    loaded.SumWords.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    loaded.SumWords.restype = ctypes.c_uint64
    return loaded
