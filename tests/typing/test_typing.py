"""The annotations, as a type checker sees them, and the native module's stub beside the module itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import REPOSITORY

HERE = Path(__file__).parent

pytest.importorskip("mypy")


def check(directory: Path, *arguments: object) -> None:
    """Runs a checker, which may leave its cache in ``directory``."""
    environment = {**os.environ, "MYPYPATH": str(REPOSITORY / "python")}
    command = [sys.executable, "-m", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Where the second run of mypy finds what the first one made of NumPy's stubs."""
    return tmp_path_factory.mktemp("mypy")


def test_user_code_is_what_it_says(cache):
    check(cache, "mypy", "--strict", "--config-file=", HERE / "user_code.py")


def test_package_is_strictly_typed(cache):
    check(cache, "mypy", "--strict", "--config-file=", "-p", "tensorbundle")


def test_stub_is_like_the_native_module(tmp_path):
    check(tmp_path, "mypy.stubtest", "tensorbundle._core", "--allowlist", HERE / "stubtest_allowlist.txt")
