"""Saving nested structures of arrays as the objects that ``tf.train.Checkpoint`` restores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tensorbundle import _core
from tensorbundle.writer import save

if TYPE_CHECKING:
    import os
    from typing import TypeAlias

    from numpy.typing import ArrayLike

    Slots: TypeAlias = Mapping[str, Mapping[str, Mapping[str, ArrayLike]]]

#: Name of the tensor that records the objects.
GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_COUNTER = "save_counter"


def save_objects(
    prefix: str | os.PathLike[str],
    tree: Mapping[str, Any],
    *,
    slots: Slots | None = None,
    save_counter: int | None = 1,
    **as_save: Any,
) -> str:
    """Saves a nested dict of arrays so that ``tf.train.Checkpoint(...).restore(prefix)`` finds all of it.

    A dict, list or tuple becomes an object, an array a variable of it, under its key or its position: what
    ``tf.train.Checkpoint(**tree)`` saves whose leaves are variables, and with the same object graph byte for byte if
    each variable is called what its path is. An array that occurs twice is saved twice.

    Args:
        prefix: As for :func:`save`.
        tree: Mappings with ``str`` keys, lists and tuples, which may be empty, and in them what :func:`save` takes for
            an array: NumPy arrays of any dtype, numbers, ``bytes`` and ``str``. A list of numbers is a list of scalars.
        slots: What optimizers keep for variables, as ``tf.compat.v1`` and legacy Keras optimizers do:
            ``{optimizer: {slot: {variable: array}}}``. Optimizers and variables are given by their paths in ``tree``,
            whose parts are joined with ``/``; in a part, ``.`` is written ``..`` and ``/`` is written ``.S``. An
            optimizer without variables of its own is an empty dict.
        save_counter: The number of saves, which ``tf.train.Checkpoint`` looks for; None: leave it out, as
            ``tf.train.Checkpoint.write`` does.
        as_save: Every option of :func:`save`.

    Returns:
        The prefix.

    Raises:
        TypeError: A key that is no ``str``, or something else than the above in the tree.
        ValueError: An empty key, a key ``save_counter`` beside the counter, a structure that contains itself, no array
            at all, or a slot of what is not in the tree. Nothing has been written then.
        OSError: As for :func:`save`.

    Example:
        >>> tb.save_objects("run/ckpt-1", {"model": {"kernel": kernel, "bias": bias}, "step": np.int64(100)})
        >>> tf.train.Checkpoint(model=model, step=step).restore("run/ckpt-1").assert_consumed()
    """
    return save(prefix, object_tensors(tree, slots=slots, save_counter=save_counter), **as_save)


def object_tensors(
    tree: Mapping[str, Any], *, slots: Slots | None = None, save_counter: int | None = 1
) -> dict[str, Any]:
    """The tensors by their keys that :func:`save_objects` saves, the record of the objects last."""
    builder = _Builder(tree, save_counter)
    for optimizer, by_name in (slots or {}).items():
        builder.add_slots(optimizer, by_name)
    return {**builder.tensors, GRAPH_KEY: builder.record()}


@dataclasses.dataclass
class _Node:
    """An object: where it is, what is in it, and the structure that it was made of."""

    path: str
    value: Any
    above: _Node | None
    children: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    attributes: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    slots: list[tuple[str, int, int]] = dataclasses.field(default_factory=list)
    has_values: bool = False


class _Builder:
    """The nodes of a graph, level by level as TensorFlow numbers them, and the tensors that they name."""

    def __init__(self, tree: Any, save_counter: int | None) -> None:
        if not isinstance(tree, Mapping):
            raise TypeError(f"tree must be a mapping, not {type(tree).__name__}")
        self.tensors: dict[str, Any] = {}
        self._nodes = [_Node("", tree, None)]
        self._numbers: dict[str, int] = {"": 0}
        root = dict(sorted(_items(self._nodes[0])))  # As keyword arguments, TensorFlow sorts them.
        if save_counter is not None:
            if _COUNTER in root:
                raise ValueError(f"tree has a {_COUNTER!r} of its own: leave it out, or give save_counter=None")
            root[_COUNTER] = _counter(save_counter)
        self._nodes[0].value = root
        for node in self._nodes:  # Grows meanwhile.
            self._visit(node)
        if len(self.tensors) == (save_counter is not None):
            raise ValueError("there is no array in the tree")

    def add_slots(self, optimizer: str, by_name: Mapping[str, Mapping[str, Any]]) -> None:
        """Adds what one optimizer keeps."""
        owner = self._find(optimizer, "optimizer")
        for name in sorted(_checked_mapping(by_name, f"slots[{optimizer!r}]")):
            _check_name(name, f"slots[{optimizer!r}]")
            variables = _checked_mapping(by_name[name], f"slots[{optimizer!r}][{name!r}]")
            found = {self._find_variable(path): array for path, array in variables.items()}
            for number in sorted(found):
                self._add_slot(owner, name, number, found[number])

    def record(self) -> bytes:
        """The graph."""
        for node in self._nodes:
            above: _Node | None = node if node.attributes or node.slots else None
            while above is not None and not above.has_values:
                above.has_values = True
                above = above.above
        return _core.encode_object_graph(
            [(node.children, node.attributes, node.slots, node.has_values) for node in self._nodes]
        )

    def _visit(self, node: _Node) -> None:
        if not _is_structure(node.value):
            self._add_variable(node, node.path)
            return
        _check_for_cycle(node)
        for name, value in _items(node):
            escaped = _core.escape_local_name(name)
            path = f"{node.path}/{escaped}" if node.path else escaped
            node.children.append((name, len(self._nodes)))
            self._numbers[path] = len(self._nodes)
            self._nodes.append(_Node(path, value, node))

    def _add_variable(self, node: _Node, full_name: str) -> None:
        key = f"{node.path}/.ATTRIBUTES/VARIABLE_VALUE"
        node.attributes.append(("VARIABLE_VALUE", full_name, key))
        self.tensors[key] = node.value

    def _add_slot(self, owner: _Node, name: str, variable: int, array: Any) -> None:
        escaped = _core.escape_local_name(name)
        path = self._nodes[variable].path
        slot = _Node(f"{path}/.OPTIMIZER_SLOT/{owner.path}/{escaped}", array, None)
        owner.slots.append((name, variable, len(self._nodes)))
        self._nodes.append(slot)
        self._add_variable(slot, f"{owner.path}/{path}/{escaped}")

    def _find(self, path: Any, what: str) -> _Node:
        if path not in self._numbers:
            raise ValueError(f"slots: there is no {what} {path!r} in the tree; it has {_some(self._numbers)}")
        return self._nodes[self._numbers[path]]

    def _find_variable(self, path: Any) -> int:
        if not self._find(path, "variable").attributes:
            raise ValueError(f"slots: {path!r} is no variable of the tree")
        return self._numbers[path]


def _is_structure(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple))


def _items(node: _Node) -> list[tuple[str, Any]]:
    """What is in a structure, by name."""
    if not isinstance(node.value, Mapping):
        return [(str(position), value) for position, value in enumerate(node.value)]
    for name in node.value:
        _check_name(name, f"tree at {node.path!r}" if node.path else "tree")
    return list(node.value.items())


def _check_name(name: object, where: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{where}: names are str, not {type(name).__name__}: {name!r}")
    if not name:
        raise ValueError(f"{where}: a name is empty")


def _check_for_cycle(node: _Node) -> None:
    above = node.above
    while above is not None:
        if above.value is node.value:
            kind = type(node.value).__name__
            raise ValueError(f"tree: the {kind} at {above.path!r} contains itself, at {node.path!r}")
        above = above.above


def _checked_mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} must be a mapping, not {type(value).__name__}")
    return value


def _counter(number: int) -> Any:
    import numpy as np

    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise TypeError(f"save_counter must be None or an integer, not {number!r}")
    return np.array(number.__index__(), np.int64)


def _some(paths: Mapping[str, int]) -> str:
    named = [repr(path) for path in paths if path]
    return ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
