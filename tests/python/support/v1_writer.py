"""Checkpoints of the V1 format, encoded by hand: what TensorFlow's ``Save`` and ``SaveSlices`` write, and what not.

One table a file. The record of the empty key lists the tensors; each other record is one slice, its values in the
``*_val`` field of a TensorProto that fits the dtype.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from . import dtypes, table
from .hashing import as_array, canonical_bytes
from .slices import Slice, encode_slice, indices, parse_slice, slice_key
from .wire import VARINT, bytes_field, int_field, tag, varint

# The dtypes that the format stores, with the number of their field.
FIELDS = {
    "float32": 5,
    "float64": 6,
    "int32": 7,
    "uint8": 7,
    "int16": 7,
    "int8": 7,
    "string": 8,
    "complex64": 9,
    "int64": 10,
    "bool": 11,
    "qint8": 7,
    "quint8": 7,
    "qint32": 7,
    "uint16": 7,
    "complex128": 12,
    "float16": 13,
}
_FIXED = ("float32", "float64", "complex64", "complex128")


@dataclasses.dataclass
class Row:
    """One tensor, or one slice of it, in one file.

    Attributes:
        value: The whole tensor.
        dtype: As ``tf.DType.name`` spells it; "" for that of the array.
        piece: Which part of it this file has; None for all of it.
        record: The record to write instead of the true one; None for it, b"" to leave it out.
        meta: What the metadata says instead of the truth: keys ``dtype`` (a number), ``shape``.
    """

    name: bytes
    value: Any
    dtype: str = ""
    piece: Slice | str | None = None
    record: bytes | None = None
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.value = as_array(self.value)
        self.dtype = self.dtype or dtypes.of_array(self.value).name
        whole = (None,) * self.value.ndim
        self.piece = whole if self.piece is None else parse_slice(self.piece)


def write(path: Path, rows: Iterable[Row], **options: Any) -> Path:
    """Writes one file; options as for :func:`encode`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(rows, **options))
    return path


def encode(rows: Iterable[Row], *, metadata: bytes | None = None, extra: Any = (), **table_options: Any) -> bytes:
    """The bytes of one file.

    Args:
        metadata: The record of the empty key to write instead of the true one.
        extra: (key, record) pairs besides.
        table_options: As for ``table.build_table``.
    """
    rows = list(rows)
    records = {b"": encode_metadata(rows) if metadata is None else metadata, **dict(extra)}
    for row in rows:
        record = encode_record(row) if row.record is None else row.record
        if record:
            records[slice_key(row.name, row.piece)] = record
    return table.build_table(sorted(records.items()), **table_options)


def encode_metadata(rows: Iterable[Row], version: bytes | None = b"\x08\x01") -> bytes:
    """A SavedTensorSlices with nothing but metadata; ``version`` is the VersionDef."""
    tensors: dict[bytes, list[Row]] = {}
    for row in rows:
        tensors.setdefault(row.name, []).append(row)
    meta = b"".join(bytes_field(1, _encode_meta(same)) for same in tensors.values())
    return bytes_field(1, meta + (b"" if version is None else bytes_field(2, version)))


def _encode_meta(rows: list[Row]) -> bytes:
    first = rows[0]
    shape = first.meta.get("shape", first.value.shape)
    number = first.meta.get("dtype", dtypes.BY_NAME[first.dtype].number)
    dims = b"".join(bytes_field(2, int_field(1, size)) for size in shape)
    pieces = b"".join(bytes_field(4, encode_slice(row.piece)) for row in rows)
    return bytes_field(1, first.name) + bytes_field(2, dims) + int_field(3, number) + pieces


def encode_record(row: Row, tensor: bytes | None = None) -> bytes:
    """A SavedTensorSlices with the values of one slice, or with another TensorProto."""
    if tensor is None:
        tensor = encode_values(row.value[indices(row.piece)], row.dtype)
    data = bytes_field(1, row.name) + bytes_field(2, encode_slice(row.piece)) + bytes_field(3, tensor)
    return bytes_field(2, data)


def encode_values(array: np.ndarray, dtype: str, *, packed: bool = True) -> bytes:
    """A TensorProto with the values of an array; not ``packed``: a field for each."""
    array = as_array(array)
    number = FIELDS[dtype]
    if array.size == 0:
        return b""
    if dtype == "string":
        return b"".join(bytes_field(number, element) for element in array.ravel().tolist())
    if dtype in _FIXED:
        width = 4 if dtype in ("float32", "complex64") else 8
        content = canonical_bytes(array)
        if packed:
            return bytes_field(number, content)
        wire_type = 5 if width == 4 else 1
        parts = (content[at : at + width] for at in range(0, len(content), width))
        return b"".join(tag(number, wire_type) + part for part in parts)
    numbers = _integers(array, dtype)
    if packed:
        return bytes_field(number, b"".join(map(varint, numbers)))
    return b"".join(tag(number, VARINT) + varint(value) for value in numbers)


def _integers(array: np.ndarray, dtype: str) -> list[int]:
    array = np.ascontiguousarray(array)
    if dtype == "float16":
        return array.view(np.uint16).ravel().tolist()
    return array.astype(np.int64).ravel().tolist()
