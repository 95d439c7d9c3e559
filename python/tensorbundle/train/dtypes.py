"""TensorFlow's element types, as its own objects for them behave: ``tf.float32`` and its like."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Number in TensorFlow's enumeration, name, and the enumeration's own word for it.
_TYPES = (
    (1, "float32", "FLOAT"),
    (2, "float64", "DOUBLE"),
    (3, "int32", "INT32"),
    (4, "uint8", "UINT8"),
    (5, "int16", "INT16"),
    (6, "int8", "INT8"),
    (7, "string", "STRING"),
    (8, "complex64", "COMPLEX64"),
    (9, "int64", "INT64"),
    (10, "bool", "BOOL"),
    (11, "qint8", "QINT8"),
    (12, "quint8", "QUINT8"),
    (13, "qint32", "QINT32"),
    (14, "bfloat16", "BFLOAT16"),
    (15, "qint16", "QINT16"),
    (16, "quint16", "QUINT16"),
    (17, "uint16", "UINT16"),
    (18, "complex128", "COMPLEX128"),
    (19, "float16", "HALF"),
    (20, "resource", "RESOURCE"),
    (21, "variant", "VARIANT"),
    (22, "uint32", "UINT32"),
    (23, "uint64", "UINT64"),
    (24, "float8_e5m2", "FLOAT8_E5M2"),
    (25, "float8_e4m3fn", "FLOAT8_E4M3FN"),
    (26, "float8_e4m3fnuz", "FLOAT8_E4M3FNUZ"),
    (27, "float8_e4m3b11fnuz", "FLOAT8_E4M3B11FNUZ"),
    (28, "float8_e5m2fnuz", "FLOAT8_E5M2FNUZ"),
    (29, "int4", "INT4"),
    (30, "uint4", "UINT4"),
    (31, "int2", "INT2"),
    (32, "uint2", "UINT2"),
    (33, "float4_e2m1fn", "FLOAT4_E2M1FN"),
)
_OBJECTS = frozenset({"string", "resource", "variant"})
_REAL = {"complex64": "float32", "complex128": "float64"}
_ALIASES = {"half": "float16", "double": "float64", "float": "float32"}
# What types of Python's mean: no others mean anything, though NumPy takes them for dtypes.
_OF_PYTHON: dict[type, str] = {bool: "bool", float: "float32", object: "string"}


class DType:
    """An element type. There is one object for each, equal to its name, its number and its NumPy type as well.

    Attributes:
        name: ``"float32"``, ``"string"``, ``"bfloat16"`` ...
        as_datatype_enum: Its number in TensorFlow's enumeration; also ``int()`` of it, and its hash.
    """

    __slots__ = ("_word", "as_datatype_enum", "name")

    def __init__(self, number: int, name: str, word: str) -> None:
        self.as_datatype_enum = number
        self.name = name
        self._word = f"DT_{word}"

    @property
    def as_numpy_dtype(self) -> type[Any]:
        """The type of an array's elements: ``numpy.float32``, ``object`` for strings, a type of ``ml_dtypes``.

        Quantized types are plain integers, as their arrays are.
        """
        return _numpy_type(self.name)

    @property
    def size(self) -> int:
        """Bytes of one element in memory; 0 where they have no fixed size."""
        import numpy as np

        return 0 if self.name in _OBJECTS else np.dtype(self.as_numpy_dtype).itemsize

    @property
    def is_floating(self) -> bool:
        """True for real numbers that aren't integers."""
        return self.name.startswith(("float", "bfloat"))

    @property
    def is_complex(self) -> bool:
        """True for complex numbers."""
        return self.name in _REAL

    @property
    def is_integer(self) -> bool:
        """True for integers that aren't quantized."""
        return self.name.startswith(("int", "uint"))

    @property
    def is_quantized(self) -> bool:
        """True for the types that stand for real numbers by integers and a scale."""
        return self.name.startswith(("qint", "quint"))

    @property
    def is_unsigned(self) -> bool:
        """True for integers without a sign that aren't quantized."""
        return self.name.startswith("uint")

    @property
    def is_bool(self) -> bool:
        """True for truth values."""
        return self.name == "bool"

    @property
    def is_numeric(self) -> bool:
        """True for numbers, apart from those types that TensorFlow got after ``uint64``: it doesn't count them."""
        return not self.is_bool and self.name not in _OBJECTS and self.as_datatype_enum <= 23

    @property
    def is_numpy_compatible(self) -> bool:
        """True if there are arrays of it."""
        return self.name != "resource"

    @property
    def base_dtype(self) -> DType:
        """The type itself: references to variables, which would differ, aren't stored."""
        return self

    @property
    def real_dtype(self) -> DType:
        """The type of the real and the imaginary part; of other types, the type itself."""
        return BY_NAME[_REAL.get(self.name, self.name)]

    @property
    def min(self) -> Any:
        """The least finite value.

        Raises:
            TypeError: It isn't a type of real numbers.
        """
        return self._limits().min

    @property
    def max(self) -> Any:
        """The greatest finite value.

        Raises:
            TypeError: It isn't a type of real numbers.
        """
        return self._limits().max

    def is_compatible_with(self, other: object) -> bool:
        """True if ``other`` is the same type, under any of its names.

        Raises:
            TypeError: ``other`` is no element type.
        """
        return self is as_dtype(other)

    def _limits(self) -> Any:
        import ml_dtypes

        if not (self.is_floating or self.is_integer):
            raise TypeError(f"there are no limits of {self}: it isn't a type of real numbers")
        limits: Callable[[Any], Any] = ml_dtypes.finfo if self.is_floating else ml_dtypes.iinfo
        return limits(self.as_numpy_dtype)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DType):
            return self is other
        try:
            return self is as_dtype(other)
        except TypeError:
            return False

    def __hash__(self) -> int:
        return self.as_datatype_enum

    def __int__(self) -> int:
        return self.as_datatype_enum

    def __repr__(self) -> str:
        return f"tf.{self.name}"

    def __str__(self) -> str:
        return f"<dtype: {self.name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)


#: Every type by its name.
BY_NAME = {name: DType(number, name, word) for number, name, word in _TYPES}
_BY_NUMBER = {dtype.as_datatype_enum: dtype for dtype in BY_NAME.values()}


def as_dtype(value: object) -> DType:
    """The type that ``value`` means: a type, its name or number, or what NumPy takes for a dtype.

    Raises:
        TypeError: It means none.
    """
    number = getattr(value, "as_datatype_enum", value)  # TensorFlow's own types have it as well.
    if isinstance(number, int) and number in _BY_NUMBER:
        return _BY_NUMBER[number]
    if isinstance(value, str):
        found = BY_NAME.get(_ALIASES.get(value, value))
    else:
        found = _of_numpy(value)
    if found is None:
        raise TypeError(f"{value!r} is not an element type of TensorFlow's")
    return found


def word(dtype: DType) -> str:
    """What TensorFlow's enumeration calls it, such as ``"DT_HALF"``."""
    return dtype._word  # noqa: SLF001 - no attribute of TensorFlow's


def _of_numpy(value: object) -> DType | None:
    import numpy as np

    if value is None:  # NumPy takes it for float64.
        return None
    if isinstance(value, type) and not issubclass(value, np.generic):
        return BY_NAME.get(_OF_PYTHON.get(value, ""))
    try:
        dtype = np.dtype(value)  # type: ignore[call-overload]
    except TypeError:
        return None
    if dtype.hasobject or dtype.kind in "SU":
        return BY_NAME["string"]
    return BY_NAME.get(dtype.name)


@functools.cache
def _numpy_type(name: str) -> type[Any]:
    import ml_dtypes
    import numpy as np

    if name in _OBJECTS:
        return object
    plain = name.removeprefix("q")
    found: type[Any] | None = getattr(ml_dtypes, plain, None)
    return found if found is not None else np.dtype(plain).type


DType.__module__ = "tensorbundle.train"  # Where users find it.
