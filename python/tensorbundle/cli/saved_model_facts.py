"""What ``saved-model show`` says of a SavedModel, as plain data: the JSON that it prints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tensorbundle import errors
from tensorbundle.cli import tensor_text
from tensorbundle.saved_model import assets, operations

if TYPE_CHECKING:
    from tensorbundle import Checkpoint
    from tensorbundle.saved_model import SavedModel

_HASHES = (
    "saved_model_checksum",
    "graph_def_program_hash",
    "signature_def_hash",
    "saved_object_graph_hash",
    "checkpoint_hash",
)


def of_directory(models: list[SavedModel], signature: str | None, *, bodies: bool) -> dict[str, Any]:
    """Everything.

    Args:
        models: The meta graphs to describe, at least one.
        signature: Describe only this signature of them; None: all.
        bodies: Whether to say which operations there are, and of functions more than their names.

    Raises:
        NotFoundError: None of them has that signature.
    """
    first = models[0]
    return {
        "path": first.path,
        "file": os.path.basename(first.file),
        "file_bytes": os.path.getsize(first.file),
        "schema_version": first.schema_version,
        "fingerprint": _fingerprint(first.fingerprint),
        "variables": _variables(first),
        "meta_graphs": [_meta_graph(model, signature, bodies) for model in models],
    }


def _fingerprint(message: Any) -> dict[str, Any] | None:
    if message is None:
        return None
    # As text: other readers of JSON round large numbers.
    hashes = {name: str(getattr(message, name)) for name in _HASHES}
    return {**hashes, "uuid": message.uuid, "producer": message.version.producer}


def _variables(model: SavedModel) -> dict[str, Any] | None:
    try:
        checkpoint = model.variables
    except FileNotFoundError:
        return None
    entries = checkpoint.entries()
    return {
        "path": os.path.relpath(checkpoint.path, model.path),
        "format": "V2" if os.path.exists(f"{checkpoint.path}.index") else "V1",
        "num_shards": checkpoint.num_shards,
        "nbytes": sum(entry.nbytes for entry in entries),
        "tensors": [
            {"name": entry.name, "dtype": entry.tf_dtype, "shape": list(entry.shape), "nbytes": entry.nbytes}
            for entry in entries
        ],
        "problems": _unread(checkpoint),
    }


def _unread(checkpoint: Checkpoint) -> dict[str, str]:
    return {name: str(problem) for name, problem in checkpoint.problems().items()}


def _meta_graph(model: SavedModel, signature: str | None, bodies: bool) -> dict[str, Any]:
    meta_graph = model.meta_graph
    info, graph = meta_graph.meta_info_def, meta_graph.graph_def
    problems = model.problems()
    keys = list(model.signatures) if signature is None else [signature]
    return {
        "tags": sorted(model.tags),
        "tensorflow_version": info.tensorflow_version,
        "tensorflow_git_version": info.tensorflow_git_version,
        "producer": graph.versions.producer,
        "min_consumer": graph.versions.min_consumer,
        "stripped_default_attrs": info.stripped_default_attrs,
        "num_nodes": len(graph.node),
        "num_objects": len(meta_graph.object_graph_def.nodes),
        "main_op": None if "main_op" in problems else model.main_op,
        "train_op": None if "train_op" in problems else model.train_op,
        "signatures": {key: _signature(model.signatures[key]) for key in keys},
        "assets": _assets(model),
        "collections": {name: _length(value) for name, value in sorted(meta_graph.collection_def.items())},
        "ops": operations.count(graph) if bodies else {},
        "functions": [_function(function, bodies) for function in graph.library.function],
        "missing_functions": operations.missing_functions(graph),
        "callables": _callables(model),
        "problems": {place: str(problem) for place, problem in problems.items()},
    }


def _signature(signature: Any) -> dict[str, Any]:
    return {
        "method_name": signature.method_name,
        "inputs": {key: _tensor(signature.inputs[key]) for key in sorted(signature.inputs)},
        "outputs": {key: _tensor(signature.outputs[key]) for key in sorted(signature.outputs)},
        "defaults": sorted(signature.defaults),
    }


def _tensor(info: Any) -> dict[str, Any]:
    from tensorbundle.saved_model import checks

    return {
        "dtype": tensor_text.dtype_name(info.dtype),
        "shape": tensor_text.sizes(info.tensor_shape),
        "encoding": info.WhichOneof("encoding"),
        "names": checks.names_of(info),
    }


def _assets(model: SavedModel) -> list[dict[str, Any]]:
    try:
        listed = assets.listed(model.meta_graph, model.file)
    except errors.DataLossError:  # Which is one of its problems.
        return []
    return [_asset(model, asset) for asset in listed]


def _asset(model: SavedModel, asset: Any) -> dict[str, Any]:
    try:
        size = os.path.getsize(assets.path_of(asset.filename, model.path, model.file))
    except (errors.DataLossError, OSError):
        size = None
    return {"tensor": asset.tensor_info.name, "file": asset.filename, "nbytes": size}


def _length(collection: Any) -> int:
    kind = collection.WhichOneof("kind")
    return len(getattr(collection, kind).value) if kind else 0


def _function(function: Any, body: bool) -> dict[str, Any]:
    signature = function.signature
    if not body:
        return {"name": signature.name}
    return {
        "name": signature.name,
        "inputs": [_argument(argument) for argument in signature.input_arg],
        "outputs": [_argument(argument) for argument in signature.output_arg],
        "num_nodes": len(function.node_def),
    }


def _argument(argument: Any) -> dict[str, str]:
    return {"name": argument.name, "dtype": tensor_text.dtype_name(argument.type)}


def _callables(model: SavedModel) -> dict[str, list[str]]:
    """How the functions of the objects are called, by the paths of these. The traces of a function are it, once."""
    objects = model.meta_graph.object_graph_def
    kinds = [node.WhichOneof("kind") for node in objects.nodes]
    functions = [number for number, kind in enumerate(kinds) if kind == "function"]
    traces = {name for number in functions for name in objects.nodes[number].function.concrete_functions}
    bare = [number for number, kind in enumerate(kinds) if kind == "bare_concrete_function"]
    alone = [number for number in bare if _bare_name(objects.nodes[number]) not in traces]
    paths = _paths(model, functions + alone)
    return {
        path: _calls(path, objects.nodes[number], objects.concrete_functions)
        for number in functions + alone
        for path in [paths.get(number, f"object {number}")]
    }


def _bare_name(node: Any) -> str:
    return str(node.bare_concrete_function.concrete_function_name)


def _calls(path: str, node: Any, concrete: Any) -> list[str]:
    if node.WhichOneof("kind") == "function":
        names, specification = list(node.function.concrete_functions), node.function.function_spec
    else:
        bare = node.bare_concrete_function
        names, specification = [bare.concrete_function_name], bare.function_spec
    arguments = tensor_text.names_of_arguments(specification)
    calls = [_call(path, concrete[name], arguments) for name in names if name in concrete]
    return list(dict.fromkeys(calls))  # Some were traced for arguments that only names tell apart.


def _call(path: str, concrete: Any, arguments: list[str]) -> str:
    called = tensor_text.call_text(path, concrete.canonicalized_input_signature, arguments)
    return f"{called} -> {tensor_text.structure_text(concrete.output_signature)}"


def _paths(model: SavedModel, numbers: list[int]) -> dict[int, str]:
    try:
        graph = model.object_graph
        return {} if graph is None else graph.paths(numbers)
    except (errors.TensorBundleError, OSError):  # Which is one of its problems.
        return {}
