"""Tensors and structures of a SavedModel's messages, as text."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = {"FLOAT": "float32", "DOUBLE": "float64", "HALF": "float16", "INVALID": "-"}


@functools.cache
def dtype_name(number: int) -> str:
    """TensorFlow's name of a ``DataType``; its number if it has none."""
    from tensorbundle.protos import messages

    if number not in messages.DataType.values():
        return str(number)
    name = str(messages.DataType.Name(number)).removeprefix("DT_")
    is_reference = name.endswith("_REF")
    bare = name.removesuffix("_REF")
    return _NAMES.get(bare, bare.lower()) + ("_ref" if is_reference else "")


def sizes(shape: Any) -> list[int] | None:
    """The sizes of a ``TensorShapeProto``, -1 for any; None for any shape."""
    return None if shape.unknown_rank else [dim.size for dim in shape.dim]


def spec_text(dtype: int, shape: Any) -> str:
    """``float32[-1,4]``; ``float32[...]`` for any shape."""
    known = sizes(shape)
    inside = "..." if known is None else ",".join(map(str, known))
    return f"{dtype_name(dtype)}[{inside}]"


def structure_text(value: Any) -> str:
    """A ``StructuredValue``, much as Python would write it."""
    kind = value.WhichOneof("kind")
    if kind not in _WRITERS:
        return str(kind)
    return _WRITERS[kind](getattr(value, kind))


def call_text(name: str, signature: Any, argument_names: list[str]) -> str:
    """What a function is called with: ``name(x: float32[-1,4], training: False)``."""
    positional, by_name = _arguments(signature)
    # Where there are fewer names than arguments, the last have none.
    named = [*argument_names, *(f"args[{number}]" for number in range(len(argument_names), len(positional)))]
    texts = [f"{key}: {structure_text(value)}" for key, value in zip(named, positional, strict=False)]
    texts += [f"{key}: {structure_text(by_name[key])}" for key in sorted(by_name)]
    return f"{name}({', '.join(texts)})"


def names_of_arguments(specification: Any) -> list[str]:
    """The names of a function's positional arguments, from its ``FunctionSpec``, without ``self``."""
    for pair in specification.fullargspec.named_tuple_value.values:
        if pair.key == "args":
            names = [value.string_value for value in pair.value.list_value.values]
            return names[1:] if names[:1] == ["self"] or specification.is_method else names
    return []


def _arguments(signature: Any) -> tuple[list[Any], dict[str, Any]]:
    """Positional arguments and those by name of a canonicalized input signature."""
    parts = signature.tuple_value.values
    if len(parts) != 2:
        return [], {}
    return list(parts[0].tuple_value.values), dict(parts[1].dict_value.fields)


def _sequence(begin: str, values: Any, end: str) -> str:
    return begin + ", ".join(map(structure_text, values)) + end


def _type_text(value: Any) -> str:
    return str(value.type_spec_class_name or type(value).TypeSpecClass.Name(value.type_spec_class))


_WRITERS: dict[str | None, Callable[[Any], str]] = {
    "none_value": lambda _: "None",
    "float64_value": repr,
    "int64_value": repr,
    "string_value": repr,
    "bool_value": repr,
    "tensor_shape_value": lambda shape: "[...]" if shape.unknown_rank else str(sizes(shape)),
    "tensor_dtype_value": dtype_name,
    "tensor_spec_value": lambda spec: spec_text(spec.dtype, spec.shape),
    "bounded_tensor_spec_value": lambda spec: spec_text(spec.dtype, spec.shape),
    "type_spec_value": _type_text,
    "list_value": lambda value: _sequence("[", value.values, "]"),
    "tuple_value": lambda value: _sequence("(", value.values, ",)" if len(value.values) == 1 else ")"),
    "dict_value": lambda value: (
        "{" + ", ".join(f"{key!r}: {structure_text(value.fields[key])}" for key in sorted(value.fields)) + "}"
    ),
    "named_tuple_value": lambda value: (
        f"{value.name}(" + ", ".join(f"{pair.key}={structure_text(pair.value)}" for pair in value.values) + ")"
    ),
    "tensor_value": lambda tensor: spec_text(tensor.dtype, tensor.tensor_shape),
    "numpy_value": lambda tensor: spec_text(tensor.dtype, tensor.tensor_shape),
}
