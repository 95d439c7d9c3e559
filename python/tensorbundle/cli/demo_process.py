"""The demo's processes, and what is in the page cache when they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import click

_CHUNK = 1 << 22


def run(mode: str, prefix: str, threads: int | None) -> dict[str, Any]:
    """One measurement in a fresh process; see :func:`tensorbundle.cli.demo_modes.measure`.

    Raises:
        click.ClickException: It failed; the message ends with what it said last.
    """
    command = [sys.executable, "-m", "tensorbundle.cli.demo_modes", mode, prefix, str(threads or 0)]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(  # noqa: S603 - this program itself
        command, capture_output=True, text=True, check=False, env={**os.environ, **quiet}
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise click.ClickException(f"measuring {mode!r} failed with exit code {done.returncode}: {last}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def fill_cache(prefix: str) -> None:
    """Reads the files once, so that they are in the page cache."""
    buffer = bytearray(_CHUNK)
    for path in _files(prefix):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def drop_cache(prefix: str) -> bool:
    """Asks the system to forget the files' pages; true if it can be asked, and did."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return False
    for path in _files(prefix):
        file = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            if _is_cached(file, os.fstat(file).st_size // 2):
                return False
        finally:
            os.close(file)
    return True


def _is_cached(file: int, offset: int) -> bool:
    """Whether reading there needs no disk; also true where the file system can't tell."""
    try:
        os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _files(prefix: str) -> list[str]:
    return [f"{prefix}.index", f"{prefix}.data-00000-of-00001"]
