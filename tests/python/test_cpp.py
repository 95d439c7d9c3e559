"""The C++ side as its users meet it: built without Python, installed, and found and linked by a project outside.

The fuzz targets' seeds are replayed on the way. The C++ unit tests need GoogleTest and have presets of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support import golden, hashing

import tensorbundle as tb
from tensorbundle import _core

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ["index", "slice", "snappy", "string_tensor", "table", "wire"]

pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not installed")


def run(*command: object) -> str:
    """Output of a command, which must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # Names of tensors may be any bytes.
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def configure(source: Path, build: Path, *options: str) -> None:
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run("cmake", *generator, "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Debug", *options)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The library and the replay programs, built and not installed."""
    build = tmp_path_factory.mktemp("build")
    configure(ROOT, build, "-DTENSORBUNDLE_BUILD_REPLAY=ON")
    run("cmake", "--build", build, "--parallel", os.cpu_count() or 1)
    return build


@pytest.fixture(scope="module")
def consumer(built, tmp_path_factory) -> Path:
    """Where the outside project's programs are, built against the installed package."""
    installed = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", built, "--prefix", installed)
    build = tmp_path_factory.mktemp("consumer")
    configure(ROOT / "tests" / "consumer", build, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", build)
    return build


@pytest.fixture(scope="module")
def print_checkpoint(consumer) -> Path:
    return consumer / "print_checkpoint"


def expected_line(name: str, entry: tb.Entry, array: np.ndarray) -> str:
    data = b"".join(array.ravel()) if array.dtype == object else array.tobytes()
    shape = ",".join(map(str, entry.shape))
    return f"{name} {entry.tf_dtype} [{shape}] {_core.crc32c(data):08x}"


EVERYTHING = ["2.21.0/dtypes", "2.21.0/strings", "2.21.0/partitioned", "handmade/big_endian"]


@pytest.mark.parametrize("name", EVERYTHING)
def test_an_outside_project_reads_a_checkpoint(print_checkpoint, name):
    prefix = golden.checkpoint(name).prefix
    with tb.open(prefix) as ckpt:
        expected = [expected_line(key, ckpt.entry(key), array) for key, array in ckpt.items()]
    assert len(expected) > 3
    assert run(print_checkpoint, prefix).splitlines() == expected


@pytest.mark.parametrize("name", EVERYTHING)
def test_an_outside_project_writes_a_checkpoint(consumer, print_checkpoint, tmp_path, name):
    source = golden.checkpoint(name).prefix
    copy = tmp_path / "new" / "copy"
    for _ in range(2):  # The second one replaces the first.
        run(consumer / "copy_checkpoint", source, copy)
        assert run(print_checkpoint, copy) == run(print_checkpoint, source)
    with tb.open(source) as expected, tb.open(copy) as written:
        assert list(written) == list(expected)
        for key, array in expected.items():
            assert written[key].dtype == array.dtype
            assert written[key].shape == array.shape
            assert hashing.tensor_hash(written[key]) == hashing.tensor_hash(array)


def test_an_outside_project_sees_what_is_wrong(print_checkpoint, tmp_path):
    done = subprocess.run([print_checkpoint, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert str(tmp_path / "none.index") in done.stderr


def test_installed_headers_need_nothing_internal(built, tmp_path):
    run("cmake", "--install", built, "--prefix", tmp_path)
    headers = sorted((tmp_path / "include" / "tensorbundle").glob("*.h"))
    assert "checkpoint.h" in [header.name for header in headers]
    for header in headers:
        unit = tmp_path / "unit.cc"
        unit.write_text(f"#include <tensorbundle/{header.name}>\n")
        run("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", tmp_path / "include", unit)


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_of_the_fuzzers(built, target):
    seeds = ROOT / "tests" / "fuzz" / "seeds" / target
    count = len(list(seeds.iterdir()))
    assert count > 0
    assert f"{count} inputs replayed" in run(built / "tests" / "fuzz" / f"replay_{target}", seeds)
