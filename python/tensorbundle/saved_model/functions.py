"""A signature of a graph as a function, which is what TensorFlow 2 calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tensorbundle import errors
from tensorbundle.protos import messages
from tensorbundle.saved_model.checks import tensor_infos
from tensorbundle.saved_model.graph import RESOURCE_VARIABLE, Graph, is_variable, node_name, output_number
from tensorbundle.saved_model.opdefs import OpDefs

_NOT_IN_NAMES = re.compile(r"[^a-z0-9_]")
# Says where a node must be, by the name of another one, which need not be in the function.
_COLOCATION = "_class"


class Function(NamedTuple):
    """A ``FunctionDef``, and the nodes of the variables that its last arguments are."""

    definition: Any
    captures: list[str]


class FunctionMaker:
    """Makes functions out of parts of one graph.

    Args:
        meta_graph: Whose graph and operations.
        graph: Its graph.
    """

    def __init__(self, meta_graph: Any, graph: Graph) -> None:
        self._graph = graph
        self._op_defs = OpDefs(meta_graph)
        self._library = meta_graph.graph_def.library
        self._number = 0

    def make(self, key: str, signature: Any) -> Function:
        """Makes the function of a signature, which takes its inputs and returns its outputs, each in sorted order.

        Raises:
            BuilderError: It needs what a function can't have: an input that the signature lacks, a variable of
                TensorFlow's first years, a table or another resource, an operation that is not known.
        """
        for what, argument, info in tensor_infos(signature):
            if info.WhichOneof("encoding") != "name":
                where = f"signature {key!r}: {what} {argument!r}"
                raise errors.BuilderError(f"{where} is no dense tensor, and functions take no others")
        return _Conversion(self._graph, self._op_defs, key, signature).function(self._unused_name())

    def _unused_name(self) -> str:
        taken = {function.signature.name for function in self._library.function}
        while True:
            self._number += 1
            # The number at the end is what fingerprints leave out.
            name = f"__inference_signature_wrapper_{self._number}"
            if name not in taken:
                return name


class _Conversion:
    """The part of a graph that computes the outputs of a signature, on its way to become a function."""

    def __init__(self, graph: Graph, op_defs: OpDefs, key: str, signature: Any) -> None:
        self._graph = graph
        self._op_defs = op_defs
        self._key = key
        self._signature = signature
        self._inputs = {_tensor(info.name): name for name, info in sorted(signature.inputs.items())}
        self._reached = self._reach([info.name for info in signature.outputs.values()])
        self._taken = set(self._reached)
        self._arguments = {tensor: self._argument_name(name) for tensor, name in self._inputs.items()}
        self._captures = {
            name: self._argument_name(name) for name, node in self._reached.items() if node.op == RESOURCE_VARIABLE
        }

    def function(self, name: str) -> Function:
        """The whole."""
        function = messages.FunctionDef()
        function.signature.name = name
        function.signature.is_stateful = True
        for _, info in sorted(self._signature.inputs.items()):
            function.signature.input_arg.add(name=self._arguments[_tensor(info.name)], type=info.dtype)
        for argument in self._captures.values():
            function.signature.input_arg.add(name=argument, type=messages.DataType.Value("DT_RESOURCE"))
        for node in self._reached.values():
            if node.name not in self._captures:
                self._add_node(function, node)
        self._add_outputs(function)
        return Function(function, list(self._captures))

    def _reach(self, tensors: list[str]) -> dict[str, Any]:
        """The nodes that are run for these tensors, in the order of the graph; the inputs' are not."""
        waiting, found = list(tensors), set[str]()
        while waiting:
            tensor = waiting.pop()
            name = node_name(tensor)
            if name in found or self._is_input(tensor):
                continue
            node = self._graph.nodes.get(name)
            if node is None:
                raise errors.BuilderError(f"{self._where()} {tensor!r}, which the graph lacks", tensor=tensor)
            self._check(node)
            found.add(name)
            waiting += node.input
        return {name: node for name, node in self._graph.nodes.items() if name in found}

    def _is_input(self, tensor: str) -> bool:
        if not tensor.startswith("^"):
            return _tensor(tensor) in self._inputs
        # What is fed to a placeholder is there before anything runs.
        name = tensor[1:]
        return (name, 0) in self._inputs and str(self._graph.nodes[name].op).startswith("Placeholder")

    def _check(self, node: Any) -> None:
        if node.op == "Placeholder":
            raise errors.BuilderError(f"{self._where()} placeholder {node.name!r}, which is none of its inputs")
        if is_variable(node) and node.op != RESOURCE_VARIABLE:
            raise errors.BuilderError(f"{self._where()} {node.name!r}, a {node.op}: functions take resource variables")
        outputs = self._op_defs.find_any(node.op)
        if outputs is None:
            raise errors.BuilderError(f"{self._where()} {node.name!r}, of an operation that is not known: {node.op}")
        resource = messages.DataType.Value("DT_RESOURCE")
        if node.op != RESOURCE_VARIABLE and not node.input and any(arg.type == resource for arg in outputs.output_arg):
            raise errors.BuilderError(f"{self._where()} {node.name!r}, a {node.op}: it would not be initialized")

    def _where(self) -> str:
        return f"signature {self._key!r} can't be a function: it needs"

    def _argument_name(self, wanted: str) -> str:
        base = _NOT_IN_NAMES.sub("_", wanted.lower())
        base = base if base[:1].isalpha() else f"arg_{base}"
        number = 0
        while (name := f"{base}_{number}" if number else base) in self._taken:
            number += 1
        self._taken.add(name)
        return name

    def _add_node(self, function: Any, node: Any) -> None:
        added = function.node_def.add()
        added.CopyFrom(node)
        added.ClearField("input")
        added.input.extend(name for each in node.input if (name := self._renamed(each)) is not None)
        if _COLOCATION in added.attr:
            del added.attr[_COLOCATION]

    def _renamed(self, tensor: str) -> str | None:
        """An input as functions name it; None for an order that needs no keeping."""
        if tensor.startswith("^"):
            name = tensor[1:]
            return tensor if name in self._reached and name not in self._captures else None
        if (argument := self._arguments.get(_tensor(tensor))) is not None:
            return argument
        name, number = _tensor(tensor)
        if name in self._captures:
            return self._captures[name]
        outputs = self._op_defs.outputs(self._graph.nodes[name])
        output = None if outputs is None else outputs.name(number)
        if outputs is None or output is None:
            total = "no" if outputs is None else outputs.total
            raise errors.BuilderError(f"{self._where()} {tensor!r}, and the node has {total} outputs", tensor=tensor)
        return f"{name}:{output}"

    def _add_outputs(self, function: Any) -> None:
        for key, info in sorted(self._signature.outputs.items()):
            name = self._argument_name(key)
            source = self._renamed(info.name)
            identity = function.node_def.add(name=self._argument_name("identity"), op="Identity", input=[source])
            identity.attr["T"].type = info.dtype
            function.signature.output_arg.add(name=name, type=info.dtype)
            function.ret[name] = f"{identity.name}:output:0"


def concrete_function(signature: Any, bound_inputs: list[int]) -> Any:
    """How TensorFlow calls the function of a signature: keyword arguments, and a dict of results.

    Args:
        signature: A ``SignatureDef``.
        bound_inputs: The objects that are its last arguments.
    """
    concrete = messages.SavedConcreteFunction(bound_inputs=bound_inputs)
    arguments = concrete.canonicalized_input_signature.tuple_value.values
    arguments.add().tuple_value.SetInParent()
    _set_specs(arguments.add(), signature.inputs)
    _set_specs(concrete.output_signature, signature.outputs)
    return concrete


def _set_specs(value: Any, infos: Mapping[str, Any]) -> None:
    value.dict_value.SetInParent()
    for name, info in sorted(infos.items()):
        spec = value.dict_value.fields[name].tensor_spec_value
        spec.name, spec.dtype = name, info.dtype
        spec.shape.CopyFrom(info.tensor_shape)


def _tensor(name: str) -> tuple[str, int]:
    """Node and output of ``node:1``; ``node`` is ``node:0``."""
    node, _, number = name.partition(":")
    return node, output_number(number) or 0
