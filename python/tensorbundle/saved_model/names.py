"""The names of a SavedModel's variables: which tensor of its checkpoint is meant by each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorbundle import _core, errors, selection
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.protos import convert, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorbundle.graph import ObjectGraph, ObjectNode

# Collections whose elements are VariableDefs.
COLLECTIONS = (
    "variables",
    "trainable_variables",
    "local_variables",
    "model_variables",
    "metric_variables",
    "moving_average_variables",
    "concatenated_variables",
    "trainable_resource_variables",
)
_SLOT = "/.OPTIMIZER_SLOT/"
_MAX_LISTED = 5


class Place(NamedTuple):
    """A tensor of the checkpoint, or the part of it that a part of a partitioned variable is."""

    key: str
    region: tuple[slice, ...] | None = None


class GraphNames:
    """The names that a graph of objects has for the keys of a checkpoint."""

    def __init__(self, graph: ObjectGraph | None, variables: Mapping[int, str] | None = None) -> None:
        """``variables`` are names of objects in a graph of TensorFlow 1, by their numbers, beside those stored."""
        self._graph = graph
        self._variables = variables or {}
        self._full_names: dict[str, set[str]] | None = None

    def keys(self, name: str, checkpoint: Checkpoint) -> set[str]:
        """The key of the variable at a path, or else of those that have the name in a graph of TensorFlow 1."""
        if self._graph is None:
            return set()
        node = _at(self._graph, name)
        keys = [] if node is None else [value.key for value in node.attributes]
        if len(keys) == 1 and keys[0] in checkpoint:
            return set(keys)
        return {key for key in self._by_full_name(self._graph).get(name, ()) if key in checkpoint}

    def all(self) -> set[str]:
        """Names that can be offered to somebody who asked for another."""
        return set() if self._graph is None else {*self._graph.variables, *self._by_full_name(self._graph)}

    def _by_full_name(self, graph: ObjectGraph) -> dict[str, set[str]]:
        if self._full_names is None:
            found: dict[str, set[str]] = {}
            for node in graph.nodes:
                for value in node.attributes:
                    for name in {value.full_name, self._variables.get(node.id, "")} - {""}:
                        found.setdefault(name, set()).add(value.key)
            self._full_names = found
        return self._full_names


class Sources(NamedTuple):
    """Where names come from. What takes time is asked only when names that are quicker to look up don't fit."""

    checkpoint: Checkpoint
    graphs: tuple[Callable[[], GraphNames], ...]
    definitions: Callable[[], dict[str, Place]]


def find(name: str, sources: Sources) -> Place:
    """The tensor of that name.

    Raises:
        NotFoundError: There is none, or there are several of it.
    """
    if not isinstance(name, str):
        raise TypeError(f"names of variables are str, not {type(name).__name__}: {name!r}")
    place = _find(tuple(dict.fromkeys((name, name.removesuffix(":0")))), sources)
    if place is not None:
        return place
    known = {*sources.checkpoint, *sources.definitions()}.union(*(graph().all() for graph in sources.graphs))
    missing = sources.checkpoint.missing_shards
    message = selection.not_found_message(name, sorted(known), sources.checkpoint.path, missing)
    raise errors.NotFoundError(message, tensor=name)


def _find(candidates: tuple[str, ...], sources: Sources) -> Place | None:
    for name in candidates:
        if name in sources.checkpoint:
            return Place(name)
    for graph in sources.graphs:
        for name in candidates:
            if keys := graph().keys(name, sources.checkpoint):
                return Place(_only(keys, name))
    definitions = sources.definitions()
    return next((definitions[name] for name in candidates if name in definitions), None)


def _only(keys: set[str], name: str) -> str:
    if len(keys) > 1:
        listed = ", ".join(map(repr, sorted(keys)[:_MAX_LISTED])) + (", ..." if len(keys) > _MAX_LISTED else "")
        raise errors.NotFoundError(
            f"{name!r} is what {len(keys)} variables are called: their keys are {listed}", tensor=name
        )
    return next(iter(keys))


def _at(graph: ObjectGraph, path: str) -> ObjectNode | None:
    """The object at a path, which may be that of a slot."""
    variable, slot, rest = path.partition(_SLOT)
    try:
        node = graph.find(variable)
        if not slot:
            return node
        optimizer, _, name = rest.rpartition("/")
        owner = graph.find(optimizer)
    except errors.NotFoundError:
        return None
    kept = (slot for slot in owner.slots if slot.variable == node and _core.escape_local_name(slot.name) == name)
    return next((slot.value for slot in kept), None)


def defined(meta_graph: Any, checkpoint: Checkpoint, where: str) -> dict[str, Place]:
    """Variables of the collections of a graph, and what its saver restores, by their names, without ``:0``.

    Raises:
        DataLossError: A collection can't be understood, or a part doesn't lie in its variable.
    """
    from tensorbundle.saved_model import restores  # With what builders need; few names take it.

    found: dict[str, Place] = {}
    for definition in definitions(meta_graph, where):
        name = definition.variable_name.removesuffix(":0")
        part = definition.save_slice_info_def
        key = part.full_name if definition.HasField("save_slice_info_def") else name
        if key in checkpoint:
            found.setdefault(key, Place(key))
            found.setdefault(name, Place(key, _region(definition, checkpoint.entry(key).shape, where)))
    for name, key in restores.keys_of_variables(meta_graph).items():
        if key in checkpoint:
            found.setdefault(name, Place(key))
    return found


def definitions(meta_graph: Any, where: str) -> Iterator[Any]:
    """The ``VariableDef`` messages of a graph, some of them several times."""
    for collection in COLLECTIONS:
        if collection in meta_graph.collection_def:
            for record in meta_graph.collection_def[collection].bytes_list.value:
                yield convert.parse(messages.VariableDef, record, f"{where}, collection {collection}")


def _region(definition: Any, shape: tuple[int, ...], where: str) -> tuple[slice, ...] | None:
    """Where a part of a partitioned variable lies in it; None for a whole variable."""
    if not definition.HasField("save_slice_info_def"):
        return None
    part = definition.save_slice_info_def
    offset, size = tuple(part.var_offset), tuple(part.var_shape)
    fits = len(offset) == len(size) == len(shape) and all(
        0 <= begin <= begin + count <= whole for begin, count, whole in zip(offset, size, shape, strict=False)
    )
    if not fits:
        raise errors.DataLossError(
            f"{where!r}: {definition.variable_name!r}, of shape {list(size)} at {list(offset)}, does not lie in "
            f"{part.full_name!r}, of shape {list(shape)}",
            path=where,
            tensor=part.full_name,
        )
    return tuple(slice(begin, begin + count) for begin, count in zip(offset, size, strict=True))
