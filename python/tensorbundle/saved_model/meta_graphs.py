"""The meta graph that a builder makes of a graph and what belongs to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from tensorbundle import errors
from tensorbundle.protos import messages
from tensorbundle.protos.convert import as_message
from tensorbundle.saved_model import constants
from tensorbundle.saved_model.asset_files import set_assets
from tensorbundle.saved_model.graph import Graph, has_variable_list, node_name, variables_of
from tensorbundle.saved_model.main_ops import init_op
from tensorbundle.saved_model.object_graphs import check_objects
from tensorbundle.saved_model.restores import Saver
from tensorbundle.saved_model.savers import add_saver, list_variables
from tensorbundle.saved_model.signature_checks import check_tensors, checked_signatures
from tensorbundle.saved_model.signatures import shape_proto
from tensorbundle.saved_model.stored import StoredTensor, require
from tensorbundle.saved_model.strip import strip_default_attrs


class MetaGraphOptions(NamedTuple):
    """What a builder is told about a meta graph, under the names of its arguments."""

    tags: Iterable[str]
    signature_def_map: Mapping[str, Any] | None
    main_op: str | None
    clear_devices: bool
    strip_default_attrs: bool


def prepare(
    graph: Any,
    options: MetaGraphOptions,
    assets: Mapping[str, str],
    stored: Mapping[str, StoredTensor],
    record: bytes | None,
) -> tuple[Any, list[str]]:
    """Makes a meta graph that loaders can restore, and checks all that they would not, or too late.

    Args:
        graph: What a caller gave; it stays as it is.
        options: What else.
        assets: File names in ``assets/`` by the names of tensors.
        stored: The variables that are saved.
        record: What they say of the objects that they belong to.

    Returns:
        The ``MetaGraphDef``, and the names of all assets that it lists.
    """
    tags = _checked_tags(options.tags)
    signatures = checked_signatures(options.signature_def_map)
    meta_graph = as_meta_graph(graph)
    nodes = Graph(meta_graph.graph_def)
    for key, signature in signatures.items():
        meta_graph.signature_def[key].CopyFrom(signature)
    _set_main_op(meta_graph, nodes, options.main_op)
    check_tensors(meta_graph, nodes)
    listed = set_assets(meta_graph, nodes, assets)
    _set_saver(meta_graph, nodes, stored)
    check_objects(meta_graph, stored, record)
    meta_graph.meta_info_def.tags[:] = tags
    if options.clear_devices:
        for node in meta_graph.graph_def.node:
            node.ClearField("device")
    if options.strip_default_attrs:
        strip_default_attrs(meta_graph)
    return meta_graph, listed


def as_meta_graph(graph: Any) -> Any:
    """A new ``MetaGraphDef``: a copy of one, or around a copy of a ``GraphDef``.

    Raises:
        TypeError: It is neither.
        DataLossError: Bytes that are no ``GraphDef``.
    """
    meta_graph = messages.MetaGraphDef()
    if getattr(getattr(graph, "DESCRIPTOR", None), "full_name", None) == meta_graph.DESCRIPTOR.full_name:
        meta_graph.CopyFrom(as_message(messages.MetaGraphDef, graph))
    else:
        meta_graph.graph_def.CopyFrom(as_message(messages.GraphDef, graph))
    return meta_graph


def _set_saver(meta_graph: Any, graph: Graph, stored: Mapping[str, StoredTensor]) -> None:
    """Makes sure that a saver restores the variables, and that all it restores is stored."""
    if meta_graph.saver_def.restore_op_name:
        saver = Saver(meta_graph, graph)
        if not saver.is_old:
            saver.check(stored)
            return
    meta_graph.ClearField("saver_def")
    variables = [each for each in variables_of(meta_graph, graph) if each.required or each.key in stored]
    for each in variables:
        require(stored, each.key, each.dtype, each.stored_shape, f"variable {each.node.name!r}")
    if not variables:
        return
    add_saver(meta_graph, graph, variables)
    if not has_variable_list(meta_graph) and not meta_graph.object_graph_def.nodes:
        list_variables(meta_graph, graph, variables)


def _set_main_op(meta_graph: Any, graph: Graph, main_op: str | None) -> None:
    """Records the operation that loaders run first; there may be one at most."""
    present = _main_op(meta_graph)
    if main_op is None:
        return
    if not isinstance(main_op, str):
        raise TypeError(f"main_op is the name of an operation, not {type(main_op).__name__}")
    if present is not None:
        raise errors.BuilderError(f"the meta graph has a main operation already, {present!r}")
    name = node_name(main_op)
    if name not in graph.nodes:
        raise errors.BuilderError(f"main_op is {main_op!r}, and the graph has no such node")
    if meta_graph.object_graph_def.nodes:  # As TensorFlow 2 does it.
        key = constants.INIT_OP_SIGNATURE_KEY
        info = messages.TensorInfo(name=name, tensor_shape=shape_proto(None))
        meta_graph.signature_def[key].outputs[key].CopyFrom(info)
    else:
        meta_graph.collection_def[constants.MAIN_OP_KEY].node_list.value.append(name)


def _main_op(meta_graph: Any) -> str | None:
    try:
        return init_op(meta_graph, "the meta graph")
    except errors.DataLossError as error:
        raise errors.BuilderError(error.message) from error


def _checked_tags(tags: Iterable[str]) -> list[str]:
    if isinstance(tags, (str, bytes)) or not isinstance(tags, Iterable):
        raise TypeError(f"tags must be a list of them, not {type(tags).__name__}: {tags!r}")
    checked = list(tags)
    for tag in checked:
        if not isinstance(tag, str):
            raise TypeError(f"a tag is a str, not {type(tag).__name__}: {tag!r}")
    return sorted(checked) if isinstance(tags, AbstractSet) else checked  # Sets are in no order that lasts.
