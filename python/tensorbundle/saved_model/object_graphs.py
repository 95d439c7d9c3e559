"""The objects of a SavedModel beside those that its checkpoint records: made from them, and compared with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorbundle import errors
from tensorbundle.graph import ObjectGraph, ObjectNode
from tensorbundle.objects import GRAPH_KEY
from tensorbundle.protos import messages
from tensorbundle.saved_model import objects
from tensorbundle.saved_model.signatures import shape_proto
from tensorbundle.saved_model.stored import StoredTensor, require

#: Name of the root's child that holds the signatures.
SIGNATURES = "signatures"


def object_graph_of(recorded: ObjectGraph, stored: Mapping[str, StoredTensor], names: Mapping[int, str]) -> Any:
    """The ``SavedObjectGraph`` of objects that are variables or have others, and nothing else.

    Args:
        recorded: Those of the checkpoint; the numbers stay the same.
        stored: Its tensors.
        names: What the variables are called in the graph, by their numbers.
    """
    graph = messages.SavedObjectGraph()
    for node in recorded.nodes:
        saved = graph.nodes.add()
        for name, child in node.children.items():
            saved.children.add(local_name=name, node_id=child.id)
        if node.key is None:
            _set_user_object(saved, "_generic_user_object")
        else:
            tensor = stored[node.key]
            saved.variable.dtype = tensor.dtype
            saved.variable.shape.CopyFrom(shape_proto(tensor.shape))
            saved.variable.trainable = True
            saved.variable.name = names[node.id]
    return graph


def plain_paths(recorded: ObjectGraph) -> dict[int, str]:
    """The path to each variable, its names joined with ``/`` as they are. They are a tree, numbered downwards."""
    paths = {0: ""}
    for node in recorded.nodes:
        for name, child in node.children.items():
            paths[child.id] = f"{paths[node.id]}/{name}" if node.id else name
    return {number: path for number, path in paths.items() if recorded.nodes[number].key is not None}


def add_signatures(graph: Any, functions: Mapping[str, tuple[str, list[str]]]) -> None:
    """Adds functions as the signatures of the root.

    Args:
        graph: A ``SavedObjectGraph``, whose ``concrete_functions`` they are.
        functions: For the key of each signature, the name of its function and those of its inputs.
    """
    graph.nodes[0].children.add(local_name=SIGNATURES, node_id=len(graph.nodes))
    signatures = graph.nodes.add()
    _set_user_object(signatures, "signature_map")
    for key, (name, inputs) in functions.items():
        signatures.children.add(local_name=key, node_id=len(graph.nodes))
        function = graph.nodes.add().bare_concrete_function
        function.concrete_function_name = name
        function.argument_keywords.extend(inputs)
        function.allowed_positional_arguments = 1 if len(inputs) == 1 else 0


def _set_user_object(saved: Any, identifier: str) -> None:
    saved.user_object.identifier = identifier
    saved.user_object.version.producer = 1
    saved.user_object.version.min_consumer = 1


def check_objects(meta_graph: Any, stored: Mapping[str, StoredTensor], record: bytes | None) -> None:
    """Checks that TensorFlow 2 will find the variables of a meta graph's objects.

    Raises:
        BuilderError: It won't: the record of the checkpoint's objects is missing or lacks one, or a tensor doesn't fit.
        DataLossError: The record is damaged, or an object of the meta graph refers to one that there is not.
    """
    if not meta_graph.object_graph_def.nodes:
        return
    if record is None:
        raise errors.BuilderError(
            f"the meta graph has an object graph, and the variables have no {GRAPH_KEY!r}, which says where they "
            "belong in it: give the whole checkpoint of the SavedModel, or one of save_objects",
            tensor=GRAPH_KEY,
        )
    recorded = objects.Stored(ObjectGraph.parse(record), stored)
    graph = objects.graph_of(meta_graph.object_graph_def, recorded, "the meta graph")
    for number, node in enumerate(meta_graph.object_graph_def.nodes):
        if node.WhichOneof("kind") == "variable" and not node.variable.experimental_distributed_variable_components:
            _check_variable(node.variable, graph.nodes[number], stored)


def _check_variable(variable: Any, node: ObjectNode, stored: Mapping[str, StoredTensor]) -> None:
    of = f"variable {variable.name!r}, object {node.id},"
    if node.key is None:
        raise errors.BuilderError(f"{of} is not among the objects that {GRAPH_KEY!r} of the variables records")
    require(stored, node.key, variable.dtype, None if variable.shape.unknown_rank else variable.shape, of)
