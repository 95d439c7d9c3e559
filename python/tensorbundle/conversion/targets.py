"""What a destination means: which kind of file, how many of them, and what they can hold."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from tensorbundle import files, formats, paths

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Kind: TypeAlias = Literal["checkpoint", "safetensors", "npz"]

_KINDS = ("checkpoint", "safetensors", "npz")
_SAFETENSORS = ".safetensors"
_INDEX = ".safetensors.index.json"
_NPZ = ".npz"
# What others write: a checkpoint of such a name would be taken for theirs.
_FOREIGN = (
    ".bin",
    ".ckpt.meta",
    ".gguf",
    ".h5",
    ".hdf5",
    ".json",
    ".keras",
    ".npy",
    ".onnx",
    ".pb",
    ".pt",
    ".pth",
    ".zip",
)
# Of the shards in a directory, unless the caller says otherwise: what Hugging Face's tools make them.
_DEFAULT_SHARD_BYTES = 5 * 10**9
_DEFAULT_STEM = "model"
_MAX_ALIGNMENT = 1 << 20


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the tensors go.

    Attributes:
        kind: ``"checkpoint"``, ``"safetensors"`` or ``"npz"``.
        path: The prefix of a checkpoint, the file, or the index file of several safetensors; absolute.
        shards: How many files, or None.
        max_shard_bytes: What one of them may hold, or None.
    """

    kind: Kind
    path: str
    shards: int | None = None
    max_shard_bytes: int | None = None

    @property
    def directory(self) -> str:
        """The directory that the files are in."""
        return os.path.dirname(self.path)

    @property
    def has_index(self) -> bool:
        """True of safetensors in several files, which an index file lists."""
        return self.path.endswith(_INDEX)

    @property
    def stem(self) -> str:
        """The beginning of the names of all files."""
        name = os.path.basename(self.path)
        return name.removesuffix(_INDEX) if self.has_index else name

    def can_hold(self, dtype: str) -> bool:
        """True if elements of a type, by TensorFlow's name, can be stored and come back as they are."""
        if self.kind == "checkpoint":
            from tensorbundle import dtypes

            return dtype in dtypes.TF_NAMES
        return formats.safetensors.can_hold(dtype) if self.kind == "safetensors" else formats.npz.can_hold(dtype)


def resolve(dst: str | os.PathLike[str], to: str | None, shards: int | None, max_shard_bytes: int | None) -> Target:
    """What a destination means.

    Args:
        dst: A name that ends in ``.safetensors``, ``.safetensors.index.json`` or ``.npz``; a directory, for safetensors
            in several files; else the prefix of a checkpoint.
        to: The kind, whatever the name.
        shards: How many files, or None.
        max_shard_bytes: What one of them may hold, or None.

    Raises:
        TypeError: A number that is none.
        ValueError: Both numbers are given, one is less than 1, they are for one ``.npz``, or the name is that of
            something else.
        UnimplementedError: It is a URL.
    """
    given = os.fsdecode(dst)
    if not given:
        raise ValueError("dst is empty")
    paths.refuse_url_to_write(given)
    counts = _positive("shards", shards), _positive("max_shard_bytes", max_shard_bytes)
    if None not in counts:
        raise ValueError("shards and max_shard_bytes exclude each other: give one of them")
    kind = _kind(given, to)
    if kind == "safetensors":
        return _safetensors(given, *counts)
    _refuse_directory(given, kind)
    if kind == "npz" and counts != (None, None):
        raise ValueError("an .npz is one file: shards and max_shard_bytes are for checkpoints and safetensors")
    return Target(kind, files.absolute(given), *counts)


def check_alignment(alignment: Any) -> int:
    """The alignment of tensors in a checkpoint.

    Raises:
        TypeError: It is no integer.
        ValueError: It is none that checkpoints are written with.
    """
    number = _positive("alignment", alignment)
    if number is None:
        raise TypeError("alignment must be an integer, not None")
    if number & (number - 1) or number > _MAX_ALIGNMENT:
        raise ValueError(f"alignment is a power of two from 1 to {_MAX_ALIGNMENT}, not {number}")
    return number


def _kind(given: str, to: str | None) -> Kind:
    if to is not None:
        if to not in _KINDS:
            raise ValueError(f"to is one of {', '.join(map(repr, _KINDS))}, not {to!r}")
        return to  # type: ignore[return-value] # It is one of them.
    if given.endswith((_SAFETENSORS, _INDEX)) or _is_directory(given):
        return "safetensors"
    if given.endswith(_NPZ):
        return "npz"
    if given.lower().endswith(_FOREIGN):
        raise ValueError(
            f"{given!r} is the name of no format that is written here; for a checkpoint of that prefix give "
            "to='checkpoint'"
        )
    return "checkpoint"


def _safetensors(given: str, shards: int | None, max_shard_bytes: int | None) -> Target:
    if _is_directory(given):
        index = files.absolute(os.path.join(given, _DEFAULT_STEM + _INDEX))
        if shards is None and max_shard_bytes is None:
            max_shard_bytes = _DEFAULT_SHARD_BYTES
        return Target("safetensors", index, shards, max_shard_bytes)
    path = files.absolute(given)
    if shards is None and max_shard_bytes is None:
        return Target("safetensors", path, None, _DEFAULT_SHARD_BYTES if path.endswith(_INDEX) else None)
    stem = path.removesuffix(_INDEX).removesuffix(_SAFETENSORS)
    return Target("safetensors", stem + _INDEX, shards, max_shard_bytes)


def _refuse_directory(given: str, kind: str) -> None:
    if _is_directory(given):
        what = "a checkpoint is named by a prefix, such as" if kind == "checkpoint" else "give the file, such as"
        name = "model" if kind == "checkpoint" else "model.npz"
        raise ValueError(f"{given!r} is a directory: {what} {os.path.join(given, name)!r}")


def _is_directory(given: str) -> bool:
    return given.endswith(os.sep) or files.is_directory(given)


def _positive(what: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    number: int = value.__index__()
    if number < 1:
        raise ValueError(f"{what} must be at least 1, not {number}")
    return number
