"""Files of the V1 format: one is a checkpoint by itself, or one of the shards that a pattern stands for.

Shards are called ``<name>-00000-of-00002``, and the checkpoint by their pattern, ``<name>-?????-of-00002``.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re

from tensorbundle import files

_SHARD = re.compile(r"(?P<name>.*)-(?P<shard>\d{5})-of-(?P<number>(?!00000)\d{5})\Z", re.DOTALL)
_PATTERN = re.compile(r"(?P<name>.*)-\?\?\?\?\?-of-(?P<number>(?!00000)\d{5})\Z", re.DOTALL)
# What variables of a SavedModel were called, through the years.
_VARIABLES = ("variables", "saved_model_variables")
# The ends of V2 files, of which an index is a table as well.
_V2_FILE = re.compile(r".*\.(?:index|data-\d{5,}-of-\d{5,})\Z", re.DOTALL)

# The last eight bytes of a table.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")


def of_file(path: str) -> str | None:
    """The checkpoint that an existing file is, or is a shard of, whether or not the other shards are there.

    None if it is no table, which every V1 file is.
    """
    if not is_table(path):
        return None
    shard = _SHARD.match(path)
    if shard is None or shard["shard"] >= shard["number"]:
        return path
    return f"{shard['name']}-?????-of-{shard['number']}"


def of_pattern(pattern: str) -> str | None:
    """The checkpoint some of whose shards, or whose only file, match a pattern; None if nothing does.

    Raises:
        FileNotFoundError: Files of several checkpoints match.
    """
    if _PATTERN.match(pattern) is None:
        return _of_other_pattern(pattern)
    name, _, number = pattern.rpartition("-?????-of-")
    shards = (f"{name}-{shard:05d}-of-{number}" for shard in range(int(number)))
    return pattern if any(map(files.is_file, shards)) else None


def of_saved_model(variables: str) -> str | None:
    """The checkpoint in a SavedModel's ``variables`` directory; None if there is none of this format."""
    for name in _VARIABLES:
        if (whole := of_file(os.path.join(variables, name))) is not None:
            return whole
    try:
        names = sorted(os.listdir(variables))
    except OSError:
        return None
    shards = [name for name in names if (shard := _SHARD.match(name)) and shard["name"] in _VARIABLES]
    found = (of_file(os.path.join(variables, name)) for name in shards)
    return next((path for path in found if path is not None), None)


def checkpoints_among(directory: str, names: list[str]) -> list[str]:
    """Which checkpoints of this format these files of a directory are."""
    candidates = [name for name in names if _V2_FILE.match(name) is None]
    found = (of_file(os.path.join(directory, name)) for name in candidates)
    return list(dict.fromkeys(os.path.basename(path) for path in found if path is not None))


def is_pattern(path: str) -> bool:
    """True if the path is the pattern of a checkpoint's shards."""
    return _PATTERN.match(path) is not None


def is_table(path: str) -> bool:
    """True for a file that ends as a table does."""
    if not os.path.isfile(path):  # Opening a pipe would wait for its writer.
        return False
    try:
        with open(path, "rb") as file:
            file.seek(-len(_TABLE_MAGIC), os.SEEK_END)
            return file.read() == _TABLE_MAGIC
    except OSError:
        return False


def _of_other_pattern(pattern: str) -> str | None:
    directory, name = os.path.split(pattern)
    if not any(symbol in name for symbol in "*?["):
        return None
    try:
        names = fnmatch.filter(sorted(os.listdir(directory or os.curdir)), name)
    except OSError:
        return None
    found = checkpoints_among(directory, names)
    if len(found) > 1:
        message = f"files of several checkpoints match this pattern: {files.listed(found)}"
        raise FileNotFoundError(errno.ENOENT, message, pattern)
    return os.path.join(directory, found[0]) if found else None
