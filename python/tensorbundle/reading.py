"""Opening a checkpoint, and loading it, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorbundle.checkpoint import Checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from tensorbundle.progress import ProgressFunction
    from tensorbundle.selection import Patterns


def open(
    path: str | os.PathLike[str], *, verify: bool = True, mmap: bool | None = None, threads: int | None = None
) -> Checkpoint:
    """Opens a checkpoint.

    Args:
        path: A prefix (``run/model.ckpt-100``), its ``.index`` or one of its data files, a directory with a
            ``checkpoint`` state file or that file itself, a SavedModel directory, or its ``variables`` directory. Of
            the V1 format: a file, or the pattern of its shards (``variables-?????-of-00002``), one of which stands for
            all.
        verify: Compare checksums when tensors are read. False: never, unless a call asks for it.
        mmap: True maps the files, so that arrays can be views of them; False reads them; None maps, except on file
            systems where a mapping is unwise, such as NFS, Lustre and FUSE.
        threads: How many threads a call may use; None: as many as this process may run on. Reading a part of a tensor
            (``index=``, :meth:`Checkpoint.lazy`) takes one, unless it has strings or is verified.

    Returns:
        A :class:`Checkpoint`, also a context manager.

    Raises:
        FileNotFoundError: There is no checkpoint; the message says what was looked for and what is there instead.
        DataLossError: The index is damaged.
        UnimplementedError: It is of a kind that isn't supported.

    Warns:
        DamageWarning: Some tensors can't be read, because a data file is missing for instance; the others can. Of the
            V1 format, whose shards list their own tensors: some can't be listed (:attr:`Checkpoint.missing_shards`).
    """
    return Checkpoint(path, verify=verify, mmap=mmap, threads=threads)


def load(
    path: str | os.PathLike[str],
    names: Iterable[str] | None = None,
    *,
    include: Patterns | None = None,
    exclude: Patterns | None = None,
    out: Mapping[str, NDArray[Any]] | None = None,
    copy: bool | None = None,
    verify: bool | None = None,
    mmap: bool | None = None,
    threads: int | None = None,
    progress: bool | ProgressFunction | None = None,
) -> dict[str, NDArray[Any]]:
    """Opens a checkpoint and loads it: :func:`open` and :meth:`Checkpoint.load` in one call.

    Example:
        >>> weights = tb.load("run/model.ckpt-100", exclude="Adam|global_step")
    """
    with Checkpoint(path, verify=verify is not False, mmap=mmap, threads=threads) as checkpoint:
        return checkpoint.load(names, include=include, exclude=exclude, out=out, copy=copy, progress=progress)
