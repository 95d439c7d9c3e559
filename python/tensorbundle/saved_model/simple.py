"""A whole SavedModel by one call: of a graph, or of arrays alone."""

from __future__ import annotations

import collections
import contextlib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tensorbundle import errors
from tensorbundle.graph import ObjectGraph
from tensorbundle.objects import GRAPH_KEY, object_tensors
from tensorbundle.protos import messages
from tensorbundle.saved_model import object_graphs
from tensorbundle.saved_model.builder import Builder
from tensorbundle.saved_model.functions import FunctionMaker, concrete_function
from tensorbundle.saved_model.graph import VARIABLES_KEY, Graph, Variable, has_variable_list, is_variable
from tensorbundle.saved_model.meta_graphs import as_meta_graph
from tensorbundle.saved_model.savers import add_saver, list_variables
from tensorbundle.saved_model.signature_checks import check_tensors, checked_signatures
from tensorbundle.saved_model.signature_constants import DEFAULT_SERVING_SIGNATURE_DEF_KEY
from tensorbundle.saved_model.signatures import predict_signature_def, shape_proto
from tensorbundle.saved_model.stored import StoredTensor, describe, require, type_name
from tensorbundle.saved_model.tag_constants import SERVING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

# TensorFlow can store these, but not assign them to a variable.
_NO_VARIABLES = ("float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz")
_NOT_IN_NODE_NAMES = re.compile(r"[^A-Za-z0-9_.\\/>-]")
# Any does; it is what a graph of such nodes needs.
_PRODUCER = 987


def simple_save(
    export_dir: str | os.PathLike[str],
    graph: Any,
    variables: Mapping[str, ArrayLike],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    *,
    assets: Mapping[str, str | os.PathLike[str]] | None = None,
    main_op: str | None = None,
    **options: Any,
) -> str:
    """Saves a graph and its variables for serving: with the tag ``serve`` and the signature ``serving_default``.

    Args:
        export_dir: An empty directory, or one that is made.
        graph: A ``GraphDef`` or ``MetaGraphDef``, as :meth:`Builder.add_meta_graph_and_variables` takes them. Its nodes
            are written without their devices.
        variables: Its variables by their names.
        inputs: ``TensorInfo`` messages of the tensors to be fed, by what a client calls them.
        outputs: The same of the tensors to be fetched.
        assets: Files by the names of the string constants that hold their paths.
        main_op: Name of the operation that loaders run after restoring.
        options: Those of :class:`Builder`.

    Returns:
        Path of ``saved_model.pb``.

    Raises:
        BuilderError, DataLossError, LimitError, TypeError, ValueError, OSError: As the methods of :class:`Builder`.
            Nothing is left behind. ``ValueError`` also where there are no inputs, or no outputs.

    Example:
        >>> tb.saved_model.simple_save("export/1", graph, {"w": w}, {"x": x}, {"y": y})
        'export/1/saved_model.pb'
    """
    signatures = {DEFAULT_SERVING_SIGNATURE_DEF_KEY: predict_signature_def(inputs, outputs)}
    with _built(export_dir, options) as builder:
        builder.add_meta_graph_and_variables(
            graph, variables, [SERVING], signatures, assets=assets, main_op=main_op, clear_devices=True
        )
        return builder.save()


def save_variables(
    export_dir: str | os.PathLike[str],
    variables: Mapping[str, Any],
    *,
    graph: Any = None,
    signature_def_map: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (SERVING,),
    **options: Any,
) -> str:
    """Saves a nested dict of arrays as a SavedModel whose objects and variables TensorFlow restores.

    ``tf.saved_model.load`` gives an object whose attributes are the keys, and the arrays its variables. The loaders of
    TensorFlow 1, of C and of TensorFlow Serving restore them as well: each is a variable of the graph, by the name of
    its path, such as ``dense/kernel``, and ``dense/kernel/Read/ReadVariableOp:0`` is its value.

    Args:
        export_dir: An empty directory, or one that is made.
        variables: As for :func:`tensorbundle.save_objects`: mappings, lists and tuples, and arrays in them.
        graph: A ``GraphDef`` or ``MetaGraphDef`` that computes something from the variables. A variable of it, which is
            a ``VarHandleOp``, is restored from the array whose path it is named by.
        signature_def_map: ``SignatureDef`` messages over dense tensors of the graph; in TensorFlow 2 they are functions
            of the object's ``signatures``.
        tags: What loaders choose the meta graph by.
        options: Those of :class:`Builder`.

    Returns:
        Path of ``saved_model.pb``.

    Raises:
        BuilderError: As :class:`Builder`; a variable of the graph is none of the variables; or a signature can't be a
            function. Nothing is left behind.
        TypeError, ValueError: As :func:`tensorbundle.save_objects`.
        OSError: The system refuses.

    Example:
        >>> tb.saved_model.save_variables("export/1", {"dense": {"kernel": kernel, "bias": bias}})
        'export/1/saved_model.pb'
        >>> tf.saved_model.load("export/1").dense.kernel
    """
    tensors, stored = describe(object_tensors(variables, save_counter=None))
    meta_graph = _graph_around(graph)
    _ObjectModel(meta_graph, stored, tensors[GRAPH_KEY][()]).add_all(checked_signatures(signature_def_map))
    with _built(export_dir, options) as builder:
        builder.add_meta_graph_and_variables(meta_graph, tensors, tags)
        return builder.save()


class _ObjectModel:
    """A meta graph that becomes a model of TensorFlow 2 while it stays one of TensorFlow 1."""

    def __init__(self, meta_graph: Any, stored: Mapping[str, StoredTensor], record: bytes) -> None:
        self._meta_graph = meta_graph
        self._graph = Graph(meta_graph.graph_def)
        self._stored = stored
        objects = ObjectGraph.parse(record)
        if object_graphs.SIGNATURES in objects.root.children:
            raise errors.BuilderError(f"TensorFlow has a use of its own for the name {object_graphs.SIGNATURES!r}")
        self._variables = self._graph_variables(objects)
        meta_graph.object_graph_def.CopyFrom(object_graphs.object_graph_of(objects, stored, self._names()))

    def add_all(self, signatures: Mapping[str, Any]) -> None:
        """Adds what restores the variables, and what computes the signatures."""
        for key, signature in signatures.items():
            self._meta_graph.signature_def[key].CopyFrom(signature)
        check_tensors(self._meta_graph, self._graph)
        add_saver(self._meta_graph, self._graph, list(self._variables.values()))
        list_variables(self._meta_graph, self._graph, list(self._variables.values()))
        if signatures:
            self._add_functions(signatures)

    def _names(self) -> dict[int, str]:
        return {number: variable.node.name for number, variable in self._variables.items()}

    def _graph_variables(self, objects: ObjectGraph) -> dict[int, Variable]:
        """The variable of the graph for each object that is one, added where the graph has none."""
        paths = object_graphs.plain_paths(objects)
        given = {node.name: node for node in filter(is_variable, self._graph.graph_def.node)}
        counts = collections.Counter(paths.values())
        for name in given:
            if counts[name] != 1:
                raise errors.BuilderError(
                    f"variable {name!r} of the graph is none of the variables given, or two of them"
                )
        return {
            number: self._variable(path, objects.nodes[number].key or "", given.get(path))
            for number, path in paths.items()
        }

    def _variable(self, path: str, key: str, node: Any | None) -> Variable:
        stored = self._stored[key]
        name = type_name(stored.dtype)
        if name in _NO_VARIABLES:
            raise errors.BuilderError(f"variable {path!r}: TensorFlow has no variables of {name}", tensor=key)
        variable = Variable.of_node(node or self._add_node(path, stored), key)
        require(self._stored, key, variable.dtype, variable.stored_shape, f"variable {path!r}")
        return variable

    def _add_node(self, path: str, stored: StoredTensor) -> Any:
        name = self._graph.unused_name(_node_name(path))
        shape = messages.AttrValue(shape=shape_proto(stored.shape))
        shared = messages.AttrValue(s=name.encode())
        self._graph.add(name, "VarHandleOp", dtype=stored.dtype, shape=shape, shared_name=shared)
        return self._graph.nodes[name]

    def _add_functions(self, signatures: Mapping[str, Any]) -> None:
        maker = FunctionMaker(self._meta_graph, self._graph)
        objects = self._meta_graph.object_graph_def
        numbers = {name: number for number, name in self._names().items()}
        functions = {}
        for key, signature in sorted(signatures.items()):
            function = maker.make(key, signature)
            name = function.definition.signature.name
            self._meta_graph.graph_def.library.function.append(function.definition)
            bound = [numbers[each] for each in function.captures]
            objects.concrete_functions[name].CopyFrom(concrete_function(signature, bound))
            functions[key] = (name, sorted(signature.inputs))
        object_graphs.add_signatures(objects, functions)


def _graph_around(graph: Any) -> Any:
    meta_graph = as_meta_graph(messages.GraphDef() if graph is None else graph)
    if meta_graph.object_graph_def.nodes:
        raise errors.BuilderError("the meta graph has objects already: Builder writes it, with the variables of these")
    # They are those of the objects now, under other keys.
    meta_graph.ClearField("saver_def")
    if has_variable_list(meta_graph):
        del meta_graph.collection_def[VARIABLES_KEY]
    if graph is None:
        meta_graph.graph_def.versions.producer = _PRODUCER
    return meta_graph


def _node_name(path: str) -> str:
    """A name that TensorFlow takes for a node."""
    name = _NOT_IN_NODE_NAMES.sub("_", path)
    return name if name[0].isalnum() or name[0] == "." else f"v{name}"


@contextlib.contextmanager
def _built(export_dir: str | os.PathLike[str], options: Mapping[str, Any]) -> Iterator[Builder]:
    """A builder for the block; if that raises, the directory is as it was."""
    builder = Builder(export_dir, **options)
    try:
        yield builder
    except BaseException:
        builder.abandon()
        raise
