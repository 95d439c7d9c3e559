"""Putting the names of a graph under a scope, as importing it into another graph under one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorbundle.protos import convert, messages
from tensorbundle.saved_model import constants, names

if TYPE_CHECKING:
    from collections.abc import Callable

_COLOCATED = b"loc:@"


def checked(scope: str | None) -> str:
    """The scope without its last ``/``; empty for None.

    Raises:
        TypeError, ValueError: It is no text, or none that a name may begin with.
    """
    if scope is None:
        return ""
    if not isinstance(scope, str):
        raise TypeError(f"import_scope must be None or a str, not {type(scope).__name__}")
    bare = scope.removesuffix("/")
    if scope and (not bare or bare[0] in "/^_-" or "\0" in bare or ":" in bare):
        raise ValueError(f"import_scope {scope!r} can't begin the name of a node")
    return bare


def apply(meta_graph: Any, scope: str, where: str) -> None:
    """Puts ``<scope>/`` before the names of nodes and tensors, wherever a meta graph has them.

    Those are the graph's nodes and what they refer to, the saver's, and those of signatures, assets and variables, and
    in lists of nodes. Names in functions are the functions' own. What other collections hold serialized stays.

    Args:
        meta_graph: The message, which is changed.
        scope: As :func:`checked` gives it, not empty.
        where: Path of the file, for errors.
    """

    def scoped(name: str) -> str:
        if not name:
            return name
        return f"^{scope}/{name[1:]}" if name.startswith("^") else f"{scope}/{name}"

    for node in meta_graph.graph_def.node:
        _scope_node(node, scope, scoped)
    for field in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
        if meta_graph.HasField("saver_def"):
            setattr(meta_graph.saver_def, field, scoped(getattr(meta_graph.saver_def, field)))
    for signature in meta_graph.signature_def.values():
        for tensors in (signature.inputs, signature.outputs):
            for tensor in tensors.values():
                _scope_tensor(tensor, scoped)
    for asset in meta_graph.asset_file_def:
        _scope_tensor(asset.tensor_info, scoped)
    for name, collection in meta_graph.collection_def.items():
        _scope_collection(name, collection, scoped, where)


def _scope_node(node: Any, scope: str, scoped: Callable[[str], str]) -> None:
    node.name = scoped(node.name)
    for position, name in enumerate(node.input):
        node.input[position] = scoped(name)
    if "_class" in node.attr:
        groups = node.attr["_class"].list.s
        for position, group in enumerate(groups):
            if group.startswith(_COLOCATED):
                groups[position] = _COLOCATED + f"{scope}/".encode() + group[len(_COLOCATED) :]


def _scope_tensor(tensor: Any, scoped: Callable[[str], str]) -> None:
    encoding = tensor.WhichOneof("encoding")
    if encoding == "name":
        tensor.name = scoped(tensor.name)
    elif encoding == "coo_sparse":
        for field in ("values_tensor_name", "indices_tensor_name", "dense_shape_tensor_name"):
            setattr(tensor.coo_sparse, field, scoped(getattr(tensor.coo_sparse, field)))
    elif encoding == "composite_tensor":
        for component in tensor.composite_tensor.components:
            _scope_tensor(component, scoped)


def _scope_collection(name: str, collection: Any, scoped: Callable[[str], str], where: str) -> None:
    kind = collection.WhichOneof("kind")
    if kind == "node_list":
        collection.node_list.value[:] = [scoped(value) for value in collection.node_list.value]
    elif kind == "bytes_list" and name in names.COLLECTIONS:
        records = collection.bytes_list.value
        records[:] = [_scoped_variable(record, scoped, f"{where}, collection {name}") for record in records]
    elif kind == "any_list" and name == constants.ASSETS_KEY:
        for value in collection.any_list.value:
            asset = convert.parse(messages.AssetFileDef, value.value, f"{where}, collection {name}")
            _scope_tensor(asset.tensor_info, scoped)
            value.value = convert.serialize(asset)


def _scoped_variable(record: bytes, scoped: Callable[[str], str], where: str) -> bytes:
    variable = convert.parse(messages.VariableDef, record, where)
    for field in ("variable_name", "initializer_name", "initial_value_name", "snapshot_name"):
        setattr(variable, field, scoped(getattr(variable, field)))
    if variable.HasField("save_slice_info_def"):
        variable.save_slice_info_def.full_name = scoped(variable.save_slice_info_def.full_name)
    return convert.serialize(variable)
