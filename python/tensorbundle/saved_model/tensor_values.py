"""Arrays as ``TensorProto`` messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorbundle import dtypes, errors, inputs
from tensorbundle.protos import messages
from tensorbundle.protos.limits import MOST_BYTES
from tensorbundle.train.dtypes import as_dtype

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

# Whose values lie in ``tensor_content`` if there are two or more, as TensorFlow has it.
_AS_CONTENT = frozenset(
    {"float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"}
)
# Where single values lie, and those of all other types.
_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "string": "string_val",
    "float16": "half_val",
    "bfloat16": "half_val",
}


def tensor_proto(name: str, value: ArrayLike | str) -> Any:
    """A ``TensorProto`` of the value, as TensorFlow makes one of an array of the same elements.

    Args:
        name: For messages.
        value: What :func:`tensorbundle.save` takes as a tensor.

    Raises:
        TypeError, ValueError: ``value`` is no tensor.
        LimitError: Its elements take 2 GiB or more, which no message holds.
    """
    array = inputs.to_array(name, value)
    tf_name = dtypes.tf_name(array.dtype) or ""
    if array.nbytes > MOST_BYTES:
        raise errors.LimitError(f"tensor {name!r} has {array.nbytes} bytes, more than the {MOST_BYTES} of any message")
    proto = messages.TensorProto(dtype=as_dtype(tf_name).as_datatype_enum)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False) if array.dtype.kind != "V" else array
    is_short_float = tf_name.startswith(("float8", "float4"))
    if array.size > 1 and (is_short_float or tf_name in _AS_CONTENT):
        proto.tensor_content = array.tobytes()
    elif is_short_float:
        proto.float8_val = array.tobytes()
    else:
        getattr(proto, _FIELDS.get(tf_name, "int_val")).extend(_elements(array, tf_name))
    return proto


def _elements(array: np.ndarray[Any, Any], tf_name: str) -> list[Any]:
    """What the field of a type repeats, in row-major order."""
    flat = array.reshape(-1)
    if tf_name.startswith("complex"):
        flat = flat.view(f"<f{array.itemsize // 2}")
    elif _FIELDS.get(tf_name) == "half_val":
        flat = flat.view("<u2")
    elif tf_name.startswith(("int", "uint")):
        flat = flat.astype("<i8" if not tf_name.startswith("uint64") else "<u8")
    elements: list[Any] = flat.tolist()
    return elements
