"""Programs that read TensorFlow's checkpoints, unchanged: what they make of them with TensorFlow and without it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import client_models
import numpy as np
import pytest
from support import tensorflow_oracle

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")),
    reason="needs the extra 'clients': torch and transformers",
)

UNTOUCHED = -7.0


@pytest.fixture(scope="module")
def directory(tmp_path_factory, tensorflow) -> Path:
    """Checkpoints of all models, and their weights as both readers give them."""
    made = tmp_path_factory.mktemp("clients")
    for model, shapes in client_models.MODELS.items():
        random = np.random.default_rng(1)
        tensors = {name: random.standard_normal(shape, np.float32) for name, shape in shapes()}
        if model != "gpt2":  # Its function takes every variable for a weight.
            tensors["global_step"] = np.asarray(100, np.int64)
        tensorflow_oracle.save(made / model, list(tensors.items()))
    for reader in ("tensorbundle", "tensorflow"):
        command = [sys.executable, str(HERE / "client_program.py"), reader, str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return made


def weights(directory: Path, model: str, reader: str) -> dict[str, np.ndarray]:
    with np.load(directory / f"{model}.{reader}.npz") as stored:
        return dict(stored)


@pytest.mark.parametrize("model", client_models.MODELS)
def test_weights_are_those_that_tensorflow_gives(directory, model):
    ours, theirs = weights(directory, model, "tensorbundle"), weights(directory, model, "tensorflow")
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (array.dtype, array.shape), name
        assert ours[name].tobytes() == array.tobytes(), name
        assert not (array == UNTOUCHED).all(), name
