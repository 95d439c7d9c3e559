"""The operations of a graph: those of its own nodes, and those of every function in its library."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAIN = ""  # The graph itself, where the name of a function may stand.


class Use(NamedTuple):
    """An operation somewhere in a graph.

    Attributes:
        op: The operation.
        node: The node that it is.
        function: The function that the node is in; empty for the graph itself.
        calls: How the function is reached, from outside in: what calls it first, then what calls that. Empty for the
            graph itself, and for a function that nothing refers to.
    """

    op: str
    node: str
    function: str
    calls: tuple[str, ...]


def count(graph: Any) -> dict[str, int]:
    """How many nodes have each operation, in the graph and its functions, by name; calls of functions left out."""
    functions = {function.signature.name for function in graph.library.function}
    found = Counter(node.op for _, nodes in _bodies(graph) for node in nodes)
    return {op: found[op] for op in sorted(found) if op not in functions}


def find(meta_graph: Any, wanted: Callable[[str], bool]) -> list[Use]:
    """Every node whose operation is wanted, also in functions that nothing refers to."""
    calls = _calls(meta_graph)
    return [
        Use(node.op, node.name, function, calls.get(function, ()))
        for function, nodes in _bodies(meta_graph.graph_def)
        for node in nodes
        if wanted(node.op)
    ]


def missing_functions(graph: Any) -> list[str]:
    """Functions that attributes name and the library doesn't have."""
    there = {function.signature.name for function in graph.library.function}
    named = {name for _, nodes in _bodies(graph) for node in nodes for name in _named_by(node)}
    return sorted(named - there)


def _bodies(graph: Any) -> Iterator[tuple[str, Any]]:
    """The graph itself, and each function: name and nodes."""
    yield MAIN, graph.node
    for function in graph.library.function:
        yield function.signature.name, function.node_def


def _named_by(node: Any) -> Iterator[str]:
    """Functions that the attributes of a node name."""
    for value in map(node.attr.__getitem__, node.attr):  # Tens of thousands in a graph; values() takes longer.
        kind = value.WhichOneof("value")
        if kind == "func":
            yield from _names([value.func])
        elif kind == "list" and value.list.func:
            yield from _names(list(value.list.func))


def _names(functions: list[Any]) -> Iterator[str]:
    """The names of functions, and of those that are attributes of theirs."""
    for function in functions:  # Grows meanwhile.
        if function.name:
            yield function.name
        for value in function.attr.values():
            functions += [value.func] if value.HasField("func") else value.list.func


def _calls(meta_graph: Any) -> dict[str, tuple[str, ...]]:
    """How each function is reached, by the fewest calls."""
    graph = meta_graph.graph_def
    bodies = dict(_bodies(graph))
    gradients: dict[str, list[str]] = {}
    for gradient in graph.library.gradient:
        gradients.setdefault(gradient.function_name, []).append(gradient.gradient_func)
    found: dict[str, tuple[str, ...]] = {MAIN: ()}
    todo = [MAIN]
    for entry in _entries(meta_graph):
        if entry in bodies and entry not in found:
            found[entry] = ("an object",)
            todo.append(entry)
    for caller in todo:  # Grows meanwhile.
        steps = [(f"node {node.name!r}", name) for node in bodies[caller] for name in _called(node, bodies)]
        steps += [("its gradient", name) for name in gradients.get(caller, ())]
        for step, name in steps:
            if name in bodies and name not in found:
                where = f" of {caller!r}" if caller else ""
                found[name] = (*found[caller], step + where)
                todo.append(name)
    return found


def _called(node: Any, bodies: dict[str, Any]) -> Iterator[str]:
    if node.op in bodies:
        yield node.op
    yield from _named_by(node)


def _entries(meta_graph: Any) -> Iterator[str]:
    """Functions that whoever loads the objects can call."""
    for node in meta_graph.object_graph_def.nodes:
        kind = node.WhichOneof("kind")
        if kind == "function":
            yield from node.function.concrete_functions
        elif kind == "bare_concrete_function":
            yield node.bare_concrete_function.concrete_function_name
