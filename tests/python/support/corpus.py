"""The open corpus: checkpoints that other projects published, with what TensorFlow reads from them.

It does not lie in the repository (``paths.corpus_directory``). Where it is absent the lists below are empty and the
tests over them are skipped.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from . import paths


@dataclasses.dataclass(frozen=True)
class ExpectedTensor:
    """What TensorFlow reads; with ``error`` it reads nothing and ``sha256`` is None.

    ``num_bytes`` is the size of the array, and of all its elements together for strings.
    """

    dtype: str
    shape: tuple[int, ...]
    sha256: str | None
    num_bytes: int | None
    error: str | None


@dataclasses.dataclass(frozen=True)
class CorpusCheckpoint:
    """One checkpoint: ``prefix`` is the path to open (of V1 also a glob), ``layout`` what the manifest says of it."""

    id: str
    prefix: Path
    format: str
    layout: dict[str, Any]
    tensors: dict[str, ExpectedTensor] = dataclasses.field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether TensorFlow reads every tensor."""
        return all(tensor.error is None for tensor in self.tensors.values())


@dataclasses.dataclass(frozen=True)
class CorpusSample:
    """One folder of the corpus with its part of the manifest."""

    name: str
    directory: Path
    manifest: dict[str, Any] = dataclasses.field(repr=False)

    def checkpoints(self) -> list[CorpusCheckpoint]:
        return [_checkpoint(self, described) for described in self.manifest["checkpoints"]]


@functools.cache
def samples() -> tuple[CorpusSample, ...]:
    """Every sample, sorted by name."""
    directory = paths.corpus_directory()
    if directory is None:
        return ()
    manifest = json.loads((directory / "MANIFEST.json").read_text(encoding="utf-8"))["samples"]
    return tuple(CorpusSample(name, directory / name, manifest[name]) for name in sorted(manifest))


@functools.cache
def checkpoints(format: str = "V2") -> tuple[CorpusCheckpoint, ...]:
    """Every checkpoint of a format, ``"V2"`` or ``"V1"``."""
    return tuple(each for sample in samples() for each in sample.checkpoints() if each.format == format)


def _checkpoint(sample: CorpusSample, described: dict[str, Any]) -> CorpusCheckpoint:
    tensors = {name: _tensor(tensor) for name, tensor in described["tensors"].items()}
    prefix = described["prefix"]
    place = sample.directory / prefix
    return CorpusCheckpoint(f"{sample.name}/{prefix}", place, described["format"], described["layout"], tensors)


def _tensor(described: dict[str, Any]) -> ExpectedTensor:
    num_bytes = described.get("nbytes", described.get("elements_bytes"))
    error = described.get("error")
    return ExpectedTensor(described["dtype"], tuple(described["shape"]), described.get("sha256"), num_bytes, error)
