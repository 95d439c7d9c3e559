"""The command line, run as users run it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import Mutations, write_bundle

import tensorbundle as tb

TENSORS = {
    "dense/kernel": np.zeros((300, 400), np.float32),
    "step": np.array(7, np.int64),
    "names": [b"one", b"two"],
    "parts": np.arange(8.0),
}
SLICES = {"parts": ["0,4", "4,4"]}


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tensorbundle.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def run_on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Exit code, and what was written to a terminal that is both stdout and stderr."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "tensorbundle.cli", *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, stdin=terminal, env=environment) as process:
        os.close(terminal)
        written = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:  # Linux says so when the last writer is gone.
                break
            if not part:
                break
            written += part
    os.close(controller)
    return process.returncode, written.decode()


@pytest.fixture
def prefix(tmp_path) -> Path:
    return write_bundle(tmp_path / "ckpt", TENSORS, slices=SLICES).prefix


@pytest.fixture
def damaged(tmp_path) -> Path:
    mutate = Mutations(data=lambda _, data: data.__setitem__(0, 1))
    return write_bundle(tmp_path / "damaged", TENSORS, mutate=mutate).prefix


@pytest.fixture
def incomplete(tmp_path) -> Path:
    bundle = write_bundle(tmp_path / "incomplete", {"a": np.zeros(3), "b": np.zeros(3)}, shards=2)
    bundle.data_path(1).unlink()
    return bundle.prefix


# ls


def test_ls_is_aligned_text(prefix):
    result = run("ls", prefix)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "name          dtype    shape         size     shard",
        "dense/kernel  float32  [300, 400]  480 kB         0",
        "names         string   [2]           12 B         0",
        "parts         float64  [8]           64 B  2 slices",
        "step          int64    []             8 B         0",
        f"4 tensors, 480 kB, 1 data file: {prefix}",
    ]


def test_ls_as_json(prefix):
    result = run("ls", prefix, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    listed = json.loads(result.stdout)
    assert {key: value for key, value in listed.items() if key != "tensors"} == {
        "path": str(prefix),
        "num_tensors": 4,
        "num_shards": 1,
        "nbytes": 480084,
        "num_listed": 4,
        "nbytes_listed": 480084,
        "problems": {},
        "missing_shards": [],
    }
    with tb.open(prefix) as ckpt:
        for tensor, entry in zip(listed["tensors"], ckpt.entries(), strict=True):
            assert tensor == {
                "name": entry.name,
                "key": entry.name,
                "dtype": entry.tf_dtype,
                "shape": list(entry.shape),
                "nbytes": entry.nbytes,
                "shard": entry.shard,
                "offset": entry.offset,
                "crc32c": entry.crc32c,
                "slices": [[[0, 4]], [[4, 8]]] if entry.name == "parts" else [],
            }


def test_ls_on_a_terminal(prefix):
    code, written = run_on_a_terminal("ls", prefix)
    assert code == 0
    assert "dense/kernel" in written
    assert "\u2500" in written  # The line under the titles.


def test_ls_reads_the_index_alone(prefix):
    program = (
        "import sys\n"
        f"sys.argv = ['tensorbundle', 'ls', {str(prefix)!r}]\n"
        "from tensorbundle.cli.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted(name for name in ('numpy', 'rich', 'google', 'ml_dtypes', 'subprocess') if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_ls_says_what_cannot_be_read(incomplete):
    for options in ([], ["--json"]):
        result = run("ls", incomplete, *options)
        assert result.returncode == 3
        assert len(result.stderr.splitlines()) == 1
        assert result.stderr.startswith("can't be read: ")
        assert f"{incomplete}.data-00001-of-00002" in result.stderr
        assert '"b"' in result.stderr
    assert list(json.loads(result.stdout)["problems"]) == ["b"]


def test_names_cannot_act_upon_the_terminal(tmp_path):
    prefix = write_bundle(
        tmp_path / "ckpt", {b"\x1b[31mred\x07\xff\n": np.zeros(1), "gr\u00fc\u00df": np.zeros(1)}
    ).prefix
    result = run("ls", prefix)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert result.stdout.splitlines()[1].startswith("\\x1b[31mred\\x07\\udcff\\n  float64")
    assert result.stdout.splitlines()[2].startswith("gr\u00fc\u00df  ")
    names = [tensor["name"] for tensor in json.loads(run("ls", prefix, "--json").stdout)["tensors"]]
    assert names == ["\x1b[31mred\x07\udcff\n", "gr\u00fc\u00df"]


def test_markup_in_names_is_text(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt", {"[bold]w[/bold]": np.zeros(1)}).prefix
    assert "[bold]w[/bold]" in run_on_a_terminal("ls", prefix)[1]


def test_reader_that_stops_early(prefix):
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorbundle.cli", "ls", str(prefix)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    stderr = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in stderr


# verify


def test_verify_sound(prefix):
    result = run("verify", prefix)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{prefix}: 4 tensors, 480 kB, sound\n"


def test_verify_damaged(damaged):
    result = run("verify", damaged, "--threads", 2)
    assert (result.returncode, result.stderr) == (3, "")
    first, second, last = result.stdout.splitlines()
    assert first.startswith('damaged: tensor "dense/kernel": ')
    assert second.startswith(f"{damaged}.data-00000-of-00001: flipped: 1 of its 4 tensors fail their checksums: ")
    assert last == f"{damaged}: 4 tensors, 480 kB, 1 damaged"


def test_verify_counts_a_tensor_once(tmp_path):
    def change(_: int, data: bytearray) -> None:
        data[0] ^= 1
        data[32] ^= 1

    prefix = write_bundle(
        tmp_path / "ckpt", {"parts": TENSORS["parts"]}, slices=SLICES, mutate=Mutations(data=change)
    ).prefix
    result = run("verify", prefix)
    assert result.returncode == 3
    *damaged, _, last = result.stdout.splitlines()
    assert len(damaged) == 2
    assert last == f"{prefix}: 1 tensor, 64 B, 1 damaged"


def test_verify_as_json(prefix, damaged):
    sound = run("verify", prefix, "--json")
    assert (sound.returncode, sound.stderr) == (0, "")
    assert json.loads(sound.stdout) == {
        "path": str(prefix),
        "sound": True,
        "checked": 4,
        "nbytes": 480084,
        "damaged": [],
        "files": [],
        "missing_shards": [],
    }
    result = run("verify", damaged, "--json")
    assert result.returncode == 3
    report = json.loads(result.stdout)
    assert report["sound"] is False
    (damage,) = report["damaged"]
    with tb.open(damaged) as ckpt:
        (expected,) = ckpt.verify().damaged
    assert damage == {**vars(expected), "cause": str(expected.cause), "kind": "flipped"}
    (file,) = report["files"]
    assert (file["path"], file["cause"]) == (f"{damaged}.data-00000-of-00001", "flipped")
    assert (file["num_tensors"], file["damaged"]) == (4, ["dense/kernel"])


def test_verify_with_a_missing_file(incomplete):
    result = run("verify", incomplete)
    assert result.returncode == 3
    assert result.stdout.splitlines()[-1] == f"{incomplete}: 2 tensors, 24 B, 1 damaged"


def test_verify_shows_progress_on_a_terminal_only(prefix):
    code, written = run_on_a_terminal("verify", prefix)
    assert code == 0
    assert "verifying" in written
    assert run("verify", prefix).stderr == ""


# Failures


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_wrong_path_is_one_line(tmp_path, command):
    result = run(command, tmp_path / "nothing")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"tensorbundle: {tmp_path}/nothing: no checkpoint here: looked for '{tmp_path}/nothing.index'; "
        "its directory is empty\n"
    )


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_failure_as_json(tmp_path, command):
    result = run(command, tmp_path / "nothing", "--json")
    assert result.returncode == 2
    failure = json.loads(result.stdout)
    assert failure["kind"] == "FileNotFoundError"
    assert failure["path"] == f"{tmp_path}/nothing"
    assert result.stderr == f"tensorbundle: {failure['error']}\n"


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_damaged_index_is_one_line(tmp_path, command):
    (tmp_path / "ckpt.index").write_bytes(bytes(100))
    result = run(command, tmp_path / "ckpt")
    assert (result.returncode, result.stdout) == (3, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"tensorbundle: {tmp_path}/ckpt.index: ")


def test_what_is_not_supported_is_one_line():
    result = run("ls", "gs://bucket/ckpt")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "tensorbundle: reading from a URL is not supported yet: 'gs://bucket/ckpt'\n"


@pytest.mark.parametrize(
    "arguments",
    [["ls"], ["nothing"], ["serving", "list", "a", "b"], ["verify", "x", "--threads", "0"], ["ls", "x", "--nothing"]],
)
def test_wrong_use(arguments):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("tensorbundle: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.endswith(" --help)\n")


def test_interrupted(prefix):
    program = (
        "import signal, sys, tensorbundle\n"
        "tensorbundle.Checkpoint.verify = lambda *_, **__: signal.raise_signal(signal.SIGINT)\n"
        f"sys.argv = ['tensorbundle', 'verify', {str(prefix)!r}]\n"
        "from tensorbundle.cli.__main__ import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "tensorbundle: interrupted\n")


# The command itself


def test_version():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"tensorbundle {tb.__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["ls", "--help"], ["verify", "-h"], ["demo", "--help"]])
def test_help(arguments):
    result = run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: tensorbundle")


def test_without_click_it_says_what_to_install(prefix):
    program = (
        "import sys; sys.modules['click'] = None; sys.argv = ['tensorbundle']\n"
        "from tensorbundle.cli.__main__ import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == 'the command line needs click and rich: pip install "tensorbundle[cli]"\n'


def test_without_rich_a_terminal_gets_plain_text(prefix):
    program = (
        "import sys; sys.modules['rich'] = None; sys.stdout.isatty = lambda: True\n"
        f"sys.argv = ['tensorbundle', 'ls', {str(prefix)!r}]\n"
        "from tensorbundle.cli.__main__ import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == "name          dtype    shape         size     shard"
