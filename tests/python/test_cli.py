"""The command line as a whole: how commands fail, what they share."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.bundle_writer import write_bundle
from support.cli import COMMAND, invoke, run, run_after, run_on_a_terminal

import tensorbundle as tb
from tensorbundle.cli import output

TENSORS = {"dense/kernel": np.zeros((300, 400), np.float32), "step": np.array(7, np.int64)}


@pytest.fixture
def prefix(tmp_path) -> Path:
    return write_bundle(tmp_path / "ckpt", TENSORS).prefix


# Failures


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_wrong_path_is_one_line(tmp_path, command):
    result = run(command, tmp_path / "nothing")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"tensorbundle: {tmp_path}/nothing: no checkpoint here: looked for '{tmp_path}/nothing.index'; "
        "its directory is empty\n"
    )


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_failure_as_json(tmp_path, command):
    result = run(command, tmp_path / "nothing", "--json")
    assert result.code == 2
    failure = json.loads(result.out)
    assert failure["kind"] == "FileNotFoundError"
    assert failure["path"] == f"{tmp_path}/nothing"
    assert result.err == f"tensorbundle: {failure['error']}\n"


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_damaged_index_is_one_line(tmp_path, command):
    (tmp_path / "ckpt.index").write_bytes(bytes(100))
    result = run(command, tmp_path / "ckpt")
    assert (result.code, result.out) == (3, "")
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith(f"tensorbundle: {tmp_path}/ckpt.index: ")


def test_what_is_not_supported_is_one_line():
    result = run("ls", "gs://bucket/ckpt")
    assert (result.code, result.out) == (2, "")
    assert result.err == "tensorbundle: reading from a URL is not supported yet: 'gs://bucket/ckpt'\n"


@pytest.mark.parametrize(
    "arguments",
    [["ls"], ["nothing"], ["serving", "list", "a", "b"], ["verify", "x", "--threads", "0"], ["ls", "x", "--nothing"]],
)
def test_wrong_use(arguments):
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("tensorbundle: ")
    assert len(result.err.splitlines()) == 1
    assert result.err.endswith(" --help)\n")


RAISE = "import tensorbundle as tb\ndef fail(*_, **__): raise {}\ntb.Checkpoint.verify = fail"


def test_interrupted(prefix):
    preparation = "import signal, tensorbundle as tb\ntb.Checkpoint.verify = lambda *_, **__: signal.raise_signal(2)"
    assert run_after(preparation, "verify", prefix) == (130, "", "tensorbundle: interrupted\n")
    assert run_after(preparation, "verify", prefix, "--json") == (130, "", "tensorbundle: interrupted\n")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ("tb.errors.DataLossError('one\\ntwo')", 3, "one\\ntwo"),
        ("tb.errors.NotFoundError('nowhere')", 2, "nowhere"),
        ("PermissionError(13, 'Permission denied', 'x')", 2, "x: Permission denied"),
        ("FileNotFoundError(2, 'No such file or directory', 'x-00000-of-00001')", 3, "x-00000-of-00001: No such"),
        ("OSError('odd')", 2, "odd"),
        ("MemoryError()", 2, "there is not enough memory"),
        ("ValueError('a wrong argument')", 2, "a wrong argument"),
        ("tb.errors.InternalError('a bug')", 70, "internal error: InternalError: a bug; please report it"),
        ("TypeError('a bug')", 70, "internal error: TypeError: a bug; please report it"),
        ("RecursionError('too deep')", 70, "internal error: RecursionError: too deep; please report it"),
        ("AssertionError('line\\nline')", 70, "internal error: AssertionError: line line; please report it"),
    ],
)
def test_any_error_is_one_line(prefix, error, code, text):
    result = run_after(RAISE.format(error), "verify", prefix, "--json")
    assert result.code == code
    assert result.err.startswith(f"tensorbundle: {text}")
    assert len(result.err.splitlines()) == 1
    failure = json.loads(result.out)
    assert output.printable(failure["error"]) == result.err.removeprefix("tensorbundle: ").rstrip("\n")
    assert failure["kind"] == error.partition("(")[0].rpartition(".")[2]


@pytest.mark.parametrize("arguments", [["--debug", "verify"], ["verify", "--debug"]])
def test_debug_shows_the_traceback(prefix, arguments):
    result = run_after(RAISE.format("TypeError('a bug')"), *arguments, prefix)
    assert (result.code, result.out) == (70, "")
    assert result.err.startswith("Traceback (most recent call last):\n")
    assert result.err.endswith("\nTypeError: a bug\n")


def test_debug_after_the_command_of_a_group(tmp_path):
    result = invoke("serving", "list", tmp_path / "nothing", "--debug")
    assert result.code == 2
    assert result.err.startswith("Traceback (most recent call last):\n")


def test_patterns_that_are_none(prefix):
    for option in ("--include", "--exclude"):
        result = invoke("ls", prefix, option, "(")
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"tensorbundle: {option}: '(' is no regular expression: ")


def test_reader_that_stops_early(prefix):
    for arguments in (["ls", prefix], ["ls", prefix, "--json"], ["verify", prefix]):
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        process.stdout.close()
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait() == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ls", []),
        ("ls", ["--json"]),
        ("cat", ["step", "--format", "npy"]),
        ("cat", ["step", "--format=raw"]),
    ],
)
def test_output_that_cannot_be_written(prefix, name, options):
    with open("/dev/full", "w", encoding="utf-8") as full:
        command = [*COMMAND, name, str(prefix), *options]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"tensorbundle: standard output: {os.strerror(errno.ENOSPC)}\n")


@pytest.mark.parametrize("form", ["text", "json", "npy", "raw"])
def test_without_stdout_nothing_is_written(prefix, form):
    result = run("cat", prefix, "step", "--format", form, preexec_fn=lambda: os.close(1))
    assert result == (0, "", "")


@pytest.mark.parametrize("options", [[], ["--sort", "name"]], ids=["plain", "click"])
def test_names_that_the_terminal_cannot_show(tmp_path, options):
    prefix = write_bundle(tmp_path / "ckpt", {"gr\u00fc\u00df/\u65e5": np.zeros(1)}).prefix
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    result = run("ls", prefix, *options, env=environment)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[1].startswith("gr\\xfc\\xdf/\\u65e5  float64")


# The command itself


def test_version():
    result = run("--version")
    assert (result.code, result.out) == (0, f"tensorbundle {tb.__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["ls", "--help"], ["verify", "-h"], ["demo", "--help"]])
def test_help(arguments):
    result = run(*arguments)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Usage: tensorbundle")


def test_without_arguments_it_shows_the_help():
    for arguments in ([], ["serving"], ["saved-model"]):
        result = invoke(*arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("Usage: ")


def test_without_click_it_says_what_to_install():
    result = run_after("import sys; sys.modules['click'] = None", "verify", "x")
    assert result == (2, "", 'the command line needs click and rich: pip install "tensorbundle[cli]"\n')


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("command", ["ls", "show", "stats"])
def test_no_terminal_is_so_narrow_that_numbers_are_cut(tmp_path, command, columns):
    numbers = np.array([-0.00012345, 31.0955, 1234.5], np.float32)
    prefix = write_bundle(tmp_path / "ckpt", {f"layer_1/output/{'dense/' * 5}bias_{i}": numbers for i in "ab"}).prefix
    _, *rows, _ = run(command, prefix).out.splitlines()
    code, written = run_on_a_terminal(command, prefix, COLUMNS=str(columns))
    assert code == 0
    wanted = {cell for row in rows for cell in row.split() if cell[-1].isdigit() and "/" not in cell}
    assert wanted <= set(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written).split())


def test_without_rich_a_terminal_gets_plain_text(prefix):
    preparation = "import sys; sys.modules['rich'] = None; sys.stdout.isatty = lambda: True"
    result = run_after(preparation, "ls", prefix)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == "name          dtype    shape         size  shard"
