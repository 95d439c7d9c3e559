"""Tensors over several safetensors files, and the index file that says which is where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tensorbundle import errors
from tensorbundle.formats.safetensors import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tensorbundle.formats.source import TensorSpec

#: What the name of an index file ends with.
INDEX_SUFFIX = ".safetensors.index.json"


def split(specs: Iterable[TensorSpec], max_bytes: int) -> list[list[TensorSpec]]:
    """Distributes tensors over files as the tools of Hugging Face do: in the order given, as many as fit.

    Args:
        specs: The tensors.
        max_bytes: What the tensors of a file may take. A tensor that is larger gets a file of its own.

    Returns:
        The tensors of each file; no file is empty.
    """
    files: list[list[TensorSpec]] = []
    current: list[TensorSpec] = []
    taken = 0
    for spec in specs:
        if spec.nbytes > max_bytes:
            files.append([spec])
            continue
        if taken + spec.nbytes > max_bytes:
            files.append(current)
            current, taken = [], 0
        current.append(spec)
        taken += spec.nbytes
    return [*files, current] if current else files


def shard_names(stem: str, count: int) -> list[str]:
    """The names of so many files: ``model-00001-of-00003.safetensors`` and so on, or ``model.safetensors`` alone."""
    if count == 1:
        return [f"{stem}.safetensors"]
    return [f"{stem}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def index_json(weight_map: Mapping[str, str], total_size: int) -> bytes:
    """The content of an index file, as ``transformers`` writes it.

    Args:
        weight_map: For each tensor the name of its file.
        total_size: What all tensors take, in bytes.
    """
    content = {"metadata": {"total_size": total_size}, "weight_map": dict(weight_map)}
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode("utf-8")


def parse_index(text: bytes, path: str) -> dict[str, str]:
    """For each tensor the name of its file. Whether a name may be opened is for those to say who open it.

    Args:
        text: The content of the index file.
        path: For messages.

    Raises:
        DataLossError: It is no such index.
    """
    try:
        content = jsontext.parse(text)
    except ValueError as error:
        raise _damage(path, f"it is no JSON: {error}") from error
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict):
        found = "none" if weight_map is None else type(weight_map).__name__
        raise _damage(path, f"expected an object as 'weight_map', found {found}")
    for name, file in weight_map.items():
        if not (jsontext.is_text(name) and jsontext.is_text(file)):
            raise _damage(path, f"expected the name of a file for tensor {name!r}, found {file!r}")
    return weight_map


def _damage(path: str, message: str) -> errors.DataLossError:
    return errors.DataLossError(f"{path!r} is damaged or no index of safetensors files: {message}", path=path)
