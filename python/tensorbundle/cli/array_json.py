"""Elements of arrays as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorbundle.cli.schema import Schema


def values(array: NDArray[Any]) -> Any:
    r"""The elements as nested lists: numbers, booleans and strings.

    JSON has no number for what is not finite: those are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
    Complex numbers are lists of two. Bytes that are not UTF-8 are escaped, as ``\xff``.
    """
    kind = array.dtype.kind
    if kind in "biu" or (kind == "f" and _is_finite(array)):
        return array.tolist()
    return _converted(array.tolist(), _text if kind in "OSU" else _number)


def values_schema(description: str) -> Schema:
    """The schema of that: lists in lists, as deep as the shape."""
    types = ["number", "boolean", "string", "array"]
    return {"type": types, "description": f"{description} Lists in lists, row by row."}


def element(value: Any) -> Any:
    """One element, or a figure about some, in the same way; None as null."""
    if value is None:
        return None
    return _text(value) if isinstance(value, (str, bytes)) else _number(value)


def element_schema(description: str) -> Schema:
    """The schema of an element of any type, or null."""
    return {"type": ["number", "boolean", "string", "array", "null"], "description": description}


def figure_schema(description: str) -> Schema:
    """The schema of a number that may be infinite, or null."""
    return {"type": ["number", "string", "null"], "description": description}


def _is_finite(array: NDArray[Any]) -> bool:
    import numpy as np

    return bool(np.isfinite(array).all())


def _converted(value: Any, convert: Any) -> Any:
    return [_converted(each, convert) for each in value] if isinstance(value, list) else convert(value)


def _number(value: Any) -> Any:
    if isinstance(value, complex):
        return [_number(value.real), _number(value.imag)]
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
