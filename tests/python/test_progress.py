"""The bar on the terminal, and the functions of users'."""

from __future__ import annotations

import contextlib
import sys

import numpy as np
import pytest
from support.sparse import write_sparse

import tensorbundle as tb
from tensorbundle.progress import reporting


class Terminal:
    """A stderr that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.written: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written.append(text)
        return len(text)

    def flush(self) -> None:
        pass


@pytest.fixture
def as_terminal(monkeypatch):
    """Makes stderr one when called: pytest puts its own there between a fixture and the test."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def become() -> Terminal:
        stderr = Terminal()
        monkeypatch.setattr(sys, "stderr", stderr)
        return stderr

    return become


@pytest.mark.parametrize("progress", [None, False, True])
def test_nothing_where_there_is_no_terminal(progress, capfd):
    with reporting(progress, "loading") as report:
        assert report is None
    assert capfd.readouterr() == ("", "")


def test_function_is_handed_on():
    def function(done, total, name):
        pass

    with reporting(function, "loading") as report:
        assert report is function


def test_bar_on_a_terminal(as_terminal):
    terminal = as_terminal()
    with reporting(True, "loading") as report:
        report(512, 1024, "w")
        report(1024, 1024, "w")
    assert "loading" in "".join(terminal.written)


def test_bar_goes_away_after_an_error(as_terminal):
    terminal = as_terminal()
    with contextlib.suppress(KeyboardInterrupt), reporting(True, "loading") as report:
        report(1, 2, "w")
        raise KeyboardInterrupt
    assert "".join(terminal.written).count("\x1b[?25h") == 1  # The cursor is shown again.


def test_nothing_without_rich(as_terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    terminal = as_terminal()
    with reporting(True, "loading") as report:
        assert report is None
    assert terminal.written == []


@pytest.mark.parametrize("progress", [1, "yes", []])
def test_anything_else_is_refused(progress):
    with pytest.raises(TypeError, match=r"^progress must be True or a function"), reporting(progress, "loading"):
        pass


# A call that the function ends.


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Takes longer than it is from one call of the function to the next."""
    shapes = {f"w{number}": (1 << 14, 1 << 10) for number in range(4)}
    return write_sparse(tmp_path_factory.mktemp("numbers") / "ckpt", shapes).prefix


@pytest.fixture(scope="module")
def strings(tmp_path_factory):
    """The same, of strings: one tensor, which is looked through in one go."""
    elements = np.full(1 << 22, b"x" * 24, object)
    return tb.save(tmp_path_factory.mktemp("strings") / "ckpt", {"s": elements}, durable=False)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mmap", [True, False], ids=["map", "read"])
@pytest.mark.parametrize("contents", ["numbers", "strings"])
@pytest.mark.parametrize("call", ["load", "verify"])
def test_function_that_raised_is_not_called_again(request, contents, call, mmap, threads):
    calls = []

    def stop(*call):
        calls.append(call)
        raise RuntimeError("enough")

    ckpt = tb.open(request.getfixturevalue(contents), mmap=mmap, threads=threads)
    with ckpt, pytest.raises(RuntimeError, match=r"^enough$"):
        ckpt.verify(progress=stop) if call == "verify" else ckpt.load(copy=True, progress=stop)
    assert len(calls) == 1
