"""The element types of safetensors, and what TensorFlow calls them."""

from __future__ import annotations

from typing import NamedTuple


class DType(NamedTuple):
    """One element type.

    Attributes:
        name: As a header has it.
        bits: Of one element; those narrower than a byte are packed.
        tf_name: TensorFlow's name, or None if its format has no such type, or stores it otherwise.
    """

    name: str
    bits: int
    tf_name: str | None = None


# In the order of alignment in which the format's own writer sorts them. F4 is float4_e2m1fn, but two elements share a
# byte, in an order that the format doesn't lay down.
_DTYPES = (
    DType("BOOL", 8, "bool"),
    DType("F4", 4),
    DType("F6_E2M3", 6),
    DType("F6_E3M2", 6),
    DType("U8", 8, "uint8"),
    DType("I8", 8, "int8"),
    DType("F8_E5M2", 8, "float8_e5m2"),
    DType("F8_E4M3", 8, "float8_e4m3fn"),
    DType("F8_E8M0", 8),
    DType("F8_E4M3FNUZ", 8, "float8_e4m3fnuz"),
    DType("F8_E5M2FNUZ", 8, "float8_e5m2fnuz"),
    DType("I16", 16, "int16"),
    DType("U16", 16, "uint16"),
    DType("F16", 16, "float16"),
    DType("BF16", 16, "bfloat16"),
    DType("I32", 32, "int32"),
    DType("U32", 32, "uint32"),
    DType("F32", 32, "float32"),
    DType("C64", 64, "complex64"),
    DType("F64", 64, "float64"),
    DType("I64", 64, "int64"),
    DType("U64", 64, "uint64"),
)

#: By their names in a header.
BY_NAME = {dtype.name: dtype for dtype in _DTYPES}
#: By TensorFlow's names.
BY_TF_NAME = {dtype.tf_name: dtype for dtype in _DTYPES if dtype.tf_name is not None}
#: Where each stands in the order of alignment.
RANK = {dtype.name: rank for rank, dtype in enumerate(_DTYPES)}


def can_hold(dtype: str) -> bool:
    """True if tensors of a type, by TensorFlow's name, come back from a file as they went in."""
    return dtype in BY_TF_NAME
