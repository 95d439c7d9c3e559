"""What TensorFlow's model server would say of one version: of a directory with a SavedModel.

The rules are those of the C++ loader, with which the server loads, and of the requests that it answers afterwards.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tensorbundle import errors, files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Severity = Literal["warning", "error", "damage"]

# What a server asks for if it isn't told otherwise.
_TAGS = frozenset({"serve"})
_INIT_KEY = "__saved_model_init_op"
_RESERVED_KEYS = frozenset({_INIT_KEY, "__saved_model_train_op"})
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_ASSETS_COLLECTION = "saved_model_assets"


class Problem(NamedTuple):
    """Something about one SavedModel; :class:`Finding` says what the severities mean."""

    severity: Severity
    text: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that a model server minds.

    Attributes:
        version: Number of the version concerned; None if it is about no version's directory.
        path: The version's directory, or whatever else it is about.
        severity: ``"warning"``: the server takes it, but not as somebody may think: a folder that it passes over, a
            model that answers no request. ``"error"``: it refuses the version, or every request to one of its
            signatures. ``"damage"``: the same, because a file is damaged.
        text: What is the matter, in one line.
    """

    version: int | None
    path: str
    severity: Severity
    text: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.path!r} {self.text}"


def require_protobuf() -> None:
    """Raises the ``ImportError`` that a missing protobuf is, before anything else is done."""
    from tensorbundle.protos import messages

    messages.SavedModel  # noqa: B018 - looked up at its first use


def problems(directory: str) -> list[Problem]:
    """What a model server would mind about a SavedModel; nothing if it serves it.

    Raises:
        ImportError: protobuf is not installed.
    """
    if not files.is_directory(directory):
        why = "is a file" if os.path.exists(directory) else "leads nowhere"
        return [Problem("error", f"{why}; a version is a directory")]
    try:
        return list(_problems(directory))
    except errors.DataLossError as error:
        return [Problem("damage", f"is damaged: {error}")]
    except OSError as error:
        return [Problem("error", f"can't be read: {error.filename!r}: {error.strerror}")]


def _problems(directory: str) -> Iterator[Problem]:
    saved_model = _read(directory)
    if saved_model is None:
        chunked = files.is_file(os.path.join(directory, "saved_model.cpb"))
        why = ", and its chunked form, saved_model.cpb, is one that servers do not read" if chunked else ""
        yield Problem("error", f"has no saved_model.pb{why}")
        return
    meta_graph = next((each for each in saved_model.meta_graphs if _tags(each) == _TAGS), None)
    if meta_graph is None:
        listed = ", ".join(_listed(sorted(_tags(each))) for each in saved_model.meta_graphs) or "none at all"
        yield Problem("error", f"has no meta graph with exactly the tags {_listed(_TAGS)}; it has {listed}")
        return
    nodes = {node.name for node in meta_graph.graph_def.node}
    yield from _variable_problems(directory, meta_graph, nodes)
    yield from _asset_problems(directory, meta_graph, nodes)
    yield from _init_problems(meta_graph, nodes)
    yield from _signature_problems(meta_graph, nodes)


def _read(directory: str) -> Any:
    """The message; None if there is no file of it. Where there are both, loaders take the binary one."""
    from tensorbundle.protos import messages
    from tensorbundle.protos.convert import read_file
    from tensorbundle.protos.text import parse_text

    binary, text = (os.path.join(directory, f"saved_model.{ending}") for ending in ("pb", "pbtxt"))
    if files.is_file(binary):
        return read_file(messages.SavedModel, binary)
    if not files.is_file(text):
        return None
    with open(text, "rb") as file:
        return parse_text(messages.SavedModel, file.read(), text)


def _tags(meta_graph: Any) -> frozenset[str]:
    return frozenset(meta_graph.meta_info_def.tags)


def _listed(tags: Iterable[str]) -> str:
    return "{" + ", ".join(tags) + "}"


# Variables.


def _variable_problems(directory: str, meta_graph: Any, nodes: set[str]) -> Iterator[Problem]:
    if not meta_graph.HasField("saver_def"):
        return
    index = os.path.join(directory, "variables", "variables.index")
    if not files.is_file(index):
        # A server says so in its log, goes on, and fails at the first request that needs a variable.
        yield Problem("error", "has no variables/variables.index, though its graph restores variables")
        return
    saver = meta_graph.saver_def
    for what, name in [("restore op", saver.restore_op_name), ("file name tensor", saver.filename_tensor_name)]:
        if _node(name) not in nodes:
            yield Problem("error", f"can't be restored: its graph has no node for the {what} {name!r}")
    yield from _checkpoint_problems(index)


def _checkpoint_problems(index: str) -> Iterator[Problem]:
    from tensorbundle import _core

    num_problems, _, reasons = (native := _core.Checkpoint.open(index, "auto")).problem_reasons(1)
    if num_problems:
        reason = reasons[0][0]
        severity: Severity = "damage" if isinstance(reason, errors.DataLossError) else "error"
        yield Problem(severity, f"has {num_problems} of {len(native)} variables that can't be read: {reason}")


# Assets.


def _asset_problems(directory: str, meta_graph: Any, nodes: set[str]) -> Iterator[Problem]:
    for asset in _assets(meta_graph):
        tensor = asset.tensor_info.name
        if _node(tensor) not in nodes:
            yield Problem("error", f"has asset {asset.filename!r} for tensor {tensor!r}, which its graph has not")
        if (problem := _asset_file_problem(os.path.join(directory, "assets"), asset.filename)) is not None:
            yield Problem("error", f"has asset {asset.filename!r}, which {problem}")


def _assets(meta_graph: Any) -> Iterable[Any]:
    from tensorbundle.protos import messages
    from tensorbundle.protos.convert import parse

    if meta_graph.asset_file_def or _ASSETS_COLLECTION not in meta_graph.collection_def:
        return list(meta_graph.asset_file_def)
    packed = meta_graph.collection_def[_ASSETS_COLLECTION].any_list.value
    return [parse(messages.AssetFileDef, each.value, f"collection {_ASSETS_COLLECTION}") for each in packed]


def _asset_file_problem(assets: str, name: str) -> str | None:
    """What is wrong with a file, by its name and by where links lead."""
    inside = None if "\0" in name else files.relative(os.path.join(assets, name), assets)
    if inside is None:
        return "is outside assets/"
    path = os.path.join(assets, name)
    if not files.is_file(path):
        return "is missing"
    real = files.relative(os.path.realpath(path), os.path.realpath(assets))
    return "leads outside assets/" if real is None else None


# What runs once, after loading.


def _init_problems(meta_graph: Any, nodes: set[str]) -> Iterator[Problem]:
    ops = _init_ops(meta_graph)
    if ops is None:
        return
    where, names = ops
    if len(names) != 1:
        yield Problem("error", f"has {len(names)} ops in {where}; a server runs exactly one")
    elif _node(names[0]) not in nodes:
        yield Problem("error", f"names op {names[0]!r} in {where}, which its graph has not")


def _init_ops(meta_graph: Any) -> tuple[str, list[str]] | None:
    """Where the initial op is named, and the names there; a signature comes before collections."""
    if _INIT_KEY in meta_graph.signature_def:
        outputs = meta_graph.signature_def[_INIT_KEY].outputs
        return f"signature {_INIT_KEY}", [outputs[_INIT_KEY].name] if _INIT_KEY in outputs else []
    for key in _INIT_COLLECTIONS:
        if key in meta_graph.collection_def:
            return f"collection {key}", list(meta_graph.collection_def[key].node_list.value)
    return None


# Signatures.


def _signature_problems(meta_graph: Any, nodes: set[str]) -> Iterator[Problem]:
    keys = sorted(set(meta_graph.signature_def) - _RESERVED_KEYS)
    if not any(meta_graph.signature_def[key].outputs for key in keys):
        # One without is common: it does something to the model, for those who run it through the C API.
        which = "signature with outputs" if keys else "signatures"
        yield Problem("warning", f"has no {which}: it would be loaded, and answer no request")
    for key in keys:
        signature = meta_graph.signature_def[key]
        for what, tensors in [("input", signature.inputs), ("output", signature.outputs)]:
            for argument in sorted(tensors):
                yield from _tensor_problems(f"signature {key!r}, {what} {argument!r}", tensors[argument], nodes)


def _tensor_problems(where: str, info: Any, nodes: set[str]) -> Iterator[Problem]:
    names = list(_tensor_names(info))
    if not names:
        yield Problem("error", f"has {where}: it names no tensor")
    for name in names:
        if _node(name) not in nodes:
            yield Problem("error", f"has {where}: tensor {name!r} is not in its graph")


def _tensor_names(info: Any) -> Iterator[str]:
    """The tensors that a ``TensorInfo`` stands for."""
    encoding = info.WhichOneof("encoding")
    if encoding == "name":
        yield info.name
    elif encoding == "coo_sparse":
        sparse = info.coo_sparse
        yield from (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
    elif encoding == "composite_tensor":
        for component in info.composite_tensor.components:
            yield from _tensor_names(component)


def _node(tensor: str) -> str:
    """The node that a tensor, or a control input, comes from."""
    return tensor.removeprefix("^").partition(":")[0]
