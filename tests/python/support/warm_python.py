"""A Python that has TensorFlow imported already, for tests that start many which import it.

``started`` gives a program to call instead of ``sys.executable``. It has one process import TensorFlow, and each
``-m MODULE`` runs in a fork of that one, with the caller's files, folder and environment; anything else runs in a
Python that knows nothing of all this.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import shlex
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def started() -> Iterator[str]:
    """The program, while the process behind it lives."""
    with tempfile.TemporaryDirectory() as directory:  # The test's own may be too long a name for a socket.
        program, address = Path(directory, "python"), Path(directory, "socket")
        command = shlex.join([sys.executable, "-SE", __file__, "call", str(address), sys.executable])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        with subprocess.Popen([sys.executable, __file__, "serve", address, program], stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == b"ready\n", "TensorFlow can't be imported"
                yield str(program)
            finally:
                server.kill()


def call(address: str, python: str, *arguments: str) -> int:
    """The program: asks for a fork and waits for its end."""
    if arguments[0] != "-m":
        os.execv(python, [python, *arguments])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        request = json.dumps({"arguments": arguments[1:], "folder": os.getcwd(), "environment": dict(os.environ)})
        socket.send_fds(connection, [len(request).to_bytes(8, "little")], [0, 1, 2])
        connection.sendall(request.encode())
        return int(connection.makefile().read())


def serve(address: str, program: str) -> None:
    """Imports TensorFlow, and gives each caller a fork."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import tensorflow as tf  # noqa: F401 - that is what the forks are for

    sys.executable = program
    del sys.path[0]  # The folder of this file.
    gc.freeze()  # Or each fork would look through all of TensorFlow for garbage, and so copy it.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:  # Who answered before: their time counts as this process's.
                    pass
            if os.fork() == 0:
                listener.close()
                answer(connection)
                os._exit(0)
            connection.close()


def answer(connection: socket.socket) -> None:
    """Runs what the caller asks for and tells its exit status."""
    header, files, _, _ = socket.recv_fds(connection, 8, 3)
    request = json.loads(connection.makefile("rb").read(int.from_bytes(header, "little")))
    process = os.fork()
    if process == 0:
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os._exit(run(**request))
    for file in files:
        os.close(file)
    _, status = os.waitpid(process, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> int:
    """``python -m`` but for the end of the interpreter, which takes a second with TensorFlow in it."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return status_of(end)
    except BaseException:  # noqa: BLE001 - whatever ends a program
        traceback.print_exc()
        return 1
    finally:
        atexit._run_exitfuncs()
        for file in (sys.stdout, sys.stderr):
            if not file.closed:
                file.flush()
    return 0


def status_of(end: SystemExit) -> int:
    if isinstance(end.code, int) or end.code is None:
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit({"call": call, "serve": serve}[sys.argv[1]](*sys.argv[2:]))
