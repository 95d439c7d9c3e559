"""Checkpoints made of checkpoints whose data files stay as they are: only the index changes, and the object graph."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tensorbundle import _core, dtypes, paths
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.conversion import damage
from tensorbundle.formats.checkpoint import CheckpointSource

if TYPE_CHECKING:
    from tensorbundle.conversion.plan import ConversionPlan
    from tensorbundle.conversion.targets import Target
    from tensorbundle.formats import Source
    from tensorbundle.progress import ProgressFunction


def why_not(plan: ConversionPlan, source: Source, target: Target, *, has_keys: bool) -> str | None:
    """Why the data files of the source can't be those of the target; None if they can."""
    if source.kind != "checkpoint" or target.kind != "checkpoint":
        return "both must be checkpoints"
    if paths.find(source.path).is_v1:
        return "the source is of the V1 format, which has no data files"
    if not has_keys:
        return "the tensors get names that are not their keys"
    if target.shards is not None or target.max_shard_bytes is not None:
        return "tensors would have to move to other files"
    if not all(tensor.keeps_bytes for tensor in plan.tensors):
        return "elements change"
    return None


def is_worthwhile(plan: ConversionPlan, source: Source, alignment: int) -> bool:
    """True if the data files hold nothing but what the target gets, as it would be written anew."""
    if plan.left_out or not isinstance(source, CheckpointSource):
        return False
    ordered = (tensor.source for tensor in plan.tensors if _has_byte_order(tensor.dtype))
    return _is_close(source.checkpoint, alignment) and all(source.raw(name) is not None for name in ordered)


def _is_close(checkpoint: Checkpoint, alignment: int) -> bool:
    """True if tensors are whole and aligned, and follow one another: what was dropped once may lie between them."""
    ends = [0] * checkpoint.num_shards
    for entry in sorted(checkpoint.entries(), key=lambda entry: (entry.shard or 0, entry.offset or 0)):
        if entry.shard is None or entry.offset is None:
            return False
        if entry.offset % alignment or entry.offset - ends[entry.shard] >= alignment:
            return False
        ends[entry.shard] = entry.offset + entry.nbytes
    try:
        sizes = [os.path.getsize(f"{checkpoint.path}.data-{n:05d}-of-{len(ends):05d}") for n in range(len(ends))]
    except FileNotFoundError:
        return False
    return all(size - end < alignment for size, end in zip(sizes, ends, strict=True))


def _has_byte_order(dtype: str) -> bool:
    return dtype not in ("string", "variant") and dtypes.numpy_dtype(dtype).itemsize > 1


def relink(
    plan: ConversionPlan, source: Source, path: str, *, link: bool, verify: bool, report: ProgressFunction | None
) -> None:
    """Makes the checkpoint of a plan, and verifies it.

    Args:
        plan: What becomes of the tensors.
        source: A checkpoint for which :func:`why_not` has no reason.
        path: The prefix to make it at.
        link: Make its data files further names of the old ones and not copies, where that can be.
        verify: Compare all checksums.
        report: What to tell how far it has come, or None.

    Raises:
        DataLossError: A tensor is damaged.
        ValueError: An object's value would get a name under which TensorFlow doesn't find it.
        OSError: The system refuses.
    """
    names = {tensor.source: tensor.name for tensor in plan.tensors}
    _core.edit(source.path, path, lambda keys: [names.get(key) for key in keys], link, False)
    if verify:
        _verify(source, path, plan, report)


def _verify(source: Source, path: str, plan: ConversionPlan, report: ProgressFunction | None) -> None:
    sources = {tensor.name: tensor.source for tensor in plan.tensors}
    with Checkpoint(path) as made:
        for each in made.verify(progress=report).damaged:
            source.read(sources[each.name])  # Which raises, if it is damaged there.
            raise damage.of_target(os.path.dirname(path), each.offset or 0, made.entry(each.name).nbytes)
