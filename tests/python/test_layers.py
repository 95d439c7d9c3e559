"""The include-layer check: clean on this tree, and able to find what it is for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "check_layers.py"


def run_check(csrc: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, csrc], capture_output=True, text=True, check=False)


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
