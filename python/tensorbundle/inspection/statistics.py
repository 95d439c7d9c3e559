"""The numbers in tensors, summed up: extremes, mean, spread, and what is no number."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from tensorbundle import formats, selection
from tensorbundle.inspection import pieces
from tensorbundle.inspection.crew import Crew, batches
from tensorbundle.inspection.moments import Moments
from tensorbundle.progress import reporting

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from tensorbundle.formats import Source, TensorSpec
    from tensorbundle.inspection.crew import Tick
    from tensorbundle.progress import ProgressFunction
    from tensorbundle.selection import Patterns

_BATCH_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True)
class TensorStats:
    """The elements of one tensor, summed up.

    NaN and infinities are counted, and left out of everything else. Of complex numbers, ``min``, ``max``, ``mean`` and
    ``std`` are those of their magnitudes. A bool counts as 0 or 1. Figures that there are none of are None: of an
    empty tensor, of one without a finite element, of strings.

    Attributes:
        dtype: TensorFlow's name of the element type.
        shape: The tensor's shape.
        count: Number of elements.
        min, max: Least and greatest, exactly; of integers, int.
        mean: Mean.
        std: Standard deviation of the elements as they are (divided by their number, as NumPy does).
        norm: Square root of the sum of squares; 0.0 where there is nothing to add up.
        nan: Number of elements that are NaN, in either part if complex.
        posinf, neginf: Numbers of infinities; of complex numbers, all are ``posinf``.
        zeros: Number of elements equal to 0, False among bools.
        string_bytes: Of strings, their lengths together.
        shortest, longest: Of strings, the least and the greatest length.
    """

    dtype: str
    shape: tuple[int, ...]
    count: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    norm: float | None = None
    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    zeros: int = 0
    string_bytes: int | None = None
    shortest: int | None = None
    longest: int | None = None


def stats(
    path: str | os.PathLike[str],
    names: Iterable[str] | None = None,
    *,
    include: Patterns | None = None,
    exclude: Patterns | None = None,
    threads: int | None = None,
    progress: bool | ProgressFunction | None = None,
) -> dict[str, TensorStats]:
    """Least, greatest, mean, standard deviation, norm, and counts of zeros, NaN and infinities of each tensor.

    Tensors are read in small pieces, their checksums compared on the way. Sums are of double precision, also those of
    small floats, and lose no digits where a small spread lies about a large mean.

    Args:
        path: A checkpoint in any form that :func:`open` takes, a safetensors file or index, or an ``.npz`` file.
        names: Which tensors; None: all.
        include: Regular expression, or several: keep the names in which one of them is found (``re.search``).
        exclude: The same for names to leave out.
        threads: How many may work; None: as many as this process may run on. One works on a tensor.
        progress: True for a bar on a terminal, or a function ``(done_bytes, total_bytes, name)``.

    Returns:
        :class:`TensorStats` by name, in the order of the file, whatever the order of ``names``.

    Raises:
        NotFoundError: One of ``names`` isn't there.
        DataLossError: A tensor is damaged.
        OSError: A file is missing or can't be read.

    Example:
        >>> {name: found.nan for name, found in tb.stats("run/model.ckpt-100").items() if found.nan}
    """
    with formats.open_source(path, threads=1) as source:
        specs = select(source, names, include, exclude)
        found: dict[str, TensorStats] = {}
        with reporting(progress, "Summing up") as report:
            crew = Crew(threads, sum(spec.nbytes for spec in specs), report)
            for part in crew.run(_Work(source).run, batches(specs, lambda spec: spec.nbytes, _BATCH_BYTES)):
                found.update(part)
    return found


def select(
    source: Source, names: Iterable[str] | None, include: Patterns | None, exclude: Patterns | None
) -> list[TensorSpec]:
    """The tensors of a source that are meant, in its order."""
    from tensorbundle.formats.source import find

    specs = {spec.name: spec for spec in source.tensors()}
    wanted = list(specs) if names is None else selection.distinct_names(names)
    for name in wanted:
        find(specs, name, source.path)
    kept = set(selection.matching(wanted, include, exclude))
    return [spec for spec in specs.values() if spec.name in kept]


class _Work:
    """Sums up the tensors of one source."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def run(self, specs: list[TensorSpec], tick: Tick) -> dict[str, TensorStats]:
        """The figures of some tensors."""
        return {spec.name: self._one(spec, tick) for spec in specs}

    def _one(self, spec: TensorSpec, tick: Tick) -> TensorStats:
        if spec.dtype in ("string", "variant"):
            tick(spec.nbytes, spec.name)
            return _of_strings(spec, self._source.read(spec.name))
        moments = self._moments(spec, Moments(), tick)
        if moments.lost_digits:
            moments = self._moments(spec, moments.scaled_anew(), lambda _, name: tick(0, name))
        return _of_numbers(spec, moments)

    def _moments(self, spec: TensorSpec, moments: Moments, tick: Tick) -> Moments:
        for run in pieces.runs(self._source, spec):
            moments.add(run)
            tick(run.nbytes, spec.name)
        return moments


def _of_numbers(spec: TensorSpec, moments: Moments) -> TensorStats:
    return TensorStats(
        spec.dtype,
        spec.shape,
        math.prod(spec.shape),
        min=moments.least,
        max=moments.most,
        mean=_mean(moments),
        std=_deviation(moments),
        norm=moments.unscaled(math.sqrt(moments.square)),
        nan=moments.nans,
        posinf=moments.above,
        neginf=moments.below,
        zeros=moments.zeros,
    )


def _mean(moments: Moments) -> float | None:
    """Between the extremes, where rounding alone might put it elsewhere."""
    if moments.least is None or moments.most is None:
        return None
    return float(min(max(moments.unscaled(moments.mean), moments.least), moments.most))


def _deviation(moments: Moments) -> float | None:
    """At most half of what lies between the extremes: 0 of what is constant, and never infinite by rounding alone."""
    least, most = moments.least, moments.most
    if least is None or most is None:
        return None
    limit = (most - least) / 2 if isinstance(most, int) else most / 2 - least / 2
    return min(moments.unscaled(math.sqrt(moments.spread / moments.finite)), limit)


def _of_strings(spec: TensorSpec, array: NDArray[Any]) -> TensorStats:
    lengths = list(map(len, array.reshape(-1)))
    return TensorStats(
        spec.dtype,
        spec.shape,
        len(lengths),
        string_bytes=sum(lengths),
        shortest=min(lengths, default=None),
        longest=max(lengths, default=None),
    )


TensorStats.__module__ = "tensorbundle"  # Where users find it.
