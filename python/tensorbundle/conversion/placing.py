"""Files get their names, once all of them are written and verified: the moment at which a conversion counts.

A single file takes the place of an old one at one stroke, and so does a checkpoint. Of safetensors in several files
the index is what counts. Its files get names that no file there has, then the index takes the place of the old one, and
only then the files go that the old one named: a reader finds one set or the other, whole. One that has read the old
index and opens its files after they have gone is told so by the system.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
from typing import TYPE_CHECKING

from tensorbundle import _core, errors, files, locks
from tensorbundle.formats import safetensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorbundle.conversion.plan import ConversionPlan
    from tensorbundle.conversion.targets import Target
    from tensorbundle.conversion.tasks import Task

_SUFFIX = ".safetensors"


def exists(target: Target) -> bool:
    """True if there is something that the target takes the place of."""
    return files.is_file(target.path + ".index" if target.kind == "checkpoint" else target.path)


def refuse_rivals(target: Target) -> None:
    """Raises if readers would take what is there for the target, or could.

    Raises:
        FileExistsError: One safetensors file and an index of several would have the same name.
    """
    if target.kind != "safetensors":
        return
    rival = target.path.removesuffix(".index.json") if target.has_index else target.path + ".index.json"
    if files.is_file(rival):
        raise FileExistsError(
            errno.EEXIST,
            "readers may take this for what is to be written beside it; remove it, or choose another name",
            rival,
        )


def place(todo: Sequence[Task], plan: ConversionPlan, target: Target, *, durable: bool) -> list[str]:
    """Gives what the tasks have written its names.

    Returns:
        The paths of all files, of a checkpoint its prefix.

    Raises:
        OSError: The system refuses. What was there is there still, unless only the directory could not be synced.
    """
    if target.kind == "checkpoint":
        _core.merge([task.path for task in todo], target.path, durable, True)
        return [target.path]
    with locks.directory_lock(target.directory):
        if target.has_index:
            return _place_set(todo, plan, target, durable=durable)
        os.replace(todo[0].path, target.path)
        if durable:
            files.sync_directory(target.directory)
        return [target.path]


def shard_names(target: Target, count: int) -> list[str]:
    """Names for so many files of a set that no file has yet: ``model-00001-of-00003.safetensors``, or with ``-r1``."""
    taken = set(os.listdir(target.directory)) if files.is_directory(target.directory) else set()
    for generation in itertools.count():
        mark = f"-r{generation}" if generation else ""
        names = [f"{target.stem}{mark}-{number:05d}-of-{count:05d}{_SUFFIX}" for number in range(1, count + 1)]
        if not taken.intersection(names):
            return names
    raise AssertionError  # pragma: no cover - there are always more numbers


def _place_set(todo: Sequence[Task], plan: ConversionPlan, target: Target, *, durable: bool) -> list[str]:
    old = _named_by(target.path)
    names = shard_names(target, len(todo))
    placed: list[str] = []
    try:
        for task, name in zip(todo, names, strict=True):
            placed.append(os.path.join(target.directory, name))
            os.rename(task.path, placed[-1])
        if durable:
            files.sync_directory(target.directory)
        weight_map = {tensor.name: names[tensor.file] for tensor in plan.tensors}
        files.replace(target.path, safetensors.index_json(weight_map, plan.nbytes), durable=durable)
    except BaseException:
        _remove_unnamed(target, placed)
        raise
    _remove_old(target, old, names)
    return [target.path, *placed]


def _named_by(index: str) -> set[str]:
    """The files that an old index names; none if it can't be understood."""
    try:
        with open(index, "rb") as file:
            return set(safetensors.parse_index(file.read(), index).values())
    except (FileNotFoundError, errors.DataLossError):
        return set()


def _remove_unnamed(target: Target, placed: Sequence[str]) -> None:
    """Takes names back, unless the index has them already: its directory could not be synced, or Ctrl-C came then."""
    named = _named_by(target.path)
    for path in placed:
        if os.path.basename(path) not in named:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _remove_old(target: Target, old: set[str], new: Sequence[str]) -> None:
    """Removes files of the old set, and of one that was placed when its conversion was killed: never another's."""
    stem = re.escape(target.stem)
    of_a_set = re.compile(rf"{stem}(-r\d+)?-\d{{5}}-of-\d{{5}}{re.escape(_SUFFIX)}")
    unnamed = re.compile(rf"{stem}-r\d+-\d{{5}}-of-\d{{5}}{re.escape(_SUFFIX)}")
    for name in os.listdir(target.directory):
        is_old = name in old and of_a_set.fullmatch(name)
        if name not in new and (is_old or unnamed.fullmatch(name)):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(target.directory, name))
