"""Writing checkpoints: a mapping of arrays at once, or one tensor at a time."""

from __future__ import annotations

import contextlib
import math
import operator
import os
import threading as threading_module
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import _core, callers, dtypes, inputs, opening, paths
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from numpy.typing import ArrayLike, DTypeLike
    from typing_extensions import Self

    from tensorbundle.progress import ProgressFunction

# What the native module counts them in.
_MOST_SHARDS = 2**31 - 1
_MOST_BYTES = 2**63 - 1


def save(
    prefix: str | os.PathLike[str],
    tensors: Mapping[str, ArrayLike] | Iterable[tuple[str, ArrayLike]],
    *,
    shards: int = 1,
    max_shard_bytes: int | None = None,
    alignment: int = 64,
    durable: bool = True,
    threads: int | None = None,
    progress: bool | ProgressFunction | None = None,
) -> str:
    """Saves arrays as a checkpoint that TensorFlow restores.

    An old checkpoint of that prefix stays whole and readable until the new one is complete, and then goes; arrays
    mapped from it stay valid. Any error, and a killed process, leave it as it was. Where one is replaced there may be
    one data file more than asked for: the new files must not have the old ones' names. It gets a small tensor, and is
    empty where there is only one tensor.

    Args:
        prefix: What the checkpoint is named by: its files are ``<prefix>.index`` and ``<prefix>.data-?????-of-?????``.
            Directories are made.
        tensors: Arrays by name, or (name, array) pairs. NumPy arrays of any layout and byte order; anything with
            ``__array__``, the buffer protocol or DLPack in the memory of the CPU (bfloat16 and float8 too); numbers,
            ``bytes`` and ``str``, object arrays of these. An opened :class:`Checkpoint` keeps its types exactly.
        shards: Number of data files, filled evenly and written in parallel; no more than there are tensors. All are
            open at once, and there may be no more than the system's limit allows (``ulimit -n``).
        max_shard_bytes: Bytes after which a new data file is begun. A larger tensor is stored in slices where
            TensorFlow can put these together again; otherwise it gets a file of its own, with a warning.
        alignment: Tensors begin at multiples of this: a power of two, at most 1 MiB. From 16 on all can be mapped as
            aligned arrays; 1 packs them as TensorFlow does.
        durable: True: the checkpoint survives a power cut once this returns. False: it survives the end of the process,
            and this returns before the disk has everything.
        threads: How many to use; None: as many as there are processors.
        progress: True for a bar on a terminal, or a function ``(done_bytes, total_bytes, name)``.

    Returns:
        The prefix.

    Raises:
        TypeError: A name that is no ``str``, or elements that a checkpoint can't hold.
        ValueError: A bad name or option, a name given twice, no tensor at all. Nothing has been written then.
        OSError: The system refuses: no permission, no space, too many files open at once; or somebody else has had the
            directory locked for five minutes. Nothing is left behind.

    Example:
        >>> tb.save("run/model.ckpt-100", {"dense/kernel": kernel, "dense/bias": bias})
    """
    options: dict[str, Any] = {"shards": shards, "max_shard_bytes": max_shard_bytes, "alignment": alignment}
    with CheckpointWriter(prefix, **options, durable=durable, threads=threads, progress=progress) as writer:
        writer.add_many(tensors)
    return writer.path


class CheckpointWriter:
    """One checkpoint that is being written, tensor by tensor: larger than memory, if it must.

    As a context manager it finishes at the end of the block, unless the block did, and leaves nothing behind if that
    ends with an exception. Otherwise call :meth:`finish`, or :meth:`abandon`. Until it has finished, nothing that a
    reader sees has changed. Threads may share it: their calls wait for each other. A forked child can only abandon its
    copy, which leaves the files to the parent: the end of the block, too, is a ``ValueError`` there.

    Args, and errors, are those of :func:`save`, and one more:
        partial: Slices that other writers have may be missing, until :func:`merge` brings them together.

    Example:
        >>> with tb.CheckpointWriter("run/big") as writer:
        ...     writer.add("step", 100)
        ...     writer.add_chunks("embeddings", "float32", (1_000_000_000, 64), blocks)
    """

    def __init__(
        self,
        prefix: str | os.PathLike[str],
        *,
        shards: int = 1,
        max_shard_bytes: int | None = None,
        alignment: int = 64,
        durable: bool = True,
        partial: bool = False,
        threads: int | None = None,
        progress: bool | ProgressFunction | None = None,
    ) -> None:
        path = os.fsdecode(prefix)
        limit = _positive("max_shard_bytes", max_shard_bytes, _MOST_BYTES) if max_shard_bytes is not None else 0
        sizes = (_positive("shards", shards, _MOST_SHARDS), limit, _positive("alignment", alignment, _MOST_BYTES))
        self._path = path
        self._lock = threading_module.RLock()
        self._in_call = False
        self._closed = False
        self._warned = 0
        self._cleanup = contextlib.ExitStack()
        paths.refuse_url_to_write(path)
        callers.warn_of_patterns(path)  # While there is nothing that had to be removed if it is raised.
        with contextlib.ExitStack() as stack:
            report = stack.enter_context(reporting(progress, f"Saving {os.path.basename(path)}"))
            # Here, and not in the native writer: what refers back to this object would keep both for ever.
            self._progress = report
            self._native = _core.CheckpointWriter(
                path,
                *sizes,
                bool(durable),
                bool(partial),
                opening.thread_count(threads),
                report and _weakly(self._call_progress),
            )
            # Also at the interpreter's end, when what is still referred to does not go by itself.
            weakref.finalize(self, _let_go, self._native, self._lock)
            self._cleanup = stack.pop_all()

    @property
    def path(self) -> str:
        """The prefix, as it was given."""
        return self._path

    def add(self, name: str, array: ArrayLike, *, dtype: str | None = None) -> None:
        """Writes one tensor, to the data file that has the fewest bytes.

        Args:
            name: Its name, which must be new.
            array: Its elements, as for :func:`save`.
            dtype: TensorFlow's name of its type, where the array's doesn't tell: ``"qint8"`` and its kin for integers,
                ``"variant"`` for serialized ``VariantTensorDataProto`` messages.
        """
        self._check_name(name)
        array, tf_name = _typed(name, array, dtype)
        with self._alone():
            self._native.add_many([(name, array)], inputs.to_array, None if tf_name is None else {name: tf_name})
            self._warn_of_oversized()

    def add_many(self, tensors: Mapping[str, ArrayLike] | Iterable[tuple[str, ArrayLike]]) -> None:
        """Writes many tensors, in parallel; the first batch is spread over the data files evenly, in its order."""
        types = _exact_types(tensors) if isinstance(tensors, Checkpoint) else None
        with self._alone():
            self._native.add_many(_items(tensors), inputs.to_array, types)
            self._warn_of_oversized()

    def add_slice(
        self,
        name: str,
        array: ArrayLike,
        full_shape: Sequence[int],
        start: Sequence[int],
        *,
        dtype: str | None = None,
    ) -> None:
        """Writes one piece of a tensor: its elements from ``start`` on, as many as ``array`` has.

        The pieces of a tensor may come in any order, may not overlap, and must be all there in the end.

        Raises:
            ValueError: It leaves ``full_shape``, overlaps another piece, or disagrees with one on shape or type.
        """
        self._check_name(name)
        array, tf_name = _typed(name, array, dtype)
        full, origin = list(map(operator.index, full_shape)), list(map(operator.index, start))
        with self._alone():
            self._native.add_slice(name, array, full, origin, inputs.to_array, tf_name)

    def add_chunks(self, name: str, dtype: DTypeLike, shape: Sequence[int], chunks: Iterable[ArrayLike]) -> None:
        """Writes one tensor from parts of it, of which only one need be in memory at a time.

        Args:
            name: Its name, which must be new.
            dtype: Of its elements: a NumPy dtype, or TensorFlow's name of one.
            shape: Of the whole tensor.
            chunks: Arrays of exactly this dtype, in any byte order, and of any shape; their elements one after the
                other are the tensor's, in row-major order. Strings are collected before they are written.

        Raises:
            ValueError: The chunks have more or fewer elements than the shape. The writer is of no use then.
            TypeError: A chunk has another dtype. The same.
        """
        self._check_name(name)
        tf_name, numpy_dtype = _element_type(name, dtype)
        dims = list(map(operator.index, shape))
        if numpy_dtype.hasobject:
            self.add(name, _collect(name, chunks, dims), dtype=tf_name)
            return
        with self._alone():
            self._native.begin_chunks(name, tf_name, dims)
            try:
                self._warn_of_oversized()
                self._append_chunks(name, numpy_dtype, math.prod(dims), chunks)
            except BaseException:
                self._native.abandon()
                raise

    def finish(self) -> None:
        """Makes it the checkpoint of its prefix.

        Raises:
            ValueError: There is no tensor at all, or one of which slices are missing. They can still be added.
            OSError: The system refuses. The old checkpoint, if there was one, is as it was.
        """
        with self._alone(), self._cleanup:
            self._native.finish()
            self._closed = True

    def abandon(self) -> None:
        """Removes what was written. After :meth:`finish` this does nothing."""
        with self._alone(), self._cleanup:
            self._native.abandon()
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._closed:
            return
        try:
            if exc_type is None:
                self.finish()
        finally:
            self.abandon()  # What is finished stays.

    def __repr__(self) -> str:
        return f"<tensorbundle.CheckpointWriter {self._path!r}>"

    def _call_progress(self, done: int, total: int, name: str) -> None:
        if self._progress is not None:
            self._progress(done, total, name)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            # In the same thread: out of a progress function, of chunks or of arrays that it was given.
            if self._in_call:
                raise RuntimeError("a CheckpointWriter can't be used by what one of its own calls has called")
            self._in_call = True
            try:
                yield
            finally:
                self._in_call = False

    def _append_chunks(self, name: str, dtype: np.dtype[Any], missing: int, chunks: Iterable[ArrayLike]) -> None:
        for chunk in chunks:
            array = inputs.to_array(name, chunk)
            if array.dtype.newbyteorder("=") != dtype:
                raise TypeError(f"tensor {name!r}: chunks must be of {dtype}, this one is of {array.dtype}")
            if array.size > missing:
                raise ValueError(f"tensor {name!r}: the chunks have more elements than its shape")
            missing -= array.size
            if array.size:
                native = np.ascontiguousarray(array, dtype=dtype)
                self._native.append_chunk(native.reshape(-1).view(np.uint8))
        if missing:
            raise ValueError(f"tensor {name!r}: the chunks have {missing} elements fewer than its shape")

    @staticmethod
    def _check_name(name: object) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a tensor's name is a str, not {type(name).__name__}")

    def _warn_of_oversized(self) -> None:
        names = self._native.oversized(self._warned)
        self._warned += len(names)
        for name in names:
            callers.warn(
                f"tensor {name!r} is larger than max_shard_bytes and stays whole, in a data file of its own: "
                "there are no slices of it that TensorFlow puts together",
                UserWarning,
            )


def _weakly(method: ProgressFunction) -> ProgressFunction:
    """A function that calls a method while its object is there, and does not keep it."""
    reference = weakref.WeakMethod(method)

    def call(done: int, total: int, name: str) -> None:
        if (found := reference()) is not None:
            found(done, total, name)

    return call


def _let_go(native: _core.CheckpointWriter, lock: threading_module.RLock) -> None:
    """Removes what an unfinished writer wrote, unless a thread is still writing."""
    if lock.acquire(blocking=False):
        try:
            native.abandon()
        finally:
            lock.release()


def _items(tensors: Mapping[str, ArrayLike] | Iterable[tuple[str, ArrayLike]]) -> Iterable[tuple[str, ArrayLike]]:
    if type(tensors) is dict:
        return tensors.items()
    if isinstance(tensors, Mapping):
        return map(_pair, tensors.items())
    if isinstance(tensors, (str, bytes, np.ndarray)) or not isinstance(tensors, Iterable):
        raise TypeError(f"tensors must be a mapping from names to arrays, not {type(tensors).__name__}")
    return map(_pair, tensors)


def _pair(item: Any) -> tuple[str, ArrayLike]:
    if not isinstance(item, tuple) or len(item) != 2:
        raise TypeError(f"tensors must be a mapping, or give pairs of a name and an array, not {type(item).__name__}")
    return item


def _exact_types(checkpoint: Checkpoint) -> dict[str, str]:
    """TensorFlow's types of the tensors whose arrays would not tell."""
    return {
        entry.name: entry.tf_dtype
        for entry in checkpoint.entries()
        if entry.tf_dtype.startswith(("qint", "quint", "variant"))
    }


def _typed(name: str, array: Any, dtype: str | None) -> tuple[Any, str | None]:
    """What is to be written, and the type that a user gave; it must be one that the elements are stored as."""
    if dtype is None:
        return array, None
    tf_name, expected = _element_type(name, dtype)
    converted = inputs.to_array(name, array)
    if converted.dtype.newbyteorder("=") != expected:
        raise TypeError(
            f"tensor {name!r}: dtype {tf_name!r} takes an array of {expected}, this one is of {converted.dtype}"
        )
    return converted, tf_name


def _element_type(name: str, dtype: Any) -> tuple[str, np.dtype[Any]]:
    """TensorFlow's name of a type, and the dtype of its arrays."""
    if isinstance(dtype, str) and dtype in dtypes.TF_NAMES:
        return dtype, dtypes.numpy_dtype(dtype)
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"tensor {name!r}: {error}") from error
    if found.kind in "SUT":
        found = np.dtype(object)
    tf_name = dtypes.tf_name(found)
    if tf_name is None:
        raise TypeError(f"tensor {name!r}: a checkpoint can't hold elements of dtype {found}")
    return tf_name, found.newbyteorder("=")


def _collect(name: str, chunks: Iterable[ArrayLike], shape: list[int]) -> np.ndarray[Any, Any]:
    parts = [inputs.to_array(name, chunk).reshape(-1) for chunk in chunks]
    elements = np.concatenate(parts) if parts else np.empty(0, object)
    if elements.dtype != object or elements.size != math.prod(shape):
        raise ValueError(f"tensor {name!r}: the chunks are not {math.prod(shape)} strings")
    return elements.reshape(shape)


def _positive(what: str, value: Any, most: int) -> int:
    number = value.__index__() if hasattr(value, "__index__") and not isinstance(value, bool) else None
    if number is None:
        raise TypeError(f"{what} must be an integer, not {value!r}")
    if not 0 < number <= most:
        raise ValueError(f"{what} must be from 1 to {most}, not {number}")
    return int(number)


CheckpointWriter.__module__ = "tensorbundle"  # Where users find it.
