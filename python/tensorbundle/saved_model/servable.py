"""What TensorFlow's model server would say of one version: of a directory with a SavedModel.

The rules are those of the C++ loader, with which the server loads, and of the requests that it answers afterwards.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tensorbundle import errors, files
from tensorbundle.saved_model import constants, tag_constants
from tensorbundle.saved_model.graph import node_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Severity = Literal["warning", "error", "damage"]

# What a server asks for if it isn't told otherwise.
_TAGS = frozenset({tag_constants.SERVING})
_RESERVED_KEYS = frozenset({constants.INIT_OP_SIGNATURE_KEY, constants.TRAIN_OP_SIGNATURE_KEY})
_INDEX = os.path.join(constants.VARIABLES_DIRECTORY, f"{constants.VARIABLES_FILENAME}.index")


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
    from tensorbundle.saved_model import records

    try:
        found = records.read(directory)
    except errors.UnimplementedError:
        yield Problem("error", "has only the chunked form of a saved_model.pb, which servers do not read")
        return
    except FileNotFoundError:
        yield Problem("error", "has no saved_model.pb")
        return
    # All of them, as a server does: one that is damaged keeps it from the others.
    parsed = [(each.tags, each.parse()) for each in found.meta_graphs]
    meta_graph = next((each for tags, each in parsed if tags == _TAGS), None)
    if meta_graph is None:
        listed = ", ".join(_listed(sorted(tags)) for tags, _ in parsed) or "none at all"
        yield Problem("error", f"has no meta graph with exactly the tags {_listed(_TAGS)}; it has {listed}")
        return
    nodes = {node.name for node in meta_graph.graph_def.node}
    yield from _variable_problems(directory, meta_graph, nodes)
    yield from _asset_problems(directory, found.path, meta_graph, nodes)
    yield from _init_problems(found.path, meta_graph, nodes)
    yield from _signature_problems(meta_graph, nodes)


def _listed(tags: Iterable[str]) -> str:
    return "{" + ", ".join(tags) + "}"


# Variables.


def _variable_problems(directory: str, meta_graph: Any, nodes: set[str]) -> Iterator[Problem]:
    if not meta_graph.HasField("saver_def"):
        return
    index = os.path.join(directory, _INDEX)
    if not files.is_file(index):
        # A server says so in its log, goes on, and fails at the first request that needs a variable.
        yield Problem("error", f"has no {_INDEX}, though its graph restores variables")
        return
    saver = meta_graph.saver_def
    for what, name in [("restore op", saver.restore_op_name), ("file name tensor", saver.filename_tensor_name)]:
        if node_name(name) not in nodes:
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


def _asset_problems(directory: str, where: str, meta_graph: Any, nodes: set[str]) -> Iterator[Problem]:
    from tensorbundle.saved_model import assets

    for asset in assets.listed(meta_graph, where):
        tensor = asset.tensor_info.name
        if node_name(tensor) not in nodes:
            yield Problem("error", f"has asset {asset.filename!r} for tensor {tensor!r}, which its graph has not")
        try:
            path = assets.path_of(asset.filename, directory, where)
        except errors.DataLossError as error:
            yield _refusal(error)
            continue
        if not files.is_file(path):
            yield Problem("error", f"has asset {asset.filename!r}, which is missing")


# What runs once, after loading.


def _init_problems(where: str, meta_graph: Any, nodes: set[str]) -> Iterator[Problem]:
    from tensorbundle.saved_model import main_ops

    try:
        op = main_ops.init_op(meta_graph, where)
    except errors.DataLossError as error:
        yield _refusal(error)
        return
    if op is not None and node_name(op) not in nodes:
        yield Problem("error", f"names op {op!r} to be run first, which its graph has not")


# Signatures.


def _signature_problems(meta_graph: Any, nodes: set[str]) -> Iterator[Problem]:
    from tensorbundle.saved_model import checks

    keys = sorted(set(meta_graph.signature_def) - _RESERVED_KEYS)
    if not any(meta_graph.signature_def[key].outputs for key in keys):
        # One without is common: it does something to the model, for those who run it through the C API.
        which = "signature with outputs" if keys else "signatures"
        yield Problem("warning", f"has no {which}: it would be loaded, and answer no request")
    for key in keys:
        for what, argument, info in checks.tensor_infos(meta_graph.signature_def[key]):
            yield from _tensor_problems(f"signature {key!r}, {what} {argument!r}", checks.names_of(info), nodes)


def _tensor_problems(where: str, names: list[str], nodes: set[str]) -> Iterator[Problem]:
    if not names:
        yield Problem("error", f"has {where}: it names no tensor")
    for name in names:
        if node_name(name) not in nodes:
            yield Problem("error", f"has {where}: tensor {name!r} is not in its graph")


def _refusal(error: errors.DataLossError) -> Problem:
    """Of what is no damage: somebody made it so."""
    return Problem("error", f"can't be served: {error}")
