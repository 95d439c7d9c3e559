"""Where a serialized message is damaged. Runtimes say little about it, and each something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tensorbundle.protos import pool
from tensorbundle.protos.limits import MOST_LEVELS
from tensorbundle.protos.varint import read_varint

_STRING = 9  # FieldDescriptor.TYPE_STRING
_VARINT, _FIXED64, _LENGTH, _START_GROUP, _END_GROUP, _FIXED32 = range(6)


class Fault(NamedTuple):
    """What is wrong, and at which byte if that can be said."""

    problem: str
    offset: int | None


class _Span(NamedTuple):
    """A message in the data: what describes it, where it begins and ends, and how many are around it."""

    descriptor: Any
    begin: int
    end: int
    level: int


class _Chunk(NamedTuple):
    """A length-delimited field: number, and where its content begins and ends."""

    number: int
    begin: int
    end: int


class _DamagedError(Exception):
    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem)
        self.fault = Fault(f"{problem} at byte {offset}", offset)


def find_fault(message_class: Any, data: bytes, error: Exception) -> Fault:
    """The first fault in bytes that protobuf does not parse, or else what the runtime said of them.

    Only messages that do not parse by themselves are looked into, so that this takes little longer than parsing did.
    """
    try:
        innermost = _search(_Span(message_class.DESCRIPTOR, 0, len(data), 0), data)
    except _DamagedError as damage:
        return damage.fault
    too_deep = Fault(f"messages nest deeper than {MOST_LEVELS} levels", None)
    return too_deep if _is_deep(innermost, data) else Fault(str(error), None)


def _search(message: _Span, data: bytes) -> _Span:
    """Raises the first fault in a message; if each in it is sound, returns the last or deepest that does not parse."""
    stack, innermost = [message], message
    while stack and innermost.level <= MOST_LEVELS:
        message = stack.pop()
        if not _is_map_entry(message.descriptor):
            innermost = message
        stack += reversed([inner for inner in _inner(message, data) if not _parses(inner, data)])
    return innermost


def _is_deep(message: _Span, data: bytes) -> bool:
    level = [message]
    while level and level[0].level <= MOST_LEVELS:
        level = [inner for message in level for inner in _inner(message, data)]
    return bool(level)


def _inner(message: _Span, data: bytes) -> Iterator[_Span]:
    """The messages in a message; its other fields are looked at on the way."""
    for chunk in _chunks(data, message.begin, message.end):
        field = message.descriptor.fields_by_number.get(chunk.number)
        if field is None:
            continue
        if field.message_type is not None:
            yield _Span(field.message_type, chunk.begin, chunk.end, message.level + 1)
        elif field.type == _STRING:
            _check_string(field, data, chunk)


def _is_map_entry(descriptor: Any) -> bool:
    return bool(descriptor.GetOptions().map_entry)


def _parses(message: _Span, data: bytes) -> bool:
    if _is_map_entry(message.descriptor):
        return False  # Not every runtime has a class for it; the value in it has one.
    try:
        pool.class_of(message.descriptor).FromString(data[message.begin : message.end])
    except pool.DECODE_ERRORS:
        return False
    return True


def _check_string(field: Any, data: bytes, chunk: _Chunk) -> None:
    try:
        data[chunk.begin : chunk.end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _DamagedError(f"{field.full_name} is not UTF-8", chunk.begin + error.start) from error


def _chunks(data: bytes, begin: int, end: int) -> Iterator[_Chunk]:
    """The length-delimited fields of the message in ``data[begin:end]``."""
    position = begin
    while position < end:
        start = position
        tag, position = _varint(data, position, end)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise _DamagedError(f"field number {number}", start)
        if wire_type == _LENGTH:
            length, position = _varint(data, position, end)
            _check_room(length, position, end)
            yield _Chunk(number, position, position + length)
            position += length
        elif wire_type == _VARINT:
            _, position = _varint(data, position, end)
        elif wire_type in (_FIXED64, _FIXED32):
            length = 8 if wire_type == _FIXED64 else 4
            _check_room(length, position, end)
            position += length
        elif wire_type not in (_START_GROUP, _END_GROUP):
            raise _DamagedError(f"wire type {wire_type}", start)


def _check_room(length: int, position: int, end: int) -> None:
    if length > end - position:
        raise _DamagedError(f"a field of {length} bytes, of which {end - position} are there,", position)


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A varint and where it ends."""
    read = read_varint(data, position, end)
    if read is None:
        raise _DamagedError("an unfinished varint", position)
    return read
