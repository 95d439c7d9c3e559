"""An opened checkpoint: a mapping from names of tensors to NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from tensorbundle import _core, errors, opening, paths, selection
from tensorbundle.progress import reporting

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Literal, TypeVar

    from numpy.typing import NDArray
    from typing_extensions import Self

    from tensorbundle.graph import ObjectGraph
    from tensorbundle.lazy import LazyTensor
    from tensorbundle.progress import ProgressFunction
    from tensorbundle.selection import Patterns
    from tensorbundle.verification import VerifyReport

    _T = TypeVar("_T")


class Checkpoint(Mapping[str, "NDArray[Any]"]):
    """One saved checkpoint: an immutable mapping from names to arrays, in the order of the names' bytes.

    Opened with :func:`tensorbundle.open`, or directly with the same arguments. It stays the save that it was when it
    was opened, whatever happens to its files later. Threads may share it, and processes: it survives ``fork``, and
    pickles as its path and options; unpickling opens it again and raises ``DataLossError`` if another save is there.
    Two checkpoints are equal only if they are the same object.

    Arrays outlive it: ``close()``, and the end of a ``with`` block, only end reading.

    Example:
        >>> with tb.open("run/model.ckpt-100") as ckpt:
        ...     kernel = ckpt["dense/kernel"]               # a read-only view of the file where that can be had
        ...     rows = ckpt.read("embeddings", index=slice(10, 20))
        ...     everything = ckpt.load(copy=True)
    """

    # Without a dictionary: a misspelt attribute is an error.
    __slots__ = ("__weakref__", "_by", "_native", "_options", "_path", "_threads", "_verify")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        verify: bool = True,
        mmap: bool | None = None,
        threads: int | None = None,
    ) -> None:
        access = opening.access(mmap)
        self._verify = bool(verify)
        self._threads = opening.thread_count(threads)
        self._options = {"verify": self._verify, "mmap": mmap, "threads": threads}
        found = paths.find(path)
        self._path = found.path
        self._by = "key"
        # By its index: a prefix may itself end like a file of another checkpoint's.
        opened = self._path if found.is_v1 else self._path + ".index"
        self._native: _core.Checkpoint | None = _core.Checkpoint.open(opened, access)
        opening.warn_of_problems(self._native)

    # What there is.

    @property
    def path(self) -> str:
        """The absolute prefix that was opened: its files are ``<path>.index`` and ``<path>.data-?????-of-?????``.

        Of the V1 format: the absolute path of its file, or the pattern of its shards, ``<name>-?????-of-00002``.
        """
        return self._path

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._native is None

    @property
    def num_shards(self) -> int:
        """Number of data files, those that are missing included; of the V1 format, of all its files."""
        return self._opened().num_shards

    @property
    def missing_shards(self) -> tuple[str, ...]:
        """Shards of a V1 checkpoint that were not there when it was opened: what they alone hold can't be listed.

        Always empty of V2, whose index lists every tensor: a data file that is missing is among :meth:`problems`.
        """
        return tuple(self._opened().missing_shards)

    def entry(self, name: str) -> _core.Entry:
        """What the index says of one tensor; nothing of its data is read.

        Raises:
            NotFoundError: There is no such tensor.
            DataLossError: Its record in the index can't be understood.
        """
        native = self._opened()
        self._require(native, name)
        return native.entry(name)

    def entries(self) -> list[_core.Entry]:
        """What the index says of each tensor, in key order, apart from those whose record can't be understood."""
        return self._opened().entries()

    # The objects that were saved.

    @property
    def object_graph(self) -> ObjectGraph | None:
        """The objects that ``tf.train.Checkpoint`` or a SavedModel stored, or None where tensors were saved by name.

        Raises:
            DataLossError: The graph is damaged. The tensors can still be read.
            OSError: The data file with the graph is missing.
        """
        from tensorbundle.graph import ObjectGraph

        native = self._opened().object_graph()
        return None if native is None else ObjectGraph(native)

    def named(self, by: Literal["path", "full_name", "key"]) -> Self:
        r"""The same checkpoint, its tensors under other names: a handle of its own, with everything that this one has.

        Args:
            by: ``"path"``: variables are named by their path through the objects, such as ``model/dense/kernel``, and
                an optimizer's slots ``<variable>/.OPTIMIZER_SLOT/<optimizer>/<slot>``. Of the paths to a shared object
                it is one with the fewest steps into bookkeeping (``trainable_variables`` and the like), then the
                shortest, then the first. Other values are ``<path>/.ATTRIBUTES/<what the key has there>``.
                ``"full_name"``: by their names in a graph of TensorFlow 1. ``"key"``: by the keys that they are stored
                under.

        Returns:
            Every tensor of this checkpoint, once. What has no such name, or shares it, keeps its key; so do all where
            no object graph is stored.

        Raises:
            DataLossError: The graph is damaged.
            OSError: The data file with the graph is missing.
            LimitError: The names would take far more memory than the checkpoint.

        Example:
            >>> weights = ckpt.named(by="path").load(exclude=r"\.OPTIMIZER_SLOT|^optimizer/")
        """
        return self._twin(_native=self._opened().named(by), _by=by)

    def key(self, name: str) -> str:
        """The key that a tensor is stored under, which :meth:`named` may have given another name.

        Raises:
            NotFoundError: There is no such tensor.
        """
        native = self._opened()
        self._require(native, name)
        return native.key(name)

    def problems(self) -> dict[str, Exception]:
        """Tensors that can't be read, as far as opening could tell, and why: the errors that reading them raises."""
        return dict(self._opened().problems())

    def __bool__(self) -> bool:
        return self._native is not None and len(self._native) > 0

    def __len__(self) -> int:
        return len(self._opened())

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened().names())

    def __contains__(self, name: object) -> bool:
        return _has(self._opened(), name)

    # Reading.

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.read(name)

    @overload
    def get(self, key: str, /) -> NDArray[Any] | None: ...
    @overload
    def get(self, key: str, /, default: NDArray[Any] | _T) -> NDArray[Any] | _T: ...
    def get(self, key: str, /, default: Any = None) -> Any:
        """The array, or ``default`` if there is no such tensor."""
        return self.read(key) if key in self else default

    def read(
        self,
        name: str,
        *,
        index: Any = None,
        out: NDArray[Any] | None = None,
        copy: bool | None = None,
        verify: bool | None = None,
    ) -> NDArray[Any]:
        """Reads one tensor, or a part of it.

        Args:
            name: Its name.
            index: Any basic index of NumPy's: integers, slices, ``...``, ``None`` within a tuple. Only the bytes that
                it selects are touched (of the V1 format: the blocks, unless of large floats), by this thread alone, and
                no checksum is compared. None: the whole tensor.
            out: Array to fill and return, of exactly the right dtype and shape. After an error its contents are
                undefined.
            copy: None for a read-only view of the file where one can be had, aligned, and else a copy; False for a view
                (aligned or not, see ``array.flags.aligned``) or an error; True for a fresh array that can be written
                to. There are no views of the V1 format, whose values are encoded.
            verify: Compare the checksum: of a copy each time, of a view the first time that this checkpoint gives it
                out. None: as the checkpoint was opened; with ``index``, only True does, and looks at the whole tensor.

        Returns:
            The array; 0-d for a scalar, of dtype ``object`` with ``bytes`` in it for strings.

        Raises:
            NotFoundError: There is no such tensor.
            DataLossError: It is damaged; the error names data file, offset and both checksums (of the V1 format those
                of the table block that it is in).
            TypeError, ValueError: A wrong argument, the checkpoint is closed, or ``copy=False`` and there is no view.
            IndexError: ``index`` is out of bounds or isn't a basic index.
            OSError: The file can't be read, or was missing when the checkpoint was opened.
        """
        from tensorbundle import outputs

        native = self._opened()
        self._require(native, name)
        opening.check_copy(copy, out is not None)
        if index is not None:
            return outputs.read_part(
                native, name, index, out=out, copy=copy, verify=bool(verify), threads=self._threads
            )
        check = self._verify if verify is None else bool(verify)
        if out is None:
            return native.read([name], None, copy, check, self._threads)[0]
        return outputs.read_into(native, [name], {name: out}, verify=check, threads=self._threads)[0]

    def lazy(self, name: str) -> LazyTensor:
        """A stand-in for one tensor with ``shape``, ``dtype``, ``ndim`` and ``nbytes``, which reads when it is indexed.

        Raises:
            NotFoundError: There is no such tensor.
        """
        from tensorbundle.lazy import LazyTensor

        return LazyTensor(self, name)

    def load(
        self,
        names: Iterable[str] | None = None,
        *,
        include: Patterns | None = None,
        exclude: Patterns | None = None,
        out: Mapping[str, NDArray[Any]] | None = None,
        copy: bool | None = None,
        verify: bool | None = None,
        threads: int | None = None,
        progress: bool | ProgressFunction | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Reads many tensors at once, in the order of the file, in parallel, with the GIL released.

        Args:
            names: Which tensors; None: all.
            include: Regular expression, or several: keep the names in which one of them is found (``re.search``).
            exclude: The same for names to leave out.
            out: Arrays to fill, by name, as in :meth:`read`; the other tensors get arrays of their own.
            copy: As in :meth:`read`.
            verify: As in :meth:`read`.
            threads: How many may work; None: as the checkpoint was opened.
            progress: True for a bar on a terminal, or a function called from this thread with the bytes done, the bytes
                in total and the name of a tensor. What it raises ends the call.

        Returns:
            A dict in key order, whatever the order of ``names``.

        Raises:
            NotFoundError: One of ``names`` isn't there.
            DataLossError: A tensor is damaged.
            TypeError, ValueError: A wrong argument, such as a single string for ``names``, a name in ``out`` that isn't
                loaded, or a closed checkpoint.
        """
        from tensorbundle import outputs

        native = self._opened()
        opening.check_copy(copy, bool(out))
        selected = selection.matching(self._select(native, names), include, exclude)
        check = self._verify if verify is None else bool(verify)
        count = self._threads if threads is None else opening.thread_count(threads)
        with reporting(progress, "loading") as report:
            arrays = outputs.read_into(
                native, selected, out or {}, copy=copy, verify=check, threads=count, report=report
            )
        return dict(zip(selected, arrays, strict=True))

    def chunks(
        self, name: str, max_bytes: int = 64 << 20, *, drop_cache: bool = False, verify: bool | None = None
    ) -> Iterator[tuple[tuple[slice, ...], NDArray[Any]]]:
        """Reads one tensor chunk by chunk, in memory bounded by a chunk, however large it is.

        The chunks come in row-major order and are together the tensor. Each is a box whose elements follow one another
        in that order: as many whole rows as fit or, where one row doesn't, parts of it.

        Args:
            name: Its name.
            max_bytes: What a chunk has at most; a single element may have more. Strings are counted by what they take
                on average.
            drop_cache: Let the system take back the memory that the file is cached in, chunk by chunk, as soon as the
                next one is asked for. Views that are kept stay valid: touching them reads the file again.
            verify: Compare the checksum on the way, so that nothing is read twice: the error comes in place of the last
                chunk; in place of the first for variables in pieces that aren't rows and for the V1 format, which may
                be read once more for it. None: as the checkpoint was opened.

        Returns:
            An iterator of pairs: an index, a tuple of slices, and the array, equal to ``ckpt[name][index]``: a view if
            the tensor can be viewed, or a copy of its own. A tensor without elements is one chunk; so is a scalar, at
            index ``()``. It keeps the files that it reads, also after :meth:`close`. Strings, and tensors of the V1
            format except large floats, are decoded as a whole before the first chunk.

        Raises:
            NotFoundError: There is no such tensor.
            DataLossError, OSError: As for :meth:`read`; of a damaged tensor while iterating, as said above.
            TypeError, ValueError: A wrong argument, or the checkpoint is closed.

        Example:
            >>> for index, rows in ckpt.chunks("embeddings", max_bytes=16 << 20):
            ...     out[index] = rows
        """
        from tensorbundle import streaming

        native = self._opened()
        self._require(native, name)
        check = self._verify if verify is None else bool(verify)
        chunks = native.chunks(name, streaming.byte_count(max_bytes), check, self._threads)
        return streaming.chunks(chunks, drop_cache=drop_cache)

    def stream(
        self,
        names: Iterable[str] | None = None,
        *,
        include: Patterns | None = None,
        exclude: Patterns | None = None,
        max_bytes: int = 256 << 20,
        drop_cache: bool = False,
        verify: bool | None = None,
        threads: int | None = None,
        progress: bool | ProgressFunction | None = None,
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        """Reads many tensors one after the other, in the order of the file, in bounded memory.

        They are read in batches, as :meth:`load` reads, which says what the other arguments are and what is raised.

        Args:
            max_bytes: What a batch has at most; a larger tensor is one alone. While a batch is read nothing of those
                before is kept here, so this, or the largest tensor, is what it takes besides the arrays that you keep.
            drop_cache: Let the system take back the memory that the file is cached in, batch by batch: a checkpoint
                that is larger than the machine's memory then puts nobody else's files out of it.

        Returns:
            An iterator of pairs: a name, and an array of its own that can be written to. It keeps the files that it
            reads, also after :meth:`close`. Damage that opening could not tell is raised in place of the batch.

        Example:
            >>> norms = {name: float(np.linalg.norm(array)) for name, array in ckpt.stream(include="kernel")}
        """
        from tensorbundle import streaming

        native = self._opened()
        selected = selection.matching(self._select(native, names), include, exclude)
        return streaming.stream(
            native,
            native.in_file_order(selected),
            streaming.byte_count(max_bytes),
            drop_cache=drop_cache,
            verify=self._verify if verify is None else bool(verify),
            threads=self._threads if threads is None else opening.thread_count(threads),
            progress=progress,
        )

    def verify(
        self,
        names: Iterable[str] | None = None,
        *,
        threads: int | None = None,
        progress: bool | ProgressFunction | None = None,
    ) -> VerifyReport:
        """Reads every byte and compares every checksum, also of what was compared before.

        Args:
            names: Which tensors; None: all.
            threads: As in :meth:`load`.
            progress: As in :meth:`load`.

        Returns:
            A report that is true if all is sound. Damage is no error here. Shards that are missing count as damage
            unless ``names`` are given.

        Raises:
            NotFoundError: One of ``names`` isn't there.
        """
        from tensorbundle.verification import Damage, VerifyReport

        native = self._opened()
        selected = None if names is None else self._select(native, names)
        count = self._threads if threads is None else opening.thread_count(threads)
        with reporting(progress, "verifying") as report:
            checked, nbytes, damaged, missing = native.verify(selected, count, report)
        return VerifyReport(checked, nbytes, tuple(Damage(*damage) for damage in damaged), tuple(missing))

    # Its life.

    def close(self) -> None:
        """Ends reading and lets go of the files; arrays that were read stay valid. May be called again."""
        self._native = None

    def __enter__(self) -> Self:
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        # A mapping's would read and compare every array.
        return True if other is self else NotImplemented

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __copy__(self) -> Self:
        """Another handle of the same opened files, closed on its own."""
        self._opened()
        return self._twin()

    def _twin(self, **changed: Any) -> Self:
        twin = type(self).__new__(type(self))
        for name in Checkpoint.__slots__[1:]:
            setattr(twin, name, changed[name] if name in changed else getattr(self, name))
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._path, self._opened().identity, self._options, self._by)

    def __repr__(self) -> str:
        native = self._native
        state = "closed" if native is None else f"{len(native)} tensors"
        named = "" if self._by == "key" else f" named by {self._by}"
        return f"<tensorbundle.Checkpoint {self._path!r}{named}: {state}>"

    def _ipython_key_completions_(self) -> list[str]:
        return self._opened().names()

    def _opened(self) -> _core.Checkpoint:
        """The native object; a call that has it finishes, whoever closes the checkpoint meanwhile."""
        native = self._native
        if native is None:
            raise ValueError(f"checkpoint {self._path!r} is closed")
        return native

    def _require(self, native: _core.Checkpoint, name: object) -> None:
        if not _has(native, name):
            message = selection.not_found_message(name, native.names(), self._path, native.missing_shards)
            raise errors.NotFoundError(message, path=self._path, tensor=name if isinstance(name, str) else None)

    def _select(self, native: _core.Checkpoint, names: Iterable[str] | None) -> list[str]:
        """The tensors asked for, in key order, each once."""
        if names is None:
            return native.names()
        selected = selection.distinct_names(names)
        for name in selected:
            self._require(native, name)
        return selection.in_key_order(selected)


def _reopen(
    kind: type[Checkpoint], path: str, identity: tuple[int, int], options: dict[str, Any], by: Any = "key"
) -> Checkpoint:
    """A checkpoint from its pickle."""
    checkpoint = kind(path, **options)
    if checkpoint._opened().identity != identity:  # noqa: SLF001 - a function of the class, but for pickle
        raise errors.DataLossError(f"another save is at {path!r} now than the one that was pickled", path=path)
    return checkpoint if by == "key" else checkpoint.named(by)


def _has(native: _core.Checkpoint, name: object) -> bool:
    try:
        return isinstance(name, str) and name in native
    except UnicodeEncodeError:  # A lone surrogate, which no name has.
        return False


Checkpoint.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
