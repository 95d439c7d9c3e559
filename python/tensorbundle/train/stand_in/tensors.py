"""What stands in for tensors and variables: arrays with the few attributes that programs which only read ask for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tensorbundle import errors
from tensorbundle.train import dtypes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import SupportsIndex

    from numpy.typing import NDArray

    from tensorbundle.train.dtypes import DType


class TensorShape(tuple[int, ...]):
    """A shape: a tuple that is equal to the list as well, and true without dimensions too. All of it is known."""

    __slots__ = ()

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self)

    ndims = rank

    def as_list(self) -> list[int]:
        """The dimensions."""
        return list(self)

    def num_elements(self) -> int:
        """Number of elements."""
        return int(np.prod(self, dtype=np.int64))

    def is_fully_defined(self) -> bool:
        """True."""
        return True

    def __bool__(self) -> bool:
        return True

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> TensorShape: ...
    def __getitem__(self, index: SupportsIndex | slice) -> int | TensorShape:
        return TensorShape(tuple(self)[index]) if isinstance(index, slice) else tuple.__getitem__(self, index)

    def __add__(self, other: Iterable[int]) -> TensorShape:  # type: ignore[override]
        return TensorShape((*self, *other))

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, tuple(other)) if isinstance(other, (tuple, list)) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return tuple.__hash__(self)

    def __repr__(self) -> str:
        return f"TensorShape({list(self)})"

    def __str__(self) -> str:
        return tuple.__repr__(self)


class Tensor:
    """Elements with a type and a shape. Its elements may be read only when somebody asks for them.

    Args:
        dtype: Their type.
        shape: Their shape.
        numpy: Gives them, as a fresh array, or a scalar.
    """

    def __init__(self, dtype: DType, shape: tuple[int, ...], numpy: Callable[[], Any]) -> None:
        self.dtype = dtype
        self.shape = TensorShape(shape)
        self._numpy = numpy

    def numpy(self) -> Any:
        """The elements: an array that can be written to, NumPy's scalar, or ``bytes``."""
        return self._numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the elements can't be had without a copy")
        return np.asarray(self._numpy(), dtype)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<tf.{type(self).__name__}: shape={tuple(self.shape)}, dtype={self.dtype.name}>"


class Variable(Tensor):
    """A variable of a SavedModel.

    Args:
        name: Its name, with ``":0"`` at the end.
        dtype: As of a tensor, like the others.
        shape: The same.
        numpy: The same.
    """

    def __init__(self, name: str, dtype: DType, shape: tuple[int, ...], numpy: Callable[[], Any]) -> None:
        super().__init__(dtype, shape, numpy)
        self.name = name


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:  # noqa: ARG001 - TensorFlow's signature
    """The elements of ``x``, converted: towards zero to integers, without the imaginary part to real numbers.

    Args:
        x: What NumPy takes for an array, or a tensor of this module.
        dtype: What :func:`tensorbundle.train.dtypes.as_dtype` takes.
        name: Ignored.

    Raises:
        UnimplementedError: Strings can't be converted.
        TypeError: ``dtype`` is none.
    """
    wanted = dtypes.as_dtype(dtype)
    array = np.asarray(x)
    found = dtypes.as_dtype(array.dtype)
    if found != wanted and "string" in (found.name, wanted.name):
        raise errors.UnimplementedError(f"Cast {found.name} to {wanted.name} is not supported")
    converted = _converted(array, np.dtype(wanted.as_numpy_dtype))
    return Tensor(wanted, array.shape, lambda: converted.copy() if array.shape else converted[()])


def device(device_name: Any) -> contextlib.AbstractContextManager[None]:  # noqa: ARG001 - TensorFlow's signature
    """A context in which everything is as it is outside: nothing is computed here."""
    return contextlib.nullcontext()


def _converted(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if array.dtype.kind == "c" and dtype.kind not in "cb":
        array = array.real
    with np.errstate(invalid="ignore", over="ignore"):
        return array.astype(dtype)
