"""The ``checkpoint`` file: which checkpoints a directory holds, and which is the latest.

TensorFlow writes it beside the checkpoints, as the text form of its message ``CheckpointState``; this module owns that
text. It knows names only: whether a named checkpoint is there or sound is for others to say.
"""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING, Any

from tensorbundle import errors

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes that a state file may have; a line for each of a hundred thousand checkpoints fits.
MAX_SIZE_BYTES = 16 * 1024 * 1024

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SPACE = re.compile(r"[ \t\r\n\f\v]+|#[^\n]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STRING = re.compile(r'"([^"\\\n]*(?:\\[^\n][^"\\\n]*)*)"' + r"|'([^'\\\n]*(?:\\[^\n][^'\\\n]*)*)'")
_NUMBER = re.compile(
    r"-?[ \t]*(?:0x[0-9a-f]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?f?|inf(?:inity)?|nan)(?![a-z0-9_.])",
    re.IGNORECASE | re.ASCII,
)
_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\'\"?])|(.)|$)", re.DOTALL
)
_SIMPLE_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63}

_STRING_FIELDS = frozenset({"model_checkpoint_path", "all_model_checkpoint_paths"})
_NUMBER_FIELDS = frozenset({"all_model_checkpoint_timestamps", "last_preserved_timestamp"})
_REPEATED_FIELDS = frozenset({"all_model_checkpoint_paths", "all_model_checkpoint_timestamps"})


@dataclasses.dataclass(frozen=True)
class CheckpointState:
    """What a ``checkpoint`` file says.

    Attributes:
        latest: Prefix of the newest checkpoint, as written: absolute, or relative to the file's directory.
        all: Every prefix kept, oldest first; the last one is ``latest``.
        timestamps: Seconds since the epoch at which each of ``all`` was saved; empty when the writer left them out.
        last_preserved: Seconds since the epoch of the newest checkpoint that rotation keeps for good, or None.
    """

    latest: str
    all: tuple[str, ...] = ()
    timestamps: tuple[float, ...] = ()
    last_preserved: float | None = None

    def candidates(self, directory: str | os.PathLike[str]) -> list[str]:
        """Where the newest checkpoint may be, seen from the directory that holds the file; the likeliest first.

        An absolute prefix (or a URL) is taken as written. The folder may have been moved since, so that the prefix's
        last part, beside the file, comes second. A relative prefix may not leave the directory: a folder that was
        received from somebody else must not point into the rest of the disk.

        Raises:
            DataLossError: The prefix is empty, has a NUL in it, or is relative and leaves ``directory``.
        """
        directory = os.fspath(directory)
        path = os.path.join(directory, "checkpoint")
        if not self.latest:
            raise errors.DataLossError(f"{path!r} names no checkpoint: its model_checkpoint_path is empty", path=path)
        if "\0" in self.latest:
            raise errors.DataLossError(f"{path!r} names {self.latest!r}, which no file can be named", path=path)
        if os.path.isabs(self.latest) or _URL.match(self.latest):
            return [self.latest, os.path.join(directory, os.path.basename(self.latest))]
        relative = os.path.normpath(self.latest)
        if relative == ".." or relative.startswith(".." + os.sep):
            raise errors.DataLossError(f"{path!r} names {self.latest!r}, which is outside its directory", path=path)
        return [os.path.join(directory, relative)]


def read(path: str | os.PathLike[str]) -> CheckpointState:
    """Reads a state file.

    Raises:
        OSError: It can't be read.
        DataLossError: It isn't a state file, or a damaged one; the message has the line.
        LimitError: It has more than :data:`MAX_SIZE_BYTES`.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        content = file.read(MAX_SIZE_BYTES + 1)
    if len(content) > MAX_SIZE_BYTES:
        raise errors.LimitError(
            f"{path!r} has more than the {MAX_SIZE_BYTES} bytes that a state file may have", path=path
        )
    return parse(content, path)


def parse(content: bytes, path: str = "checkpoint") -> CheckpointState:
    """What the text of a state file says.

    Comments, both kinds of quotes, adjacent strings, lists in brackets and every escape of protobuf's text format are
    understood. Of a field that should be there once, the last one counts.

    Args:
        content: The text, in UTF-8.
        path: Name of the file, for messages.

    Raises:
        DataLossError: It isn't such a text; the message has the line.
    """
    # Latin-1 keeps every byte as one character; strings become bytes again before they are decoded.
    parser = _Parser(content.decode("latin-1"), path)
    fields = parser.fields()
    preserved = fields["last_preserved_timestamp"]
    return CheckpointState(
        latest=os.fsdecode((fields["model_checkpoint_path"] or [b""])[-1]),
        all=tuple(os.fsdecode(value) for value in fields["all_model_checkpoint_paths"]),
        timestamps=tuple(fields["all_model_checkpoint_timestamps"]),
        last_preserved=preserved[-1] if preserved else None,
    )


class _Parser:
    """Text format, as far as a message of strings and numbers needs it."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._at = 0

    def fields(self) -> dict[str, list[Any]]:
        """The values of every field, bytes or floats, in the order of the text."""
        found: dict[str, list[Any]] = {name: [] for name in _STRING_FIELDS | _NUMBER_FIELDS}
        while not self._at_end():
            start = self._at
            name = self._match(_NAME, "a field name").group()
            if name not in found:
                self._at = start
                raise self._error(f"a state file has no field {name!r}")
            if not self._take(":"):
                raise self._error(f"expected ':' after {name!r}")
            found[name] += self._values(name)
            self._take(",") or self._take(";")
        return found

    def _values(self, name: str) -> list[Any]:
        read: Callable[[], Any] = self._string if name in _STRING_FIELDS else self._number
        if name not in _REPEATED_FIELDS or not self._take("["):
            return [read()]
        values: list[Any] = []
        while not self._take("]"):
            if values and not self._take(","):
                raise self._error("expected ',' or ']' in a list")
            values.append(read())
        return values

    def _string(self) -> bytes:
        parts = [self._unescape(self._match(_STRING, "a string in quotes"))]
        while not self._at_end() and self._text[self._at] in "\"'":
            parts.append(self._unescape(self._match(_STRING, "a string in quotes")))
        return b"".join(parts)

    def _number(self) -> float:
        text = self._match(_NUMBER, "a number").group().replace(" ", "").replace("\t", "").lower()
        if "x" in text:
            try:
                return float(int(text, 16))
            except OverflowError:
                raise self._error("a number too large") from None
        return float(text if "inf" in text else text.rstrip("f"))

    def _unescape(self, literal: re.Match[str]) -> bytes:
        text = literal.group(1) if literal.group(1) is not None else literal.group(2)

        def value(escape: re.Match[str]) -> str:
            octal, byte, short, long, simple, _ = escape.groups()
            if octal:
                return chr(int(octal, 8) & 0xFF)
            if byte:
                return chr(int(byte, 16))
            if simple:
                return chr(_SIMPLE_ESCAPES[simple])
            code = int(short or long or "110000", 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                self._at = literal.start()
                raise self._error(f"unknown escape {escape.group()!r} in a string")
            return chr(code).encode().decode("latin-1")

        return _ESCAPE.sub(value, text).encode("latin-1")

    def _match(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        if self._at_end():
            raise self._error(f"expected {expected}, found the end")
        match = pattern.match(self._text, self._at)
        if match is None:
            raise self._error(f"expected {expected}, found {self._text[self._at : self._at + 20]!r}")
        self._at = match.end()
        return match

    def _take(self, symbol: str) -> bool:
        if self._at_end() or self._text[self._at] != symbol:
            return False
        self._at += 1
        return True

    def _at_end(self) -> bool:
        """Skips space and comments."""
        while space := _SPACE.match(self._text, self._at):
            self._at = space.end()
        return self._at == len(self._text)

    def _error(self, what: str) -> errors.DataLossError:
        line = self._text.count("\n", 0, self._at) + 1
        return errors.DataLossError(
            f"{self._path!r} is not a state file of TensorFlow's, or is damaged: line {line}: {what}",
            path=self._path,
            offset=self._at,
        )
