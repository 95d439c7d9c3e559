"""``fingerprint.pb``: hashes that tell one SavedModel, and one version of it, from another.

Every hash is FarmHash's Fingerprint64 of serialized messages whose maps are in the order of their keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from tensorbundle import _core, errors
from tensorbundle.protos import messages
from tensorbundle.protos.convert import as_message, read_file, serialize
from tensorbundle.saved_model import constants

# TensorFlow 2.21's version of these rules.
_PRODUCER = 4
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# A name that TensorFlow made: the number is another each time the same program is saved.
_NUMBERED = re.compile(r"(?s)(.*_)([0-9]+)")
_WORD = (1 << 64) - 1


def make_fingerprint(saved_model: Any, variables_index: bytes | None) -> Any:
    """What TensorFlow writes into ``fingerprint.pb`` beside a SavedModel.

    Args:
        saved_model: A ``SavedModel`` message with one meta graph or more, of which the first is hashed.
        variables_index: Content of ``variables/variables.index``; None without variables.

    Returns:
        A ``FingerprintDef`` message, with a new random ``uuid``.

    Raises:
        ValueError: There is no meta graph, or the name of a concrete function does not end with a number.
        LimitError: The model can't be serialized.
    """
    import secrets  # Which takes longer to import than all else here.

    saved_model = as_message(messages.SavedModel, saved_model)
    if not saved_model.meta_graphs:
        raise ValueError("a SavedModel without meta graphs has no fingerprint")
    meta_graph = saved_model.meta_graphs[0]
    fingerprint = messages.FingerprintDef(
        saved_model_checksum=_hash(saved_model),
        graph_def_program_hash=_hash(_program(meta_graph.graph_def)),
        signature_def_hash=_chain(_signature_hashes(meta_graph)),
        saved_object_graph_hash=_chain(_function_hashes(meta_graph)),
        checkpoint_hash=0 if variables_index is None else _core.fingerprint64(variables_index),
        uuid=f"{secrets.randbits(128):020d}",
    )
    fingerprint.version.producer = _PRODUCER
    return fingerprint


def read_fingerprint(export_dir: str | os.PathLike[str]) -> Any | None:
    """The ``FingerprintDef`` message of a SavedModel; None if there is none, or it can't be read.

    Nothing depends on it, so that a damaged one is as good as none.
    """
    path = os.path.join(os.fspath(export_dir), constants.FINGERPRINT_FILENAME)
    try:
        return read_file(messages.FingerprintDef, path)
    except (errors.DataLossError, OSError):
        return None


def singleprint(fingerprint: Any) -> str:
    """The part of a fingerprint that stays the same when the same model is saved again, as one string."""
    fingerprint = as_message(messages.FingerprintDef, fingerprint)
    return "/".join(
        str(getattr(fingerprint, name))
        for name in ("graph_def_program_hash", "signature_def_hash", "saved_object_graph_hash", "checkpoint_hash")
    )


def _hash(message: Any) -> int:
    return _core.fingerprint64(serialize(message))


def _program(graph_def: Any) -> Any:
    """A copy of the graph without what differs from one save of a program to the next."""
    program = messages.GraphDef()
    program.CopyFrom(graph_def)
    for name in ("library", "versions"):
        program.ClearField(name)
        getattr(program, name).SetInParent()
    for node in program.node:
        if node.op in _CALLS:
            _simplify_call(node)
        elif node.op == "Const" and node.attr["dtype"].type == messages.DataType.Value("DT_STRING"):
            node.attr["value"].Clear()
    return program


def _simplify_call(node: Any) -> None:
    function = node.attr["f"].func
    function.name = _without_number(function.name)
    node.attr["config_proto"].s = b""


def _signature_hashes(meta_graph: Any) -> Iterable[int]:
    for key in sorted(meta_graph.signature_def):
        yield _core.fingerprint64(key.encode())
        yield _hash(meta_graph.signature_def[key])


def _function_hashes(meta_graph: Any) -> Iterable[int]:
    functions = meta_graph.object_graph_def.concrete_functions
    for name in sorted(functions, key=_number):
        yield _core.fingerprint64(_without_number(name).encode())
        yield _hash(functions[name])


def _without_number(name: str) -> str:
    numbered = _NUMBERED.fullmatch(name)
    return numbered[1] if numbered else name


def _number(name: str) -> int:
    numbered = _NUMBERED.fullmatch(name)
    if not numbered:
        raise ValueError(f"the name of the concrete function {name!r} does not end with a number")
    return int(numbered[2])


def _chain(hashes: Iterable[int]) -> int:
    """One hash of many, in their order."""
    chained = 0
    for each in hashes:
        chained = _joined(chained, each)
    return chained


def _joined(first: int, second: int) -> int:
    multiplier = 0xC6A4A7935BD1E995

    def mixed(word: int) -> int:
        return word ^ word >> 47

    joined = first ^ multiplier
    joined ^= mixed(second * multiplier & _WORD) * multiplier & _WORD
    joined = joined * multiplier & _WORD
    return mixed(mixed(joined) * multiplier & _WORD)
