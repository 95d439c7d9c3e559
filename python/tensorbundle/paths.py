"""Any path that a user may give, and the checkpoint that it means.

A checkpoint is named by its prefix: ``run/model.ckpt-100`` stands for ``run/model.ckpt-100.index`` and
``run/model.ckpt-100.data-?????-of-?????``. One of the V1 format is a file, or the pattern of its shards. Names are
taken literally, ``[``, ``*`` and ``~`` mean themselves, as long as there is such a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from tensorbundle import errors, files, v1_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

_INDEX = ".index"
_DATA_FILE = re.compile(r"(?P<prefix>.*)\.data-\d{5,}-of-\d{5,}\Z", re.DOTALL)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
_STATE_FILE = "checkpoint"

# For a message: how many names of a directory are looked at, how many of these files are, and how many come first for
# resembling another.
_MAX_SCANNED = 20_000
_MAX_OPENED = 500
_MAX_NEAREST = 5


class Found(NamedTuple):
    """A checkpoint: its absolute prefix, or of V1 its file or the pattern of its shards."""

    path: str
    is_v1: bool = False


def find(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Found:
    """The checkpoint that ``path`` means, of either format.

    Args:
        path: A prefix; its ``.index`` or one of its data files; a V1 file, which stands for all shards if it is one,
            or a pattern; a directory with a ``checkpoint`` state file, or that file itself;
            a SavedModel directory, or its ``variables`` directory. An existing ``<path>.index`` comes before everything
            else that has the name ``path``, and an existing file before what a pattern matches.

    Raises:
        FileNotFoundError: There is no checkpoint; the message says what was looked for and what is there instead.
        UnimplementedError: It is a URL.
        DataLossError: The state file is damaged.
        OSError: The system refuses to look, for want of permission for instance.
    """
    given = os.fsdecode(path)
    if not given:
        raise FileNotFoundError(errno.ENOENT, "no checkpoint has an empty path", given)
    if files.is_file(given + _INDEX):
        return Found(files.absolute(given))
    refuse_url(given, given)
    if files.is_directory(given):
        return _in_directory(given)
    if files.is_file(given):
        return _from_file(given)
    if (shards := v1_paths.of_pattern(given)) is not None:
        return _v1(shards)
    raise _not_found(given, given + _INDEX)


def resolve(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """The absolute prefix of the V2 checkpoint that ``path`` means, as :func:`find` understands it.

    Raises:
        UnimplementedError: It is of the V1 format.
    """
    found = find(path)
    if not found.is_v1:
        return found.path
    raise errors.UnimplementedError(
        f"{found.path!r} is of the V1 format, in which this can't be done: convert it to a V2 checkpoint before, with "
        "tensorbundle.convert or the command of that name",
        path=os.fsdecode(path),
    )


def _v1(path: str) -> Found:
    return Found(files.absolute(path), is_v1=True)


def _from_file(path: str) -> Found:
    """The checkpoint that an existing file belongs to."""
    name = os.path.basename(path)
    if name.endswith(_INDEX):
        return Found(files.absolute(path[: -len(_INDEX)]))
    if data_file := _DATA_FILE.match(path):
        prefix = data_file["prefix"]
        if files.is_file(prefix + _INDEX):
            return Found(files.absolute(prefix))
        raise _not_found(path, prefix + _INDEX)
    if name in _SAVED_MODEL_FILES:
        return in_saved_model(os.path.dirname(path) or os.curdir)
    if (whole := v1_paths.of_file(path)) is not None:
        return _v1(whole)
    if name == _STATE_FILE:
        return _from_state_file(path)
    raise _not_found(path, path + _INDEX)


def _in_directory(directory: str) -> Found:
    """The checkpoint that a directory stands for."""
    state_file = os.path.join(directory, _STATE_FILE)
    if files.is_file(state_file):
        return _from_file(state_file)
    if holds_saved_model(directory):
        return in_saved_model(directory)
    variables = os.path.join(directory, "variables")
    if files.is_file(variables + _INDEX):
        return Found(files.absolute(variables))
    is_variables = os.path.basename(files.absolute(directory)) == "variables"
    if is_variables and (v1 := v1_paths.of_saved_model(directory)) is not None:
        return _v1(v1)
    raise _missing(
        f"no checkpoint here: looked for a state file 'checkpoint', an index 'variables.index' and a SavedModel; "
        f"the directory {contents(directory)}",
        directory,
    )


def in_saved_model(directory: str) -> Found:
    """The checkpoint of a SavedModel's variables.

    Raises:
        FileNotFoundError: It has none.
    """
    variables = os.path.join(directory, "variables")
    prefix = os.path.join(variables, "variables")
    if files.is_file(prefix + _INDEX):
        return Found(files.absolute(prefix))
    if (v1 := v1_paths.of_saved_model(variables)) is not None:
        return _v1(v1)
    raise _missing(f"this SavedModel has no variables: there is no {prefix + _INDEX!r}, nor a V1 file", directory)


def _from_state_file(path: str) -> Found:
    """The newest checkpoint that a state file names."""
    from tensorbundle import state

    directory = os.path.dirname(path)
    candidates = state.candidates(state.read(path), path)
    for prefix in candidates:
        if files.is_file(prefix + _INDEX):
            return Found(files.absolute(prefix))
    for candidate in candidates:
        is_pattern = v1_paths.is_pattern(candidate)
        if (v1 := v1_paths.of_pattern(candidate) if is_pattern else v1_paths.of_file(candidate)) is not None:
            return _v1(v1)
    refuse_url(path, candidates[0])
    looked_for = [prefix if v1_paths.is_pattern(prefix) else prefix + _INDEX for prefix in candidates]
    gone = " nor ".join(repr(name) for name in dict.fromkeys(looked_for))
    raise _missing(
        f"the latest checkpoint that this state file names is gone: there is no {gone}; "
        f"the directory {contents(directory or os.curdir)}",
        path,
    )


def _not_found(path: str, index: str) -> FileNotFoundError:
    """For a path that names nothing: the index that was looked for, and what is there instead."""
    directory, name = os.path.split(index.removesuffix(_INDEX))
    hint = _hint(path)
    where = f"its directory {contents(directory or os.curdir, name)}"
    return _missing(f"no checkpoint here: looked for {index!r}; {where}{hint}", path)


def _hint(path: str) -> str:
    """What to do about a path that is taken for what it is not."""
    if path.startswith("~"):
        return "; '~' is not expanded here, os.path.expanduser does that"
    if path.endswith((".safetensors", ".npz")) and files.is_file(path):
        return "; tensorbundle.convert, or the command of that name, makes a checkpoint of a file of this kind"
    return ""


def _missing(message: str, path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, message, path)


def contents(directory: str, name: str = "") -> str:
    """For a message: which checkpoints a directory holds, those most like ``name`` first."""
    try:
        names = _names_in(directory)
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"can't be listed ({error.strerror})"
    for what, found in _kinds(directory, names, name):
        if found:
            return f"holds {what}: {files.listed(found)}"
    return "holds no checkpoint" if names else "is empty"


def _kinds(directory: str, names: list[str], name: str) -> Iterator[tuple[str, list[str]]]:
    """The kinds of things that a directory may hold, the most useful ones first, and which there are."""
    some = names[:_MAX_OPENED]
    prefixes = [entry.removesuffix(_INDEX) for entry in names if entry.endswith(_INDEX)]
    yield "checkpoints", _nearest_first(name, prefixes + v1_paths.checkpoints_among(directory, some))
    yield "data files without their index", [entry for entry in names if _DATA_FILE.match(entry)]
    yield "SavedModels", [entry for entry in some if _may_hold_saved_model(os.path.join(directory, entry))]


def _nearest_first(name: str, prefixes: list[str]) -> list[str]:
    """The names in natural order, with those first that resemble ``name``."""
    ordered = sorted(prefixes, key=_natural_key)
    if not name:
        return ordered
    import difflib

    near = difflib.get_close_matches(name, ordered[:2000], n=_MAX_NEAREST, cutoff=0.6)
    return near + [prefix for prefix in ordered if prefix not in near]


def _natural_key(name: str) -> list[tuple[int, str]]:
    """Puts ``ckpt-9`` before ``ckpt-10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]{1,18})", name)]


def _names_in(directory: str) -> list[str]:
    """Sorted names of a directory, at most so many."""
    names: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) == _MAX_SCANNED:
                break
    return sorted(names)


def holds_saved_model(directory: str) -> bool:
    """True if a directory has the file of a SavedModel, of whatever form. The system's refusal to look is an error."""
    return any(files.is_file(os.path.join(directory, name)) for name in _SAVED_MODEL_FILES)


def _may_hold_saved_model(directory: str) -> bool:
    """The same for a message about something else, where a refusal is no."""
    with contextlib.suppress(OSError):
        return holds_saved_model(directory)
    return False


def refuse_url(path: str, candidate: str) -> None:
    """Raises ``UnimplementedError`` if a path that is looked for is a URL."""
    _refuse_url("reading from", path, candidate)


def refuse_url_to_write(path: str) -> None:
    """Raises ``UnimplementedError`` if a path is a URL, of which a directory called ``gs:`` would be made."""
    _refuse_url("writing to", path, path)


def _refuse_url(doing: str, path: str, candidate: str) -> None:
    if _URL.match(candidate):
        raise errors.UnimplementedError(f"{doing} a URL is not supported yet: {candidate!r}", path=path)
