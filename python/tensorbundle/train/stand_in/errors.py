"""``tf.errors``: TensorFlow's classes by its names and numbers, those that reading never raises included."""

from __future__ import annotations

from tensorbundle import errors

# Numbers of TensorFlow's kinds of errors; 0 is no error.
CODES = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}

_RAISED: dict[str, type[errors.OpError]] = {
    "OpError": errors.OpError,
    "NotFoundError": errors.NotFoundError,
    "ResourceExhaustedError": errors.LimitError,
    "OutOfRangeError": errors.OutOfRangeError,
    "UnimplementedError": errors.UnimplementedError,
    "InternalError": errors.InternalError,
    "DataLossError": errors.DataLossError,
}


def _class_name(code: str) -> str:
    return "".join(part.capitalize() for part in code.split("_")) + "Error"


def _never_raised(code: str) -> type[errors.OpError]:
    """A class for ``except`` clauses alone."""
    documentation = "Nothing here raises this; programs may name it."
    return type(_class_name(code), (errors.OpError,), {"error_code": CODES[code], "__doc__": documentation})


#: What the module holds.
CONTENTS: dict[str, object] = {
    **CODES,
    **{_class_name(code): _never_raised(code) for code in CODES if code != "OK"},
    **_RAISED,
}
