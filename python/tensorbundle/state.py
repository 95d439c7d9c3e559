"""The ``checkpoint`` file: which checkpoints a directory holds, and which is the latest.

TensorFlow writes it beside the checkpoints, as the text form of its message ``CheckpointState``; this module owns that
text. Of the checkpoints it knows their names, and whether files of these names are there; what is in them is for others
to say.
"""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING, Any

from tensorbundle import callers, errors, files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

#: Name of the file, unless somebody wants another.
FILE_NAME = "checkpoint"

#: Bytes that a state file may have; a line for each of a hundred thousand checkpoints fits.
MAX_SIZE_BYTES = 16 * 1024 * 1024

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_V1_SHARDS = re.compile(r"(.*)-\?{5}-of-([0-9]{5})\Z", re.DOTALL)
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

# What protobuf doesn't print as it is. Bytes that are no UTF-8 are lone surrogates here.
_ESCAPED = {code: f"\\{code:03o}" for code in (*range(32), 127)}
_ESCAPED |= {0xDC00 + byte: f"\\{byte:03o}" for byte in range(128, 256)}
_ESCAPED |= {9: r"\t", 10: r"\n", 13: r"\r", 34: r"\"", 39: r"\'", 92: r"\\"}

_STRING_FIELDS = frozenset({"model_checkpoint_path", "all_model_checkpoint_paths"})
_NUMBER_FIELDS = frozenset({"all_model_checkpoint_timestamps", "last_preserved_timestamp"})
_REPEATED_FIELDS = frozenset({"all_model_checkpoint_paths", "all_model_checkpoint_timestamps"})


@dataclasses.dataclass(frozen=True)
class CheckpointState:
    """What a ``checkpoint`` file says, under TensorFlow's names. Immutable, and equal by value.

    Prefixes are paths as :func:`tensorbundle.open` takes them: absolute, or relative to the working directory. In the
    file, those inside its directory are relative to it, so that the directory can be moved.

    Attributes:
        model_checkpoint_path: Prefix of the newest checkpoint.
        all_model_checkpoint_paths: Every prefix that is kept, oldest first; the last one is the newest.
        all_model_checkpoint_timestamps: Seconds since the epoch at which each of these was saved; empty when the writer
            left them out.
        last_preserved_timestamp: Seconds since the epoch of the newest checkpoint that rotation keeps for good; 0.0
            when the writer left it out.

    Example:
        >>> state = tb.CheckpointState.read("run")
        >>> state.all_model_checkpoint_paths
        ('run/ckpt-1', 'run/ckpt-2')
        >>> dataclasses.replace(state, model_checkpoint_path="run/ckpt-1").write("run")
    """

    model_checkpoint_path: str
    all_model_checkpoint_paths: tuple[str, ...] = ()
    all_model_checkpoint_timestamps: tuple[float, ...] = ()
    last_preserved_timestamp: float = 0.0

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self | None:
        """Reads a state file, as ``tf.train.get_checkpoint_state`` does.

        Args:
            path: The directory that it is in, or the file itself.

        Returns:
            The state, its relative prefixes joined to the directory, whether these checkpoints are there or not. None
            if there is no such file, or none that can be understood.

        Raises:
            DataLossError: A ``ValueError``: the file names no checkpoint, its ``model_checkpoint_path`` is empty.
            LimitError: It is longer than a state file may be.
            OSError: It can't be read.

        Warns:
            DamageWarning: There is a file, and it isn't a state file of TensorFlow's, or is damaged.
        """
        path = directory = os.fspath(path)
        if not path or files.is_directory(path):
            path = os.path.join(path, FILE_NAME)
        else:
            directory = os.path.dirname(path)
        written = _read_or_warn(path)
        if written is None:
            return None
        return cls(
            _joined(directory, written.model_checkpoint_path),
            tuple(_joined(directory, prefix) for prefix in written.all_model_checkpoint_paths),
            written.all_model_checkpoint_timestamps,
            written.last_preserved_timestamp,
        )

    def write(
        self, directory: str | os.PathLike[str], latest_filename: str | None = None, *, durable: bool = True
    ) -> None:
        """Writes the state file of a directory, byte for byte as TensorFlow would.

        The file is replaced at one stroke: a reader, or a crash, finds the old one or the new one.

        Args:
            directory: Where; it exists. Prefixes inside it are written relative to it, others absolute.
            latest_filename: Name of the file; None: ``checkpoint``.
            durable: True: survives a power cut. False: survives a killed process.

        Raises:
            ValueError: ``model_checkpoint_path`` is empty, a prefix has a NUL in it, or there are timestamps, but not
                as many as prefixes.
            OSError: It can't be written. What was there is there still.
        """
        self._check()
        directory = os.fspath(directory)
        written = dataclasses.replace(
            self,
            model_checkpoint_path=_as_written(self.model_checkpoint_path, directory),
            all_model_checkpoint_paths=tuple(_as_written(p, directory) for p in self.all_model_checkpoint_paths),
        )
        path = os.path.join(directory, latest_filename or FILE_NAME)
        files.replace(path, encode(written), durable=durable)

    def _check(self) -> None:
        """Raises if a file that says this could not be used."""
        if not self.model_checkpoint_path:
            raise ValueError("a state file names the newest checkpoint: model_checkpoint_path is empty")
        for prefix in (self.model_checkpoint_path, *self.all_model_checkpoint_paths):
            if "\0" in prefix:
                raise ValueError(f"no file can be named {prefix!r}")
        paths, timestamps = self.all_model_checkpoint_paths, self.all_model_checkpoint_timestamps
        if timestamps and len(timestamps) != len(paths):
            raise ValueError(f"{len(timestamps)} timestamps for {len(paths)} checkpoints: give one for each, or none")


def latest_checkpoint(directory: str | os.PathLike[str], latest_filename: str | None = None) -> str | None:
    """The prefix of the newest checkpoint of a directory, by its state file.

    Like ``tf.train.latest_checkpoint``, but a directory may have been moved: a checkpoint that the file names by its
    absolute path, and that isn't there, is looked for beside the file. Names are taken literally, ``[`` too.

    Args:
        directory: Where the state file is.
        latest_filename: Its name; None: ``checkpoint``.

    Returns:
        A prefix for :func:`tensorbundle.open`. None if there is no state file that can be understood, or if the
        checkpoint that it names is gone.

    Raises:
        DataLossError: The file names no checkpoint, or one outside the directory by a relative path.
        LimitError: It is longer than a state file may be.
        OSError: It can't be read.

    Warns:
        DamageWarning: There is a file, and it isn't a state file of TensorFlow's, or is damaged.
    """
    directory = os.fspath(directory)
    path = os.path.join(directory, latest_filename or FILE_NAME)
    written = _read_or_warn(path)
    found = () if written is None else candidates(written, path)
    return next((prefix for prefix in found if _exists(prefix)), None)


def candidates(written: CheckpointState, path: str | os.PathLike[str]) -> list[str]:
    """Where the newest checkpoint may be that a state file names; the likeliest first.

    An absolute prefix (or a URL) is taken as written. The folder may have been moved since, so that the prefix's last
    part, beside the file, comes second. A relative prefix may not leave the directory: a folder that was received from
    somebody else must not point into the rest of the disk.

    Args:
        written: What the file says, as :func:`read` gives it.
        path: The file.

    Raises:
        DataLossError: The prefix is empty, has a NUL in it, or is relative and leaves the file's directory.
    """
    path = os.fspath(path)
    directory = os.path.dirname(path)
    latest = written.model_checkpoint_path
    _require_name(latest, path)
    if "\0" in latest:
        raise errors.DataLossError(f"{path!r} names {latest!r}, which no file can be named", path=path)
    if _is_absolute(latest):
        return [latest, os.path.join(directory, os.path.basename(latest))]
    relative = os.path.normpath(latest)
    if relative == ".." or relative.startswith(".." + os.sep):
        raise errors.DataLossError(f"{path!r} names {latest!r}, which is outside its directory", path=path)
    return [os.path.join(directory, relative)]


def read(path: str | os.PathLike[str]) -> CheckpointState:
    """What a state file says, its prefixes as they are written there.

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
    """What the text of a state file says, its prefixes as they are written there.

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
        os.fsdecode((fields["model_checkpoint_path"] or [b""])[-1]),
        tuple(os.fsdecode(value) for value in fields["all_model_checkpoint_paths"]),
        tuple(fields["all_model_checkpoint_timestamps"]),
        preserved[-1] if preserved else 0.0,
    )


def encode(state: CheckpointState) -> bytes:
    """The text of a state file, as protobuf's package for Python prints it; zeros and empty strings are left out."""
    return "".join(f"{name}: {value}\n" for name, value in _printed(state)).encode()


def _printed(state: CheckpointState) -> Iterator[tuple[str, str]]:
    """Names of the fields, and their values as text."""
    if state.model_checkpoint_path:
        yield "model_checkpoint_path", _quoted(state.model_checkpoint_path)
    for prefix in state.all_model_checkpoint_paths:
        yield "all_model_checkpoint_paths", _quoted(prefix)
    for timestamp in state.all_model_checkpoint_timestamps:
        yield "all_model_checkpoint_timestamps", str(float(timestamp))
    last_preserved = str(float(state.last_preserved_timestamp))
    if last_preserved != "0.0":  # A zero with a sign is printed.
        yield "last_preserved_timestamp", last_preserved


def _quoted(prefix: str) -> str:
    text = os.fsencode(prefix).decode("utf-8", "surrogateescape")
    return f'"{text.translate(_ESCAPED)}"'


def _read_or_warn(path: str) -> CheckpointState | None:
    """What the file says, with prefixes as written; None, after a warning, if it can't be understood."""
    if not files.is_file(path):
        return None
    try:
        written = read(path)
    except errors.DataLossError as error:
        callers.warn(f"{error.message}; the file is ignored", errors.DamageWarning)
        return None
    _require_name(written.model_checkpoint_path, path)
    return written


def _require_name(prefix: str, path: str) -> None:
    if not prefix:
        raise errors.DataLossError(f"{path!r} names no checkpoint: its model_checkpoint_path is empty", path=path)


def _is_absolute(prefix: str) -> bool:
    return os.path.isabs(prefix) or _URL.match(prefix) is not None


def _joined(directory: str, prefix: str) -> str:
    return prefix if _is_absolute(prefix) else os.path.join(directory, prefix)


def _as_written(prefix: str, directory: str) -> str:
    """Relative to the directory where it lies in there: then both can be moved."""
    return prefix if _URL.match(prefix) else files.relative(prefix, directory) or files.absolute(prefix)


def _exists(prefix: str) -> bool:
    """True if there are files of a checkpoint of that name, in either format; V1 names its shards by a pattern."""
    if files.is_file(prefix + ".index") or files.is_file(prefix):
        return True
    directory, name = os.path.split(prefix)
    shards = _V1_SHARDS.match(name)
    if shards is None or not files.is_directory(directory or os.curdir):
        return False
    one = re.compile(rf"{re.escape(shards[1])}-[0-9]{{5}}-of-{shards[2]}")
    return any(one.fullmatch(file) for file in os.listdir(directory or os.curdir))


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


CheckpointState.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
