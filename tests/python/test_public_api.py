"""The package as a user meets it: names, laziness, import time, annotations."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import write_bundle
from support.paths import REPOSITORY

import tensorbundle as tb

NAMES = [
    "AverageReport",
    "Checkpoint",
    "CheckpointManager",
    "CheckpointState",
    "CheckpointWriter",
    "ConversionPlan",
    "ConversionReport",
    "Damage",
    "Diagnosis",
    "Difference",
    "Entry",
    "FileDiagnosis",
    "LazyTensor",
    "ObjectGraph",
    "ObjectNode",
    "SalvageReport",
    "TensorChange",
    "TensorDifference",
    "TensorStats",
    "VerifyReport",
    "__version__",
    "average",
    "convert",
    "diagnose",
    "diff",
    "edit",
    "errors",
    "latest_checkpoint",
    "load",
    "merge",
    "open",
    "salvage",
    "save",
    "save_objects",
    "saved_model",
    "stats",
    "train",
]
CLASSES = [name for name in NAMES if name[0].isupper()]
PACKAGE = Path(tb.__file__).parent


def run(program: str) -> list[str]:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return result.stdout.splitlines()


def test_public_names():
    assert sorted(tb.__all__) == sorted(NAMES)
    assert set(NAMES) <= set(dir(tb))
    assert "TYPE_CHECKING" not in dir(tb)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_the_same_twice_in_a_fresh_process(name):
    assert run(f"import tensorbundle as tb; print(tb.{name} is tb.{name} is getattr(tb, {name!r}))") == ["True"]


def test_no_module_bears_the_name_of_a_public_function(tmp_path):
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    functions = {name for name in NAMES if callable(getattr(tb, name))}
    assert modules & functions == set()
    prefix = str(write_bundle(tmp_path / "ckpt", {"w": np.arange(3)}).prefix)
    program = f"import tensorbundle as tb\nfor _ in range(2): print(len(tb.load({prefix!r})), len(tb.open({prefix!r})))"
    assert run(program) == ["1 1", "1 1"]


def test_star_import_gives_the_public_names():
    program = "from tensorbundle import *; print(sorted(set(dir()) & set(__import__('tensorbundle').__all__)))"
    assert run(program) == [str(sorted(NAMES))]


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'tensorbundle' has no attribute 'nothing'$"):
        tb.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from tensorbundle import nothing  # noqa: F401


def test_import_brings_nothing_along():
    program = """
import sys
before = set(sys.modules)
import tensorbundle
print(sorted(set(sys.modules) - before))
dir(tensorbundle)
tensorbundle.errors
print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in ("numpy", "google", "ml_dtypes")))
tensorbundle.open, tensorbundle.load, tensorbundle.Checkpoint, tensorbundle.Entry, tensorbundle.__version__
tensorbundle.LazyTensor, tensorbundle.VerifyReport
tensorbundle.CheckpointManager("nowhere"), tensorbundle.CheckpointState, tensorbundle.latest_checkpoint("nowhere")
print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in ("numpy", "google", "ml_dtypes")))
"""
    assert run(program) == ["['tensorbundle']", "[]", "[]"]


def test_import_takes_little_time():
    program = "import time; start = time.perf_counter(); import tensorbundle; print(time.perf_counter() - start)"
    assert min(float(run(program)[0]) for _ in range(5)) < 0.030


@pytest.mark.parametrize("name", CLASSES)
def test_classes_live_where_users_find_them(name):
    kind = getattr(tb, name)
    assert kind.__module__ == "tensorbundle"
    assert kind.__qualname__ == name


def test_version_is_that_of_the_project():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f"VERSION {tb.__version__} " in text


def test_everything_public_is_documented():
    for name in NAMES:
        value = getattr(tb, name)
        if name == "__version__":
            continue
        assert inspect.getdoc(value), name
        if not inspect.isclass(value):
            continue
        fields = {field.name for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
        for field in fields:
            assert field in inspect.getdoc(value), f"{name}.{field}"
        for member in set(dir(value)) - fields:
            if not member.startswith("_"):
                assert inspect.getdoc(inspect.getattr_static(value, member)), f"{name}.{member}"


def test_load_takes_what_checkpoint_load_takes():
    own = inspect.signature(tb.Checkpoint.load).parameters
    by_path = inspect.signature(tb.load).parameters
    assert set(by_path) - {"path", "mmap"} == set(own) - {"self"}
    for name in set(own) - {"self"}:
        assert (by_path[name].kind, by_path[name].default) == (own[name].kind, own[name].default)
    opened = inspect.signature(tb.open).parameters
    constructed = inspect.signature(tb.Checkpoint).parameters
    assert list(opened) == list(constructed) == ["path", "verify", "mmap", "threads"]


def test_options_are_keyword_only():
    for function in (tb.open, tb.Checkpoint, tb.Checkpoint.read, tb.Checkpoint.load, tb.Checkpoint.verify, tb.load):
        parameters = [name for name in inspect.signature(function).parameters.values() if name.name != "self"]
        keyword_only = [name for name in parameters if name.kind is inspect.Parameter.KEYWORD_ONLY]
        assert len(parameters) - len(keyword_only) <= 2


def test_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_core.pyi").exists()


def test_every_module_imports_on_its_own():
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        if not module.endswith("__main__"):
            importlib.import_module(module)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_importing_starts_no_thread():
    program = "import os, tensorbundle; tensorbundle.open; print(len(os.listdir('/proc/self/task')))"
    assert run(program) == ["1"]
