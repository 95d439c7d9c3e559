"""Why a checkpoint is damaged: what happened to each of its data files, from which of its tensors fail and how."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from typing import TYPE_CHECKING

from tensorbundle import arrangement, errors
from tensorbundle.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal, TypeAlias

    from tensorbundle.progress import ProgressFunction
    from tensorbundle.verification import Damage, VerifyReport

    Cause: TypeAlias = Literal[
        "missing",
        "unreadable",
        "placeholder",
        "truncated",
        "swapped",
        "mixed",
        "foreign",
        "zeroed",
        "flipped",
        "record",
    ]

# Of two saves some tensors may be equal: counters, zeros, what is not trained.
_NEARLY_ALL = 0.9
_POINTER = b"version https://git-lfs"
_BLOCK = 1 << 20
# Evidence names this many tensors.
_MAX_NAMED = 3

_ADVICE: dict[Cause, str] = {
    "missing": "copy the file here from where the checkpoint was saved; the tensors of the other files read",
    "unreadable": "see to the permissions of the file, or to the disk; the tensors of the other files read",
    "placeholder": "fetch the file itself with: git lfs pull",
    "truncated": "copy the file again, whole; the tensors before its end read",
    "swapped": "give that file this name",
    "mixed": "put back the index and the data files of one save: they are of different ones",
    "foreign": "put back the data file that was saved with this index; the tensors of the other files read",
    "zeroed": "restore an older checkpoint, or another copy: these bytes never reached the disk",
    "flipped": "copy the file again, and test memory and disk if that does not help; the other tensors read",
    "record": "restore the index from another copy; the other tensors read",
}


@dataclasses.dataclass(frozen=True)
class FileDiagnosis:
    """What happened to one file of a checkpoint.

    Attributes:
        path: The file.
        cause: ``"missing"``; ``"unreadable"``: the system refuses; ``"placeholder"``: a Git LFS pointer lies there;
            ``"truncated"``: it ends too early; ``"swapped"``: its tensors are in the file of another number;
            ``"mixed"``: no data file is of the save that the index is of; ``"foreign"``: this one isn't, others are;
            ``"zeroed"``: all bytes of what is damaged are zero; ``"flipped"``: some bytes changed; ``"record"``: of the
            index, which does not say how to read these tensors.
        tensors: Number of tensors that have bytes in it and were looked at; of the index, of those that are damaged.
        damaged: Names of those that are damaged, in key order.
        evidence: What it was told by, with the numbers.
        advice: What to do.
    """

    path: str
    cause: Cause
    tensors: int
    damaged: tuple[str, ...]
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}: {self.cause}: {self.evidence}; {self.advice}"


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What :func:`tensorbundle.diagnose` found; true if everything is sound.

    Attributes:
        report: Every damaged tensor.
        files: Every file that is not as it was saved, in the order of their numbers.
    """

    report: VerifyReport
    files: tuple[FileDiagnosis, ...]

    def __bool__(self) -> bool:
        return bool(self.report)

    def __str__(self) -> str:
        return "\n".join([str(self.report), *(str(file) for file in self.files)])

    def cause(self, damage: Damage) -> Cause:
        """What happened to the file that a damage of the report is in."""
        causes = self._causes[damage.name]
        return causes.get(_path(damage) or "", next(iter(causes.values())))

    @functools.cached_property
    def _causes(self) -> dict[str, dict[str, Cause]]:
        """Causes by the files that a tensor is damaged in, by its name."""
        causes: dict[str, dict[str, Cause]] = {}
        for file in self.files:
            for name in file.damaged:
                causes.setdefault(name, {})[file.path] = file.cause
        return causes


def diagnose(
    checkpoint: Checkpoint | str | os.PathLike[str],
    names: Iterable[str] | None = None,
    *,
    report: VerifyReport | None = None,
    threads: int | None = None,
    progress: bool | ProgressFunction | None = None,
) -> Diagnosis:
    """Verifies a checkpoint, and says what happened to each file that is damaged.

    Args:
        checkpoint: An opened one, or its path, in any form that :func:`open` takes.
        names: Which tensors to look at; None: all. With few of a file, less can be told.
        report: What :meth:`Checkpoint.verify` said of these tensors, if it has been called; nothing is read twice then.
        threads: As for :meth:`Checkpoint.load`.
        progress: As for :meth:`Checkpoint.load`.

    Raises:
        NotFoundError: One of ``names`` isn't there.
        FileNotFoundError, DataLossError: As for :func:`open`, where ``checkpoint`` is a path.

    Example:
        >>> for file in tb.diagnose("run/model.ckpt-100").files:
        ...     print(file.path, file.cause, file.advice)
    """
    if not isinstance(checkpoint, Checkpoint):
        with Checkpoint(checkpoint, threads=threads) as opened:
            return diagnose(opened, names, report=report, threads=threads, progress=progress)
    looked_at = None if names is None else set(names)
    if report is None:
        report = checkpoint.verify(looked_at, threads=threads, progress=progress)
    return Diagnosis(report, tuple(_Examination(checkpoint, report, looked_at).files()))


class _Examination:
    """The damage of a checkpoint by the files that it is in."""

    def __init__(self, checkpoint: Checkpoint, report: VerifyReport, looked_at: set[str] | None) -> None:
        self._checkpoint = checkpoint
        self._report = report
        self._entries = {
            entry.name: entry for entry in checkpoint.entries() if looked_at is None or entry.name in looked_at
        }
        self._damage: dict[int, list[Damage]] = {}
        self._unplaced: list[Damage] = []
        for damage in report.damaged:
            is_unknown = isinstance(damage.cause, errors.UnimplementedError)
            if damage.shard is None or damage.name not in self._entries or is_unknown:
                self._unplaced.append(damage)
            else:
                self._damage.setdefault(damage.shard, []).append(damage)
        self._tensors = self._names_by_shard()
        # Its files say by themselves what is in them: none can be another one's, and damage is that of a block.
        self._is_v1 = not os.path.exists(f"{checkpoint.path}.index")

    def files(self) -> list[FileDiagnosis]:
        found = [_diagnosis(path, "missing", [], "a shard of a V1 checkpoint") for path in self._report.missing_shards]
        swapped = self._swapped()
        mixed = self._is_mixed(swapped)
        found += [swapped.get(shard) or self._of_file(shard, mixed) for shard in sorted(self._damage)]
        return found + self._of_records()

    def _names_by_shard(self) -> dict[int, set[str]]:
        """Tensors with bytes in each data file. Of one in pieces, it is known of damaged pieces only."""
        names = {shard: {damage.name for damage in damaged} for shard, damaged in self._damage.items()}
        for entry in self._entries.values():
            if entry.shard is not None and entry.nbytes:
                names.setdefault(entry.shard, set()).add(entry.name)
        return names

    def _of_file(self, shard: int, mixed: bool) -> FileDiagnosis:
        damaged = self._damage[shard]
        path = _path(damaged[0]) or arrangement.data_path(self._checkpoint, shard)
        cause, evidence = self._cause(shard, path, mixed)
        return _diagnosis(path, cause, damaged, evidence, len(self._tensors[shard]))

    def _cause(self, shard: int, path: str, mixed: bool) -> tuple[Cause, str]:
        damaged = self._damage[shard]
        failed = f"{len(_names(damaged))} of its {len(self._tensors[shard])} tensors"
        system = next((damage.cause for damage in damaged if isinstance(damage.cause, OSError)), None)
        if system is not None:
            cause: Cause = "missing" if isinstance(system, FileNotFoundError) else "unreadable"
            return cause, f"{_reason(system)}, so {failed} can't be read"
        if self._is_v1:
            return "flipped", f"{failed} fail the checksums of their blocks: {_listed(damaged)}"
        return self._cause_of_bytes(shard, path, mixed)

    def _cause_of_bytes(self, shard: int, path: str, mixed: bool) -> tuple[Cause, str]:
        damaged = self._damage[shard]
        failed = f"{len(_names(damaged))} of its {len(self._tensors[shard])} tensors"
        size = os.path.getsize(path)
        if all(self._is_beyond(damage, size) for damage in damaged):
            if _starts_with(path, _POINTER):
                return "placeholder", f"it is a Git LFS pointer of {size} bytes, so {failed} can't be read"
            return "truncated", f"it ends at {size}, the index goes on to {self._end(shard)}, which {failed} need"
        if self._nearly_all_fail(shard):
            if mixed:
                others = ", and as many of every other file" if self._checkpoint.num_shards > 1 else ""
                return "mixed", f"{failed} fail{others}"
            return "foreign", f"{failed} fail, while those of other files are sound{self._twin(shard, path)}"
        if all(self._is_zero(damage, path) for damage in damaged):
            return "zeroed", f"{failed} fail, and all their bytes are zero"
        return "flipped", f"{failed} fail their checksums: {_listed(damaged)}"

    def _is_beyond(self, damage: Damage, size: int) -> bool:
        """True if the file ends before the end of what is damaged."""
        if damage.expected is not None or damage.offset is None:
            return False
        return damage.offset + arrangement.largest_piece(self._entries[damage.name]) > size

    def _end(self, shard: int) -> int:
        entries = [self._entries[name] for name in self._tensors[shard]]
        ends = [entry.offset + entry.nbytes for entry in entries if entry.offset is not None]
        ends += [
            damage.offset + arrangement.largest_piece(self._entries[damage.name])
            for damage in self._damage[shard]
            if damage.offset is not None
        ]
        return max(ends, default=0)

    def _nearly_all_fail(self, shard: int) -> bool:
        """Of one tensor alone it can't be told whether another save was put in its place."""
        total = len(self._tensors[shard])
        return total > 1 and len(_names(self._damage.get(shard, ()))) >= _NEARLY_ALL * total

    def _is_mixed(self, swapped: dict[int, FileDiagnosis]) -> bool:
        """True if every data file that is there is one of another save."""
        there = [shard for shard in self._tensors if not any(map(_is_missing, self._damage.get(shard, ())))]
        return bool(there) and all(shard not in swapped and self._nearly_all_fail(shard) for shard in there)

    def _swapped(self) -> dict[int, FileDiagnosis]:
        """Data files whose tensors are in others."""
        if self._is_v1:
            return {}
        suspects = {
            shard: _names(damaged)
            for shard, damaged in self._damage.items()
            if 2 * len(_names(damaged)) >= len(self._tensors[shard]) and not any(map(_is_missing, damaged))
        }
        found = {}
        for shard, (other, num_sound) in arrangement.find(self._checkpoint, suspects).items():
            path, place = (arrangement.data_path(self._checkpoint, number) for number in (shard, other))
            evidence = (
                f"{num_sound} of its {len(suspects[shard])} damaged tensors are sound in {os.path.basename(place)}"
            )
            found[shard] = _diagnosis(path, "swapped", self._damage[shard], evidence, len(self._tensors[shard]))
        return found

    def _twin(self, shard: int, path: str) -> str:
        """Whether the file is a copy of another one."""
        for other in range(self._checkpoint.num_shards):
            place = arrangement.data_path(self._checkpoint, other)
            if other != shard and _same_bytes(path, place):
                return f"; it is a copy of {os.path.basename(place)}"
        return ""

    def _is_zero(self, damage: Damage, path: str) -> bool:
        entry = self._entries[damage.name]
        if damage.offset is None or entry.slices or not entry.nbytes:
            return False
        return _is_zero(path, damage.offset, entry.nbytes)

    def _of_records(self) -> list[FileDiagnosis]:
        if not self._unplaced:
            return []
        by_path: dict[str, list[Damage]] = {}
        for damage in self._unplaced:
            path = (_path(damage) or self._checkpoint.path) if self._is_v1 else f"{self._checkpoint.path}.index"
            by_path.setdefault(path, []).append(damage)
        return [
            _diagnosis(path, "record", damaged, f"it does not say how to read {_listed(damaged)}")
            for path, damaged in sorted(by_path.items())
        ]


def _diagnosis(
    path: str, cause: Cause, damaged: Iterable[Damage], evidence: str, tensors: int | None = None
) -> FileDiagnosis:
    names = tuple(_names(damaged))
    return FileDiagnosis(path, cause, len(names) if tensors is None else tensors, names, evidence, _ADVICE[cause])


def _names(damaged: Iterable[Damage]) -> list[str]:
    return list(dict.fromkeys(damage.name for damage in damaged))


def _listed(damaged: Iterable[Damage]) -> str:
    names = _names(damaged)
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(map(repr, names[:_MAX_NAMED])) + more


def _path(damage: Damage) -> str | None:
    cause = damage.cause
    path = cause.filename if isinstance(cause, OSError) else getattr(cause, "path", None)
    return None if path is None else os.fsdecode(path)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _is_missing(damage: Damage) -> bool:
    return isinstance(damage.cause, OSError)


def _starts_with(path: str, head: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(head)) == head


def _is_zero(path: str, offset: int, nbytes: int) -> bool:
    with open(path, "rb") as file:
        file.seek(offset)
        while nbytes > 0 and (block := file.read(min(nbytes, _BLOCK))):
            if block.count(0) != len(block):
                return False
            nbytes -= len(block)
    return nbytes == 0


def _same_bytes(path: str, other: str) -> bool:
    import filecmp

    with contextlib.suppress(OSError):
        return os.path.getsize(path) == os.path.getsize(other) and filecmp.cmp(path, other, shallow=False)
    return False


for _class in (Diagnosis, FileDiagnosis):
    _class.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
