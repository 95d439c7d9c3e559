"""Messages as text, as in ``saved_model.pbtxt``."""

from __future__ import annotations

import re
from typing import Any

from tensorbundle import errors
from tensorbundle.protos.limits import MOST_LEVELS

# Braces that open and close messages, and what may hold others: strings and comments.
_TOKENS = re.compile(r"""[{}<>]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*""")


def parse_text(message_class: Any, text: str | bytes, where: str) -> Any:
    """Parses text into a new message.

    Args:
        message_class: One of :mod:`tensorbundle.protos.messages`.
        text: Bytes are taken as UTF-8.
        where: Path of the file, for errors.

    Raises:
        DataLossError: The text is damaged, nests more than 100 messages, or has a field or value that is not known,
            which could not be kept. The message has the line.
    """
    from tensorbundle.protos import pool, printed

    if (binary := printed.to_binary(message_class, text)) is not None:
        return message_class.FromString(binary)
    text_format = pool.runtime("text_format")
    text = _decode(text, where) if isinstance(text, bytes) else text
    _check_depth(text, where)
    try:
        return text_format.Parse(text, message_class(), descriptor_pool=pool.POOL)
    except text_format.ParseError as error:
        # It begins with line and column.
        line = f", line {error.GetLine()}" if error.GetLine() is not None else ""
        reason = str(error).partition(" : ")[2] or str(error)
        raise errors.DataLossError(
            f"{where!r}{line}: no text of a {message_class.DESCRIPTOR.name}: {reason}", path=where
        ) from error


def print_text(message: Any) -> str:
    """The text of a message, as TensorFlow prints it: ``Any`` values stay serialized, unknown fields are left out."""
    from tensorbundle.protos import pool

    text: str = pool.runtime("text_format").MessageToString(message, descriptor_pool=pool.EMPTY, as_utf8=False)
    return text


def _decode(text: bytes, where: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise errors.DataLossError(
            f"{where!r}, line {line}: byte {error.start} is not UTF-8", path=where, offset=error.start
        ) from error


def _check_depth(text: str, where: str) -> None:
    """The parser recurses, and what is deeper could not be read again once serialized."""
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += {"{": 1, "<": 1, "}": -1, ">": -1}.get(token[0], 0)
        if depth > MOST_LEVELS:
            line = text.count("\n", 0, token.start()) + 1
            raise errors.DataLossError(
                f"{where!r}, line {line}: messages nest deeper than {MOST_LEVELS} levels", path=where
            )
