"""The modules that stand in for TensorFlow's: which names are in which."""

from __future__ import annotations

import importlib.machinery
import types
from typing import Any

from tensorbundle import train
from tensorbundle.train import dtypes, inspect_checkpoint
from tensorbundle.train.stand_in import errors, gfile, saved_model, tensors

#: The release of TensorFlow that this stands in for, as programs compare it.
VERSION = "2.21.0"

WHAT_THIS_IS = (
    "this is tensorbundle's stand-in for TensorFlow, which reads checkpoints and does nothing else; "
    "see tensorbundle.train.as_tensorflow"
)

_DTYPES: dict[str, object] = {
    **dtypes.BY_NAME,
    "half": dtypes.BY_NAME["float16"],
    "double": dtypes.BY_NAME["float64"],
    "DType": dtypes.DType,
    "as_dtype": dtypes.as_dtype,
}
_TRAIN: dict[str, object] = {name: getattr(train, name) for name in train.TF_NAMES}
_FILES: dict[str, object] = {name: getattr(gfile, name) for name in ("exists", "glob", "isdir", "listdir")}
_V1_FILES: dict[str, object] = {
    "Exists": gfile.exists,
    "Glob": gfile.glob,
    "IsDirectory": gfile.isdir,
    "ListDirectory": gfile.listdir,
}
_SAVED_MODEL: dict[str, object] = {name: getattr(saved_model, name) for name in ("contains_saved_model", "load")}
_ROOT: dict[str, object] = {
    **_DTYPES,
    "TensorShape": tensors.TensorShape,
    "__version__": VERSION,
    "cast": tensors.cast,
    "device": tensors.device,
}


def _public(prefix: str) -> dict[str, dict[str, object]]:
    """The modules that are there under ``tf``, ``tf.compat.v1`` and ``tf.compat.v2`` alike."""
    return {
        prefix: _ROOT,
        f"{prefix}.dtypes": {**_DTYPES, "cast": tensors.cast},
        f"{prefix}.errors": errors.CONTENTS,
        f"{prefix}.io": {},
        f"{prefix}.io.gfile": _FILES,
        f"{prefix}.saved_model": _SAVED_MODEL,
        f"{prefix}.train": _TRAIN,
    }


def _unchanged() -> None:
    """Does nothing: there is neither a graph nor a session that it could be about."""


# Name of a module -> its contents. Those above it are made as well.
_CONTENTS: dict[str, dict[str, object]] = {
    **_public("tensorflow"),
    **_public("tensorflow.compat.v1"),
    **_public("tensorflow.compat.v2"),
    "tensorflow.compat.v1": {
        **_ROOT,
        "disable_eager_execution": _unchanged,
        "disable_v2_behavior": _unchanged,
        "enable_eager_execution": _unchanged,
    },
    "tensorflow.compat.v1.gfile": _V1_FILES,
    "tensorflow.python.checkpoint.checkpoint_management": _TRAIN,
    "tensorflow.python.framework.dtypes": _DTYPES,
    "tensorflow.python.framework.errors": errors.CONTENTS,
    "tensorflow.python.framework.errors_impl": errors.CONTENTS,
    "tensorflow.python.platform.gfile": _V1_FILES,
    "tensorflow.python.pywrap_tensorflow": _TRAIN,
    "tensorflow.python.tools.inspect_checkpoint": {
        name: getattr(inspect_checkpoint, name)
        for name in ("parse_numpy_printoption", "print_tensors_in_checkpoint_file")
    },
    "tensorflow.python.training.checkpoint_management": _TRAIN,
    "tensorflow.python.training.checkpoint_utils": _TRAIN,
    "tensorflow.python.training.py_checkpoint_reader": _TRAIN,
    "tensorflow.python.training.training": _TRAIN,
}


class StandIn(types.ModuleType):
    """A module that says what it is when it is asked for what it hasn't."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}: {WHAT_THIS_IS}")


def build() -> dict[str, types.ModuleType]:
    """Fresh modules, each in the one above it, by the names under which they are imported."""
    modules: dict[str, types.ModuleType] = {}
    for name, contents in _CONTENTS.items():
        vars(_module(name, modules)).update(contents)
    return modules


def _module(name: str, modules: dict[str, types.ModuleType]) -> types.ModuleType:
    if name in modules:
        return modules[name]
    module = StandIn(name, f"{WHAT_THIS_IS}.".capitalize())
    module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None, is_package=True)
    module.__path__ = []
    module.__file__ = __file__
    modules[name] = module
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(_module(parent, modules), own, module)
    return module
