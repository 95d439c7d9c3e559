"""What the saver of a graph restores: the tensors that it asks a checkpoint for, and the variables they go to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tensorbundle import errors
from tensorbundle.saved_model.graph import Graph, is_variable, node_name, output_number, shape_of
from tensorbundle.saved_model.stored import StoredTensor, require

_RESTORE = "RestoreV2"
# They read the format of TensorFlow's first year only.
_OLD_RESTORES = ("Restore", "RestoreSlice")
_ASSIGNS = ("AssignVariableOp", "Assign")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Nodes between a restored tensor and its assignment.
_MOST_STEPS = 16


class _Body(NamedTuple):
    """The nodes of the graph or of one of its functions that are run, and what the arguments of that are given."""

    nodes: Mapping[str, Any]
    arguments: Mapping[str, Any | None]


class Saver:
    """The saver that a meta graph brings along.

    Raises:
        BuilderError: Its ``saver_def`` lacks a name, or names what the graph lacks.
    """

    def __init__(self, meta_graph: Any, graph: Graph) -> None:
        self._graph = graph
        self._functions = {each.signature.name: each for each in meta_graph.graph_def.library.function}
        saver_def = meta_graph.saver_def
        for field in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
            name = getattr(saver_def, field)
            if node_name(name) not in graph.nodes:
                raise errors.BuilderError(f"saver_def.{field} is {name!r}, and the graph has no such node")
        self._reached = _reached(graph.nodes, node_name(saver_def.restore_op_name))

    @property
    def is_old(self) -> bool:
        """True if it reads checkpoints of the old format, which are not written any more."""
        return any(node.op in _OLD_RESTORES for node in self._reached.values())

    def check(self, stored: Mapping[str, StoredTensor]) -> None:
        """Raises :class:`BuilderError` unless all that it asks for is stored, and fits."""
        _check_body(_Body(self._reached, {}), stored)
        for node in self._reached.values():
            function = self._functions.get(node.attr["f"].func.name if node.op in _CALLS else node.op)
            if function is not None:
                _check_body(self._function_body(node, function), stored)

    def _function_body(self, call: Any, function: Any) -> _Body:
        """A function that the graph restores with, as it does where TensorFlow 2 exported it."""
        values = [self._graph.nodes.get(node_name(name)) for name in call.input if not name.startswith("^")]
        names = [argument.name for argument in function.signature.input_arg]
        return _Body({node.name: node for node in function.node_def}, dict(zip(names, values, strict=False)))


def _reached(nodes: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The nodes that are run for a node, and that."""
    waiting, found = [name], dict[str, Any]()
    while waiting:
        name = waiting.pop()
        if name not in found and name in nodes:
            found[name] = nodes[name]
            waiting += map(node_name, nodes[name].input)
    return found


def keys_of_variables(meta_graph: Any) -> dict[str, str]:
    """The tensor that each variable of a graph is restored from, by the variable's name; parts of variables apart."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    body = _Body(_reached(nodes, node_name(meta_graph.saver_def.restore_op_name)), {})
    return {
        each.variable.name: each.key for each in _restored(body) if each.variable is not None and not each.slice_spec
    }


class _Restored(NamedTuple):
    """An output of a node that restores tensors."""

    key: str
    slice_spec: str
    dtype: int
    variable: Any | None
    name: str


def _restored(body: _Body) -> Iterator[_Restored]:
    restores = [node for node in body.nodes.values() if node.op == _RESTORE and len(node.input) > 2]
    targets = _targets(body) if restores else {}
    for restore in restores:
        keys = _strings(body, restore.input[1])
        specs = _strings(body, restore.input[2])
        dtypes = restore.attr["dtypes"].list.type
        for number, (key, spec, dtype) in enumerate(zip(keys, specs, dtypes, strict=False)):
            variable = targets.get((restore.name, number))
            yield _Restored(key, spec, dtype, variable, f"output {number} of {restore.name!r}")


def _check_body(body: _Body, stored: Mapping[str, StoredTensor]) -> None:
    for key, spec, dtype, variable, name in _restored(body):
        of = name if variable is None else f"variable {variable.name!r}"
        # A part of a partitioned variable has another shape than what is stored.
        require(stored, key, dtype, None if spec or variable is None else shape_of(variable), of)


def _targets(body: _Body) -> dict[tuple[str, int], Any]:
    """The variables that outputs of restoring nodes are assigned to."""
    found = {}
    for node in body.nodes.values():
        if node.op in _ASSIGNS and len(node.input) > 1:
            variable, source = _variable(body, node.input[0]), _source(body, node.input[1])
            if variable is not None and source is not None:
                found[source] = variable
    return found


def _variable(body: _Body, name: str) -> Any | None:
    node = body.arguments.get(name) or body.nodes.get(node_name(name))
    return node if node is not None and is_variable(node) else None


def _source(body: _Body, name: str) -> tuple[str, int] | None:
    """The restoring node, and which of its outputs, that a tensor comes from unchanged."""
    for _ in range(_MOST_STEPS):
        node = body.nodes.get(node_name(name))
        if node is None or node.op == _RESTORE:
            # ``node:1`` in a graph, ``node:tensors:1`` in a function.
            return None if node is None else (node.name, output_number(name.rpartition(":")[2]) or 0)
        if node.op != "Identity" or not node.input:
            return None
        name = node.input[0]
    return None


def _strings(body: _Body, name: str) -> list[str]:
    """The strings of a constant; none of what is computed when it is run."""
    node = body.nodes.get(node_name(name))
    values = node.attr["value"].tensor.string_val if node is not None and node.op == "Const" else ()
    return [value.decode("utf-8", "surrogateescape") for value in values]
