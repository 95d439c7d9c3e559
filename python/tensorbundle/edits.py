"""Checkpoints made of others without reading their tensors: several merged into one, or one with other names."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from tensorbundle import _core, callers, paths, selection
from tensorbundle.renaming import GRAPH_KEY, RenameRules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorbundle.renaming import Rename
    from tensorbundle.selection import Patterns


def merge(
    prefixes: Iterable[str | os.PathLike[str]],
    prefix: str | os.PathLike[str],
    *,
    durable: bool = True,
    keep_sources: bool = False,
    partial: bool = False,
) -> str:
    """Makes several checkpoints one: one index over the data files of all, which are linked and not copied.

    What TensorFlow's ``MergeV2Checkpoints`` does with the parts of a sharded save. Slices of one tensor that are spread
    over several checkpoints become one tensor. Nothing changes before everything has been checked, and any error leaves
    all as it was; an old checkpoint of the new prefix stays whole until the merged one is complete, as with
    :func:`save`. Then the sources are removed, index first, and with them the empty ``<prefix>_temp`` directory that
    TensorFlow makes for parts.

    Args:
        prefixes: The checkpoints, in any form that :func:`open` takes.
        prefix: What the merged checkpoint is named by; none of the sources. Where data files can't be linked there,
            on another file system for instance, they are copied.
        durable: As for :func:`save`.
        keep_sources: Leave the sources where they are. Their data files are then further names of the new ones.
        partial: Slices of a tensor may still be missing; until another merge brings them it can't be read.

    Returns:
        The new prefix.

    Raises:
        TypeError: ``prefixes`` is a single path.
        ValueError: A checkpoint given twice, or as the destination; a tensor that two of them have; slices of one
            tensor that disagree on type or shape, overlap, or leave a part out; checkpoints of different byte orders;
            no tensor at all. Names what it is.
        FileNotFoundError: There is no such checkpoint, or a data file of it is missing.
        DataLossError: An index is damaged, or a data file is too short. Checksums of tensors are not compared.
        OSError: The system refuses. If it refuses to remove a source, the merged checkpoint is complete; the message
            says so.

    Example:
        >>> tb.merge([f"run/model_temp/part-{i}" for i in range(8)], "run/model")
    """
    if isinstance(prefixes, (str, bytes, os.PathLike)):
        raise TypeError(f"prefixes must be an iterable of paths, not a single one: give [{prefixes!r}]")
    destination = os.fsdecode(prefix)
    paths.refuse_url_to_write(destination)
    sources = _resolve_all(list(prefixes))
    callers.warn_of_patterns(destination)
    _core.merge(sources, destination, bool(durable), bool(keep_sources), bool(partial))
    return destination


def edit(
    prefix: str | os.PathLike[str],
    dst: str | os.PathLike[str] | None = None,
    *,
    rename: Rename | None = None,
    drop: Patterns | None = None,
    link: bool = False,
    durable: bool = True,
) -> str:
    """Renames and drops tensors: only the index and the object graph are rewritten, whatever the size of the rest.

    Where it is, the new index takes the place of the old one at one stroke, and data files are not touched: what they
    hold of dropped tensors stays in them. With ``dst`` there is a new checkpoint, with data files of its own, and an
    old one there stays whole until it is complete, as with :func:`save`.

    Names are the keys that tensors are stored under. Where an object graph has them too, as ``tf.train.Checkpoint``
    saves it, it follows, so that objects still find their values: in a small data file of its own. Data files then get
    new names, because their number changes, but are not copied, where files can be linked.

    Args:
        prefix: The checkpoint, in any form that :func:`open` takes.
        dst: The prefix of another checkpoint to make; None: edit it where it is. Data files that still hold a tensor
            are copied, sharing their blocks where the file system can do that.
        rename: ``(pattern, replacement)`` pairs, applied to each name as ``re.sub`` does, groups included, in
            order, each to what the one before has made. The object graph keeps its name. What follows
            ``/.ATTRIBUTES/`` in the key of an object's value has to stay: TensorFlow finds the value by it.
        drop: Drops tensors in whose old name one of these patterns is found, by ``re.search``. Objects lose what is
            dropped. Without its graph, ``_CHECKPOINTABLE_OBJECT_GRAPH``, a checkpoint is one of names alone.
        link: With ``dst``: the data files become further names of the old ones, where that can be, and not copies.
        durable: As for :func:`save`.

    Returns:
        The prefix of the edited checkpoint.

    Raises:
        TypeError: A pattern or replacement that isn't over ``str``; ``rename`` is no list of pairs.
        ValueError: A pattern that is no regular expression, or applies to no tensor; two tensors with one name; a name
            that is empty or begins with a NUL; no tensor left; ``dst`` is the checkpoint itself; a value of an object
            that TensorFlow would not find under its new name, or is one of several tensors and parted from them. Names
            what it is.
        DataLossError: The index is damaged, or the object graph where it has to follow.
        FileNotFoundError: There is no such checkpoint.
        OSError: The system refuses. Everything is as it was.

    Example:
        >>> tb.edit("run/model.ckpt-100", rename=[(r"^model/", ""), (r"/gamma$", "/scale")], drop="/Adam")
    """
    rules = _Rules(rename, drop)
    source = paths.resolve(prefix)
    destination = None if dst is None else os.fsdecode(dst)
    if destination == "":
        raise ValueError("dst is empty; to edit the checkpoint where it is, leave it out")
    if destination is not None:
        paths.refuse_url_to_write(destination)
        callers.warn_of_patterns(destination)
    _core.edit(source, destination, rules.apply, bool(link), bool(durable))
    return source if destination is None else destination


def new_names(
    names: Iterable[str], *, rename: Rename | None = None, drop: Patterns | None = None
) -> dict[str, str | None]:
    """What :func:`edit` would call tensors of these names; None: it would drop them.

    Raises:
        TypeError, ValueError: As :func:`edit`, as far as the rules alone can be wrong.
    """
    given = list(names)
    return dict(zip(given, _Rules(rename, drop).apply(given), strict=True))


class _Rules:
    """What to do with names."""

    def __init__(self, rename: Rename | None, drop: Patterns | None) -> None:
        self._rename = RenameRules(rename)
        self._drop = [] if drop is None else selection.compiled(drop, "drop")

    def apply(self, names: list[str]) -> list[str | None]:
        """The new name of each, None for those to drop. A rule that applies to none is a mistake, and said."""
        dropped = self._dropped(names)
        fixed = {*dropped, GRAPH_KEY}
        rest = iter(self._rename.apply([name for name in names if name not in fixed]))
        return [(None if name in dropped else name) if name in fixed else next(rest) for name in names]

    def _dropped(self, names: list[str]) -> set[str]:
        dropped: set[str] = set()
        for pattern in self._drop:
            found = {name for name in names if pattern.search(name)}
            if not found:
                raise ValueError(f"drop: {pattern.pattern!r} is found in no name of the {len(names)} tensors")
            dropped |= found
        return dropped


def _resolve_all(prefixes: list[str | os.PathLike[str]]) -> list[str]:
    """The prefixes of all; those that are missing are said together."""
    resolved = [_resolve(prefix) for prefix in prefixes]
    missing = [error for error in resolved if isinstance(error, FileNotFoundError)]
    if len(missing) == 1:
        raise missing[0]
    if missing:
        given = ", ".join(repr(error.filename) for error in missing)
        message = f"{len(missing)} of the {len(prefixes)} checkpoints are missing: {given}"
        raise FileNotFoundError(errno.ENOENT, message, missing[0].filename)
    return [prefix for prefix in resolved if isinstance(prefix, str)]


def _resolve(prefix: str | os.PathLike[str]) -> str | FileNotFoundError:
    try:
        return paths.resolve(prefix)
    except FileNotFoundError as error:
        return error
