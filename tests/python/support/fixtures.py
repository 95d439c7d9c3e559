"""Fixtures and Hypothesis profiles for every test folder; a ``conftest.py`` imports what it offers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

from . import bundle_writer, corpus, golden, paths, tensorflow_oracle, warm_python

# "default" runs the same examples every time; "nightly" looks for new ones. Checkpoints take as long as the disk does,
# so no example has a deadline. Chosen with TENSORBUNDLE_HYPOTHESIS_PROFILE.
hypothesis.settings.register_profile("default", max_examples=60, deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("nightly", max_examples=3000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("TENSORBUNDLE_HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def golden_directory() -> Path:
    """The folder of the golden files; ``support.golden`` says what they mean."""
    return paths.GOLDEN


@pytest.fixture(params=golden.checkpoints(), ids=lambda checkpoint: checkpoint.id)
def golden_checkpoint(request: pytest.FixtureRequest) -> golden.GoldenCheckpoint:
    """Every golden V2 checkpoint in turn."""
    return request.param


@pytest.fixture(params=corpus.checkpoints(), ids=lambda checkpoint: checkpoint.id)
def corpus_checkpoint(request: pytest.FixtureRequest) -> corpus.CorpusCheckpoint:
    """Every V2 checkpoint of the open corpus in turn; skipped where there is no corpus."""
    return request.param


@pytest.fixture
def write_bundle(tmp_path: Path) -> Callable[..., bundle_writer.Bundle]:
    """``bundle_writer.write_bundle`` into the test's own folder: ``write_bundle(tensors, name=..., ...)``."""

    def write(tensors: Any, *, name: str = "ckpt", **options: Any) -> bundle_writer.Bundle:
        return bundle_writer.write_bundle(tmp_path / name, tensors, **options)

    return write


@pytest.fixture(scope="session")
def tensorflow() -> ModuleType:
    """The module ``tensorflow``; ``support.tensorflow_oracle`` has what tests do with it."""
    return tensorflow_oracle.require()


@pytest.fixture(scope="session")
def python_with_tensorflow(tensorflow: ModuleType) -> Iterator[str]:
    """A program like ``sys.executable`` in which ``import tensorflow`` takes no time; see ``support.warm_python``."""
    with warm_python.started() as program:
        yield program
