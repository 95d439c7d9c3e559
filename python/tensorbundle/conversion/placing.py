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
import json
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
# In the workspace, of a set of files: what is to go if its conversion is killed while it gives them their names.
_NOTES = "placing.json"


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
    names = shard_names(target, len(todo))
    old = _old_set(target)
    _note(todo, names, target, old)
    placed: list[str] = []
    try:
        for task, name in zip(todo, names, strict=True):
            placed.append(name)
            os.rename(task.path, os.path.join(target.directory, name))
        if durable:
            files.sync_directory(target.directory)
        weight_map = {tensor.name: names[tensor.file] for tensor in plan.tensors}
        files.replace(target.path, safetensors.index_json(weight_map, plan.nbytes), durable=durable)
    except BaseException:
        # The index has them already, if its directory could not be synced, or Ctrl-C came then.
        _remove_unnamed(target.path, placed)
        raise
    _remove_unnamed(target.path, old)
    return [target.path, *(os.path.join(target.directory, name) for name in names)]


def take_back(directory: str, workspace: str) -> None:
    """Removes what a killed conversion had given a name that no index has: by its notes, so never another's file."""
    try:
        with open(os.path.join(workspace, _NOTES), encoding="utf-8") as file:
            notes = json.load(file)
    except (FileNotFoundError, ValueError):  # It was killed before, or at the first of them.
        return
    ours = [name for name, inode in notes["files"] if _inode(os.path.join(directory, name)) == inode]
    _remove_unnamed(os.path.join(directory, notes["index"]), ours)


def _note(todo: Sequence[Task], names: Sequence[str], target: Target, old: Sequence[str]) -> None:
    """Writes down, in the workspace, which files are to go if this is killed: new ones, or those of the old set."""
    noted = [(name, _inode(task.path)) for task, name in zip(todo, names, strict=True)]
    noted += [(name, _inode(os.path.join(target.directory, name))) for name in old]
    with open(os.path.join(todo[0].workspace, _NOTES), "x", encoding="utf-8") as file:
        json.dump({"index": os.path.basename(target.path), "files": noted}, file)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _old_set(target: Target) -> list[str]:
    """The files of the set that is replaced, as far as they have names of one."""
    of_a_set = re.compile(rf"{re.escape(target.stem)}(-r\d+)?-\d{{5}}-of-\d{{5}}{re.escape(_SUFFIX)}")
    return sorted(name for name in _named_by(target.path) if of_a_set.fullmatch(name))


def _named_by(index: str) -> set[str]:
    """The files that an index names; none if it can't be understood."""
    try:
        with open(index, "rb") as file:
            return set(safetensors.parse_index(file.read(), index).values())
    except (FileNotFoundError, errors.DataLossError):
        return set()


def _remove_unnamed(index: str, names: Sequence[str]) -> None:
    """Removes files that lie beside an index, unless it names them."""
    for name in sorted(set(names) - _named_by(index)):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(os.path.dirname(index), name))
