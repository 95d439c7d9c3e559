"""``tensorbundle completion``, and what shells then offer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click import shell_completion
from support.bundle_writer import write_bundle
from support.cli import commands, invoke

from tensorbundle.cli import app as root


@pytest.fixture
def prefix(tmp_path) -> Path:
    return write_bundle(tmp_path / "ckpt", {"dense/bias": np.ones(3), "dense/kernel": np.ones(3), "\x1b": 1}).prefix


def offered(*words: object) -> list[str]:
    """What a shell is told for the last of the words."""
    *before, last = map(str, words)
    completer = shell_completion.BashComplete(root.app, {}, "tensorbundle", "_TENSORBUNDLE_COMPLETE")
    return [completer.format_completion(item) for item in completer.get_completions(before, last)]


def test_commands_options_and_files(prefix):
    assert offered("s") == ["plain,salvage", "plain,saved-model", "plain,serving", "plain,show", "plain,stats"]
    assert {"plain,--sort", "plain,--json"} <= set(offered("ls", prefix, "--"))
    assert offered("ls", prefix, "--sort", "s") == ["plain,size", "plain,shard"]
    assert offered("ls", f"{prefix}."[:-1]) == [f"file,{prefix}"]


@pytest.mark.parametrize("command", ["cat", "ls", "show", "verify"])
def test_names_of_tensors(prefix, command):
    assert offered(command, prefix, "dense/k") == ["plain,dense/kernel"]
    assert offered(command, prefix, "x") == []
    assert offered(command, prefix.parent / "nothing", "dense") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script(shell):
    result = invoke("completion", shell)
    assert (result.code, result.err) == (0, "")
    assert f"_TENSORBUNDLE_COMPLETE={shell}_complete" in result.out


def test_unknown_shell():
    result = invoke("completion", "tcsh")
    assert (result.code, result.out) == (2, "")
    assert "'tcsh' is not one of" in result.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_in_bash(prefix, tmp_path):
    program = tmp_path / "bin" / "tensorbundle"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tensorbundle.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = f"""
eval "$(tensorbundle completion bash)"
complete -p tensorbundle
COMP_WORDS=(tensorbundle cat {prefix} dense/b); COMP_CWORD=3
_tensorbundle_completion tensorbundle; echo "${{COMPREPLY[@]}}"
COMP_WORDS=(tensorbundle inspect); COMP_CWORD=1; COMPREPLY=()
_tensorbundle_completion tensorbundle; echo "${{COMPREPLY[@]}}"
"""
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "--norc", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ""
    registered, name, command = done.stdout.splitlines()
    assert registered.endswith("-F _tensorbundle_completion tensorbundle")
    assert (name, command) == ("dense/bias", "inspect-checkpoint")


@pytest.mark.parametrize("name", [name for name in commands() if name not in {"completion", "demo"}])
def test_every_command_completes_the_path_that_it_takes(name):
    first = ["--file_name", "run/"] if name == "inspect-checkpoint" else ["run/"]
    assert offered(*name.split(), *first) == ["file,run/"]
