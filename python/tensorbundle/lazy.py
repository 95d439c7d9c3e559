"""A tensor that is read when it is indexed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from tensorbundle.checkpoint import Checkpoint


class LazyTensor:
    """One tensor of a checkpoint, with the look of an array; nothing is read until it is indexed.

    ``lazy[index]`` takes NumPy's basic indexing and touches only those bytes; ``numpy.asarray(lazy)`` reads the whole.
    What takes arrays in this style (``dask.array.from_array`` for instance) takes it. It keeps its checkpoint, which
    must be open when it is read, and pickles with it. What is wanted as a whole, part by part, is checked too, and read
    once, by :meth:`Checkpoint.chunks`.

    Example:
        >>> embeddings = ckpt.lazy("embeddings")
        >>> embeddings.shape
        (30522, 1024)
        >>> embeddings[100:110].shape
        (10, 1024)
    """

    __slots__ = ("_checkpoint", "_entry")

    def __init__(self, checkpoint: Checkpoint, name: str) -> None:
        self._checkpoint = checkpoint
        self._entry = checkpoint.entry(name)

    @property
    def name(self) -> str:
        """Name of the tensor."""
        return self._entry.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of elements in each dimension."""
        return self._entry.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the arrays that indexing gives."""
        return self._entry.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self._entry.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self._entry.shape)

    @property
    def nbytes(self) -> int:
        """Bytes stored."""
        return self._entry.nbytes

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """The elements of a basic index, as ``Checkpoint.read(name, index=...)`` gives them.

        Raises:
            IndexError: Out of bounds, or not a basic index.
            ValueError: The checkpoint is closed.
        """
        # Alone, None would mean the whole tensor to `read`; here it is a new dimension.
        return self._checkpoint.read(self.name, index=index if isinstance(index, tuple) else (index,))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if dtype is None:
            return self._checkpoint.read(self.name, copy=copy)
        import numpy as np

        wanted = np.dtype(dtype)
        if wanted == self.dtype:
            return self._checkpoint.read(self.name, copy=copy)
        if copy is False:
            raise ValueError(f"{self.name!r} is of {self.dtype}: as {wanted} it is a copy, which copy=False forbids")
        return self._checkpoint.read(self.name).astype(wanted)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        if not self.shape:
            raise TypeError("iteration over a 0-d tensor")
        return (self[position] for position in range(self.shape[0]))

    def __reduce__(self) -> tuple[type[LazyTensor], tuple[Checkpoint, str]]:
        return type(self), (self._checkpoint, self.name)

    def __repr__(self) -> str:
        return f"<LazyTensor {self.name!r}: {self._entry.tf_dtype} {list(self.shape)}>"


LazyTensor.__module__ = "tensorbundle"  # Where users find it, and where pickles look.
