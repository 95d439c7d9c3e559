"""The element types of ``.npy`` files, and what TensorFlow calls them."""

from __future__ import annotations

import re
from typing import NamedTuple

# Kind and bytes of an element -> TensorFlow's name.
_TF_NAMES = {
    "b1": "bool",
    "i1": "int8",
    "i2": "int16",
    "i4": "int32",
    "i8": "int64",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    "f2": "float16",
    "f4": "float32",
    "f8": "float64",
    "c8": "complex64",
    "c16": "complex128",
}
_HELD = frozenset(_TF_NAMES.values())
# Code points of four bytes.
_UNICODE_BYTES = 4
# Of a description that isn't understood.
_MAX_SHOWN = 200
_DESCR = re.compile(r"(?P<order>[<>|])(?P<kind>[a-zA-Z])(?P<size>[0-9]{1,18})")


class ElementType(NamedTuple):
    """The elements of one array.

    Attributes:
        descr: As the file's header has it, such as ``"<f4"``.
        size: Bytes of an element; 0 of those that can't be read.
        order: ``"<"`` or ``">"``.
        tf_name: TensorFlow's name, or None if its format has no such type.
    """

    descr: str
    size: int = 0
    order: str = "<"
    tf_name: str | None = None

    @property
    def code_points(self) -> int:
        """Of each element, if that is text of fixed width; else 0."""
        return self.size // _UNICODE_BYTES if self.descr[1:2] == "U" else 0


def parse(descr: object) -> ElementType:
    """The element type that a header describes."""
    if not isinstance(descr, str):
        return ElementType(repr(descr)[:_MAX_SHOWN])
    match = _DESCR.fullmatch(descr)
    if match is None:
        return ElementType(descr[:_MAX_SHOWN])
    kind, size = match["kind"], int(match["size"])
    tf_name = _TF_NAMES.get(f"{kind}{size}") or ("string" if kind in "SU" and size > 0 else None)
    if tf_name is None:
        return ElementType(descr)
    return ElementType(descr, size * _UNICODE_BYTES if kind == "U" else size, match["order"].replace("|", "<"), tf_name)


def can_hold(dtype: str) -> bool:
    """True if tensors of a type, by TensorFlow's name, come back from a file as they went in.

    Types that NumPy lacks would come back as bytes without meaning, quantized integers as plain ones, and strings
    without the zeros at their ends.
    """
    return dtype in _HELD
