"""The command line, run in this process or as users run it."""

from __future__ import annotations

import contextlib
import inspect
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import click
from click.testing import CliRunner, Result

from tensorbundle.cli import app as root

COMMAND = [sys.executable, "-m", "tensorbundle.cli"]


class Outcome(NamedTuple):
    """Exit code, and what was written."""

    code: int
    out: str
    err: str


def invoke(*arguments: object) -> Outcome:
    """Runs a command in this process. An exception that the command lets through is one of the test."""
    done = _invoke(arguments)
    return Outcome(done.exit_code, done.stdout, done.stderr)


def bytes_of(*arguments: object) -> bytes:
    """What a command that must succeed writes to a pipe."""
    done = _invoke(arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout_bytes


def _invoke(arguments: tuple[object, ...]) -> Result:
    separate = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click 8.1
    done = CliRunner(**separate).invoke(root.app, list(map(str, arguments)), prog_name="tensorbundle")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def run(*arguments: object, **options: object) -> Outcome:
    """Runs a command as a process."""
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


def run_after(preparation: str, *arguments: object, **options: object) -> Outcome:
    """Runs a command as a process in which a program ran before."""
    program = f"{preparation}\nfrom tensorbundle.cli.__main__ import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


def run_on_a_terminal(*arguments: object, **more: str) -> tuple[int, str]:
    """Exit code, and what was written to a terminal that is both stdout and stderr."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **more}
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, stdin=terminal, env=environment) as process:
        os.close(terminal)
        written = b"".join(_parts(controller))
    os.close(controller)
    return process.returncode, written.decode()


def _parts(controller: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # Linux says so when the last writer is gone.
        while part := os.read(controller, 65536):
            yield part


def commands() -> dict[str, click.Command]:
    """Every command by its full name, such as ``serving check``."""
    return dict(_leaves(root.app, click.Context(root.app, info_name="tensorbundle"), ""))


def _leaves(group: click.Group, ctx: click.Context, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from _leaves(command, click.Context(command, parent=ctx), f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command
