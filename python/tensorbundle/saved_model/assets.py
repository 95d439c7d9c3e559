"""The files of a SavedModel's ``assets`` directory, by the tensors that are fed their paths.

Their names come from a file: one that leads out of the directory is refused.
"""

from __future__ import annotations

import os
from typing import Any

from tensorbundle import errors
from tensorbundle.protos import convert, messages
from tensorbundle.saved_model.constants import ASSETS_DIRECTORY, ASSETS_KEY

_TYPE = "tensorflow.AssetFileDef"


def of(meta_graph: Any, directory: str, where: str) -> dict[str, str]:
    """The path of each asset by the name of its tensor. Whether there is such a file isn't looked at.

    Args:
        meta_graph: The message.
        directory: The SavedModel's, absolute.
        where: Path of its file, for errors.

    Raises:
        DataLossError: A file is named that may not be: by an absolute path, with ``..`` or a NUL in it, or where a link
            leads out of ``assets``, which is no link itself. Or the list of assets can't be understood.
    """
    return {asset.tensor_info.name: path_of(asset.filename, directory, where) for asset in listed(meta_graph, where)}


def listed(meta_graph: Any, where: str) -> list[Any]:
    """The ``AssetFileDef`` messages: those of a meta graph, or if it has none, of its collection of them."""
    if meta_graph.asset_file_def:
        return list(meta_graph.asset_file_def)
    if ASSETS_KEY not in meta_graph.collection_def:
        return []
    return [_unpacked(value, where) for value in meta_graph.collection_def[ASSETS_KEY].any_list.value]


def _unpacked(value: Any, where: str) -> Any:
    if value.type_url.rpartition("/")[2] != _TYPE:
        raise errors.DataLossError(
            f"{where!r}: the collection {ASSETS_KEY!r} has a {value.type_url!r} in it, expected {_TYPE!r}", path=where
        )
    return convert.parse(messages.AssetFileDef, value.value, f"{where}, collection {ASSETS_KEY}")


def path_of(name: str, directory: str, where: str) -> str:
    """The path of the asset of that name.

    Raises:
        DataLossError: It may not be called so.
    """
    reason = _fault(name)
    folder = os.path.join(directory, ASSETS_DIRECTORY)
    path = os.path.join(folder, name)
    if not reason:
        # The directory itself may be no link either: an archive could bring one that leads anywhere.
        real, base = os.path.realpath(path), os.path.join(os.path.realpath(directory), ASSETS_DIRECTORY)
        reason = (
            "" if real.startswith(os.path.join(base, "")) else f"a link leads out of {ASSETS_DIRECTORY!r}, to {real!r}"
        )
    if reason:
        raise errors.DataLossError(f"{where!r}: the asset {name!r} is refused: {reason}", path=where)
    return path


def _fault(name: str) -> str:
    """Why a name can't be that of a file in a directory, as far as it alone can tell; empty if it can."""
    parts = name.split("/")
    if "\0" in name:
        return "its name has a NUL in it"
    if name.startswith("/"):
        return "its name is an absolute path"
    if ".." in parts:
        return f"its name leads out of {ASSETS_DIRECTORY!r}"
    if parts[-1] in ("", "."):
        return "its name is that of no file"
    return ""
