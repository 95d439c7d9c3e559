"""What users call: ``tensorbundle.convert``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, overload

from tensorbundle import _core, callers, formats
from tensorbundle.conversion import placing, relinking, running, targets, tasks
from tensorbundle.conversion import plan as planning
from tensorbundle.conversion.report import ConversionReport
from tensorbundle.conversion.rules import CastRules, TransposeRules
from tensorbundle.conversion.workspace import workspace
from tensorbundle.progress import reporting
from tensorbundle.renaming import GRAPH_KEY, RenameRules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor
    from typing import Literal

    from tensorbundle.conversion.plan import ConversionPlan
    from tensorbundle.conversion.rules import Cast, Transpose
    from tensorbundle.conversion.targets import Kind, Target
    from tensorbundle.formats import Source
    from tensorbundle.progress import ProgressFunction
    from tensorbundle.renaming import Rename
    from tensorbundle.selection import Patterns

# More threads only wait for each other: the page cache is what limits them.
_MOST_THREADS = 8


@overload
def convert(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    to: Kind | None = ...,
    include: Patterns | None = ...,
    exclude: Patterns | None = ...,
    rename: Rename | None = ...,
    cast: Cast | None = ...,
    transpose: Transpose | None = ...,
    names: Literal["key", "path", "full_name"] = ...,
    shards: int | None = ...,
    max_shard_bytes: int | None = ...,
    alignment: int = ...,
    metadata: Mapping[str, str] | None = ...,
    skip_unsupported: bool = ...,
    link: bool = ...,
    verify: bool = ...,
    durable: bool | None = ...,
    executor: Executor | None = ...,
    threads: int | None = ...,
    progress: bool | ProgressFunction | None = ...,
    dry_run: Literal[False] = ...,
) -> ConversionReport: ...
@overload
def convert(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    to: Kind | None = ...,
    include: Patterns | None = ...,
    exclude: Patterns | None = ...,
    rename: Rename | None = ...,
    cast: Cast | None = ...,
    transpose: Transpose | None = ...,
    names: Literal["key", "path", "full_name"] = ...,
    shards: int | None = ...,
    max_shard_bytes: int | None = ...,
    alignment: int = ...,
    metadata: Mapping[str, str] | None = ...,
    skip_unsupported: bool = ...,
    link: bool = ...,
    verify: bool = ...,
    durable: bool | None = ...,
    executor: Executor | None = ...,
    threads: int | None = ...,
    progress: bool | ProgressFunction | None = ...,
    dry_run: Literal[True],
) -> ConversionPlan: ...
def convert(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    to: Kind | None = None,
    include: Patterns | None = None,
    exclude: Patterns | None = None,
    rename: Rename | None = None,
    cast: Cast | None = None,
    transpose: Transpose | None = None,
    names: Literal["key", "path", "full_name"] = "key",
    shards: int | None = None,
    max_shard_bytes: int | None = None,
    alignment: int = 64,
    metadata: Mapping[str, str] | None = None,
    skip_unsupported: bool = False,
    link: bool = False,
    verify: bool = True,
    durable: bool | None = None,
    executor: Executor | None = None,
    threads: int | None = None,
    progress: bool | ProgressFunction | None = None,
    dry_run: bool = False,
) -> ConversionReport | ConversionPlan:
    """Converts between checkpoints, safetensors and ``.npz``; renames, casts, transposes and reshards on the way.

    One pass over the source, in memory that is bounded whatever the size of a tensor. Bytes that stay as they are are
    moved by the kernel. Every checksum of the source is compared, and what was written is read back. The target gets
    its name when all of it is there; until then, and after any error, what was there before is as it was.

    Patterns are regular expressions over the names that tensors have in the source, found by ``re.search``.

    Args:
        src: A checkpoint of either format, in any form that :func:`open` takes, a SavedModel for instance; a
            safetensors file, an index of several or a directory with one; or an ``.npz``.
        dst: A name that ends in ``.safetensors`` or ``.npz``; one that ends in ``.safetensors.index.json``, or a
            directory, for safetensors in several files; else the prefix of a checkpoint. Directories are made. It may
            be the source.
        to: ``"checkpoint"``, ``"safetensors"`` or ``"npz"``, whatever the name.
        include: Take the tensors in whose name one of these patterns is found.
        exclude: Leave out those in whose name one of these is found.
        rename: ``(pattern, replacement)`` pairs, applied to each name in order, as :func:`edit` does.
        cast: A floating type, which all tensors of floating type then get; or a dict from patterns to types, of which
            the first one that is found in a name counts. Floats become floats, complex numbers complex, integers
            integers or floats; rounded once, to the nearest, ties to even.
        transpose: Patterns of tensors whose axes are reversed; or a dict from patterns to the order of axes.
        names: For object-based checkpoints: call tensors by their ``"path"`` or ``"full_name"``, as
            :meth:`Checkpoint.named` does. The object graph is then left out.
        shards: Number of files; about as large as each other.
        max_shard_bytes: Most bytes of the tensors in a file; one that is larger is alone.
        alignment: Of the tensors in a checkpoint, as for :func:`save`.
        metadata: Text for the ``__metadata__`` of safetensors, besides what the source has there.
        skip_unsupported: Leave out what the target can't hold, strings in safetensors for instance.
        link: From a checkpoint to another with new names, or less tensors: make the data files further names of the old
            ones, as :func:`edit` does. They keep the bytes of what is left out.
        verify: Compare the source's checksums and read back what was written. Without, nothing is promised.
        durable: True: once the call has returned, the target survives a power cut. None: it does if it takes the place
            of another; otherwise the source is still there.
        executor: Runs a task for each file: a process pool, a Dask client's executor, mpi4py's. The same files result.
        threads: How many a task may use; None: all processors, or with an executor one.
        progress: As for :func:`save`; with an executor, file by file.
        dry_run: Write nothing, and return the plan.

    Returns:
        A report; with ``dry_run`` the plan, which prints as a table.

    Raises:
        TypeError, ValueError: A wrong argument; a rule that applies to no tensor; two tensors of one name; a cast that
            can't be; element types or names that the target can't hold. All before anything is written. A number that
            doesn't fit its new type.
        FileNotFoundError: There is no such source, or a file of it is missing.
        FileExistsError: Readers would take a file that is there for the target.
        DataLossError: The source is damaged, or another by now; or what was written reads back as something else.
        ConversionError: A task died. It can be run again.
        OSError: The system refuses, a full disk for instance.

    Example:
        >>> tb.convert("run/model.ckpt-100", "model.safetensors", exclude="/Adam|^global_step$", cast="bfloat16")
    """
    started = time.monotonic()
    choice = planning.Choice(
        include, exclude, RenameRules(rename), CastRules(cast), TransposeRules(transpose), skip_unsupported
    )
    target = targets.resolve(dst, to, shards, max_shard_bytes)
    if metadata is not None and target.kind != "safetensors":
        raise ValueError(f"metadata is for safetensors, and {target.path!r} is to be of the kind {target.kind}")
    alignment = targets.check_alignment(alignment)
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"executor must be a concurrent.futures.Executor, not {executor!r}")
    count = _thread_count(threads, executor)
    with formats.open_source(src, verify=verify, threads=threads, names=names) as source:
        plan = planning.make_plan(
            source.tensors(), source.path, target, choice, source.metadata, has_keys=names == "key"
        )
        conversion = _Conversion(source, target, plan, has_keys=names == "key", link=link, alignment=alignment)
        placing.refuse_rivals(target)
        if dry_run:
            return plan
        is_durable = placing.exists(target) if durable is None else bool(durable)
        settings = tasks.Settings(
            target.kind, alignment, _merged(source.metadata, metadata), bool(verify), is_durable, count
        )
        with reporting(progress, "converting") as report:
            files = conversion.run(settings, executor, report)
    for note in plan.notes:
        callers.warn(note, UserWarning)
    return ConversionReport(plan, tuple(files), time.monotonic() - started, is_durable)


class _Conversion:
    """One conversion, planned."""

    def __init__(
        self, source: Source, target: Target, plan: ConversionPlan, *, has_keys: bool, link: bool, alignment: int
    ) -> None:
        self._source = source
        self._target = target
        self._plan = plan
        reason = relinking.why_not(plan, source, target, has_keys=has_keys)
        if link and reason is not None:
            raise ValueError(f"link keeps the data files of a checkpoint as they are, which can't be here: {reason}")
        self._link = link
        self._relinks = link or (reason is None and relinking.is_worthwhile(plan, source, alignment))

    def run(self, settings: tasks.Settings, executor: Executor | None, report: ProgressFunction | None) -> list[str]:
        """Writes everything; returns the paths."""
        with workspace(self._target.directory, self._target.stem, placing.take_back) as directory:
            todo = self._tasks(settings, directory)
            if self._relinks:
                todo = todo[:1]
                relinking.relink(
                    self._plan, self._source, todo[0].path, link=self._link, verify=settings.verify, report=report
                )
                if report is not None:
                    report(self._plan.nbytes, self._plan.nbytes, "")
            else:
                running.run_all(todo, executor, report)
            return placing.place(todo, self._plan, self._target, durable=settings.durable)

    def _tasks(self, settings: tasks.Settings, directory: str) -> list[tasks.Task]:
        count = self._plan.num_files
        parts: list[list[planning.PlannedTensor]] = [[] for _ in range(count)]
        for tensor in self._plan.tensors:
            parts[tensor.file].append(tensor)
        records = {} if self._relinks else self._records()
        return [
            tasks.Task(
                number,
                count,
                self._source,
                tuple(part),
                records,
                directory,
                f"part-{number:05d}",
                self._target.path,
                settings,
            )
            for number, part in enumerate(parts)
        ]

    def _records(self) -> dict[str, bytes]:
        """The object graph, where the target has one and keys change: with the new keys."""
        new_names = {tensor.source: tensor.name for tensor in self._plan.tensors}
        if GRAPH_KEY not in new_names:
            return {}
        keys = [spec.name for spec in self._source.tensors()]
        record: Any = self._source.read(GRAPH_KEY).item()
        edited = _core.edit_object_graph(record, keys, [new_names.get(key) for key in keys])
        return {} if edited is None else {GRAPH_KEY: edited}


def _merged(found: dict[str, str], given: Mapping[str, str] | None) -> dict[str, str] | None:
    """The metadata of the source with that of the caller; None if there is none of either."""
    merged = {**found, **(given or {})}
    return merged if merged or given is not None else None


def _thread_count(threads: int | None, executor: Executor | None) -> int:
    from tensorbundle import opening

    given = opening.thread_count(threads)
    if given:
        return given
    if executor is not None:
        return 1
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, _MOST_THREADS)
