"""``tf.saved_model``: whether a directory is one, and its variables."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from tensorbundle.train import dtypes, translation
from tensorbundle.train.reader import CheckpointReader
from tensorbundle.train.stand_in.tensors import Variable

if TYPE_CHECKING:
    import tensorbundle as tb

_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")


class LoadedModel:
    """A SavedModel of which there are the variables and nothing else.

    Attributes:
        variables: Those that the model lists, in its order, or all of them, each read when its ``numpy()`` is called.
    """

    def __init__(self, variables: list[Variable]) -> None:
        self.variables = variables

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"this SavedModel was loaded by tensorbundle, without TensorFlow: it has variables, and no {name!r}"
        )


def contains_saved_model(export_dir: str | os.PathLike[str]) -> bool:
    """True if the directory holds a SavedModel."""
    return any(os.path.isfile(os.path.join(export_dir, name)) for name in _FILES)


def load(export_dir: str | os.PathLike[str], tags: Any = None, options: Any = None) -> LoadedModel:  # noqa: ARG001
    """The variables of a SavedModel; ``tags`` and ``options`` are about its graphs and make no difference.

    Raises:
        OSError: There is no SavedModel.
        NotFoundError, DataLossError, OpError: Its variables can't be opened.
    """
    if not contains_saved_model(export_dir):
        found = (
            f"SavedModel file does not exist at: {os.fspath(export_dir)}{os.sep}{{saved_model.pbtxt|saved_model.pb}}"
        )
        raise OSError(found)
    if not _holds_any(os.path.join(export_dir, "variables")):
        return LoadedModel([])
    reader = CheckpointReader(export_dir)
    try:
        graph = reader.checkpoint.object_graph
        listed = None if graph is None else _listed(graph, reader)
        return LoadedModel(_named(reader) if listed is None else listed)
    except OSError as error:
        raise translation.of_reading(error, "_CHECKPOINTABLE_OBJECT_GRAPH") from error


def _holds_any(directory: str) -> bool:
    return os.path.isdir(directory) and bool(os.listdir(directory))


def _listed(graph: tb.ObjectGraph, reader: CheckpointReader) -> list[Variable] | None:
    """What the model lists as its ``variables``; None if it has no such list, or other things in it."""
    values = graph.root.children.get("variables")
    if values is None:
        return None
    variables = []
    for value in values.children.values():
        found = next((each for each in value.attributes if each.name == "VARIABLE_VALUE"), None)
        if found is None or found.key not in reader.checkpoint:
            return None
        variables.append(_variable(reader, reader.checkpoint.entry(found.key), found.full_name))
    return variables


def _named(reader: CheckpointReader) -> list[Variable]:
    """Every variable."""
    reader.checkpoint = reader.checkpoint.named(by="full_name")  # As graphs call them, where they are told.
    return [_variable(reader, entry) for entry in reader.checkpoint.entries() if _is_variable(entry)]


def _is_variable(entry: tb.Entry) -> bool:
    return entry.name != "_CHECKPOINTABLE_OBJECT_GRAPH"


def _variable(reader: CheckpointReader, entry: tb.Entry, name: str = "") -> Variable:
    read = functools.partial(reader.get_tensor, entry.name)
    return Variable(f"{name or entry.name}:0", dtypes.BY_NAME[entry.tf_dtype], entry.shape, read)
