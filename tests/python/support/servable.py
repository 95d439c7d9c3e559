"""A small SavedModel that a model server would take, and what is wrong with it when a test says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tensorbundle as tb
from tensorbundle.protos import messages
from tensorbundle.protos.convert import serialize
from tensorbundle.saved_model import serving

MOST = 2**63 - 1  # The highest number of a version.
ASSET = b"a\nb\nc\n"
NODES = ("x", "y", "w", "save/Const", "save/restore_all", "init", "vocabulary")


def meta_graph(*tags: str) -> Any:
    """One that uses everything that is checked: variables, an asset, an initial op, a signature."""
    made = messages.MetaGraphDef()
    made.meta_info_def.tags.extend(tags or ["serve"])
    for name in NODES:
        made.graph_def.node.add(name=name, op="NoOp")
    made.saver_def.filename_tensor_name = "save/Const:0"
    made.saver_def.save_tensor_name = "save/Const:0"
    made.saver_def.restore_op_name = "save/restore_all"
    asset = made.asset_file_def.add(filename="vocabulary.txt")
    asset.tensor_info.name = "vocabulary:0"
    made.collection_def["saved_model_main_op"].node_list.value.append("init")
    signature = made.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs["x"].name = "x:0"
    signature.outputs["y"].name = "y:0"
    return made


def write_model(
    directory: str | os.PathLike[str], number: int = 0, *, change: Callable[[Any], object] | None = None, size: int = 3
) -> None:
    """Fills a directory; ``change`` gets the meta graph first. Every file tells the number, by content or by size."""
    folder = Path(directory)
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / "vocabulary.txt").write_bytes(ASSET)
    tb.save(folder / "variables" / "variables", {"w": np.full(size, number, np.float32)}, durable=False)
    made = meta_graph()
    if change is not None:
        change(made)
    write_saved_model(folder, made)


def write_saved_model(directory: str | os.PathLike[str], *meta_graphs: Any) -> None:
    """Writes ``saved_model.pb`` alone."""
    saved_model = messages.SavedModel(saved_model_schema_version=1, meta_graphs=meta_graphs)
    Path(directory, "saved_model.pb").write_bytes(serialize(saved_model))


def files_in(directory: str | os.PathLike[str]) -> dict[str, bytes]:
    """The content of each file by its path in there."""
    folder = Path(directory)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def fill(number: int = 0, **options: Any) -> Callable[[str], None]:
    """What ``publish`` calls to have a version written; see ``write_model``."""
    return lambda directory: write_model(directory, number, **options)


def number_in(version: str | os.PathLike[str]) -> int:
    """The number that its variables tell, every byte of which is as it was written."""
    return int(tb.load(os.path.join(version, "variables", "variables"))["w"][0])


def published(base: Path, *numbers: int) -> None:
    """Publishes these versions, each of which tells its number."""
    for number in numbers:
        serving.publish(base, fill(number), version=number)


def texts(report: serving.CheckReport) -> list[tuple[str, str, str]]:
    """Severity, path and text of each finding."""
    return [(finding.severity, finding.path, finding.text) for finding in report.findings]


def asset_named(name: str) -> Callable[[Any], None]:
    return lambda made: setattr(made.asset_file_def[0], "filename", name)


def set_input(**fields: Any) -> Callable[[Any], None]:
    """Another first input of the signature; without fields it names nothing."""

    def change(made: Any) -> None:
        info = made.signature_def["serving_default"].inputs["x"]
        info.Clear()
        if "name" in fields:
            info.name = fields["name"]
        if "sparse" in fields:
            sparse = info.coo_sparse
            sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name = fields["sparse"]
        for name in fields.get("composite", ()):
            info.composite_tensor.components.add(name=name)

    return change
