"""Any path that a user may give, and what of it holds tensors."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Literal

from tensorbundle import files, paths

if TYPE_CHECKING:
    from tensorbundle.formats.checkpoint import Naming
    from tensorbundle.formats.source import Source

    Kind = Literal["checkpoint", "safetensors", "npz"]

_KINDS = ("checkpoint", "safetensors", "npz")
_NAMINGS = ("key", "path", "full_name")
_INDEX_SUFFIX = ".index.json"
_SAFETENSORS_SUFFIX = ".safetensors"
_USUAL_STEM = "model"
# A zip file, and one without members.
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")


def open_source(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    kind: Kind | None = None,
    verify: bool = True,
    threads: int | None = None,
    names: Naming = "key",
) -> Source:
    """Opens whatever holds tensors.

    Args:
        path: A checkpoint, as :func:`tensorbundle.open` takes it, a SavedModel among others; a safetensors file, an
            index of several (``model.safetensors.index.json``) or a directory with one of these; or an ``.npz`` file.
        kind: ``"checkpoint"``, ``"safetensors"`` or ``"npz"``; None: by what is there. A checkpoint comes before
            everything else of its name.
        verify: Compare a checkpoint's checksums when tensors are read. An ``.npz`` file's are compared in any case, but
            with False it may also hand out the place of its bytes.
        threads: How many threads a call may use, for checkpoints; None: as many as this process may run on.
        names: For checkpoints: what tensors are called, as :meth:`tensorbundle.Checkpoint.named` takes it.

    Returns:
        A :class:`Source`, also a context manager.

    Raises:
        FileNotFoundError: There is nothing; the message says what was looked for.
        DataLossError: It is damaged, or of another kind.
        UnimplementedError: It is of a kind that isn't supported.
        ValueError: A wrong argument, or a directory with several files, none of which is the obvious one.
        OSError: It can't be read.
    """
    if kind is not None and kind not in _KINDS:
        raise ValueError(f"kind must be None or one of {', '.join(_KINDS)}, not {kind!r}")
    if names not in _NAMINGS:
        raise ValueError(f"names must be one of {', '.join(_NAMINGS)}, not {names!r}")
    given = os.fsdecode(path)
    found = kind or _kind(given)
    if found == "checkpoint":
        from tensorbundle.formats.checkpoint import CheckpointSource

        return CheckpointSource.open(given, verify=verify, threads=threads, names=names)
    if names != "key":
        raise ValueError(f"{given!r} is no checkpoint: its tensors have no other names, such as by {names!r}")
    if found == "npz":
        from tensorbundle.formats.npz.source import NpzSource

        return NpzSource.open(given, verify=verify)
    from tensorbundle.formats.safetensors.source import SafetensorsSource

    place = _safetensors_in(given, required=True) if files.is_directory(given) else given
    return SafetensorsSource.open_index(place) if place.endswith(".json") else SafetensorsSource.open(place)


def _kind(path: str) -> Kind:
    """What is at a path, by its name where that tells, else by how it begins."""
    if files.is_file(f"{path}.index"):
        return "checkpoint"
    paths.refuse_url(path, path)
    if files.is_directory(path):
        return "safetensors" if not _is_checkpoint(path) and _safetensors_in(path) else "checkpoint"
    if path.endswith((_SAFETENSORS_SUFFIX, _INDEX_SUFFIX)):
        return "safetensors"
    if path.endswith(".npz"):
        return "npz"
    return _kind_of_content(path) if files.is_file(path) else "checkpoint"


def _is_checkpoint(directory: str) -> bool:
    try:
        paths.find(directory)
    except FileNotFoundError:
        return False
    return True


def _kind_of_content(path: str) -> Kind:
    with open(path, "rb") as file:
        start = file.read(9)
    if start.startswith(_ZIP_MAGICS):
        return "npz"
    # A header's length, of which the upper bytes are zero, and its first character.
    return "safetensors" if start[4:] == b"\0\0\0\0{" else "checkpoint"


def _safetensors_in(directory: str, *, required: bool = False) -> str:
    """The one index, or else the one file, that a directory stands for; an empty string if there is none.

    Raises:
        FileNotFoundError: There is none, and it is required.
        ValueError: There are several, and none has the usual name.
    """
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries)
    for suffix in (_SAFETENSORS_SUFFIX + _INDEX_SUFFIX, _SAFETENSORS_SUFFIX):
        found = [name for name in names if name.endswith(suffix)]
        if _USUAL_STEM + suffix in found:
            found = [_USUAL_STEM + suffix]
        if len(found) > 1:
            raise ValueError(f"{directory!r} holds several safetensors files: name one of {files.listed(found)}")
        if found:
            return os.path.join(directory, found[0])
    if required:
        raise FileNotFoundError(errno.ENOENT, "there is no safetensors file here, and no index of some", directory)
    return ""
