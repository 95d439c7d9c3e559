"""SavedModel directories: those of the open corpus with what the manifest says of them, and small ones made here."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import corpus


@dataclasses.dataclass(frozen=True)
class CorpusSavedModel:
    """One SavedModel of the corpus; ``checkpoint`` is its variables, None if the manifest has none for it."""

    id: str
    directory: Path
    manifest: dict[str, Any] = dataclasses.field(repr=False)
    checkpoint: corpus.CorpusCheckpoint | None = dataclasses.field(repr=False)


@functools.cache
def from_corpus() -> tuple[CorpusSavedModel, ...]:
    """Every SavedModel; none where there is no corpus."""
    return tuple(_described(sample, each) for sample in corpus.samples() for each in sample.manifest["saved_models"])


def _described(sample: corpus.CorpusSample, manifest: dict[str, Any]) -> CorpusSavedModel:
    directory = sample.directory / manifest["dir"]
    inside = [each for each in sample.checkpoints() if each.prefix.parent == directory / "variables"]
    id = f"{sample.name}/{manifest['dir']}".removesuffix("/.")
    return CorpusSavedModel(id, directory, manifest, inside[0] if inside else None)


def meta_graph(
    tags: Iterable[str] = ("serve",),
    nodes: Mapping[str, str] | None = None,
    collections: Mapping[str, Iterable[str]] | None = None,
) -> Any:
    """A ``MetaGraphDef`` with these tags, nodes (name -> operation), and lists of nodes."""
    from tensorbundle.protos import messages

    made = messages.MetaGraphDef()
    made.meta_info_def.tags.extend(tags)
    for name, op in (nodes or {}).items():
        made.graph_def.node.add(name=name, op=op)
    for name, values in (collections or {}).items():
        made.collection_def[name].node_list.value.extend(values)
    return made


def add_asset(made: Any, tensor: str, filename: str) -> None:
    made.asset_file_def.add(filename=filename).tensor_info.name = tensor


def add_variable(made: Any, name: str, part: tuple[str, list[int], list[int], list[int]] | None = None) -> None:
    """A ``VariableDef`` in the collection of variables; ``part``: the whole's name and shape, offset, shape."""
    from tensorbundle.protos import messages

    variable = messages.VariableDef(variable_name=f"{name}:0", initializer_name=f"{name}/Assign", snapshot_name=name)
    if part is not None:
        full_name, full_shape, offset, shape = part
        variable.save_slice_info_def.full_name = full_name
        variable.save_slice_info_def.full_shape.extend(full_shape)
        variable.save_slice_info_def.var_offset.extend(offset)
        variable.save_slice_info_def.var_shape.extend(shape)
    made.collection_def["variables"].bytes_list.value.append(variable.SerializeToString())


def add_object(made: Any, kind: str = "user_object", children: Mapping[str, int] | None = None, name: str = "") -> Any:
    """A node of the object graph; ``name`` is that of a variable."""
    node = made.object_graph_def.nodes.add()
    getattr(node, kind).SetInParent()
    if name:
        node.variable.name = name
    for child, number in (children or {}).items():
        node.children.add(node_id=number, local_name=child)
    return node


def objects_record(variables: Mapping[str, tuple[str, str]]) -> bytes:
    """The object graph of a checkpoint whose root has these variables: name -> (full name, key)."""
    from tensorbundle import _core

    children = [(name, number) for number, name in enumerate(variables, 1)]
    values = [([], [("VARIABLE_VALUE", *each)], [], True) for each in variables.values()]
    return _core.encode_object_graph([(children, [], [], True), *values])


def write(directory: Path, *meta_graphs: Any, text: bool = False) -> Path:
    """A SavedModel without variables; a ``.pb``, or with ``text`` a ``.pbtxt``."""
    from tensorbundle.protos import messages
    from tensorbundle.protos.text import print_text

    message = messages.SavedModel(saved_model_schema_version=1, meta_graphs=meta_graphs)
    directory.mkdir(parents=True, exist_ok=True)
    if text:
        (directory / "saved_model.pbtxt").write_text(print_text(message), encoding="utf-8")
    else:
        (directory / "saved_model.pb").write_bytes(message.SerializeToString())
    return directory
