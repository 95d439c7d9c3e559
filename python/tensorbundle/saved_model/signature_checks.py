"""What a builder demands of signatures: that they are complete, and that the graph has what they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorbundle import errors
from tensorbundle.protos import messages
from tensorbundle.protos.convert import as_message
from tensorbundle.saved_model import constants
from tensorbundle.saved_model.checks import names_of, tensor_infos
from tensorbundle.saved_model.graph import Graph, node_name, output_number
from tensorbundle.saved_model.opdefs import OpDefs

_RESERVED = (constants.INIT_OP_SIGNATURE_KEY, constants.TRAIN_OP_SIGNATURE_KEY)


def checked_signatures(signature_def_map: Mapping[str, Any] | None) -> dict[str, Any]:
    """The signatures that a caller gives, as messages of ours.

    Raises:
        TypeError: It is no mapping, or one is no ``SignatureDef``.
        BuilderError: A tensor of one lacks its name or its type.
        ReservedKeyError: A key is one that only builders use.
    """
    given = {} if signature_def_map is None else signature_def_map
    if not isinstance(given, Mapping):
        raise TypeError(f"signature_def_map must be a mapping from keys to messages, not {type(given).__name__}")
    signatures = {_checked_key(key): _message(key, value) for key, value in given.items()}
    for key, signature in signatures.items():
        for what, argument, info in tensor_infos(signature):
            _check_info(f"signature {key!r}: {what} {argument!r}", info)
    for key in _RESERVED:
        if key in signatures:
            raise errors.ReservedKeyError(
                f"signature key {key!r} is reserved: use main_op for what initializes a graph"
            )
    return signatures


def check_tensors(meta_graph: Any, graph: Graph) -> None:
    """Checks that the graph has every tensor that a signature of the meta graph names.

    Raises:
        BuilderError: It hasn't. A loader would notice when the signature is used, or not load.
    """
    op_defs = OpDefs(meta_graph)
    for key, signature in sorted(meta_graph.signature_def.items()):
        for what, argument, info in tensor_infos(signature):
            for tensor in names_of(info):
                problem = _problem(tensor, graph, op_defs, names_operation=key in _RESERVED)
                if problem:
                    where = f"signature {key!r}: {what} {argument!r}"
                    raise errors.BuilderError(f"{where} is {tensor!r}, and {problem}", tensor=tensor)


def _checked_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key of a signature is a str, not {type(key).__name__}: {key!r}")
    return key


def _message(key: str, value: Any) -> Any:
    return as_message(messages.SignatureDef, value, f"signature {key!r}")


def _check_info(where: str, info: Any) -> None:
    encoding = info.WhichOneof("encoding")
    if encoding is None:
        raise errors.BuilderError(f"{where} names no tensor: set one of name, coo_sparse and composite_tensor")
    if encoding == "composite_tensor":
        for number, component in enumerate(info.composite_tensor.components):
            _check_info(f"{where}, component {number}", component)
    elif info.dtype == messages.DataType.Value("DT_INVALID"):
        raise errors.BuilderError(f"{where} has no dtype")


def _problem(tensor: str, graph: Graph, op_defs: OpDefs, *, names_operation: bool) -> str | None:
    node = graph.nodes.get(node_name(tensor))
    if node is None:
        return f"the graph has no node {node_name(tensor)!r}"
    if names_operation:
        return None
    number = output_number(tensor.partition(":")[2])
    if number is None:
        return "a tensor is called 'node:0', with the number of the output"
    outputs = op_defs.outputs(node)
    if outputs is not None and number >= outputs.total:
        return f"the node, {node.op}, has {outputs.total} outputs"
    return None
