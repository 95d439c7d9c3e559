"""The header of an ``.npy`` file. Bytes in, result out."""

from __future__ import annotations

import ast
import math
from typing import Any, NamedTuple

from tensorbundle.formats.npz import dtypes

MAGIC = b"\x93NUMPY"
# Bytes of the header's length, by the major version of the format.
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
# NumPy reads no longer ones either unless it is told that the file is trusted: of nested text Python makes much.
_MAX_HEADER_BYTES = 10_000
#: What comes before the elements takes at most this: magic, version, length, header.
MAX_BYTES = len(MAGIC) + 2 + 4 + _MAX_HEADER_BYTES
_KEYS = {"descr", "fortran_order", "shape"}


class Prefix(NamedTuple):
    """What comes before a header.

    Attributes:
        nbytes: Its own length.
        header_bytes: The length of the header.
        encoding: Of the header's text.
    """

    nbytes: int
    header_bytes: int
    encoding: str


class Header(NamedTuple):
    """What a header says.

    Attributes:
        dtype: The type of the elements.
        shape: The shape of the array.
        is_column_major: True if the first index changes fastest.
    """

    dtype: dtypes.ElementType
    shape: tuple[int, ...]
    is_column_major: bool

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def parse_prefix(prefix: bytes) -> Prefix:
    """The start of a file.

    Args:
        prefix: Its first bytes, at least 12 unless it is shorter.

    Raises:
        ValueError: It isn't the start of such a file; the message says why.
    """
    if not prefix.startswith(MAGIC):
        raise ValueError(f"expected {MAGIC!r}, found {prefix[: len(MAGIC)]!r}")
    version = prefix[len(MAGIC) : len(MAGIC) + 2]
    width = _LENGTH_BYTES.get(version[0]) if len(version) == 2 and version[1] == 0 else None
    if width is None:
        raise ValueError(f"expected version 1.0, 2.0 or 3.0, found {'.'.join(map(str, version)) or 'nothing'}")
    start = len(MAGIC) + 2
    length = prefix[start : start + width]
    if len(length) < width:
        raise ValueError(f"expected {width} bytes of the header's length, found {len(length)}")
    header_bytes = int.from_bytes(length, "little")
    if header_bytes > _MAX_HEADER_BYTES:
        raise ValueError(f"expected a header of at most {_MAX_HEADER_BYTES} bytes, found a length of {header_bytes}")
    return Prefix(start + width, header_bytes, "utf-8" if version[0] == 3 else "latin-1")


def parse_header(text: bytes, encoding: str) -> Header:
    """The header itself, a dictionary as Python writes it.

    Raises:
        ValueError: It is none, or has something else than it should; the message says what.
    """
    content = _literal(text, encoding)
    if not isinstance(content, dict) or set(content) != _KEYS:
        raise ValueError(f"expected a header with the keys {sorted(_KEYS)}, found {_short(content)}")
    shape, is_column_major = content["shape"], content["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size < 2**63 for size in shape):
        raise ValueError(f"expected a shape, found {_short(shape)}")
    if is_column_major is not True and is_column_major is not False:
        raise ValueError(f"expected True or False as fortran_order, found {_short(is_column_major)}")
    return Header(dtypes.parse(content["descr"]), shape, is_column_major)


def _literal(text: bytes, encoding: str) -> Any:
    try:
        return ast.literal_eval(text.decode(encoding).strip())
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f"the header {_short(text)} is no dictionary of Python's: {error}") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
