"""The pool of the messages' descriptors, and the classes made of it. Importing this module imports protobuf."""

from __future__ import annotations

import importlib
import os
import threading
from typing import TYPE_CHECKING, Any

from tensorbundle import protos
from tensorbundle.protos.varint import read_varint

if TYPE_CHECKING:
    from collections.abc import Iterator

# Packages of the descriptors, in the order in which simple names are looked up.
_PACKAGES = ("tensorflow", "third_party.tensorflow.python.keras.protobuf", "google.protobuf")
_DESCRIPTORS = "tensorflow.binpb"
_LOCK = threading.Lock()


def runtime(module: str) -> Any:
    """A module of protobuf's. Looked up here and nowhere else: it has no annotations, and its absence one message."""
    try:
        return importlib.import_module(f"google.protobuf.{module}")
    except ModuleNotFoundError as error:
        raise ImportError("SavedModels need protobuf: pip install 'protobuf>=3.20.3'", name=error.name) from error


def _descriptors() -> bytes:
    """What the build compiled from ``protos/*.proto``: a ``FileDescriptorSet``."""
    for folder in protos.__path__:  # An editable install has two: one with this file, one with what was built.
        path = os.path.join(folder, _DESCRIPTORS)
        if os.path.exists(path):
            with open(path, "rb") as file:
                return file.read()
    raise ImportError(f"tensorbundle was installed without {_DESCRIPTORS}: install it again")


def _files(descriptors: bytes) -> Iterator[bytes]:
    """The files of a set, each after those that it imports: it has no other field.

    protobuf has a class for it, whose module takes several milliseconds to import.
    """
    position = 0
    while read := read_varint(descriptors, position + 1, len(descriptors)):
        length, begin = read
        position = begin + length
        yield descriptors[begin:position]


#: Filled when this module is imported, which no two threads do at once.
POOL = runtime("descriptor_pool").DescriptorPool()
_FILES = [POOL.AddSerializedFile(file) for file in _files(_descriptors())]
#: For text: with no descriptors in it, ``Any`` is printed as it is stored, whatever else is in the process.
EMPTY = runtime("descriptor_pool").DescriptorPool()
#: What runtimes raise on bytes that they can't parse; the one in Python recurses, and lets text errors through.
DECODE_ERRORS = (runtime("message").DecodeError, RecursionError, UnicodeDecodeError)
# Runtimes before 4.22 make classes by a method of a factory.
_FACTORY = runtime("message_factory")
_NEW_CLASS = getattr(_FACTORY, "GetMessageClass", None) or _FACTORY.MessageFactory(POOL).GetPrototype


def names() -> list[str]:
    """Simple names of all messages and enums that stand in no other."""
    return sorted({name for file in _FILES for name in (*file.message_types_by_name, *file.enum_types_by_name)})


def full_names() -> list[str]:
    """Names with their packages of all messages that stand in no other."""
    return [message.full_name for file in _FILES for message in file.message_types_by_name.values()]


def find(name: str) -> Any:
    """The class of the message, or the wrapper of the enum, with this simple name.

    Raises:
        KeyError: There is none.
    """
    for package in _PACKAGES:
        full_name = f"{package}.{name}"
        try:
            return class_of(POOL.FindMessageTypeByName(full_name))
        except KeyError:
            pass
        try:
            return runtime("internal.enum_type_wrapper").EnumTypeWrapper(POOL.FindEnumTypeByName(full_name))
        except KeyError:
            pass
    raise KeyError(name)


def class_of(descriptor: Any) -> Any:
    """The class of the messages that a descriptor of this pool describes, always the same."""
    with _LOCK:
        return _class_of(descriptor)


def _class_of(descriptor: Any) -> Any:
    made = _NEW_CLASS(descriptor)
    for nested in descriptor.nested_types:
        # The runtime in Python leaves out what only generated code would name.
        if not hasattr(made, nested.name) and not nested.GetOptions().map_entry:
            setattr(made, nested.name, _class_of(nested))
    return made
