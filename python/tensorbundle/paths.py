"""Any path that a user may give, and the checkpoint that it means.

A checkpoint is named by its prefix: ``run/model.ckpt-100`` stands for ``run/model.ckpt-100.index`` and
``run/model.ckpt-100.data-?????-of-?????``. Names are taken literally: ``[``, ``*`` and ``~`` mean themselves.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from tensorbundle import errors, files

if TYPE_CHECKING:
    from collections.abc import Iterator

_INDEX = ".index"
_DATA_FILE = re.compile(r"(?P<prefix>.*)\.data-\d{5,}-of-\d{5,}\Z", re.DOTALL)
_V1_SHARD = re.compile(r".*-\d{5}-of-\d{5}\Z", re.DOTALL)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
_STATE_FILE = "checkpoint"

# The last eight bytes of a table, which an index file is, and a V1 checkpoint as well.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")

# For a message: how many names of a directory are looked at, how many of these files are, and how many are offered.
_MAX_SCANNED = 20_000
_MAX_OPENED = 500
_MAX_OFFERED = 5


def resolve(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """The absolute prefix of the checkpoint that ``path`` means.

    Args:
        path: A prefix; its ``.index`` or one of its data files; a directory with a ``checkpoint`` state file, or that
            file itself; a SavedModel directory, or its ``variables`` directory. An existing ``<path>.index`` comes
            before everything else that has the name ``path``.

    Raises:
        FileNotFoundError: There is no checkpoint; the message says what was looked for and what is there instead.
        UnimplementedError: It is a checkpoint of the V1 format, or a URL.
        DataLossError: The state file is damaged.
        OSError: The system refuses to look, for want of permission for instance.
    """
    given = os.fsdecode(path)
    if not given:
        raise FileNotFoundError(errno.ENOENT, "no checkpoint has an empty path", given)
    if files.is_file(given + _INDEX):
        return files.absolute(given)
    _refuse_url(given, given)
    if files.is_directory(given):
        return _in_directory(given)
    if files.is_file(given):
        return _from_file(given)
    _refuse_v1(given, [given])
    raise _not_found(given, given + _INDEX)


def _from_file(path: str) -> str:
    """The checkpoint that an existing file belongs to."""
    name = os.path.basename(path)
    if name.endswith(_INDEX):
        return files.absolute(path[: -len(_INDEX)])
    if data_file := _DATA_FILE.match(path):
        prefix = data_file["prefix"]
        if files.is_file(prefix + _INDEX):
            return files.absolute(prefix)
        raise _not_found(path, prefix + _INDEX)
    if name in _SAVED_MODEL_FILES:
        return _in_saved_model(os.path.dirname(path) or os.curdir)
    _refuse_v1(path, [path])
    if name == _STATE_FILE:
        return _from_state_file(path)
    raise _not_found(path, path + _INDEX)


def _in_directory(directory: str) -> str:
    """The checkpoint that a directory stands for."""
    state_file = os.path.join(directory, _STATE_FILE)
    if files.is_file(state_file):
        _refuse_v1(directory, [state_file])
        return _from_state_file(state_file)
    if any(files.is_file(os.path.join(directory, name)) for name in _SAVED_MODEL_FILES):
        return _in_saved_model(directory)
    variables = os.path.join(directory, "variables")
    if files.is_file(variables + _INDEX):
        return files.absolute(variables)
    if os.path.basename(files.absolute(directory)) == "variables":
        _refuse_v1(directory, _v1_files(directory))
    raise _missing(
        f"no checkpoint here: looked for a state file 'checkpoint', an index 'variables.index' and a SavedModel; "
        f"the directory {_contents(directory)}",
        directory,
    )


def _in_saved_model(directory: str) -> str:
    variables = os.path.join(directory, "variables")
    prefix = os.path.join(variables, "variables")
    if files.is_file(prefix + _INDEX):
        return files.absolute(prefix)
    _refuse_v1(directory, _v1_files(variables))
    raise _missing(f"this SavedModel has no variables: there is no {prefix + _INDEX!r}", directory)


def _from_state_file(path: str) -> str:
    """The newest checkpoint that a state file names."""
    from tensorbundle import state

    directory = os.path.dirname(path)
    candidates = state.candidates(state.read(path), path)
    for prefix in candidates:
        if files.is_file(prefix + _INDEX):
            return files.absolute(prefix)
    for prefix in candidates:
        _refuse_v1(path, [prefix])
    _refuse_url(path, candidates[0])
    gone = " nor ".join(repr(prefix + _INDEX) for prefix in dict.fromkeys(candidates))
    raise _missing(
        f"the latest checkpoint that this state file names is gone: there is no {gone}; "
        f"the directory {_contents(directory or os.curdir)}",
        path,
    )


def _not_found(path: str, index: str) -> FileNotFoundError:
    """For a path that names nothing: the index that was looked for, and what is there instead."""
    directory, name = os.path.split(index.removesuffix(_INDEX))
    hint = "; '~' is not expanded here, os.path.expanduser does that" if path.startswith("~") else ""
    where = f"its directory {_contents(directory or os.curdir, name)}"
    return _missing(f"no checkpoint here: looked for {index!r}; {where}{hint}", path)


def _missing(message: str, path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, message, path)


def _contents(directory: str, name: str = "") -> str:
    """For a message: which checkpoints a directory holds, those most like ``name`` first."""
    try:
        names = _names_in(directory)
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"can't be listed ({error.strerror})"
    for what, found in _kinds(directory, names, name):
        if found:
            return f"holds {what}: {_some(found)}"
    return "holds no checkpoint" if names else "is empty"


def _kinds(directory: str, names: list[str], name: str) -> Iterator[tuple[str, list[str]]]:
    """The kinds of things that a directory may hold, the most useful ones first, and which there are."""
    prefixes = [entry.removesuffix(_INDEX) for entry in names if entry.endswith(_INDEX)]
    yield "checkpoints", _nearest_first(name, prefixes)
    yield "data files without their index", [entry for entry in names if _DATA_FILE.match(entry)]
    some = [(entry, os.path.join(directory, entry)) for entry in names[:_MAX_OPENED]]
    yield "SavedModels", [entry for entry, path in some if _holds_saved_model(path)]
    yield "checkpoints of the V1 format, which is not supported yet", [entry for entry, path in some if _is_table(path)]


def _nearest_first(name: str, prefixes: list[str]) -> list[str]:
    """The names in natural order, with those first that resemble ``name``."""
    ordered = sorted(prefixes, key=_natural_key)
    if not name:
        return ordered
    import difflib

    near = difflib.get_close_matches(name, ordered[:2000], n=_MAX_OFFERED, cutoff=0.6)
    return near + [prefix for prefix in ordered if prefix not in near]


def _natural_key(name: str) -> list[tuple[int, str]]:
    """Puts ``ckpt-9`` before ``ckpt-10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]{1,18})", name)]


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MAX_OFFERED])
    more = len(names) - _MAX_OFFERED
    return f"{shown} and {more} more" if more > 0 else shown


def _names_in(directory: str) -> list[str]:
    """Sorted names of a directory, at most so many."""
    names: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) == _MAX_SCANNED:
                break
    return sorted(names)


def _holds_saved_model(directory: str) -> bool:
    return any(os.path.isfile(os.path.join(directory, name)) for name in _SAVED_MODEL_FILES)


def _refuse_url(path: str, candidate: str) -> None:
    if _URL.match(candidate):
        raise errors.UnimplementedError(f"reading from a URL is not supported yet: {candidate!r}", path=path)


def _refuse_v1(path: str, candidates: list[str]) -> None:
    """Raises if one of these is a checkpoint of the V1 format: a file, or the pattern of several."""
    for candidate in candidates:
        if any(_is_table(name) for name in (candidate, *_matches(candidate))):
            raise errors.UnimplementedError(
                f"{candidate!r} is a checkpoint of the V1 format, which is not supported yet", path=path
            )


def _v1_files(directory: str) -> list[str]:
    """Files of a SavedModel's variables directory that may be V1 checkpoints, some of them."""
    try:
        names = _names_in(directory)
    except OSError:
        return []
    shards = [name for name in names if name == "variables" or _V1_SHARD.match(name)]
    return [os.path.join(directory, name) for name in shards[:_MAX_OFFERED]]


def _matches(pattern: str) -> list[str]:
    """Files that a V1 pattern such as ``variables-?????-of-00001`` means, some of them."""
    import fnmatch

    directory, name = os.path.split(pattern)
    if not any(symbol in name for symbol in "*?["):
        return []
    try:
        names = fnmatch.filter(_names_in(directory or os.curdir), name)
    except OSError:
        return []
    # An index of V2 is a table as well.
    names = [match for match in names if not match.endswith(_INDEX) and not _DATA_FILE.match(match)]
    return [os.path.join(directory, match) for match in names[:_MAX_OFFERED]]


def _is_table(path: str) -> bool:
    """True for a file that ends as a table does."""
    if not os.path.isfile(path):  # Opening a pipe would wait for its writer.
        return False
    try:
        with open(path, "rb") as file:
            file.seek(-len(_TABLE_MAGIC), os.SEEK_END)
            return file.read() == _TABLE_MAGIC
    except OSError:
        return False
