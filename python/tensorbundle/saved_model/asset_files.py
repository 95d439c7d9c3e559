"""The files that a SavedModel brings along in ``assets/``: what they are called there, and copying them."""

from __future__ import annotations

import contextlib
import filecmp
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tensorbundle import errors, files
from tensorbundle.protos import messages
from tensorbundle.saved_model import assets as listing
from tensorbundle.saved_model import constants
from tensorbundle.saved_model.graph import Graph, node_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLLECTION = constants.ASSETS_KEY
_TYPE_URL = "type.googleapis.com/tensorflow.AssetFileDef"


def name_assets(assets: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """What the files are called in ``assets/``: their base names, with ``_1`` and so on where different files have one.

    Args:
        assets: Files by the names of their tensors. Different paths of equal files share a name.

    Returns:
        The name for each tensor, ``:0`` added where it has no output, and the file for each name.

    Raises:
        TypeError: It is no mapping.
        ValueError: A path that ends in no file name.
        OSError: Two files of one name can't be compared.
    """
    if not isinstance(assets, Mapping):
        raise TypeError(f"assets must be a mapping from tensors to files, not {type(assets).__name__}")
    names: dict[str, str] = {}
    sources: dict[str, str] = {}
    for tensor, path in assets.items():
        source = os.fsdecode(path)
        name = _name(source, sources)
        names[tensor if ":" in tensor else f"{tensor}:0"] = name
        sources.setdefault(name, source)
    return names, sources


def set_assets(meta_graph: Any, graph: Graph, names: Mapping[str, str]) -> list[str]:
    """Lists the assets of a meta graph, beside those that it lists already and in their order.

    Args:
        meta_graph: A ``MetaGraphDef``.
        graph: Its graph.
        names: File names in ``assets/`` by tensors.

    Returns:
        Every file name that is listed then.

    Raises:
        BuilderError: The graph has no such node, or one that is no string.
    """
    for tensor in names:
        _check_tensor(graph, tensor)
    listed = [_asset(each.tensor_info.name, each.filename) for each in listing.listed(meta_graph, "the meta graph")]
    known = {each.tensor_info.name for each in listed}
    # Objects refer to them by their positions.
    listed += [_asset(tensor, name) for tensor, name in names.items() if tensor not in known]
    for each in listed:
        each.filename = names.get(each.tensor_info.name, each.filename)
    if listed:
        _list(meta_graph, listed)
    return [each.filename for each in listed]


class AssetFiles:
    """The files in ``assets/`` of a SavedModel that is being built. The first one of a name is kept."""

    def __init__(self, export_dir: str, *, durable: bool) -> None:
        self._directory = os.path.join(export_dir, constants.ASSETS_DIRECTORY)
        self._durable = durable
        self._copied: set[str] = set()

    def check(self, listed: list[str], sources: Mapping[str, str]) -> None:
        """Checks that every file which a meta graph lists is there already, or can be copied.

        Raises:
            BuilderError: One is neither there nor given.
            FileNotFoundError: One that is given doesn't exist.
        """
        for name in listed:
            if name in self._copied:
                continue
            if name not in sources:
                raise errors.BuilderError(f"the meta graph has an asset {name!r}: give its file, in assets")
            os.stat(sources[name])  # What fails here leaves no trace.

    @contextlib.contextmanager
    def copied(self, sources: Mapping[str, str]) -> Iterator[None]:
        """Copies files for the block; if that raises, the copies are removed again."""
        missing = {name: source for name, source in sources.items() if name not in self._copied}
        with contextlib.ExitStack() as undo:
            if missing and not os.path.isdir(self._directory):
                os.mkdir(self._directory)
                undo.callback(os.rmdir, self._directory)
            for name, source in missing.items():
                path = os.path.join(self._directory, name)
                files.copy(source, path, durable=self._durable)
                undo.callback(os.unlink, path)
            yield
            undo.pop_all()
        self._copied.update(missing)


def _name(source: str, taken: Mapping[str, str]) -> str:
    base = os.path.basename(source)
    if not base or base in (os.curdir, os.pardir):
        raise ValueError(f"an asset is a file, and {source!r} ends in no file name")
    if base not in taken or taken[base] == source or filecmp.cmp(taken[base], source, shallow=False):
        return base
    number = 1
    while f"{base}_{number}" in taken:
        number += 1
    return f"{base}_{number}"


def _check_tensor(graph: Graph, tensor: str) -> None:
    node = graph.nodes.get(node_name(tensor))
    if node is None:
        raise errors.BuilderError(f"an asset is given for {tensor!r}, and the graph has no such node", tensor=tensor)
    if node.attr["dtype"].type != messages.DataType.Value("DT_STRING"):
        raise errors.BuilderError(f"an asset is given for {tensor!r}, which holds no string", tensor=tensor)


def _asset(tensor: str, filename: str) -> Any:
    return messages.AssetFileDef(tensor_info=messages.TensorInfo(name=tensor), filename=filename)


def _list(meta_graph: Any, assets: list[Any]) -> None:
    """Lists assets where they were listed, else as TensorFlow does: with objects in a field, else in a collection."""
    in_field = bool(meta_graph.asset_file_def or meta_graph.object_graph_def.nodes)
    if in_field:
        del meta_graph.asset_file_def[:]
        meta_graph.asset_file_def.extend(assets)
    if _COLLECTION in meta_graph.collection_def or not in_field:
        _set_collection(meta_graph, assets)


def _set_collection(meta_graph: Any, assets: list[Any]) -> None:
    values = meta_graph.collection_def[_COLLECTION].any_list.value
    del values[:]
    for asset in assets:
        values.add(type_url=_TYPE_URL, value=asset.SerializeToString(deterministic=True))
