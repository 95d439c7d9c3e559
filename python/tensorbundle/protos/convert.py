"""Messages from bytes, to bytes, and from other pools, such as TensorFlow's."""

from __future__ import annotations

import os
from typing import Any

from tensorbundle import errors
from tensorbundle.protos.limits import MOST_BYTES


def as_message(message_class: Any, value: Any, what: str = "") -> Any:
    """``value`` as a message of this class: itself if it is one, else a new one.

    Args:
        message_class: One of :mod:`tensorbundle.protos.messages`.
        value: Such a message, one of TensorFlow's with the same name, or serialized bytes.
        what: What it is of several that were given, for errors.

    Raises:
        TypeError: It is something else.
        DataLossError: The bytes are no such message.
    """
    if isinstance(value, message_class):
        return value
    name = message_class.DESCRIPTOR.name
    prefix = f"{what}: " if what else ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return parse(message_class, value, f"{prefix}{name} given as bytes")
    descriptor = getattr(value, "DESCRIPTOR", None)
    if getattr(descriptor, "full_name", None) != message_class.DESCRIPTOR.full_name or isinstance(value, type):
        raise TypeError(f"{prefix}expected a {name} or its bytes, not {_description(value, descriptor)}")
    return parse(message_class, value.SerializeToString(), name)


def parse(message_class: Any, data: bytes | bytearray | memoryview, where: str) -> Any:
    """Parses bytes into a new message, which keeps unknown fields.

    Args:
        message_class: One of :mod:`tensorbundle.protos.messages`.
        data: A serialized message; empty bytes are one without fields.
        where: Path of the file, for errors.

    Raises:
        DataLossError: The bytes are damaged, at least 2 GiB, or nest more than 100 messages.
    """
    from tensorbundle.protos import pool

    _check_size(memoryview(data).nbytes, where)
    data = bytes(data)
    try:
        return message_class.FromString(data)
    except pool.DECODE_ERRORS as error:
        from tensorbundle.protos import diagnosis

        fault = diagnosis.find_fault(message_class, data, error)
        raise errors.DataLossError(
            f"{where!r} is no {message_class.DESCRIPTOR.name}: {fault.problem}", path=where, offset=fault.offset
        ) from error


def read_file(message_class: Any, path: str) -> Any:
    """Parses a whole file.

    Raises:
        DataLossError: As :func:`parse`; a file of 2 GiB or more is not read.
        OSError: It can't be read.
    """
    with open(path, "rb") as file:
        _check_size(os.fstat(file.fileno()).st_size, path)
        return parse(message_class, file.read(), path)


def serialize(message: Any) -> bytes:
    """The bytes of a message, equal for equal messages, whatever the runtime: maps are in the order of their keys.

    Raises:
        LimitError: They are 2 GiB or more, or messages nest more than 100 levels deep.
    """
    from tensorbundle.protos import map_order, pool

    name = message.DESCRIPTOR.name
    try:
        data: bytes = message.SerializeToString()
    except (pool.runtime("message").EncodeError, RecursionError) as error:
        raise errors.LimitError(f"{name} can't be serialized: it is 2 GiB or more, or nests too deep") from error
    if len(data) > MOST_BYTES:
        raise errors.LimitError(f"{name} takes {len(data)} bytes, more than protobuf's {MOST_BYTES}")
    return map_order.sort_maps(message.DESCRIPTOR.full_name, data)


def _check_size(size: int, where: str) -> None:
    if size > MOST_BYTES:
        raise errors.DataLossError(
            f"{where!r} has {size} bytes, more than the {MOST_BYTES} of any protobuf message", path=where
        )


def _description(value: Any, descriptor: Any) -> str:
    if descriptor is not None and not isinstance(value, type):
        return f"a {descriptor.full_name}"
    return f"an instance of {type(value).__name__}"
