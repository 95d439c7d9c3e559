"""Two files of tensors compared: which tensors they have, and how these differ."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from typing import TYPE_CHECKING, Any

from tensorbundle import formats, selection
from tensorbundle.formats.checkpoint import all_entries, check_shards
from tensorbundle.inspection import index_facts, pieces
from tensorbundle.inspection.crew import Crew, batches
from tensorbundle.progress import reporting

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from tensorbundle.formats import Source
    from tensorbundle.inspection.crew import Tick
    from tensorbundle.inspection.value_comparison import Tally, Tolerance
    from tensorbundle.progress import ProgressFunction
    from tensorbundle.selection import Patterns

_BATCH_BYTES = 4 << 20
_STRINGS = frozenset({"string", "variant"})
# Lines of each kind that a report shows as text.
_MOST_LINES = 50


@dataclasses.dataclass(frozen=True)
class TensorChange:
    """A tensor that has another dtype or shape.

    Attributes:
        name: Its name.
        dtype_a, dtype_b: TensorFlow's names of its element types.
        shape_a, shape_b: Its shapes.
    """

    name: str
    dtype_a: str
    dtype_b: str
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]

    def how(self) -> str:
        """What changed, in words."""
        return f"{self.dtype_a} {list(self.shape_a)} -> {self.dtype_b} {list(self.shape_b)}"

    def __str__(self) -> str:
        return f"{self.name}: {self.how()}"


@dataclasses.dataclass(frozen=True)
class TensorDifference:
    """A tensor that has other elements. What was not read is None.

    Attributes:
        name: Its name.
        size: Number of its elements.
        count: Number of elements that differ.
        max_abs: The largest absolute difference: an int of integers; infinite where only one of two elements is NaN or
            infinite; None of strings.
        max_rel: The largest difference as a part of the second tensor's element; infinite where that is 0.
        index: Of the element with the largest absolute difference; of strings, of the first that differs.
        a, b: The elements there.
    """

    name: str
    size: int
    count: int | None = None
    max_abs: float | None = None
    max_rel: float | None = None
    index: tuple[int, ...] | None = None
    a: Any = None
    b: Any = None

    def how(self) -> str:
        """What differs, in words."""
        if self.count is None or self.index is None:
            return "other checksum"
        head = f"{self.count} of {self.size} elements"
        where = f"at {list(self.index)}: {reprlib.repr(self.a)} -> {reprlib.repr(self.b)}"
        if self.max_abs is None:
            return f"{head}, first {where}"
        return f"{head}, at most by {self.max_abs:.6g} (relative {self.max_rel:.3g}) {where}"

    def __str__(self) -> str:
        return f"{self.name}: {self.how()}"


@dataclasses.dataclass(frozen=True, repr=False)
class Difference:
    """The outcome of :func:`tensorbundle.diff`; true if both files have the same tensors.

    Attributes:
        path_a, path_b: What was opened.
        only_a, only_b: Names of tensors that the other file lacks.
        changed: Tensors with another dtype or shape.
        different: Tensors with other elements; the largest differences first.
        equal: Number of tensors that are equal.
    """

    path_a: str
    path_b: str
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    changed: tuple[TensorChange, ...]
    different: tuple[TensorDifference, ...]
    equal: int

    def __bool__(self) -> bool:
        return not (self.only_a or self.only_b or self.changed or self.different)

    def __repr__(self) -> str:
        return f"<Difference: {self.summary()}>"

    def __str__(self) -> str:
        parts = (
            ("only in the first", self.only_a),
            ("only in the second", self.only_b),
            ("changed", self.changed),
            ("different", self.different),
        )
        return "\n".join([*(line for title, items in parts for line in _lines(title, items)), self.summary()])

    def summary(self) -> str:
        """Numbers of tensors, in one line."""
        numbers = (
            (len(self.only_a), "only in the first"),
            (len(self.only_b), "only in the second"),
            (len(self.changed), "changed"),
            (len(self.different), "different"),
        )
        return ", ".join([*(f"{number} {what}" for number, what in numbers if number), f"{self.equal} equal"])


def _lines(title: str, items: tuple[Any, ...]) -> Iterator[str]:
    for item in items[:_MOST_LINES]:
        yield f"{title}: {item}"
    if len(items) > _MOST_LINES:
        yield f"{title}: and {len(items) - _MOST_LINES} more"


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    include: Patterns | None = None,
    exclude: Patterns | None = None,
    values: bool = False,
    rtol: float = 0.0,
    atol: float = 0.0,
    threads: int | None = None,
    progress: bool | ProgressFunction | None = None,
) -> Difference:
    """Compares the tensors of two files by name.

    Of two checkpoints the indexes alone are compared: tensors of the same dtype, shape, size and checksum count as
    equal, those with other checksums as different, and nothing of them is read. A checksum has 32 bits: of two tensors
    that differ by chance, one pair in four thousand million passes. Tensors without one checksum (in slices, of the V1
    format, of other kinds of files) are read, and compared exactly.

    Args:
        a: A checkpoint in any form that :func:`open` takes, a safetensors file or index, or an ``.npz`` file.
        b: The same.
        include: Regular expression, or several: keep the names in which one of them is found (``re.search``).
        exclude: The same for names to leave out.
        values: Read all that both files have, and compare it element by element; tensors of another dtype too, if the
            shape is the same and neither holds strings.
        rtol, atol: With ``values``: elements count as equal if ``abs(a - b) <= atol + rtol * abs(b)``, as for
            ``numpy.allclose``. NaN equals NaN in the same place, an infinity only itself.
        threads: How many may read; None: as many as this process may run on.
        progress: True for a bar on a terminal, or a function ``(done_bytes, total_bytes, name)``.

    Returns:
        A :class:`Difference`, which is true if there is none.

    Raises:
        FileNotFoundError: A file is missing, or a shard of a V1 checkpoint: what that holds can't be listed.
        DataLossError: An index is damaged, or a tensor that had to be read.
        ValueError: ``rtol`` or ``atol`` is negative, or given without ``values``.

    Example:
        >>> print(tb.diff("run/model.ckpt-100", "run/model.ckpt-101", values=True, rtol=1e-5))
    """
    _check_tolerance(rtol, atol, values=values)
    with formats.open_source(a, threads=1) as source_a, formats.open_source(b, threads=1) as source_b:
        for source in (source_a, source_b):
            _check_shards(source)
        comparison = _Comparison(source_a, source_b, include, exclude, values=values)
        with reporting(progress, "Comparing") as report:
            return comparison.run(threads, report, rtol, atol)


def _check_tolerance(rtol: float, atol: float, *, values: bool) -> None:
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a number from 0 on, not {value!r}")
        if value and not values:
            raise ValueError(f"{name} is about values, which are only compared with values=True")


class _Comparison:
    """Two sources, and what is known of their tensors."""

    def __init__(
        self, a: Source, b: Source, include: Patterns | None, exclude: Patterns | None, *, values: bool
    ) -> None:
        self._a, self._b, self._values = a, b, values
        # Entries know checksums, where both sides have them.
        self._has_entries = a.kind == b.kind == "checkpoint"
        if self._has_entries and not values:
            self._pairs = _undecided(a, b, include, exclude)
        else:
            self._pairs = index_facts.paired(*(_selected(self._listed(each), include, exclude) for each in (a, b)))

    def _listed(self, source: Any) -> list[Any]:
        return all_entries(source.checkpoint) if self._has_entries else source.tensors()

    def run(self, threads: int | None, report: ProgressFunction | None, rtol: float, atol: float) -> Difference:
        pairs = self._pairs
        changed: list[TensorChange] = []
        different: list[TensorDifference] = []
        to_read: list[int] = []
        for position in range(len(pairs.names)):
            self._sort(position, changed, different, to_read)
        if to_read:
            different += self._read(to_read, Crew(threads, self._nbytes(to_read), report), rtol, atol)
            different.sort(key=_largest_first)
        names = {change.name for change in changed} | {difference.name for difference in different}
        return Difference(
            self._a.path,
            self._b.path,
            tuple(pairs.only_a),
            tuple(pairs.only_b),
            tuple(changed),
            tuple(different),
            pairs.num_equal + len(pairs.names) - len(names),
        )

    def _sort(
        self, position: int, changed: list[TensorChange], different: list[TensorDifference], to_read: list[int]
    ) -> None:
        """Puts a tensor where it belongs as far as that is known without reading it."""
        a, b = self._pairs.of_a[position], self._pairs.of_b[position]
        types = self._type(a), self._type(b)
        if types[0] != types[1] or a.shape != b.shape:
            changed.append(TensorChange(a.name, *types, a.shape, b.shape))
            comparable = len(_STRINGS.intersection(types)) in (0, len(set(types)))
            if self._values and a.shape == b.shape and comparable:
                to_read.append(position)
        elif self._values or not self._has_entries or None in (a.crc32c, b.crc32c):
            to_read.append(position)
        else:
            different.append(TensorDifference(a.name, math.prod(a.shape)))

    def _type(self, listed: Any) -> str:
        return str(listed.tf_dtype if self._has_entries else listed.dtype)

    def _nbytes(self, positions: list[int]) -> int:
        return sum(self._pairs.of_a[position].nbytes for position in positions)

    def _read(self, positions: list[int], crew: Crew, rtol: float, atol: float) -> Iterator[TensorDifference]:
        from tensorbundle.inspection.value_comparison import Tolerance

        tolerance = Tolerance(rtol, atol)

        def work(batch: list[int], tick: Tick) -> list[TensorDifference]:
            found = (self._compared(position, tolerance, tick) for position in batch)
            return [each for each in found if each is not None]

        for part in crew.run(work, batches(positions, lambda position: self._nbytes([position]), _BATCH_BYTES)):
            yield from part

    def _compared(self, position: int, tolerance: Tolerance, tick: Tick) -> TensorDifference | None:
        from tensorbundle.inspection.value_comparison import compare

        listed = self._pairs.of_a[position]
        of_a, of_b = pieces.runs(self._a, listed), pieces.runs(self._b, self._pairs.of_b[position])
        tally = compare(of_a, of_b, tolerance, lambda nbytes: tick(nbytes, listed.name))
        return _described(listed.name, listed.shape, tally) if tally.count else None


def _selected(listed: list[Any], include: Patterns | None, exclude: Patterns | None) -> list[Any]:
    if include is None and exclude is None:
        return listed
    kept = set(selection.matching([each.name for each in listed], include, exclude))
    return [each for each in listed if each.name in kept]


def _check_shards(source: Any) -> None:
    if source.kind == "checkpoint":
        check_shards(source.checkpoint)


def _undecided(a: Any, b: Any, include: Patterns | None, exclude: Patterns | None) -> index_facts.Pairs:
    """The tensors of two checkpoints that their indexes don't prove to be equal; only those that are meant count."""
    pairs = index_facts.undecided(a.checkpoint, b.checkpoint)
    if include is None and exclude is None:
        return pairs
    only_a, only_b, names = (
        selection.matching(each, include, exclude) for each in (pairs.only_a, pairs.only_b, pairs.names)
    )
    of_a, of_b = _selected(pairs.of_a, include, exclude), _selected(pairs.of_b, include, exclude)
    meant = len(selection.matching(list(a.checkpoint), include, exclude))
    return index_facts.Pairs(only_a, only_b, names, of_a, of_b, meant - len(only_a) - len(names))


def _described(name: str, shape: tuple[int, ...], tally: Tally) -> TensorDifference:
    index = pieces.index_of(tally.position, shape)
    return TensorDifference(
        name,
        math.prod(shape),
        tally.count,
        tally.max_abs,
        tally.max_rel,
        index,
        tally.element_a,
        tally.element_b,
    )


def _largest_first(difference: TensorDifference) -> tuple[float, str]:
    return math.inf if difference.max_abs is None else -difference.max_abs, difference.name


for _class in (TensorChange, TensorDifference, Difference):
    _class.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
