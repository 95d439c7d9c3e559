"""Checkpoints made of checkpoints whose data files stay as they are: only the index changes, and the object graph."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tensorbundle import _core, dtypes, paths
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.conversion import damage

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
    return not plan.left_out and all(
        raw is not None and raw.offset % alignment == 0
        for raw in (source.raw(tensor.source) for tensor in plan.tensors if _lies_plainly(tensor.dtype))
    )


def _lies_plainly(dtype: str) -> bool:
    return dtypes.kind(dtype) in ("float", "complex") or dtype in ("int16", "int32", "int64")


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
