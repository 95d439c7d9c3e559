"""The nodes of a graph, and which of them are variables."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorbundle import errors
from tensorbundle.protos import messages
from tensorbundle.protos.convert import parse
from tensorbundle.saved_model.signatures import shape_proto

if TYPE_CHECKING:
    from typing_extensions import Self

RESOURCE_VARIABLE = "VarHandleOp"
_REF_VARIABLES = ("VariableV2", "Variable")
#: The collection of the variables of a session.
VARIABLES_KEY = "variables"
_LOCAL_COLLECTION = "local_variables"
_MOST_DIGITS = 10


class Variable(NamedTuple):
    """A variable of a graph, and the tensor of a checkpoint that it is restored from.

    Attributes:
        node: Its ``NodeDef``.
        key: Name of the tensor.
        stored_shape: ``TensorShapeProto`` that the tensor fits; None: it may have any shape.
        required: The graph can't run without it.
        slice_spec: Of a part of a partitioned variable, which part of the tensor it is, as ``RestoreV2`` takes it.
    """

    node: Any
    key: str
    stored_shape: Any | None
    required: bool
    slice_spec: str = ""

    @classmethod
    def of_node(cls, node: Any, key: str, *, required: bool = True) -> Self:
        """A whole variable."""
        return cls(node, key, shape_of(node), required)

    @property
    def dtype(self) -> int:
        """Its ``DataType``."""
        return int(self.node.attr["dtype"].type)

    @property
    def is_resource(self) -> bool:
        """False for the variables of TensorFlow's first years."""
        return bool(self.node.op == RESOURCE_VARIABLE)


class Graph:
    """A ``GraphDef`` whose nodes are found by their names.

    Raises:
        BuilderError: Two nodes have the same name.
    """

    def __init__(self, graph_def: Any) -> None:
        self.graph_def = graph_def
        self.nodes: dict[str, Any] = {node.name: node for node in graph_def.node}
        if len(self.nodes) < len(graph_def.node):
            (name, _), *_ = collections.Counter(node.name for node in graph_def.node).most_common(1)
            raise errors.BuilderError(f"the graph has two nodes named {name!r}")

    def add(self, name: str, op: str, inputs: Iterable[str] = (), **attrs: Any) -> str:
        """Adds a node; an attribute is an ``AttrValue``, or the number of a ``DataType``. Returns its name."""
        node = self.graph_def.node.add(name=name, op=op, input=inputs)
        for key, value in attrs.items():
            node.attr[key].CopyFrom(messages.AttrValue(type=value) if isinstance(value, int) else value)
        self.nodes[name] = node
        return name

    def unused_name(self, name: str) -> str:
        """The name, or the name with a number, that no node has."""
        number = 0
        while (free := f"{name}_{number}" if number else name) in self.nodes:
            number += 1
        return free

    def unused_scope(self, scope: str) -> str:
        """The name, or the name with a number, that no node has, nor the beginning of its path."""
        used = {prefix for name in self.nodes for prefix in (name, name.partition("/")[0])}
        number = 0
        while (free := f"{scope}_{number}" if number else scope) in used:
            number += 1
        return free


def node_name(tensor_name: str) -> str:
    """``scope/node`` of ``scope/node:0``, ``^scope/node`` and ``scope/node`` itself."""
    return tensor_name.removeprefix("^").partition(":")[0]


def output_number(text: str) -> int | None:
    """The number of an output, as it stands at the end of a tensor's name; None if it is none."""
    return int(text) if text.isdecimal() and len(text) < _MOST_DIGITS else None


def is_variable(node: Any) -> bool:
    """True for a node that holds a variable."""
    return node.op == RESOURCE_VARIABLE or node.op in _REF_VARIABLES


def shape_of(node: Any) -> Any | None:
    """The ``TensorShapeProto`` of a variable; None: not known."""
    shape = node.attr["shape"].shape if "shape" in node.attr else None
    if shape is None or shape.unknown_rank:
        return None
    # The first kind of variables can't say that they are scalars.
    return shape if shape.dim or node.op != "Variable" else None


def has_variable_list(meta_graph: Any) -> bool:
    """True if a meta graph says which of its variables are to be saved."""
    return VARIABLES_KEY in meta_graph.collection_def


def variables_of(meta_graph: Any, graph: Graph) -> list[Variable]:
    """The variables that a session could hold, in the order of the nodes; partitioned ones in their parts.

    Required are those that the meta graph lists as its variables, or else all that it doesn't call local.
    """
    listed, local = _listed(meta_graph, VARIABLES_KEY), _listed(meta_graph, _LOCAL_COLLECTION)
    found = []
    for node in filter(is_variable, graph.graph_def.node):
        required = node.name in listed if has_variable_list(meta_graph) else node.name not in local
        found.append(_variable(node, listed.get(node.name), required))
    return found


def _variable(node: Any, definition: Any | None, required: bool) -> Variable:
    if definition is None or not definition.HasField("save_slice_info_def"):
        return Variable.of_node(node, node.name, required=required)
    part = definition.save_slice_info_def
    extents = ":".join(f"{start},{size}" for start, size in zip(part.var_offset, part.var_shape, strict=False))
    spec = " ".join([*map(str, part.full_shape), extents])
    return Variable(node, part.full_name, shape_proto(part.full_shape), required, spec)


def _listed(meta_graph: Any, name: str) -> dict[str, Any]:
    """The ``VariableDef`` messages of a collection by the names of the nodes; the oldest graphs have names only."""
    if name not in meta_graph.collection_def:
        return {}
    collection = meta_graph.collection_def[name]
    found = [parse(messages.VariableDef, record, f"collection {name}") for record in collection.bytes_list.value]
    found += [messages.VariableDef(variable_name=each) for each in collection.node_list.value]
    return {node_name(definition.variable_name): definition for definition in found}
