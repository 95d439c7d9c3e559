"""TensorFlow's C API, which loads a SavedModel as TensorFlow Serving does, out of the wheel's own libraries."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from support import tensorflow_oracle

_DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64}
_NUMBERS = {np.dtype(dtype): number for number, dtype in _DTYPES.items()}
_POINTERS = (
    "TF_NewSessionOptions",
    "TF_NewStatus",
    "TF_NewGraph",
    "TF_LoadSessionFromSavedModel",
    "TF_GraphOperationByName",
    "TF_AllocateTensor",
    "TF_TensorData",
)


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class _Library:
    """Functions by their names, wherever they are."""

    def __init__(self) -> None:
        folder = Path(tensorflow_oracle.load().__file__).parent
        self._libraries = [ctypes.CDLL(str(path)) for path in sorted(folder.glob("libtensorflow_*"))]
        for name in _POINTERS:
            self[name].restype = ctypes.c_void_p
        self["TF_Message"].restype = ctypes.c_char_p
        self["TF_Dim"].restype = ctypes.c_int64
        self["TF_TensorByteSize"].restype = ctypes.c_size_t

    def __getitem__(self, name: str):
        return next(getattr(library, name) for library in self._libraries if hasattr(library, name))

    def call(self, name: str, *arguments):
        """Calls a function whose last argument is a status."""
        status = ctypes.c_void_p(self["TF_NewStatus"]())
        result = self[name](*arguments, status)
        code, message = self["TF_GetCode"](status), self["TF_Message"](status)
        self["TF_DeleteStatus"](status)
        if code:
            raise RuntimeError(f"{name}: {code}: {message.decode()}")
        return result


@functools.cache
def library() -> _Library:
    return _Library()


class Session:
    """A meta graph of a SavedModel, restored and initialized."""

    def __init__(self, export_dir: str | os.PathLike[str], tags: Sequence[str]) -> None:
        lib = library()
        self._graph = ctypes.c_void_p(lib["TF_NewGraph"]())
        options = ctypes.c_void_p(lib["TF_NewSessionOptions"]())
        names = (ctypes.c_char_p * len(tags))(*(tag.encode() for tag in tags))
        arguments = (options, None, os.fsencode(export_dir), names, len(tags), self._graph, None)
        self._session = ctypes.c_void_p(lib.call("TF_LoadSessionFromSavedModel", *arguments))

    def run(self, fetches: Sequence[str], feeds: Mapping[str, np.ndarray] | None = None) -> list[np.ndarray]:
        """Numbers by the names of tensors."""
        feeds = feeds or {}
        lib = library()
        inputs = (_Output * len(feeds))(*map(self._output, feeds))
        values = (ctypes.c_void_p * len(feeds))(*map(_tensor, feeds.values()))
        outputs = (_Output * len(fetches))(*map(self._output, fetches))
        results = (ctypes.c_void_p * len(fetches))()
        targets = (None, 0, None)
        lib.call(
            "TF_SessionRun", self._session, None, inputs, values, len(feeds), outputs, results, len(fetches), *targets
        )
        return [_array(ctypes.c_void_p(result)) for result in results]

    def _output(self, tensor: str) -> _Output:
        name, _, number = tensor.partition(":")
        operation = library()["TF_GraphOperationByName"](self._graph, name.encode())
        assert operation, name
        return _Output(operation, int(number or 0))


def _tensor(array: np.ndarray) -> int:
    lib = library()
    dims = (ctypes.c_int64 * array.ndim)(*array.shape)
    arguments = (_NUMBERS[array.dtype], dims, array.ndim, ctypes.c_size_t(array.nbytes))
    tensor = lib["TF_AllocateTensor"](*arguments)
    ctypes.memmove(lib["TF_TensorData"](ctypes.c_void_p(tensor)), array.tobytes(), array.nbytes)
    return tensor


def _array(tensor: ctypes.c_void_p) -> np.ndarray:
    lib = library()
    shape = [lib["TF_Dim"](tensor, axis) for axis in range(lib["TF_NumDims"](tensor))]
    data = ctypes.string_at(lib["TF_TensorData"](tensor), lib["TF_TensorByteSize"](tensor))
    return np.frombuffer(data, _DTYPES[lib["TF_TensorType"](tensor)]).reshape(shape)
