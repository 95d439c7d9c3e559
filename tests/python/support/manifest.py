"""Writing the manifests of the golden folders."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import bundle_reader, dtypes
from .hashing import as_array, tensor_hash
from .slices import format_slice

HASH_RULE = (
    "sha256 over the little-endian bytes in C order; for strings and variants over each element's length as 8 bytes "
    "little-endian and its bytes. Types narrower than a byte: one byte an element, unused bits zero. bool: 0 or 1."
)
NAME_RULE = "names, and values of strings and variants, are bytes written as Latin-1"
# Elements, and bytes of strings, up to which values are spelled out.
_MAX_VALUES, _MAX_TEXT = 8, 64


@dataclasses.dataclass(frozen=True)
class Golden:
    """One checkpoint for a manifest: a name -> (dtype, value) of everything it must hold.

    ``prefix`` and ``files`` are relative to the folder; without ``files`` they are those at the prefix.
    ``tensorflow`` says whether TensorFlow reads it.
    """

    id: str
    about: str
    tensors: Mapping[bytes, tuple[str, Any]]
    prefix: str = ""
    format: str = "V2"
    files: Sequence[str] = ()
    tensorflow: bool = True


def write_manifest(folder: Path, writer: str, checkpoints: Sequence[Golden]) -> None:
    """``MANIFEST.json`` for files that already lie in ``folder``: one tensor a line."""
    head = {"writer": writer, "hash_rule": HASH_RULE, "name_rule": NAME_RULE}
    lines = [f'"{key}": {json.dumps(value)},' for key, value in head.items()]
    described = ",\n".join(_checkpoint(folder, checkpoint) for checkpoint in checkpoints)
    text = "{\n" + "\n".join(lines) + '\n"checkpoints": {\n' + described + "\n}}\n"
    json.loads(text)
    (folder / "MANIFEST.json").write_text(text, encoding="ascii")


def _checkpoint(folder: Path, golden: Golden) -> str:
    prefix = golden.prefix or golden.id
    paths = [folder / file for file in golden.files] or _files(folder / prefix)
    facts: dict[str, Any] = {"about": golden.about, "format": golden.format, "prefix": prefix}
    facts["tensorflow"] = golden.tensorflow
    entries = {}
    if golden.format == "V2":
        index = Path(f"{folder / prefix}.index").read_bytes()
        header = bundle_reader.index_header(index)
        facts |= {"endianness": ("little", "big")[header["endianness"]], "num_shards": header["num_shards"]}
        entries = bundle_reader.index_entries(index)
        stored = {key for key in entries if not key.startswith(b"\0")}
        if stored != golden.tensors.keys():
            raise ValueError(f"{golden.id}: {stored ^ golden.tensors.keys()} are stored or expected, not both")
    else:
        facts |= {"endianness": "little", "num_shards": len(paths)}
    facts["files"] = {path.relative_to(folder).as_posix(): _file(path) for path in paths}
    tensors = [_tensor(name, *golden.tensors[name], entries.get(name)) for name in sorted(golden.tensors)]
    head = json.dumps(facts, indent=1)[:-2]
    return f'{json.dumps(golden.id)}: {head},\n "tensors": [\n' + ",\n".join(map(_compact, tensors)) + "\n]}"


def _tensor(name: bytes, dtype: str, value: Any, entry: Any) -> dict[str, Any]:
    array = as_array(value)
    facts = {"name": name.decode("latin-1"), "dtype": dtype, "shape": list(array.shape), "sha256": tensor_hash(array)}
    if entry is not None:
        if dtypes.BY_NUMBER[entry.dtype].name != dtype or tuple(entry.shape) != array.shape:
            raise ValueError(f"{name!r} is stored as {entry}")
        if entry.slices:
            facts["slices"] = [format_slice(piece) for piece in entry.slices]
        else:
            facts |= {"extent": [entry.shard, entry.offset, entry.size], "checksum": f"{entry.crc:08x}"}
    values = _values(array)
    return facts if values is None else {**facts, "values": values}


def _values(array: np.ndarray) -> list[Any] | None:
    elements = array.ravel().tolist()
    if len(elements) > _MAX_VALUES:
        return None
    if array.dtype.kind == "O":
        short = sum(map(len, elements)) <= _MAX_TEXT
        return [element.decode("latin-1") for element in elements] if short else None
    if dtypes.of_array(array).name in ("int2", "int4", "uint2", "uint4"):
        return list(map(int, elements))
    return [_number(element) for element in elements]


def _number(element: Any) -> Any:
    if isinstance(element, complex):
        return [_number(element.real), _number(element.imag)]
    if isinstance(element, (bool, int)):
        return element
    # The small floats and integers of ml_dtypes come out of NumPy as their own scalars.
    number = float(element)
    if not np.isfinite(number):
        return repr(number)
    return number


def _files(prefix: Path) -> list[Path]:
    return sorted(
        path
        for path in prefix.parent.iterdir()
        if path.name.startswith((f"{prefix.name}.index", f"{prefix.name}.data-"))
    )


def _compact(facts: dict[str, Any]) -> str:
    return json.dumps(facts, separators=(",", ":"))


def _file(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
