"""The mean of several checkpoints, tensor by tensor."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import files, rounding, selection
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.formats.checkpoint import check_shards
from tensorbundle.inspection import copying, index_facts, pieces
from tensorbundle.inspection.object_graphs import GRAPH_KEY, without
from tensorbundle.inspection.value_comparison import Tolerance, compare
from tensorbundle.progress import reporting
from tensorbundle.writer import CheckpointWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from tensorbundle import _core
    from tensorbundle.progress import ProgressFunction
    from tensorbundle.selection import Patterns

# Sums are of a type with digits to spare, so that the mean is rounded once, when it becomes the tensor's type.
_SUM_TYPES: dict[str, Any] = {"float64": np.longdouble, "complex128": np.longdouble}
_EXACT = Tolerance(0.0, 0.0)
# Elements: their sums, and what is computed of them, stay in a cache.
_BLOCK_SIZE = 32 << 10


@dataclasses.dataclass(frozen=True, repr=False)
class AverageReport:
    """The outcome of :func:`tensorbundle.average`.

    Attributes:
        path: Prefix of the new checkpoint.
        averaged: Names of the tensors that are means.
        copied: Names of the others, which have no mean: integers, bools, strings.
        differing: Those of ``copied`` that are not the same in all checkpoints; they are the last one's.
    """

    path: str
    averaged: tuple[str, ...]
    copied: tuple[str, ...]
    differing: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<AverageReport: {self}>"

    def __str__(self) -> str:
        text = f"{len(self.averaged)} tensors averaged, {len(self.copied)} copied"
        return f"{text}; of the last checkpoint: {files.listed(self.differing)}" if self.differing else text


def average(
    paths: Iterable[str | os.PathLike[str]],
    dst: str | os.PathLike[str],
    *,
    weights: Iterable[float] | None = None,
    include: Patterns | None = None,
    exclude: Patterns | None = None,
    shards: int = 1,
    durable: bool = True,
    threads: int | None = None,
    progress: bool | ProgressFunction | None = None,
) -> AverageReport:
    """Makes a checkpoint of the means of several, in bounded memory.

    Floating-point and complex tensors are averaged: sums have double precision or, of tensors that have it themselves,
    the machine's widest type, and the mean is rounded once, to the tensor's type. Integers, bools and strings (a step,
    a count of saves, the object graph) have no mean: they are the last checkpoint's, and the report names those that
    are not the same in all.

    Args:
        paths: The checkpoints, in any form that :func:`open` takes.
        dst: What the new one is named by; none of ``paths``.
        weights: One for each checkpoint, from 0 on, of which only the proportions matter; None: all count alike. One
            with weight 0 counts for nothing, even if it has NaN.
        include: Regular expression, or several: keep the names in which one of them is found (``re.search``).
        exclude: The same for names to leave out. Objects lose the values of tensors that are left out.
        shards: Number of data files.
        durable: As for :func:`save`.
        threads: As for :func:`save`.
        progress: True for a bar on a terminal, or a function ``(done_bytes, total_bytes, name)``.

    Returns:
        An :class:`AverageReport`.

    Raises:
        TypeError: ``paths`` is a single path.
        ValueError: No checkpoint, or no tensor; names, dtypes or shapes that differ, which the message lists; wrong
            weights; ``dst`` is one of the checkpoints. Nothing has been written then.
        FileNotFoundError: A checkpoint or a data file is missing, or a shard of the V1 format.
        DataLossError: A tensor is damaged. Nothing is left behind.

    Example:
        >>> tb.average([f"run/ckpt-{step}" for step in (80, 90, 100)], "run/averaged", exclude="/.OPTIMIZER_SLOT/")
    """
    sources = _listed(paths)
    proportions = _proportions(weights, len(sources))
    destination = os.fsdecode(dst)
    with contextlib.ExitStack() as stack:
        checkpoints = [stack.enter_context(Checkpoint(path)) for path in sources]
        for checkpoint in checkpoints:
            check_shards(checkpoint)
            if copying.is_same_checkpoint(checkpoint.path, destination):
                raise ValueError(f"{destination!r} is one of the checkpoints to average: name another")
        report = stack.enter_context(reporting(progress, "Averaging"))
        mean = _Average(checkpoints, proportions, include, exclude, report)
        with CheckpointWriter(destination, shards=shards, durable=durable, threads=threads) as writer:
            mean.write(writer)
        return mean.outcome(destination)


def _listed(paths: Iterable[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"paths must be an iterable of paths, not a single one: give [{paths!r}]")
    sources = list(paths)
    if not sources:
        raise ValueError("there is no checkpoint to average")
    return sources


def _proportions(weights: Iterable[float] | None, count: int) -> list[float]:
    """Weights of which the largest is 1: equal ones are 1 exactly, and sums of equal numbers then exact."""
    given = [1.0] * count if weights is None else list(map(float, weights))
    if len(given) != count:
        raise ValueError(f"{count} checkpoints need as many weights, not {len(given)}")
    if not all(0 <= weight < math.inf for weight in given) or max(given) == 0:
        raise ValueError(f"weights are numbers from 0 on, not all 0: {given}")
    return [weight / max(given) for weight in given]


class _Average:
    """Checkpoints with the same tensors, of which the last says what else there is."""

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint],
        proportions: Sequence[float],
        include: Patterns | None,
        exclude: Patterns | None,
        report: ProgressFunction | None,
    ) -> None:
        self._last = checkpoints[-1]
        self._others = checkpoints[:-1]
        self._weighted = [pair for pair in zip(checkpoints, proportions, strict=True) if pair[1]]
        self._total = math.fsum(proportions)
        self._report = report
        self._entries = _selected(self._last, include, exclude)
        if not self._entries:
            raise ValueError("there is no tensor to average")
        for other in self._others:
            _check_alike(other, _selected(other, include, exclude), self._last, self._entries)
        self._nbytes = sum(entry.nbytes for entry in self._entries)
        self._done = 0
        self._differing: set[str] = set()

    def write(self, writer: CheckpointWriter) -> None:
        """Writes the means, and what has none."""
        copying.write(writer, copying.in_file_order(self._entries), self._read, self._chunks, self._tell)
        if GRAPH_KEY in self._last:
            writer.add(GRAPH_KEY, self._graph())

    def outcome(self, path: str) -> AverageReport:
        """The report, once all is written."""
        averaged = tuple(entry.name for entry in self._entries if _has_mean(entry))
        copied = tuple(entry.name for entry in self._entries if not _has_mean(entry))
        return AverageReport(path, averaged, copied, tuple(name for name in copied if name in self._differing))

    def _graph(self) -> NDArray[Any]:
        kept = {entry.name for entry in self._entries}
        dropped = {name for name in self._last if name not in kept and name != GRAPH_KEY}
        return without(self._last, dropped) if dropped else self._last.read(GRAPH_KEY, verify=True)

    def _read(self, entry: _core.Entry) -> NDArray[Any]:
        if _has_mean(entry):
            arrays = [checkpoint.read(entry.name, verify=True) for checkpoint, _ in self._weighted]
            return self._mean(entry, arrays)
        self._compare(entry)
        return self._last.read(entry.name, verify=True)

    def _chunks(self, entry: _core.Entry) -> Iterator[NDArray[Any]]:
        if _has_mean(entry):
            runs = (pieces.runs(checkpoint, entry) for checkpoint, _ in self._weighted)
            return (self._mean(entry, arrays) for arrays in pieces.side_by_side(runs))
        self._compare(entry)
        return pieces.runs(self._last, entry)

    def _mean(self, entry: _core.Entry, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        mean = np.empty(arrays[0].shape, entry.dtype)
        flat, *sources = map(_parts, (mean, *arrays))
        sum_type = _SUM_TYPES.get(entry.tf_dtype, np.float64)
        for begin in range(0, flat.size, _BLOCK_SIZE):
            block = slice(begin, begin + _BLOCK_SIZE)
            flat[block] = self._mean_of_block([source[block] for source in sources], sum_type, flat.dtype)
        return mean

    def _mean_of_block(self, arrays: Sequence[NDArray[Any]], sum_type: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        with np.errstate(all="ignore"):  # Infinities and NaN are what they are.
            weights = (weight for _, weight in self._weighted)
            terms = (_term(array, weight, sum_type) for array, weight in zip(arrays, weights, strict=True))
            sums = next(terms)  # Rather than zeros: with 0.0 added, -0.0 would lose its sign.
            for term in terms:
                sums += term
            return rounded(np.divide(sums, self._total, out=sums), dtype)

    def _compare(self, entry: _core.Entry) -> None:
        """Notes a tensor that is not the same in all checkpoints."""
        if not all(self._same(entry, other) for other in self._others):
            self._differing.add(entry.name)

    def _same(self, entry: _core.Entry, other: Checkpoint) -> bool:
        checksum = other.entry(entry.name).crc32c
        if None not in (checksum, entry.crc32c):
            return checksum == entry.crc32c
        of_other, of_last = (pieces.runs(checkpoint, entry) for checkpoint in (other, self._last))
        return compare(of_other, of_last, _EXACT).count == 0

    def _tell(self, nbytes: int, name: str) -> None:
        self._done += nbytes
        if self._report is not None:
            self._report(self._done, self._nbytes, name)


def _has_mean(entry: _core.Entry) -> bool:
    return entry.tf_dtype.startswith(("float", "bfloat", "complex"))


def _term(array: NDArray[Any], weight: float, sum_type: Any) -> NDArray[Any]:
    wide = array.astype(sum_type)
    return wide if weight == 1 else np.multiply(wide, weight, out=wide)


def _parts(array: NDArray[Any]) -> NDArray[Any]:
    """The elements in a row; of complex ones both parts, whose means are apart: inf times a complex 1 has a NaN."""
    flat = array.reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def _selected(checkpoint: Checkpoint, include: Patterns | None, exclude: Patterns | None) -> list[_core.Entry]:
    """Entries but for the object graph's; an error for one that can't be understood."""
    names = selection.matching(list(checkpoint), include, exclude)
    kept = {name for name in names if name != GRAPH_KEY}
    entries = [entry for entry in checkpoint.entries() if entry.name in kept]
    if len(entries) < len(kept):
        listed = {entry.name for entry in entries}
        checkpoint.entry(next(name for name in names if name in kept - listed))  # Which raises.
    return entries


def _check_alike(a: Checkpoint, of_a: Sequence[_core.Entry], b: Checkpoint, of_b: Sequence[_core.Entry]) -> None:
    """An error that lists what two checkpoints don't have in common, if there is anything."""
    pairs = index_facts.paired(of_a, of_b)
    retyped = [_retyping(pairs.of_a[position], pairs.of_b[position]) for position in index_facts.retyped(pairs)]
    found = [
        f"only the first has {files.listed(pairs.only_a)}" if pairs.only_a else "",
        f"only the second has {files.listed(pairs.only_b)}" if pairs.only_b else "",
        f"other types or shapes: {'; '.join(retyped[:5])}" if retyped else "",
    ]
    if any(found):
        text = "; ".join(each for each in found if each)
        raise ValueError(f"{a.path!r} and {b.path!r} don't have the same tensors: {text}")


def _retyping(a: _core.Entry, b: _core.Entry) -> str:
    return f"{a.name!r} is {a.tf_dtype} {list(a.shape)} and {b.tf_dtype} {list(b.shape)}"


def rounded(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values in another type, each rounded once.

    NumPy does so to its own types. Those of ``ml_dtypes`` are made by way of float32, in which a value would be rounded
    before; rounded to odd there, that doesn't count.
    """
    with np.errstate(all="ignore"):  # What is too large becomes infinite, or NaN where a type has no infinities.
        if dtype.kind in "fc" and dtype.isbuiltin == 1:
            return values.astype(dtype)
        return rounding.to_odd(values).astype(dtype)


AverageReport.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
