"""The objects of a SavedModel, and the checkpoint keys of their values.

A SavedModel lists its objects, with their functions; the checkpoint of its variables lists those with values, under
numbers of its own. Both are walked from their roots at once: what the same names lead to is the same object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tensorbundle import _core, errors
from tensorbundle.graph import ObjectGraph

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from tensorbundle.graph import Attribute, ObjectNode

_VARIABLE = "VARIABLE_VALUE"


class Stored(NamedTuple):
    """What a checkpoint says of objects: its own graph, None if it was saved by name, and the keys of its tensors."""

    graph: ObjectGraph | None
    keys: Container[str]


def graph_of(objects: Any, stored: Stored, where: str) -> ObjectGraph:
    """The objects of a ``SavedObjectGraph``, under its numbers, with the values that a checkpoint has for them.

    Args:
        objects: The message.
        stored: The checkpoint.
        where: Path of the file, for errors.

    Raises:
        DataLossError: There is no node, or one refers to a node that there is not.
    """
    if not objects.nodes:
        raise errors.DataLossError(f"{where!r}: the object graph has no nodes", path=where)
    nodes = [_node(node) for node in objects.nodes]
    _check_numbers(nodes, where)
    values = _by_name(nodes, stored.keys) if stored.graph is None else _by_path(nodes, stored.graph)
    leading = _leading_to(nodes, values)
    record = _core.encode_object_graph(
        [(node.children, values.get(number, []), node.slots, number in leading) for number, node in enumerate(nodes)]
    )
    return ObjectGraph.parse(record)


class _Node(NamedTuple):
    """What is needed of a ``SavedObject``; asking messages again and again takes longer than all else here.

    Attributes:
        children: Name and number of each.
        slots: Name, number of the variable, and number of its slot, of each.
        variable: Its name, if it is a variable; else None.
    """

    children: list[tuple[str, int]]
    slots: list[tuple[str, int, int]]
    variable: str | None


def _node(node: Any) -> _Node:
    return _Node(
        [(child.local_name, child.node_id) for child in node.children],
        [(slot.slot_name, slot.original_variable_node_id, slot.slot_variable_node_id) for slot in node.slot_variables],
        node.variable.name if node.WhichOneof("kind") == "variable" else None,
    )


def _check_numbers(nodes: Sequence[_Node], where: str) -> None:
    for number, node in enumerate(nodes):
        for name, child in node.children:
            _check_number(child, len(nodes), where, number, f"its child {name!r}")
        for name, variable, value in node.slots:
            _check_number(variable, len(nodes), where, number, f"the variable of its slot {name!r}")
            _check_number(value, len(nodes), where, number, f"its slot {name!r}")


def _check_number(number: int, count: int, where: str, node: int, what: str) -> None:
    if not 0 <= number < count:
        raise errors.DataLossError(
            f"{where!r}: node {node} of the object graph: {what} is node {number}, where the graph has {count} nodes",
            path=where,
        )


def _by_name(nodes: Sequence[_Node], keys: Container[str]) -> dict[int, list[tuple[str, str, str]]]:
    """Values by node where tensors were saved under the variables' names."""
    names = {number: node.variable for number, node in enumerate(nodes) if node.variable is not None}
    return {number: [(_VARIABLE, name, name)] for number, name in names.items() if name in keys}


def _by_path(nodes: Sequence[_Node], graph: ObjectGraph) -> dict[int, list[tuple[str, str, str]]]:
    """Values by node, from the checkpoint's own objects."""
    return {
        number: [_named(value, nodes[number]) for value in twin.attributes]
        for number, twin in _twins(nodes, graph).items()
        if twin.attributes
    }


def _named(value: Attribute, node: _Node) -> tuple[str, str, str]:
    return value.name, value.full_name or node.variable or "", value.key


def _twins(nodes: Sequence[_Node], graph: ObjectGraph) -> dict[int, ObjectNode]:
    """Which object of the checkpoint each node is, as far as there is one."""
    twins = {0: graph.root}
    todo = [0]
    for number in todo:  # Grows meanwhile.
        others = twins[number].children
        for name, child in dict(nodes[number].children).items():
            if name in others and child not in twins:
                twins[child] = others[name]
                todo.append(child)
    for number in todo:
        found = {(slot.name, slot.variable.id): slot.value for slot in twins[number].slots}
        for name, variable, value in nodes[number].slots:
            if variable in twins and (name, twins[variable].id) in found:
                twins.setdefault(value, found[name, twins[variable].id])
    return twins


def _leading_to(nodes: Sequence[_Node], values: dict[int, list[tuple[str, str, str]]]) -> set[int]:
    """The nodes with values, and those that lead to one."""
    above: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        for _, child in node.children:
            above.setdefault(child, []).append(number)
    found = set(values)
    todo = list(values)
    for number in todo:  # Grows meanwhile.
        new = [each for each in above.get(number, ()) if each not in found]
        found.update(new)
        todo += new
    return found
