"""The tensors of a checkpoint as a tree: names cut at each ``/``, with how many tensors are below, and their size."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import tensorbundle

# Names may have any number of slashes; what comes after so many is one.
_MAX_DEPTH = 100


@dataclasses.dataclass(slots=True)
class Node:
    """A name that tensors have in common.

    Attributes:
        name: The part of their names that the node above does not have.
        children: What is below, by name.
        entry: The tensor of that very name, if there is one.
        num_tensors: Number of tensors below, and of that one.
        nbytes: Their bytes.
    """

    name: str
    children: dict[str, Node] = dataclasses.field(default_factory=dict)
    entry: tensorbundle.Entry | None = None
    num_tensors: int = 0
    nbytes: int = 0


def grown(entries: Iterable[tensorbundle.Entry]) -> Node:
    """The root of the tree, whose name is empty. A node with nothing but one node below is one with that."""
    root = Node("")
    for entry in entries:
        _add(root, entry)
    _merge_only_children(root)
    return root


def _add(root: Node, entry: tensorbundle.Entry) -> None:
    node, nbytes = root, entry.nbytes
    root.num_tensors += 1
    root.nbytes += nbytes
    for part in entry.name.split("/", _MAX_DEPTH - 1):
        child = node.children.get(part)
        if child is None:
            child = node.children[part] = Node(part)
        node = child
        node.num_tensors += 1
        node.nbytes += nbytes
    node.entry = entry


def _merge_only_children(root: Node) -> None:
    stack = list(root.children.values())
    while stack:
        node = stack.pop()
        while len(node.children) == 1 and node.entry is None:
            (child,) = node.children.values()
            node.name, node.children, node.entry = f"{node.name}/{child.name}", child.children, child.entry
        stack += node.children.values()


def walked(root: Node, depth: int | None = None) -> Iterator[tuple[int, Node]]:
    """Each node below the root with its level, 0 for the first; what is above comes first.

    Args:
        root: The root.
        depth: Levels to go down; None: all.
    """
    stack = [(0, child) for child in reversed(root.children.values())]
    while stack:
        level, node = stack.pop()
        yield level, node
        if depth is None or level + 1 < depth:
            stack += [(level + 1, child) for child in reversed(node.children.values())]
