"""Small graphs, node by node, as messages of ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorbundle.protos import messages

NUMBERS = {"float32": 1, "float64": 2, "int32": 3, "string": 7, "int64": 9, "qint8": 11, "resource": 20}


def shape(*sizes: int) -> Any:
    """An ``AttrValue``; -1 is a size that is not known."""
    return messages.AttrValue(shape=shape_proto(*sizes))


def shape_proto(*sizes: int) -> Any:
    return messages.TensorShapeProto(dim=[messages.TensorShapeProto.Dim(size=size) for size in sizes])


def strings(*values: str, scalar: bool = False) -> Any:
    """An ``AttrValue`` that holds a vector of strings, or one string."""
    value = messages.AttrValue()
    value.tensor.dtype = NUMBERS["string"]
    value.tensor.tensor_shape.CopyFrom(shape_proto() if scalar else shape_proto(len(values)))
    value.tensor.string_val.extend(each.encode() for each in values)
    return value


def types(*names: str) -> Any:
    value = messages.AttrValue()
    value.list.type.extend(NUMBERS[name] for name in names)
    return value


def set_attrs(node: Any, attrs: dict[str, Any]) -> None:
    """A ``str`` is the name of a type; numbers and ``bytes`` are themselves."""
    for key, value in attrs.items():
        if isinstance(value, str):
            node.attr[key].type = NUMBERS[value]
        elif isinstance(value, bool):
            node.attr[key].b = value
        elif isinstance(value, int):
            node.attr[key].i = value
        elif isinstance(value, bytes):
            node.attr[key].s = value
        else:
            node.attr[key].CopyFrom(value)


def add(graph: Any, name: str, op: str, *inputs: str, device: str = "", **attrs: Any) -> str:
    """Adds a node to a ``GraphDef``; returns its name."""
    set_attrs(graph.node.add(name=name, op=op, input=inputs, device=device), attrs)
    return name


def matmul(*, variable: str = "w", sizes: tuple[int, ...] = (2, 3), device: str = "") -> Any:
    """A ``GraphDef``: ``y = x @ w`` with a resource variable of float32."""
    graph = messages.GraphDef()
    add(graph, "x", "Placeholder", dtype="float32", shape=shape(-1, 2))
    add(graph, variable, "VarHandleOp", dtype="float32", shape=shape(*sizes), device=device)
    add(graph, "read", "ReadVariableOp", variable, dtype="float32", device=device)
    add(graph, "y", "MatMul", "x", "read", T="float32", transpose_a=False)
    return graph


def tensor_info(name: str, dtype: str = "float32", sizes: tuple[int, ...] = ()) -> Any:
    return messages.TensorInfo(name=name, dtype=NUMBERS[dtype], tensor_shape=shape_proto(*sizes))


def signature(inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    """A ``SignatureDef`` for prediction. A ``str`` is a tensor of float32."""
    made = messages.SignatureDef(method_name="tensorflow/serving/predict")
    for given, infos in ((inputs, made.inputs), (outputs, made.outputs)):
        for key, info in given.items():
            infos[key].CopyFrom(tensor_info(info) if isinstance(info, str) else info)
    return made


def predict() -> Any:
    """The signature of :func:`matmul`."""
    return signature({"x": tensor_info("x:0", sizes=(-1, 2))}, {"y": tensor_info("y:0", sizes=(-1, 3))})


WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)
