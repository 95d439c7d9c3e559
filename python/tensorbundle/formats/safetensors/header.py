"""The header of a safetensors file: where each tensor lies, of what type and shape. Bytes in, result out."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from tensorbundle import errors
from tensorbundle.formats.safetensors import jsontext
from tensorbundle.formats.safetensors.dtypes import BY_NAME

#: Bytes of the header's length, which is little-endian.
LENGTH_BYTES = 8
METADATA_KEY = "__metadata__"
# Also of types that came later; TensorFlow's names are none of these.
_DTYPE = re.compile("[A-Z][A-Z0-9_]{0,63}")
# Lengths, offsets and dimensions are unsigned numbers of 64 bits.
_MAX_NUMBER = 2**64 - 1


class StoredTensor(NamedTuple):
    """What a header says of one tensor.

    Attributes:
        dtype: Its element type, by the format's own name, which may be one that nothing is known of.
        shape: Its shape.
        begin: Where its bytes begin, from the start of the file.
        end: Where they end.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """A header that agrees with itself and with the size of its file.

    Attributes:
        metadata: What ``__metadata__`` says, or None if there is none.
        tensors: The tensors, in the order of the header.
    """

    metadata: dict[str, str] | None
    tensors: dict[str, StoredTensor]


def parse_length(prefix: bytes, file_size: int, path: str) -> int:
    """The length of a header.

    Args:
        prefix: The first bytes of the file, 8 unless it is shorter.
        file_size: Of the file, in bytes.
        path: For messages.

    Raises:
        DataLossError: There can be no such header.
    """
    if file_size < LENGTH_BYTES or len(prefix) < LENGTH_BYTES:
        raise _damage(path, f"expected 8 bytes of the header's length, found a file of {file_size} bytes", 0)
    length = int.from_bytes(prefix[:LENGTH_BYTES], "little")
    if length > jsontext.MAX_BYTES:
        raise _damage(path, f"expected a header of at most {jsontext.MAX_BYTES} bytes, found a length of {length}", 0)
    if length > file_size - LENGTH_BYTES:
        raise _damage(
            path, f"expected a header of {length} bytes after its length, found {file_size - LENGTH_BYTES}", 0
        )
    return length


def parse_header(header: bytes, file_size: int, path: str) -> Header:
    """A header, checked: tensors lie one after the other, without holes, up to the end of the file.

    Args:
        header: The JSON text, without its length; as long as that says.
        file_size: Of the file, in bytes.
        path: For messages.

    Raises:
        DataLossError: The header breaks a rule of the format; the message says which, and of which tensor.
    """
    if header[:1] != b"{":
        raise _damage(path, f"expected a header that begins with '{{', found {header[:1]!r}", LENGTH_BYTES)
    try:
        content = jsontext.parse(header)
    except ValueError as error:
        raise _damage(path, f"the header is no JSON: {error}", LENGTH_BYTES) from error
    metadata = _metadata(content.pop(METADATA_KEY, None), path)
    start = LENGTH_BYTES + len(header)
    tensors = {name: _tensor(name, record, start, path) for name, record in content.items()}
    _check_offsets(tensors, start, file_size, path)
    return Header(metadata, tensors)


def _metadata(content: Any, path: str) -> dict[str, str] | None:
    if content is None:
        return None
    if not isinstance(content, dict):
        raise _damage(path, f"expected an object as {METADATA_KEY}, found {type(content).__name__}", LENGTH_BYTES)
    for key, value in content.items():
        if not (jsontext.is_text(key) and jsontext.is_text(value)):
            raise _damage(
                path, f"expected text in {METADATA_KEY}, found {_short(value)} as {_short(key)}", LENGTH_BYTES
            )
    return content


def _tensor(name: str, record: Any, start: int, path: str) -> StoredTensor:
    if not jsontext.is_text(name):
        raise _damage(path, f"the name {_short(name)} of a tensor has no UTF-8", LENGTH_BYTES)
    if not isinstance(record, dict):
        raise _wrong(path, name, f"expected an object, found {type(record).__name__}")
    for key in ("dtype", "shape", "data_offsets"):
        if key not in record:
            raise _wrong(path, name, f"its record has no {key!r}")
    dtype, shape, offsets = record["dtype"], record["shape"], record["data_offsets"]
    if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype):
        raise _wrong(path, name, f"expected the name of a dtype, found {_short(dtype)}")
    if not _are_numbers(shape):
        raise _wrong(path, name, f"expected a shape of unsigned integers, found {_short(shape)}")
    if not _are_numbers(offsets) or len(offsets) != 2:
        raise _wrong(path, name, f"expected two unsigned integers as data_offsets, found {_short(offsets)}")
    return StoredTensor(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _are_numbers(values: Any) -> bool:
    if not isinstance(values, list) or not set(map(type, values)) <= {int}:  # A bool is no number.
        return False
    return not values or (min(values) >= 0 and max(values) <= _MAX_NUMBER)


def _check_offsets(tensors: dict[str, StoredTensor], start: int, file_size: int, path: str) -> None:
    at = start
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != at:
            raise _wrong(path, name, f"expected its bytes at {at}, where those before it end, found {tensor.begin}", at)
        if tensor.end < tensor.begin:
            raise _wrong(path, name, f"its bytes end at {tensor.end}, before they begin", at)
        _check_size(name, tensor, path)
        at = tensor.end
    if at != file_size:
        raise _damage(path, f"expected {at} bytes, where the tensors end, found a file of {file_size} bytes", file_size)


def _check_size(name: str, tensor: StoredTensor, path: str) -> None:
    """Compares a tensor's bytes with its shape. Of a type that isn't known there is nothing to compare."""
    dtype = BY_NAME.get(tensor.dtype)
    if dtype is None:
        return
    bits = math.prod(tensor.shape) * dtype.bits
    found = tensor.end - tensor.begin
    if bits != 8 * found:
        expected = f"{bits // 8} bytes" if bits % 8 == 0 else f"a whole number of bytes, and not {bits} bits,"
        described = f"{tensor.dtype} of shape {_short(list(tensor.shape))}"
        raise _wrong(path, name, f"expected {expected} of {described}, found {found} bytes", tensor.begin)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _wrong(path: str, name: str, message: str, offset: int = LENGTH_BYTES) -> errors.DataLossError:
    where = f" at {offset}" if offset != LENGTH_BYTES else ""
    text = f"{path!r} is damaged or no safetensors file: tensor {_short(name)}{where}: {message}"
    return errors.DataLossError(text, path=path, tensor=name, offset=offset)


def _damage(path: str, message: str, offset: int) -> errors.DataLossError:
    text = f"{path!r} is damaged or no safetensors file: at {offset}: {message}"
    return errors.DataLossError(text, path=path, offset=offset)
