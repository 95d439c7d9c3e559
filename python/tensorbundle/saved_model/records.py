"""The file of a SavedModel: where it is, and the meta graphs in it, parsed no further than it takes to tell them apart.

A graph of ten megabytes takes longer to parse than all else that is done to read variables.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorbundle import errors, files, paths
from tensorbundle.protos import convert, limits, messages
from tensorbundle.protos.varint import read_varint
from tensorbundle.saved_model import constants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BINARY = constants.SAVED_MODEL_FILENAME_PB
_TEXT = constants.SAVED_MODEL_FILENAME_PBTXT
_CHUNKED = constants.SAVED_MODEL_FILENAME_CPB

# Numbers of fields.
_SCHEMA_VERSION, _META_GRAPHS = 1, 2  # SavedModel
_META_INFO = 1  # MetaGraphDef
_TAGS = 4  # MetaInfoDef

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class MetaGraph(NamedTuple):
    """One meta graph: its tags, and what parses all of it into a new message."""

    tags: frozenset[str]
    parse: Callable[[], Any]


class Records(NamedTuple):
    """What the file of a SavedModel holds."""

    path: str
    schema_version: int
    meta_graphs: tuple[MetaGraph, ...]


def contains_saved_model(export_dir: str | os.PathLike[str]) -> bool:
    """True if the directory holds the file of a SavedModel, of whatever form; nothing is read."""
    return paths.holds_saved_model(os.fsdecode(export_dir))


def read(directory: str) -> Records:
    """Reads ``saved_model.pb``, else ``saved_model.pbtxt``.

    Raises:
        FileNotFoundError: There is neither; the message says what is there instead.
        UnimplementedError: There is a ``saved_model.cpb`` alone.
        DataLossError: It is damaged.
    """
    binary, text, chunked = (os.path.join(directory, name) for name in (_BINARY, _TEXT, _CHUNKED))
    if files.is_file(binary):
        return _from_binary(binary, _content(binary))
    if files.is_file(text):
        return _from_text(text, _content(text))
    if files.is_file(chunked):
        raise errors.UnimplementedError(
            f"{chunked!r} is a SavedModel in chunks, which TensorFlow does not load either: export it as {_BINARY!r}",
            path=chunked,
        )
    raise FileNotFoundError(errno.ENOENT, f"SavedModel file does not exist: {_instead(directory)}", directory)


def _instead(directory: str) -> str:
    looked_for = f"looked for {_BINARY!r} and {_TEXT!r} in it"
    if files.is_file(directory):
        return "this is a file, and a SavedModel is a directory"
    return f"{looked_for}; it {paths.contents(directory)}"


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.MOST_BYTES:
            raise errors.DataLossError(
                f"{path!r} has {size} bytes, more than the {limits.MOST_BYTES} of any protobuf message", path=path
            )
        return file.read()


def _from_text(path: str, content: bytes) -> Records:
    from tensorbundle.protos import printed, text

    binary = printed.to_binary(messages.SavedModel, content)
    if binary is None:
        return _parsed(path, text.parse_text(messages.SavedModel, content, path))
    return _from_binary(path, binary)


def _from_binary(path: str, content: bytes) -> Records:
    try:
        return _split(path, content)
    except _OddError:
        # Damaged, and then this says where; or written by nobody that is known, but protobuf may understand it.
        return _parsed(path, convert.parse(messages.SavedModel, content, path))


def _parsed(path: str, message: Any) -> Records:
    def one(meta_graph: Any) -> MetaGraph:
        return MetaGraph(frozenset(meta_graph.meta_info_def.tags), lambda: _copy(meta_graph))

    return Records(path, message.saved_model_schema_version, tuple(map(one, message.meta_graphs)))


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


class _OddError(Exception):
    """Bytes that are not what every writer of SavedModels makes."""


def _split(path: str, content: bytes) -> Records:
    version = 0
    found = []
    for number, kind, begin, end in _fields(content, 0, len(content)):
        if number == _META_GRAPHS and kind == _LENGTH:
            found.append(_unparsed(path, content, begin, end))
        elif number == _SCHEMA_VERSION and kind == _VARINT:
            version = _varint(content, begin, end)[0]
            if version >> 63:  # Negative.
                raise _OddError
    return Records(path, version, tuple(found))


def _unparsed(path: str, content: bytes, begin: int, end: int) -> MetaGraph:
    tags = [
        content[tag:tag_end]
        for number, kind, info, info_end in _fields(content, begin, end)
        if number == _META_INFO and kind == _LENGTH
        for number, kind, tag, tag_end in _fields(content, info, info_end)
        if number == _TAGS and kind == _LENGTH
    ]
    try:
        decoded = frozenset(tag.decode("utf-8") for tag in tags)
    except UnicodeDecodeError:
        raise _OddError from None

    return MetaGraph(decoded, lambda: _parse(path, content, begin, end))


def _parse(path: str, content: bytes, begin: int, end: int) -> Any:
    try:
        return convert.parse(messages.MetaGraphDef, memoryview(content)[begin:end], path)
    except errors.DataLossError:
        convert.parse(messages.SavedModel, content, path)  # Says where in the file.
        raise


def _fields(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and the extent of the value, of each field of the message in ``data[begin:end]``."""
    position = begin
    while position < end:
        tag, position = _varint(data, position, end)
        kind = tag & 7
        if kind == _LENGTH:
            length, position = _varint(data, position, end)
        elif kind == _VARINT:
            length = _varint(data, position, end)[1] - position
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise _OddError
        if length > end - position or not 0 < tag >> 3 < 1 << 29:
            raise _OddError
        yield tag >> 3, kind, position, position + length
        position += length


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A varint and where it ends."""
    read = read_varint(data, position, end)
    if read is None:
        raise _OddError
    return read
