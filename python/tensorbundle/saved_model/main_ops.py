"""The operations that a SavedModel names for whoever loads it: the one to run first, and that of training."""

from __future__ import annotations

from typing import Any

from tensorbundle import errors
from tensorbundle.saved_model import constants

_INIT_COLLECTIONS = (constants.MAIN_OP_KEY, constants.LEGACY_INIT_OP_KEY)
_TRAIN_COLLECTIONS = (constants.TRAIN_OP_KEY,)


def init_op(meta_graph: Any, where: str) -> str | None:
    """Name of the operation that a loader runs once variables are restored, or None.

    It is the output of a signature of that purpose, or else in a collection.

    Raises:
        DataLossError: The collection has several, or none, or the signature has no such output.
    """
    return _named(meta_graph, "init", constants.INIT_OP_SIGNATURE_KEY, _INIT_COLLECTIONS, where)


def train_op(meta_graph: Any, where: str) -> str | None:
    """Name of the operation that a step of training is, or None; found and refused likewise."""
    return _named(meta_graph, "train", constants.TRAIN_OP_SIGNATURE_KEY, _TRAIN_COLLECTIONS, where)


def _named(meta_graph: Any, what: str, signature: str, collections: tuple[str, ...], where: str) -> str | None:
    if signature in meta_graph.signature_def:
        outputs = meta_graph.signature_def[signature].outputs
        if signature not in outputs:
            raise errors.DataLossError(
                f"{where!r}: the signature {signature!r} has no output of that name, but {sorted(outputs)}", path=where
            )
        return str(outputs[signature].name)
    for collection in collections:
        if collection in meta_graph.collection_def:
            return _only(meta_graph.collection_def[collection].node_list.value, what, collection, where)
    return None


def _only(names: Any, what: str, collection: str, where: str) -> str:
    if len(names) != 1:
        listed = ", ".join(map(repr, names[:5]))
        raise errors.DataLossError(
            f"{where!r}: Expected exactly one SavedModel {what} op. The collection {collection!r} has {len(names)}: "
            f"[{listed}]",
            path=where,
        )
    return str(names[0])
