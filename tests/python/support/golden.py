"""The golden checkpoints in ``tests/golden`` and what each must mean, from their manifests.

``2.21.0`` was written by TensorFlow of that version. ``handmade`` holds what TensorFlow reads but does not write.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from . import paths


@dataclasses.dataclass(frozen=True)
class GoldenTensor:
    """One tensor.

    Attributes:
        dtype: As ``tf.DType.name`` spells it.
        sha256: By the rule in ``hashing``.
        extent: (shard, offset, size) in the data files; None for a partitioned tensor.
        checksum: The masked checksum as stored; None for a partitioned tensor.
        slices: For a partitioned tensor the stored pieces as ``"0,2:-"``, in the order of its entry.
        values: The elements of a small tensor in C order: numbers, bools, bytes, or (real, imaginary) pairs; None for
            others. Not-a-numbers are there without their payload.
    """

    name: bytes
    dtype: str
    shape: tuple[int, ...]
    sha256: str
    extent: tuple[int, int, int] | None
    checksum: int | None
    slices: tuple[str, ...]
    values: tuple[Any, ...] | None


@dataclasses.dataclass(frozen=True)
class GoldenCheckpoint:
    """One checkpoint.

    ``prefix`` is the path to open (of V1 also a glob), ``files`` the sha256 of each file by its name relative to
    ``folder``, ``tensorflow`` whether TensorFlow reads it.
    """

    id: str
    about: str
    prefix: Path
    format: str
    endianness: str
    num_shards: int
    tensorflow: bool
    folder: Path
    files: dict[str, str] = dataclasses.field(repr=False)
    tensors: dict[bytes, GoldenTensor] = dataclasses.field(repr=False)


@functools.cache
def checkpoints(format: str = "V2") -> tuple[GoldenCheckpoint, ...]:
    """Every golden checkpoint of a format."""
    found = []
    for manifest in sorted(paths.GOLDEN.glob("*/MANIFEST.json")):
        described = json.loads(manifest.read_text(encoding="ascii"))["checkpoints"]
        found += [_checkpoint(manifest.parent, name, described[name]) for name in described]
    return tuple(each for each in found if each.format == format)


def checkpoint(id: str) -> GoldenCheckpoint:
    """The one called ``"2.21.0/dtypes"``."""
    return {each.id: each for format in ("V2", "V1") for each in checkpoints(format)}[id]


def _checkpoint(folder: Path, name: str, described: dict[str, Any]) -> GoldenCheckpoint:
    tensors = [_tensor(tensor) for tensor in described["tensors"]]
    return GoldenCheckpoint(
        id=f"{folder.name}/{name}",
        about=described["about"],
        prefix=folder / described["prefix"],
        format=described["format"],
        endianness=described["endianness"],
        num_shards=described["num_shards"],
        tensorflow=described["tensorflow"],
        folder=folder,
        files={file: facts["sha256"] for file, facts in described["files"].items()},
        tensors={tensor.name: tensor for tensor in tensors},
    )


def _tensor(described: dict[str, Any]) -> GoldenTensor:
    extent, checksum, values = (described.get(key) for key in ("extent", "checksum", "values"))
    if values is not None:
        values = tuple(_value(value, described["dtype"]) for value in values)
    return GoldenTensor(
        name=described["name"].encode("latin-1"),
        dtype=described["dtype"],
        shape=tuple(described["shape"]),
        sha256=described["sha256"],
        extent=extent and tuple(extent),
        checksum=checksum and int(checksum, 16),
        slices=tuple(described.get("slices", ())),
        values=values,
    )


def _value(value: Any, dtype: str) -> Any:
    if dtype in ("string", "variant"):
        return value.encode("latin-1")
    if isinstance(value, list):
        return tuple(map(float, value))
    # Infinities and not-a-numbers are text, since JSON has no word for them.
    return float(value) if isinstance(value, str) else value
