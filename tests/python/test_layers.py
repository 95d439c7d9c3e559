"""The checks of includes and imports: clean on this tree, and able to find what they are for."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "check_layers.py"
IMPORTS_SCRIPT = ROOT / "tools" / "check_imports.py"


def run_check(folder: Path, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=False)


def check_one(csrc: Path, file: str, include: str) -> subprocess.CompletedProcess[str]:
    path = csrc / file
    path.parent.mkdir(parents=True)
    path.write_text(f"// What this file owns.\n\n#include {include}\n", encoding="utf-8")
    return run_check(csrc)


def test_tree_has_no_wrong_include():
    result = run_check(ROOT / "csrc")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert result.stdout.endswith("files, every include points down\n")


@pytest.mark.parametrize(
    ("file", "include"),
    [
        ("util/varint.cc", '"table/block.h"'),  # upwards
        ("table/block.cc", '"io/os.h"'),  # sideways
        ("table/block.cc", '"wire/reader.h"'),
        ("slices/slice.cc", '"wire/reader.h"'),
        ("bundle/index.cc", '"io/os.h"'),
        ("checkpoint/checkpoint.cc", '"bindings/gil.h"'),
        ("checkpoint/checkpoint.cc", '"saved_model/messages.h"'),
        ("include/tensorbundle/status.h", '"util/checked.h"'),  # installed headers need nothing of ours
        ("bindings/module.cc", '"bundle/index.h"'),  # bindings are users like any other
        ("checkpoint/checkpoint.cc", "<Python.h>"),
        ("io/byte_source.cc", "<pybind11/pybind11.h>"),
        ("io/mmap_source.cc", "<sys/mman.h>"),  # the system has one door
        ("io/byte_source.cc", "<unistd.h>"),
        ("bindings/gil.h", "<signal.h>"),
        ("util/parallel.cc", "<unistd.h>"),
        ("util/varint.cc", '"checked.h"'),  # not relative to csrc/
        ("util/varint.cc", '"../table/block.h"'),
        ("extra/thing.cc", '"util/checked.h"'),  # a layer that the table does not know
    ],
)
def test_finds_wrong_include(tmp_path, file, include):
    result = check_one(tmp_path / "csrc", file, include)
    layer = "public" if file.startswith("include/") else file.split("/")[0]
    place = tmp_path / "csrc" / file
    assert result.stdout == f'{place}:3: layer {layer} may not include "{include[1:-1]}"\n'
    assert result.returncode == 1


@pytest.mark.parametrize(
    ("file", "include"),
    [
        ("util/varint.cc", '"util/varint.h"'),
        ("util/varint.cc", '"tensorbundle/buffer.h"'),
        ("util/parallel.cc", "<pthread.h>"),
        ("util/crc32c_sse42.cc", "<nmmintrin.h>"),
        ("io/os.cc", "<sys/mman.h>"),
        ("bundle/index.cc", '"table/table_reader.h"'),
        ("checkpoint/checkpoint.cc", '"util/checked.h"'),
        ("bindings/module.cc", "<pybind11/pybind11.h>"),
        ("include/tensorbundle/status.h", "<string>"),
        ("include/tensorbundle/version.h.in", '"tensorbundle/export.h"'),
    ],
)
def test_accepts_include_that_points_down(tmp_path, file, include):
    result = check_one(tmp_path / "csrc", file, include)
    assert (result.returncode, result.stdout) == (0, "1 files, every include points down\n")


def test_include_by_macro_is_refused(tmp_path):
    result = check_one(tmp_path / "csrc", "util/varint.cc", "VARINT_HEADER")
    assert result.stdout.endswith(':3: layer util may not include "VARINT_HEADER"\n')
    assert result.returncode == 1


def test_empty_tree_is_an_error(tmp_path):
    result = run_check(tmp_path)
    assert (result.returncode, result.stdout) == (1, f"{tmp_path}: no C++ files found\n")


# Imports of the Python package.


def check_module(package: Path, file: str, text: str) -> subprocess.CompletedProcess[str]:
    path = package / file
    path.parent.mkdir(parents=True)
    path.write_text(f'"""What this module owns."""\n\n{text}\n', encoding="utf-8")
    return run_check(package, IMPORTS_SCRIPT)


def test_package_has_no_wrong_import():
    result = run_check(ROOT / "python" / "tensorbundle", IMPORTS_SCRIPT)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert result.stdout.endswith(" files, every import is allowed\n")


def test_table_has_what_a_module_needs_above_it():
    table = runpy.run_path(str(IMPORTS_SCRIPT))["ALLOWED"]
    above: set[str] = set()
    for module, allowed in table.items():
        assert allowed & table.keys() <= above, module
        above.add(module)


@pytest.mark.parametrize(
    ("file", "text", "target"),
    [
        ("paths.py", "from tensorbundle import checkpoint", "checkpoint"),  # upwards
        ("paths.py", "from tensorbundle.checkpoint import open", "checkpoint"),
        ("paths.py", "import tensorbundle.checkpoint", "checkpoint"),
        ("paths.py", "import tensorbundle", "public"),
        ("paths.py", "from tensorbundle import open", "public"),
        ("paths.py", "import numpy as np", "numpy"),
        ("paths.py", "from numpy.typing import NDArray", "numpy"),
        ("paths.py", "from . import errors", "."),
        ("paths.py", "from .errors import OpError", ".errors"),
        ("paths.py", "def f():\n    if f:\n        from tensorbundle import checkpoint", "checkpoint"),
        ("paths.py", "try:\n    pass\nexcept OSError:\n    import numpy", "numpy"),
        ("paths.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import numpy", "numpy"),
        ("checkpoint.py", "import google.protobuf", "google"),
        ("cli/ls.py", "from tensorbundle import _core", "_core"),
        ("cli/ls.py", "from tensorbundle.opening import access", "opening"),
        ("__init__.py", "from tensorbundle import errors", "errors"),
    ],
)
def test_finds_wrong_import(tmp_path, file, text, target):
    result = check_module(tmp_path / "package", file, text)
    module = file.partition("/")[0].removesuffix(".py")
    line = 3 + text.count("\n")
    assert result.stdout == f"{tmp_path / 'package' / file}:{line}: {module} may not import {target}\n"
    assert result.returncode == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("paths.py", "import os, xml.etree.ElementTree"),
        ("paths.py", "from tensorbundle import errors, files"),
        ("paths.py", "def f():\n    from tensorbundle.state import read"),
        ("paths.py", "if TYPE_CHECKING:\n    import numpy\n    from tensorbundle import checkpoint"),
        ("dtypes.py", "import ml_dtypes"),
        ("cli/ls.py", "import click\nimport tensorbundle\nfrom tensorbundle import errors, open"),
        ("cli/ls.py", "from tensorbundle.cli import output\nfrom tensorbundle.cli.output import printable"),
        ("cli/demo.py", "from tensorbundle import _core"),
    ],
)
def test_accepts_import_that_is_allowed(tmp_path, file, text):
    result = check_module(tmp_path / "package", file, text)
    assert (result.returncode, result.stdout) == (0, "1 files, every import is allowed\n")


def test_module_without_a_row_is_refused(tmp_path):
    result = check_module(tmp_path / "package", "thing.py", "import os")
    place = tmp_path / "package" / "thing.py"
    assert result.stdout == f"{place}:1: module thing is not in the table of check_imports.py\n"
    assert result.returncode == 1


def test_empty_package_is_an_error(tmp_path):
    result = run_check(tmp_path, IMPORTS_SCRIPT)
    assert (result.returncode, result.stdout) == (1, f"{tmp_path}: no Python files found\n")
