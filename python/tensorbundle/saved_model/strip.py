"""Taking attributes off nodes that have the value which they would have anyway.

An older TensorFlow, which doesn't know an attribute yet, can load the graph then.
"""

from __future__ import annotations

import itertools
from typing import Any

from tensorbundle.saved_model.opdefs import OpDefs


def strip_default_attrs(meta_graph: Any) -> None:
    """Strips the nodes of a ``MetaGraphDef`` and of its functions, and notes it in ``meta_info_def``.

    Nodes that call functions, and nodes of operations that nobody knows, stay as they are.
    """
    op_defs = OpDefs(meta_graph)
    defaults: dict[str, dict[str, Any]] = {}
    graph = meta_graph.graph_def
    for node in itertools.chain(graph.node, *(function.node_def for function in graph.library.function)):
        if node.op not in defaults:
            defaults[node.op] = _defaults(op_defs.find(node.op))
        of_op = defaults[node.op]
        for name in [name for name, value in node.attr.items() if name in of_op and of_op[name] == value]:
            del node.attr[name]
    meta_graph.meta_info_def.stripped_default_attrs = True


def _defaults(op_def: Any | None) -> dict[str, Any]:
    """The values of attributes that have one if nothing is said."""
    attrs = op_def.attr if op_def is not None else ()
    return {attr.name: attr.default_value for attr in attrs if attr.HasField("default_value")}
