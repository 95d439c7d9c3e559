"""What is wrong with a SavedModel that nevertheless loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorbundle import errors

if TYPE_CHECKING:
    from collections.abc import Iterator


def missing_tensors(meta_graph: Any, where: str) -> Iterator[tuple[str, errors.DataLossError]]:
    """Tensors that signatures name and the graph doesn't have: the place in the signature, and the error."""
    nodes = {node.name for node in meta_graph.graph_def.node}
    for key in sorted(meta_graph.signature_def):
        for what, argument, info in tensor_infos(meta_graph.signature_def[key]):
            place = f"signatures[{key!r}].{what}s[{argument!r}]"
            gone = [name for name in names_of(info) if name.partition(":")[0] not in nodes]
            if gone:
                problem = f"{where!r}: {place} is {', '.join(map(repr, gone))}, which the graph doesn't have"
                yield place, errors.DataLossError(problem, path=where)


def tensor_infos(signature: Any) -> Iterator[tuple[str, str, Any]]:
    """Every ``TensorInfo`` of a signature: ``"input"`` or ``"output"``, the argument's name, and it."""
    for what, infos in (("input", signature.inputs), ("output", signature.outputs)):
        for argument in sorted(infos):
            yield what, argument, infos[argument]


def names_of(tensor: Any) -> list[str]:
    """The tensors of a graph that a ``TensorInfo`` is made of."""
    encoding = tensor.WhichOneof("encoding")
    if encoding == "name":
        return [tensor.name]
    if encoding == "coo_sparse":
        sparse = tensor.coo_sparse
        return [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    if encoding == "composite_tensor":
        return [name for component in tensor.composite_tensor.components for name in names_of(component)]
    return []
