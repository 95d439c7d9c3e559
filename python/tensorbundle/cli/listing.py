"""The list that ``tensorbundle ls`` prints, from the index alone. Without click: importing that takes longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorbundle.cli import output, selecting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import tensorbundle
    from tensorbundle import Checkpoint, Entry

_COLUMNS = [("name", "left"), ("dtype", "left"), ("shape", "left"), ("size", "right"), ("shard", "right")]
_LAST = float("inf")


def run(
    path: str,
    patterns: Sequence[str] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    by: Any = "key",
    sort: str = "name",
    reverse: bool = False,
    exact: bool = False,
    as_json: bool = False,
) -> int:
    """Prints the list; what it takes is what the command takes.

    Returns:
        The exit code: 3 if there are tensors that can't be read, or shards missing.
    """
    with output.opened(path) as opened:
        checkpoint = opened if by == "key" else opened.named(by)
        entries = in_order(selecting.entries(checkpoint, patterns, include, exclude), sort, reverse)
        problems = checkpoint.problems()
        if as_json:
            output.print_json(_described(checkpoint, entries, problems))
        else:
            size = exact_size if exact else output.human_size
            output.print_table(_COLUMNS, [_row(entry, size) for entry in entries])
            output.write(_totals(checkpoint, entries, size) + "\n")
        missing = checkpoint.missing_shards
    print_problems(problems, missing)
    return 3 if problems or missing else 0


def in_order(entries: list[Entry], sort: str, reverse: bool) -> list[Entry]:
    """Entries by ``"name"``, ``"size"`` (the largest first) or ``"shard"`` (as they lie in the files)."""
    if sort == "size":
        entries = sorted(entries, key=lambda entry: -entry.nbytes)
    elif sort == "shard":
        entries = sorted(entries, key=lambda entry: (_or_last(entry.shard), _or_last(entry.offset)))
    return entries[::-1] if reverse else entries


def print_problems(problems: dict[str, Exception], missing: Sequence[str]) -> None:
    """A line on stderr for each tensor that can't be read and each shard that is missing."""
    for name, problem in problems.items():
        output.write(f"can't be read: {output.about(name, problem)}\n", err=True)
    output.print_missing(missing, err=True)


def exact_size(nbytes: int) -> str:
    """A number of bytes, all digits of it."""
    return str(nbytes)


def _or_last(number: int | None) -> float:
    return _LAST if number is None else number


def _row(entry: Entry, size: Callable[[int], str]) -> list[str]:
    where = output.count(len(entry.slices), "slice") if entry.slices else _shard(entry)
    return [output.printable(entry.name), entry.tf_dtype, str(list(entry.shape)), size(entry.nbytes), where]


def _shard(entry: Entry) -> str:
    return "-" if entry.shard is None else str(entry.shard)  # "-": of the V1 format.


def _totals(checkpoint: Checkpoint, entries: list[Entry], size: Callable[[int], str]) -> str:
    files = output.count(checkpoint.num_shards, "data file")
    if checkpoint.missing_shards:
        files += f", {len(checkpoint.missing_shards)} of them missing"
    listed = output.count(len(entries), "tensor")
    total = output.count(len(checkpoint), "tensor")
    counted = total if len(entries) == len(checkpoint) else f"{listed} of {len(checkpoint)}"
    return f"{counted}, {size(_sum(entries))}, {files}: {output.printable(checkpoint.path)}"


def _sum(entries: list[Entry]) -> int:
    return sum(entry.nbytes for entry in entries)


def _described(checkpoint: Checkpoint, entries: list[Entry], problems: dict[str, Exception]) -> dict[str, Any]:
    return {
        "path": checkpoint.path,
        "num_tensors": len(checkpoint),
        "num_shards": checkpoint.num_shards,
        "nbytes": _sum(checkpoint.entries()),
        "num_listed": len(entries),
        "nbytes_listed": _sum(entries),
        "tensors": [described_entry(checkpoint, entry) for entry in entries],
        "problems": {name: str(problem) for name, problem in problems.items()},
        "missing_shards": list(checkpoint.missing_shards),
    }


def described_entry(checkpoint: Checkpoint, entry: tensorbundle.Entry) -> dict[str, Any]:
    """The JSON of an entry."""
    return {
        "name": entry.name,
        "key": checkpoint.key(entry.name),
        "dtype": entry.tf_dtype,
        "shape": list(entry.shape),
        "nbytes": entry.nbytes,
        "shard": entry.shard,
        "offset": entry.offset,
        "crc32c": entry.crc32c,
        "slices": [[[part.start, part.stop] for part in piece] for piece in entry.slices],
    }
