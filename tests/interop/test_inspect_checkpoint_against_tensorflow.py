"""``tensorbundle inspect-checkpoint`` prints what TensorFlow's tool prints."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from support import tensorflow_oracle

FLAGS = [
    [],
    ["--tensor_name=matrix"],
    ["--tensor_name", "step"],
    ["--all_tensors"],
    ["--all_tensors=true", "--count_exclude_pattern", "matrix|step"],
    ["--all_tensor_names"],
    ["--all_tensor_names", "--tensor_name", "step"],
    ["--all_tensors", "--printoptions", "precision=2", "threshold=3"],
    ["--all_tensors", "--printoptions", "suppress=True"],
]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory, tensorflow) -> str:
    at = tmp_path_factory.mktemp("inspected") / "ckpt"
    random = np.random.default_rng(1)
    tensors = [("matrix", random.standard_normal((3, 4))), ("step", np.int64(7)), ("text", np.array(b"x\n", object))]
    tensors += [("words", np.array([b"a", b"\xff"], object)), ("none", np.zeros((0, 3))), ("flag", np.bool_(True))]
    tensorflow_oracle.save(at, tensors)
    return str(at)


def by_tensorflow(prefix: str, flags: list[str]) -> str:
    """Its tool, with its own parser left out: it would end this process."""
    from tensorflow.python.tools import inspect_checkpoint

    plain = [part for flag in flags for part in flag.split("=", 1 if flag.startswith("--") else 0)]
    options = [part for part in flags if "=" in part and not part.startswith("--")]
    with np.printoptions(), contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for option in options:
            inspect_checkpoint.parse_numpy_printoption(option)
        inspect_checkpoint.print_tensors_in_checkpoint_file(
            prefix,
            plain[plain.index("--tensor_name") + 1] if "--tensor_name" in plain else "",
            "--all_tensors" in plain,
            "--all_tensor_names" in plain,
            plain[plain.index("--count_exclude_pattern") + 1] if "--count_exclude_pattern" in plain else "",
        )
    return out.getvalue()


def ours(prefix: str, flags: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tensorbundle.cli", "inspect-checkpoint", "--file_name", prefix, *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_prints_the_same(prefix, flags):
    done = ours(prefix, flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == by_tensorflow(prefix, flags).splitlines()


HELP = " (see tensorbundle inspect-checkpoint --help)\n"


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--tensor_name", "nothing"], 2, "tensorbundle: Tensor nothing not found in checkpoint\n"),
        (["--printoptions", "nothing=1"], 2, "'nothing' is not a print option that can be set here" + HELP),
        (["--printoptions", "precision=x"], 2, "print option 'precision' can't be 'x'" + HELP),
        (["stray"], 2, "unexpected argument 'stray': the checkpoint is given with --file_name" + HELP),
    ],
)
def test_wrong_use_ends_with_a_message(prefix, flags, code, message):
    done = ours(prefix, flags)
    assert done.returncode == code
    assert done.stderr.endswith(message)


def test_directory_without_a_checkpoint(tmp_path):
    done = ours(str(tmp_path), [])
    assert done.returncode == 2
    assert "Couldn't find 'checkpoint' file or checkpoints in given directory" in done.stderr


def test_functions_print_the_same(prefix, capsys):
    from tensorbundle.train import inspect_checkpoint

    inspect_checkpoint.print_tensors_in_checkpoint_file(prefix, None, True)
    assert capsys.readouterr().out == by_tensorflow(prefix, ["--all_tensors"])
    inspect_checkpoint.print_tensors_in_checkpoint_file(prefix, "nothing", False)
    assert capsys.readouterr().out == "Tensor nothing not found in checkpoint\n"
