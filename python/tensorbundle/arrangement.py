"""Whether the data files of a checkpoint bear each other's names: tried, with links in a temporary directory."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import warnings
from typing import TYPE_CHECKING

from tensorbundle import errors
from tensorbundle.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tensorbundle import _core

# Each trial opens the checkpoint once, and there are as many as there are files in question.
_MAX_FILES = 16
# Tensors of each file that are read in a trial: the smallest.
_MAX_SAMPLES = 8


def data_path(checkpoint: Checkpoint, shard: int) -> str:
    """The data file of that number."""
    return _data_name(checkpoint.path, shard, checkpoint.num_shards)


def _data_name(prefix: str, shard: int, num_shards: int) -> str:
    return f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"


def largest_piece(entry: _core.Entry) -> int:
    """Bytes of the largest run of bytes that a tensor is stored as."""
    if not entry.slices:
        return entry.nbytes
    elements: int = max(math.prod(part.stop - part.start for part in piece) for piece in entry.slices)
    return elements * entry.nbytes // max(math.prod(entry.shape), 1)


def find(checkpoint: Checkpoint, damaged: Mapping[int, Sequence[str]]) -> dict[int, tuple[int, int]]:
    """Which files hold each other's tensors.

    Args:
        checkpoint: The checkpoint, of the V2 format.
        damaged: Names of damaged tensors by the numbers of the files that they should be in.

    Returns:
        By these numbers: the number of the file in which all samples, and at least nine in ten of all, are sound, and
        how many are; empty if there is none, or if there can be no temporary directory.
    """
    shards = sorted(damaged)[:_MAX_FILES]
    found: dict[int, tuple[int, int]] = {}
    with contextlib.suppress(OSError):
        samples = {shard: _smallest(checkpoint, damaged[shard]) for shard in shards}
        for shift in range(1, len(shards)):
            places = {shard: shards[(number + shift) % len(shards)] for number, shard in enumerate(shards)}
            sound = _sound(checkpoint, places, (name for each in samples.values() for name in each))
            fitting = {shard: places[shard] for shard in shards if samples[shard] and sound.issuperset(samples[shard])}
            found.update(_confirmed(checkpoint, fitting, damaged))
    return found


def _smallest(checkpoint: Checkpoint, names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: checkpoint.entry(name).nbytes)[:_MAX_SAMPLES]


def _confirmed(
    checkpoint: Checkpoint, places: Mapping[int, int], damaged: Mapping[int, Sequence[str]]
) -> dict[int, tuple[int, int]]:
    if not places:
        return {}
    sound = _sound(checkpoint, places, (name for shard in places for name in damaged[shard]))
    counts = {shard: len(sound.intersection(damaged[shard])) for shard in places}
    return {shard: (places[shard], count) for shard, count in counts.items() if count >= 0.9 * len(damaged[shard])}


def _sound(checkpoint: Checkpoint, places: Mapping[int, int], names: Iterable[str]) -> set[str]:
    """Those of the tensors that are sound where data files have the names of others."""
    by_key = {checkpoint.key(name): name for name in names}
    with tempfile.TemporaryDirectory(prefix="tensorbundle-") as folder:
        prefix = os.path.join(folder, "trial")
        os.symlink(f"{checkpoint.path}.index", f"{prefix}.index")
        for shard, other in places.items():
            os.symlink(data_path(checkpoint, other), _data_name(prefix, shard, checkpoint.num_shards))
        report = _opened(prefix).verify(by_key)
    unsound = {damage.name for damage in report.damaged}
    return {name for key, name in by_key.items() if key not in unsound}


def _opened(prefix: str) -> Checkpoint:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.DamageWarning)
        return Checkpoint(prefix)
