"""The nodes that save and restore variables, as TensorFlow's savers have them, for a graph that has none."""

from __future__ import annotations

from typing import Any

from tensorbundle.protos import messages
from tensorbundle.saved_model.graph import VARIABLES_KEY, Graph, Variable
from tensorbundle.saved_model.signatures import data_type

_V2 = 2


def add_saver(meta_graph: Any, graph: Graph, variables: list[Variable]) -> None:
    """Adds the nodes for these variables, and the ``SaverDef`` that names them."""
    for variable in variables:
        # Resources are found by this name: all that have none, and the same type, would be one variable.
        if variable.is_resource and not variable.node.attr["shared_name"].s:
            variable.node.attr["shared_name"].s = variable.node.name.encode()
    meta_graph.saver_def.CopyFrom(_Saver(graph, variables).add())


def list_variables(meta_graph: Any, graph: Graph, variables: list[Variable]) -> None:
    """Lists these as the variables of a session, with the nodes that this takes: how each would be initialized."""
    listed = meta_graph.collection_def[VARIABLES_KEY].bytes_list.value
    for variable in variables:
        listed.append(_definition(graph, variable).SerializeToString(deterministic=True))


class _Saver:
    """The nodes, all in one scope."""

    def __init__(self, graph: Graph, variables: list[Variable]) -> None:
        self._graph = graph
        self._variables = variables
        self._scope = graph.unused_scope("save")
        self._types = messages.AttrValue()
        self._types.list.type.extend(variable.dtype for variable in variables)

    def add(self) -> Any:
        """Adds all; returns the ``SaverDef``."""
        filename = self._add_filename()
        keys = self._add_strings("tensor_names", [variable.key for variable in self._variables])
        specs = self._add_strings("shape_and_slices", [variable.slice_spec for variable in self._variables])
        return messages.SaverDef(
            filename_tensor_name=f"{filename}:0",
            save_tensor_name=f"{self._add_save(filename, keys, specs)}:0",
            restore_op_name=self._add_restore(filename, keys, specs),
            max_to_keep=5,
            keep_checkpoint_every_n_hours=10000.0,
            version=_V2,
        )

    def _add(self, name: str, op: str, *inputs: str, **attrs: Any) -> str:
        return self._graph.add(f"{self._scope}/{name}", op, inputs, **attrs)

    def _add_strings(self, name: str, values: list[str]) -> str:
        return self._add(name, "Const", dtype=data_type("string"), value=_string_tensor(values, [len(values)]))

    def _add_filename(self) -> str:
        string = data_type("string")
        default = self._add("filename/default", "Const", dtype=string, value=_string_tensor(["model"], []))
        shape = messages.AttrValue(shape=messages.TensorShapeProto())
        return self._add("Const", "PlaceholderWithDefault", default, dtype=string, shape=shape)

    def _add_save(self, filename: str, keys: str, specs: str) -> str:
        values = [
            _add_read(self._graph, f"{self._scope}/Read_{number}", variable)
            for number, variable in enumerate(self._variables)
        ]
        saved = self._add("SaveV2", "SaveV2", filename, keys, specs, *values, dtypes=self._types)
        return self._add("control_dependency", "Identity", filename, f"^{saved}", T=data_type("string"))

    def _add_restore(self, filename: str, keys: str, specs: str) -> str:
        restored = self._add("RestoreV2", "RestoreV2", filename, keys, specs, dtypes=self._types)
        assigned = [
            _add_assign(
                self._graph, f"{self._scope}/Assign_{number}", variable, f"{restored}:{number}" if number else restored
            )
            for number, variable in enumerate(self._variables)
        ]
        return self._add("restore_all", "NoOp", *(f"^{name}" for name in assigned))


def _add_read(graph: Graph, name: str, variable: Variable) -> str:
    """What gives the value of a variable."""
    if variable.is_resource:
        return graph.add(name, "ReadVariableOp", (variable.node.name,), dtype=variable.dtype)
    return graph.add(name, "Identity", (variable.node.name,), T=variable.dtype)


def _add_assign(graph: Graph, name: str, variable: Variable, value: str) -> str:
    inputs = (variable.node.name, value)
    if variable.is_resource:
        return graph.add(name, "AssignVariableOp", inputs, dtype=variable.dtype)
    return graph.add(name, "Assign", inputs, T=variable.dtype)


def _definition(graph: Graph, variable: Variable) -> Any:
    """A ``VariableDef``, all of whose names have nodes."""
    name = variable.node.name
    unknown = messages.AttrValue(shape=messages.TensorShapeProto(unknown_rank=True))
    shape = variable.node.attr.get("shape", unknown)
    value = graph.add(graph.unused_name(f"{name}/Initializer"), "Placeholder", dtype=variable.dtype, shape=shape)
    return messages.VariableDef(
        variable_name=f"{name}:0",
        initial_value_name=f"{value}:0",
        initializer_name=_add_assign(graph, graph.unused_name(f"{name}/Assign"), variable, value),
        snapshot_name=f"{_add_read(graph, graph.unused_name(f'{name}/Read/ReadVariableOp'), variable)}:0",
        is_resource=variable.is_resource,
        trainable=True,
    )


def _string_tensor(values: list[str], shape: list[int]) -> Any:
    value = messages.AttrValue()
    value.tensor.dtype = data_type("string")
    value.tensor.tensor_shape.SetInParent()
    for size in shape:
        value.tensor.tensor_shape.dim.add(size=size)
    value.tensor.string_val.extend(each.encode("utf-8", "surrogateescape") for each in values)
    return value
