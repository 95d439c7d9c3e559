"""The objects of an object-based checkpoint, as a tree that a person can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from tensorbundle import _core, errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_VARIABLE = "VARIABLE_VALUE"
_SUFFIX = "/.ATTRIBUTES/"
# A path is as long as its graph is deep, so those of a small graph can fill any memory. Those that programs make are
# about as long as the keys.
_MOST_PATH_BYTES_PER_KEY_BYTE = 64
_MOST_PATH_BYTES_ANYWAY = 16 << 20
# What is printed of a tree unless a call asks for more, and of a name or path at all.
_MOST_LINES = 1000
_MOST_CHARACTERS = 400


class Attribute(NamedTuple):
    """A value of an object: ``key`` is that of its tensor, or the start of the keys of several."""

    name: str
    full_name: str
    key: str


class Slot(NamedTuple):
    """A variable, ``value``, that an optimizer keeps for ``variable``, under ``name``."""

    optimizer: ObjectNode
    name: str
    variable: ObjectNode
    value: ObjectNode


class ObjectNode:
    """One object of a graph. Equal, and hashed, as the same object of the same graph."""

    __slots__ = ("_graph", "_id", "_native")

    def __init__(self, graph: ObjectGraph, id: int, native: _core.ObjectGraph) -> None:
        self._native = native
        self._graph = graph
        self._id = id

    @property
    def graph(self) -> ObjectGraph:
        """What it is part of."""
        return self._graph

    @property
    def id(self) -> int:
        """Its position among the graph's nodes; 0 is the root."""
        return self._id

    @property
    def path(self) -> str | None:
        """Names from the root to it, escaped and joined with ``/``: empty for the root, None if nothing leads to it.

        Of several paths it is the one that names its tensors in :meth:`Checkpoint.named`.
        """
        return self._native.path(self.id)

    @property
    def children(self) -> dict[str, ObjectNode]:
        """What it calls other objects. Objects may be shared, and there may be cycles."""
        return {name: self.graph.nodes[node] for name, node in self._native.children(self.id)}

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """Its values."""
        return tuple(Attribute(*each) for each in self._native.attributes(self.id))

    @property
    def key(self) -> str | None:
        """Of a variable the key of its tensor, else None."""
        return next((each.key for each in self.attributes if each.name == _VARIABLE), None)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Of an optimizer, what it keeps for variables."""
        nodes = self.graph.nodes
        return tuple(
            Slot(self, name, nodes[variable], nodes[value]) for name, variable, value in self._native.slots(self.id)
        )

    @property
    def registered_saver(self) -> tuple[str, str] | None:
        """Name and object name of the code that saved it in files of its own, or None."""
        return self._native.registered_savers().get(self.id)

    @property
    def has_checkpoint_values(self) -> bool | None:
        """Whether it, or what it leads to, has values, as the graph says; None if it doesn't say."""
        return self._native.has_checkpoint_values(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectNode) and other.graph is self.graph and other.id == self.id

    def __hash__(self) -> int:
        return hash((id(self._graph), self._id))

    def __repr__(self) -> str:
        return f"<ObjectNode {self.id}: {self.path!r}>"


class ObjectGraph:
    """The objects that a program saved, what each calls the others, and the keys of their tensors.

    ``print(graph)`` shows the tree. Each object is shown once, at its own path; elsewhere it is referred to.

    Example:
        >>> graph = ckpt.object_graph
        >>> graph.find("model/dense/kernel").key
        'model/dense/kernel/.ATTRIBUTES/VARIABLE_VALUE'
    """

    __slots__ = ("__weakref__", "_native")

    def __init__(self, native: _core.ObjectGraph) -> None:
        self._native = native

    @classmethod
    def parse(cls, record: bytes) -> ObjectGraph:
        """Decodes the record that ``_CHECKPOINTABLE_OBJECT_GRAPH`` holds.

        Raises:
            DataLossError: It is damaged.
        """
        return cls(_core.ObjectGraph.parse(record))

    @property
    def nodes(self) -> Sequence[ObjectNode]:
        """Every object, the root first."""
        return _Nodes(self, self._native)

    @property
    def root(self) -> ObjectNode:
        """The object that was saved."""
        return self.nodes[0]

    @property
    def variables(self) -> Mapping[str, str]:
        """The checkpoint keys of variables by their paths, slot variables among them, in the order of the nodes.

        Raises:
            LimitError: The paths would take far more memory than the graph.
        """
        nodes = map(self.nodes.__getitem__, self._native.nodes_with_attributes())
        keys = {node: key for node in nodes if (key := node.key) is not None}
        self._check_size(keys)
        return {path: key for node, key in keys.items() if (path := node.path) is not None}

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What optimizers keep for variables."""
        return tuple(slot for node in self._native.nodes_with_slots() for slot in self.nodes[node].slots)

    def find(self, path: str) -> ObjectNode:
        """The object that any path leads to: names from the root on, escaped as in keys and joined with ``/``.

        Raises:
            NotFoundError: There is none.
        """
        node = 0
        for name in path.split("/") if path else ():
            children = {_core.escape_local_name(child): number for child, number in self._native.children(node)}
            if name not in children:
                had = ", ".join(map(repr, list(children)[:10])) or "no children"
                message = f"no object at {path!r}: {self._native.path(node)!r} has no {name!r}, but {had}"
                raise errors.NotFoundError(message, tensor=path)
            node = children[name]
        return self.nodes[node]

    def tree(self, *, values_only: bool = True, max_lines: int | None = _MOST_LINES) -> str:
        """The objects as a text of one line each.

        Args:
            values_only: Leave out what leads to no value, and count it.
            max_lines: Stop after so many; None: don't.
        """
        return "\n".join(_limited(_Printer(self._native, self.slots, values_only).lines(), max_lines))

    def paths(self, nodes: Iterable[int]) -> dict[int, str]:
        """The paths of objects, given by their numbers; what nothing leads to is left out.

        Raises:
            LimitError: They would take more than 16 MiB.
        """
        numbers = list(nodes)
        size = sum(map(self._native.path_size, numbers))
        if size > _MOST_PATH_BYTES_ANYWAY:
            raise errors.LimitError(f"these paths take {size} bytes, more than {_MOST_PATH_BYTES_ANYWAY}")
        paths = ((number, self._native.path(number)) for number in numbers)
        return {number: path for number, path in paths if path is not None}

    def _check_size(self, keys: Mapping[ObjectNode, str]) -> None:
        size = sum(self._native.path_size(node.id) for node in keys)
        limit = _MOST_PATH_BYTES_ANYWAY + _MOST_PATH_BYTES_PER_KEY_BYTE * sum(map(len, keys.values()))
        if size > limit:
            raise errors.LimitError(f"the paths of the variables take {size} bytes, more than {limit}")

    def __len__(self) -> int:
        return len(self._native)

    def __str__(self) -> str:
        return self.tree()

    def __repr__(self) -> str:
        values = len(self._native.nodes_with_attributes())
        return f"<tensorbundle.ObjectGraph: {len(self)} objects, {values} of them with values>"


class _Nodes(Sequence["ObjectNode"]):
    """The nodes of a graph, made when they are asked for."""

    def __init__(self, graph: ObjectGraph, native: _core.ObjectGraph) -> None:
        self._graph = graph
        self._native = native

    def __len__(self) -> int:
        return len(self._graph)

    @overload
    def __getitem__(self, index: int) -> ObjectNode: ...
    @overload
    def __getitem__(self, index: slice) -> list[ObjectNode]: ...
    def __getitem__(self, index: int | slice) -> ObjectNode | list[ObjectNode]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        return ObjectNode(self._graph, range(len(self))[index], self._native)


class _Printer:
    """The lines of a tree. Without recursion: a graph is as deep as it likes."""

    def __init__(self, native: _core.ObjectGraph, slots: tuple[Slot, ...], values_only: bool) -> None:
        self._native = native
        self._values_only = values_only
        self._with_values = self._find_with_values()
        self._slots: dict[int, list[Slot]] = {}
        for slot in slots:
            self._slots.setdefault(slot.variable.id, []).append(slot)

    def lines(self) -> Iterator[str]:
        stack = [self._below(0, "")]
        yield "root" + self._values(0)
        while stack:
            line, node, indent = next(stack[-1], ("", -1, ""))
            if not line:
                stack.pop()
                continue
            yield line
            if node >= 0:
                stack.append(self._below(node, indent))

    def _below(self, node: int, indent: str) -> Iterator[tuple[str, int, str]]:
        """What stands under a node: the line, the node to go on with or -1, and its indentation."""
        children = self._native.children(node)
        shown = [child for child in children if not self._values_only or child[1] in self._with_values]
        slots = self._slots.get(node, [])
        entries = [
            *((f".{_printable(slot.name)} of {self._path(slot.optimizer.id)}", slot.value.id) for slot in slots),
            *((_printable(name), child) for name, child in shown),
        ]
        num_slots = len(slots)
        hidden = len(children) - len(shown)
        owned = set()
        for position, (label, child) in enumerate(entries):
            # Once only, where an object has several names for another.
            is_own = position >= num_slots and self._native.parent(child) == node and child not in owned
            owned.add(child)
            is_last = position + 1 == len(entries) and not hidden
            refers = position >= num_slots and not is_own
            said = f" -> {self._path(child)}" if refers else self._values(child)
            below = indent + ("   " if is_last else "│  ")
            yield f"{indent}{'└─' if is_last else '├─'} {label}{said}", child if is_own else -1, below
        if hidden:
            yield f"{indent}└─ ({hidden} without values of their own)", -1, ""

    def _values(self, node: int) -> str:
        """What to say of an object's values: of a variable only a key that isn't made of its path."""
        said = []
        for name, _, key in self._native.attributes(node):
            path = self._native.path(node)
            ordinary = key == f"{path}{_SUFFIX}{name}"
            label = "variable" if name == _VARIABLE else _printable(name)
            said.append(label if ordinary else f"{label} at {_printable(key)}")
        return f": {', '.join(said)}" if said else ""

    def _path(self, node: int) -> str:
        return _printable(self._native.path(node) or "root")

    def _find_with_values(self) -> set[int]:
        """Nodes with values, and those that own paths to them lead through."""
        found: set[int] = set()
        starts = self._native.nodes_with_attributes() + self._native.nodes_with_slots()
        for start in starts:
            node = start
            while node >= 0 and node not in found:
                found.add(node)
                node = self._native.parent(node)
        return found


def _limited(lines: Iterator[str], limit: int | None) -> Iterator[str]:
    for number, line in enumerate(lines):
        if limit is not None and number >= limit:
            yield f"... (the first {limit} lines; tree(max_lines=None) has all)"
            return
        yield line


def _printable(text: str) -> str:
    """Names hold any bytes, and a path may be as long as its graph."""
    if len(text) > _MOST_CHARACTERS:
        half = _MOST_CHARACTERS // 2
        text = f"{text[:half]}...{text[-half:]}"
    return text if text.isprintable() and text else repr(text)


for _public in (ObjectGraph, ObjectNode):
    _public.__module__ = "tensorbundle"  # Where users find them.
