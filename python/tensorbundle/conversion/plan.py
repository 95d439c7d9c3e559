"""What a conversion will do, tensor by tensor: made from the source's list of tensors, without reading any."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import TYPE_CHECKING

from tensorbundle import dtypes, selection
from tensorbundle.conversion import sharding
from tensorbundle.renaming import GRAPH_KEY, RenameRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensorbundle.conversion.rules import CastRules, TransposeRules
    from tensorbundle.conversion.targets import Kind, Target
    from tensorbundle.formats import TensorSpec
    from tensorbundle.selection import Patterns

# What a message lists.
_MAX_LISTED = 20


@dataclasses.dataclass(frozen=True)
class PlannedTensor:
    """What becomes of one tensor.

    Attributes:
        source: Its name in the source.
        name: Its new name.
        source_dtype, dtype: Its element type, before and after; TensorFlow's names.
        source_shape, shape: Its shape, before and after.
        axes: Where it is transposed: which of its axes comes first, second and so on; else None.
        nbytes: What its elements will take.
        file: Number of the file that it goes to, from 0.
    """

    source: str
    name: str
    source_dtype: str
    dtype: str
    source_shape: tuple[int, ...]
    shape: tuple[int, ...]
    axes: tuple[int, ...] | None
    nbytes: int
    file: int = 0

    @property
    def keeps_bytes(self) -> bool:
        """True if its elements stay as they are."""
        return self.source_dtype == self.dtype and self.axes is None

    def cells(self) -> tuple[str, str, str]:
        """Its name, element type and shape, before and after where they differ: for a table."""
        return (
            _change(self.source, self.name),
            _change(self.source_dtype, self.dtype),
            _change(str(list(self.source_shape)), str(list(self.shape))),
        )


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A tensor of the source that the target doesn't get, and why."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class ConversionPlan:
    """What a conversion does: ``print`` it for a table.

    Attributes:
        source: Path of the source.
        destination: Path of the target: a prefix, a file, or the index of several.
        to: The target's kind.
        num_files: How many files of tensors it gets.
        tensors: What becomes of each tensor, in the source's order.
        left_out: The tensors that the target doesn't get.
        notes: What else there is to know, such as metadata that the target has no place for.
    """

    source: str
    destination: str
    to: Kind
    num_files: int
    tensors: tuple[PlannedTensor, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """What the elements of all tensors will take."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def __str__(self) -> str:
        rows = [(*tensor.cells(), str(tensor.file)) for tensor in self.tensors]
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines += [f"left out: {left.name}: {left.reason}" for left in self.left_out]
        lines += [f"note: {note}" for note in self.notes]
        files = f"{self.num_files} files" if self.num_files > 1 else "1 file"
        totals = f"{len(self.tensors)} tensors, {self.nbytes} bytes, {self.to}, {files}: {self.destination}"
        return "\n".join([*lines, totals])


ConversionPlan.__module__ = "tensorbundle"  # Where users find it.


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which tensors a conversion takes, and what it makes of them; arguments of :func:`tensorbundle.convert`."""

    include: Patterns | None
    exclude: Patterns | None
    rename: RenameRules
    cast: CastRules
    transpose: TransposeRules
    skip_unsupported: bool


def make_plan(
    specs: Sequence[TensorSpec],
    source: str,
    target: Target,
    choice: Choice,
    metadata: Mapping[str, str],
    *,
    has_keys: bool,
) -> ConversionPlan:
    """Decides what becomes of each tensor.

    Args:
        specs: The tensors of the source.
        source: Its path.
        target: Where they go.
        choice: Which, and what becomes of them.
        metadata: What the source says besides.
        has_keys: The names are the keys that an object graph, if there is one, has for them.

    Raises:
        ValueError: A rule that applies to nothing, names that collide or that the target can't have, element types that
            it can't hold, a cast that can't be; no tensor is left. Names all tensors that it is about.
    """
    chosen, left_out = _chosen(specs, choice)
    chosen, unused = _without_graph(chosen, target, has_keys=has_keys)
    planned = _transformed(chosen, choice)
    held = [tensor for tensor in planned if target.can_hold(tensor.dtype)]
    unsupported = [tensor for tensor in planned if not target.can_hold(tensor.dtype)]
    if unsupported and not choice.skip_unsupported:
        raise ValueError(_unsupported(unsupported, target))
    left_out += unused + [LeftOut(t.source, f"{t.dtype}, which {target.kind} can't hold") for t in unsupported]
    if not held:
        raise ValueError(f"no tensor is left of the {len(specs)} in {source!r}")
    _check_names(held, target)
    placed, notes = _placed(held, target)
    if metadata and target.kind != "safetensors":
        notes.append(f"{target.kind} has no place for the source's metadata: {_listed(sorted(metadata))}")
    count = 1 + max(tensor.file for tensor in placed)
    return ConversionPlan(source, target.path, target.kind, count, tuple(placed), tuple(left_out), tuple(notes))


def _chosen(specs: Sequence[TensorSpec], choice: Choice) -> tuple[list[TensorSpec], list[LeftOut]]:
    names = [spec.name for spec in specs]
    wanted = set(selection.matching(names, choice.include, choice.exclude))
    if choice.include is not None:  # An object graph goes with its tensors, unless it is excluded.
        wanted.update(selection.matching([name for name in names if name == GRAPH_KEY], None, choice.exclude))
    chosen = [spec for spec in specs if spec.name in wanted]
    return chosen, [LeftOut(name, "not chosen") for name in names if name not in wanted]


def _without_graph(
    specs: list[TensorSpec], target: Target, *, has_keys: bool
) -> tuple[list[TensorSpec], list[LeftOut]]:
    if target.kind == "checkpoint" and has_keys:
        return specs, []
    reason = (
        "the object graph names keys, not these names"
        if target.kind == "checkpoint"
        else "the object graph, no weights"
    )
    kept = [spec for spec in specs if spec.name != GRAPH_KEY]
    return kept, [LeftOut(GRAPH_KEY, reason)] if len(kept) < len(specs) else []


def _transformed(specs: list[TensorSpec], choice: Choice) -> list[PlannedTensor]:
    """The tensors as they will be, the object graph as it is."""
    changing = [spec for spec in specs if spec.name != GRAPH_KEY]
    names = choice.rename.apply([spec.name for spec in changing])
    types = choice.cast.apply(changing)
    orders = choice.transpose.apply(changing)
    changed = dict(zip((spec.name for spec in changing), zip(names, types, orders, strict=True), strict=True))
    return [_planned(spec, *changed.get(spec.name, (spec.name, spec.dtype, None))) for spec in specs]


def _planned(spec: TensorSpec, name: str, dtype: str, axes: tuple[int, ...] | None) -> PlannedTensor:
    shape = spec.shape if axes is None else tuple(spec.shape[axis] for axis in axes)
    if spec.dtype == dtype:
        nbytes = spec.nbytes
    else:
        nbytes = math.prod(shape) * dtypes.numpy_dtype(dtype).itemsize
    return PlannedTensor(spec.name, name, spec.dtype, dtype, spec.shape, shape, axes, nbytes)


def _unsupported(tensors: list[PlannedTensor], target: Target) -> str:
    listed = _listed([f"{tensor.source!r} ({tensor.dtype})" for tensor in tensors])
    return (
        f"{target.kind} can't hold {len(tensors)} of the tensors: {listed}; leave them out with exclude, or with "
        "skip_unsupported all that it can't hold"
    )


def _check_names(tensors: list[PlannedTensor], target: Target) -> None:
    sources: dict[str, str] = {}
    for tensor in tensors:
        if tensor.name in sources:
            raise ValueError(f"{sources[tensor.name]!r} and {tensor.source!r} would both be called {tensor.name!r}")
        sources[tensor.name] = tensor.source
    wrong = [tensor for tensor in tensors if not _is_name(tensor.name, target.kind)]
    if target.kind == "npz":  # NumPy takes the name of a member, a.npy, for a second one of its array.
        wrong += [tensor for tensor in tensors if tensor.name.endswith(".npy") and tensor.name[:-4] in sources]
    if wrong:
        listed = _listed([f"{tensor.name!r} (of {tensor.source!r})" for tensor in wrong])
        raise ValueError(f"{target.kind} can't hold tensors of these names: {listed}; rename them")


def _is_name(name: str, kind: Kind) -> bool:
    if not name or name.startswith("\0"):
        return False
    if kind == "checkpoint":
        return True
    is_text = re.search("[\ud800-\udfff]", name) is None
    return is_text and name != "__metadata__" if kind == "safetensors" else is_text and "\0" not in name


def _placed(tensors: list[PlannedTensor], target: Target) -> tuple[list[PlannedTensor], list[str]]:
    """The tensors with their files, and what to say of it."""
    sizes = [tensor.nbytes for tensor in tensors]
    if target.max_shard_bytes is not None:
        limit = target.max_shard_bytes
        places = sharding.limited(sizes, limit)
        large = [repr(tensor.name) for tensor in tensors if tensor.nbytes > limit]
        notes = [f"larger than max_shard_bytes and alone in a file: {_listed(large)}"] if large else []
    else:
        places, notes = sharding.balanced(sizes, target.shards or 1), []
    numbered = zip(tensors, places, strict=True)  # Most are in the first, and of many tensors it takes long.
    return [dataclasses.replace(tensor, file=place) if place else tensor for tensor, place in numbered], notes


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _listed(items: list[str]) -> str:
    shown = ", ".join(items[:_MAX_LISTED])
    more = len(items) - _MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown
