"""Text as protobuf prints it, turned into bytes: many times as fast as its own parser, which is written in Python.

What else text may have (comments, lists, other quotes, ``Any`` values in brackets), and whatever is wrong with it, is
left to that parser: the answer is then None. So nothing is understood here that it would understand otherwise.
"""

from __future__ import annotations

import functools
import re
import struct
from typing import Any, NamedTuple

from tensorbundle.protos.limits import MOST_LEVELS
from tensorbundle.protos.varint import encode_varint

# A field with the begin of a message, a string, the begin of one with escapes in it, or another value; or the end of a
# message. The last group that there is tells which.
_PIECE = re.compile(rb'\s*(?:([A-Za-z_]\w*)(?: (\{)|: (?:"([^"\\\n]*)"|(")|([-+.\w]+)))|\})')
_MESSAGE, _STRING, _ESCAPED_STRING, _OTHER = 2, 3, 4, 5

_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]{0,19})\Z")
_FLOAT = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|inf|nan)\Z")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPE_OR_END = re.compile(rb'\\.|["\n]')
_ESCAPED = {b"%03o" % byte: bytes((byte,)) for byte in range(256)} | {
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b'"': b'"',
    b"'": b"'",
    b"\\": b"\\",
}


class _OtherTextError(Exception):
    """Text that is not what protobuf prints."""


class _Field(NamedTuple):
    """A field of a type of messages.

    Attributes:
        tag: Its number and wire type, encoded.
        once: What may be given only once: the field, or the oneof that it is of. None if it is repeated.
        content: The type of its messages, or what encodes a value.
    """

    tag: bytes
    once: str | None
    content: Any


class _Open:
    """A message whose end is still to come."""

    __slots__ = ("fields", "given", "parts", "tag")

    def __init__(self, descriptor: Any, tag: bytes) -> None:
        self.fields = _fields(descriptor)
        self.tag = tag
        self.given: set[str] = set()
        self.parts: list[bytes] = []

    def field(self, form: int, name: bytes) -> _Field:
        """The field of that name, now given."""
        field = self.fields[form].get(name)
        if field is None or field.once in self.given:
            raise _OtherTextError
        if field.once is not None:
            self.given.add(field.once)
        return field


def to_binary(message_class: Any, text: str | bytes) -> bytes | None:
    """Serializes a message that is given as text.

    Args:
        message_class: One of :mod:`tensorbundle.protos.messages`.
        text: All of it; bytes are UTF-8.

    Returns:
        Bytes that parse into the message; None if the text has anything in it that printed text doesn't have.
    """
    try:
        data = text.encode() if isinstance(text, str) else text
        if not data.isascii():
            data.decode()
        return _encoded(_Open(message_class.DESCRIPTOR, b""), data)
    except (_OtherTextError, UnicodeError):
        return None


def _encoded(message: _Open, text: bytes) -> bytes:
    above: list[_Open] = []
    position = 0
    while piece := _PIECE.match(text, position):
        position = piece.end()
        form = piece.lastindex
        if form is None:
            message = _closed(message, above)
            continue
        field = message.field(form, piece[1])
        if form == _MESSAGE:
            message = _opened(field, message, above)
            continue
        value = piece[form]
        if form == _ESCAPED_STRING:
            value, position = _unescaped(text, position)
        message.parts += (field.tag, field.content(value))
    if above or text[position:].strip():
        raise _OtherTextError
    return b"".join(message.parts)


def _opened(field: _Field, message: _Open, above: list[_Open]) -> _Open:
    """The message that begins in one."""
    above.append(message)
    if len(above) > MOST_LEVELS:
        raise _OtherTextError
    return _Open(field.content, field.tag)


def _closed(message: _Open, above: list[_Open]) -> _Open:
    """The message around one that is complete."""
    if not above:
        raise _OtherTextError
    outer = above.pop()
    body = b"".join(message.parts)
    outer.parts += (message.tag, encode_varint(len(body)), body)
    return outer


def _unescaped(text: bytes, begin: int) -> tuple[bytes, int]:
    """The string whose content begins at a position, and where it ends."""
    for found in _ESCAPE_OR_END.finditer(text, begin):  # One pattern for all would take memory for each escape.
        if found[0] == b"\n":
            break
        if found[0] == b'"':
            try:
                return _ESCAPE.sub(_unescape, text[begin : found.start()]), found.end()
            except KeyError:
                break
    raise _OtherTextError


def _unescape(escape: re.Match[bytes]) -> bytes:
    return _ESCAPED[escape[1]]


# The fields of a type of messages.


@functools.cache
def _fields(descriptor: Any) -> dict[int, dict[bytes, _Field]]:
    """By the forms in which their values are printed, and their names."""
    found: dict[int, dict[bytes, _Field]] = {_MESSAGE: {}, _STRING: {}, _ESCAPED_STRING: {}, _OTHER: {}}
    for field in descriptor.fields:
        wire_type, contents = _contents(field)
        for form, content in contents.items():
            tag = encode_varint(field.number << 3 | wire_type)
            found[form][field.name.encode()] = _Field(tag, _once(field), content)
    return found


def _once(field: Any) -> str | None:
    try:
        repeated = field.is_repeated
    except AttributeError:  # A runtime before 6.31.
        repeated = field.label == field.LABEL_REPEATED
    if repeated:
        return None
    return str(field.containing_oneof.name if field.containing_oneof else field.name)


def _bytes(value: bytes) -> bytes:
    return encode_varint(len(value)) + value


def _utf8(value: bytes) -> bytes:
    value.decode()
    return _bytes(value)


def _integer(low: int, high: int, value: bytes) -> bytes:
    if not _INTEGER.match(value) or not low <= int(value) <= high:
        raise _OtherTextError
    return _signed(int(value))


def _named(numbers: dict[bytes, int], value: bytes) -> bytes:
    if value not in numbers:
        raise _OtherTextError
    return _signed(numbers[value])


def _signed(value: int) -> bytes:
    return encode_varint(value & (1 << 64) - 1)


def _float(layout: str, value: bytes) -> bytes:
    if not _FLOAT.match(value):
        raise _OtherTextError
    try:
        return struct.pack(layout, float(value))
    except OverflowError:
        raise _OtherTextError from None


# Types of fields, by their numbers in descriptors.
_BOOL, _ENUM, _SUBMESSAGE = 8, 14, 11
_STRINGS = {9: {_STRING: _bytes, _ESCAPED_STRING: _utf8}, 12: {_STRING: _bytes, _ESCAPED_STRING: _bytes}}
_FLOATS = {1: (1, "<d"), 2: (5, "<f")}  # Wire type and layout.
_INTEGERS = {
    3: (-(1 << 63), (1 << 63) - 1),
    4: (0, (1 << 64) - 1),
    5: (-(1 << 31), (1 << 31) - 1),
    13: (0, (1 << 32) - 1),
}


def _contents(field: Any) -> tuple[int, dict[int, Any]]:
    """Wire type of a field, and its content for each form of a value."""
    if field.type == _SUBMESSAGE:
        return 2, {_MESSAGE: field.message_type}
    if field.type in _STRINGS:
        return 2, _STRINGS[field.type]
    if field.type in _FLOATS:
        wire_type, layout = _FLOATS[field.type]
        return wire_type, {_OTHER: functools.partial(_float, layout)}
    if field.type in _INTEGERS:
        return 0, {_OTHER: functools.partial(_integer, *_INTEGERS[field.type])}
    return 0, {_OTHER: functools.partial(_named, _names(field))}


def _names(field: Any) -> dict[bytes, int]:
    """Values that have names; none of the rarer types of integers, which are left to protobuf so."""
    if field.type == _BOOL:
        return {b"false": 0, b"true": 1}
    return {value.name.encode(): value.number for value in field.enum_type.values} if field.type == _ENUM else {}
