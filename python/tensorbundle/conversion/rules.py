"""Which tensors get another element type, and which are transposed: rules by patterns of names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbundle import dtypes, selection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from numpy.typing import DTypeLike

    from tensorbundle.formats import TensorSpec
    from tensorbundle.selection import Patterns

    Cast: TypeAlias = DTypeLike | Mapping[str, DTypeLike]
    Transpose: TypeAlias = Patterns | Mapping[str, Sequence[int] | None]

# (from, to): what one may become. Of quantized numbers the scale isn't known, and a bool is a flag.
_CASTS = frozenset({("float", "float"), ("complex", "complex"), ("integer", "integer"), ("integer", "float")})


class CastRules:
    """What ``cast`` says: an element type for all tensors of floating type, or a dict from patterns to types.

    Raises:
        TypeError: It is neither.
        ValueError: A type for all that isn't floating, one that checkpoints don't have, or a pattern that is no
            regular expression.
    """

    def __init__(self, cast: Cast | None) -> None:
        self._all = None if cast is None or isinstance(cast, Mapping) else _dtype_name(cast)
        if self._all is not None and dtypes.kind(self._all) != "float":
            raise ValueError(
                f"cast: {self._all} is no floating type; a type for all applies to floating tensors only: give a dict "
                "from a pattern of names to a type"
            )
        self._rules = [(selection.compiled_one(pattern, "cast"), _dtype_name(dtype)) for pattern, dtype in _items(cast)]

    def apply(self, specs: Sequence[TensorSpec]) -> list[str]:
        """The element type of each tensor, TensorFlow's name of it.

        Raises:
            ValueError: A pattern is found in no name, or asks for what can't be: names all of these tensors.
        """
        for pattern, _ in self._rules:
            require_match(pattern, [spec.name for spec in specs], "cast")
        wanted = [self._wanted(spec) for spec in specs]
        wrong = [(spec, dtype) for spec, dtype in zip(specs, wanted, strict=True) if not _can_cast(spec.dtype, dtype)]
        if wrong:
            listed = "; ".join(f"{spec.name!r} from {spec.dtype} to {dtype}" for spec, dtype in wrong)
            raise ValueError(
                f"cast: floats become floats, complex numbers complex, integers integers or floats: {listed}"
            )
        return wanted

    def _wanted(self, spec: TensorSpec) -> str:
        if self._all is not None:
            return self._all if dtypes.kind(spec.dtype) == "float" else spec.dtype
        return next((dtype for pattern, dtype in self._rules if pattern.search(spec.name)), spec.dtype)


class TransposeRules:
    """What ``transpose`` says: patterns of tensors whose dimensions are reversed, or a dict from patterns to axes.

    Raises:
        TypeError: It is neither, or axes aren't integers.
        ValueError: A pattern is no regular expression, or axes are no permutation.
    """

    def __init__(self, transpose: Transpose | None) -> None:
        if transpose is None:
            rules: Iterable[tuple[Any, Any]] = ()
        elif isinstance(transpose, Mapping):
            rules = transpose.items()
        else:
            rules = [(pattern, None) for pattern in selection.compiled(transpose, "transpose")]
        self._rules = [(selection.compiled_one(pattern, "transpose"), _axes(axes)) for pattern, axes in rules]

    def apply(self, specs: Sequence[TensorSpec]) -> list[tuple[int, ...] | None]:
        """For each tensor which of its axes comes first, second and so on; None if it stays as it is.

        Raises:
            ValueError: A pattern is found in no name, or its axes don't fit a tensor.
        """
        for pattern, _ in self._rules:
            require_match(pattern, [spec.name for spec in specs], "transpose")
        return [self._axes_of(spec) for spec in specs]

    def _axes_of(self, spec: TensorSpec) -> tuple[int, ...] | None:
        for pattern, axes in self._rules:
            if pattern.search(spec.name):
                return _fitting(axes, spec, pattern)
        return None


def require_match(pattern: re.Pattern[str], names: Sequence[str], argument: str) -> None:
    """Raises ``ValueError`` if a pattern is found in none of the names: a rule that applies to nothing is a mistake."""
    if not any(pattern.search(name) for name in names):
        raise ValueError(f"{argument}: {pattern.pattern!r} is found in no name of the {len(names)} tensors")


def _fitting(axes: tuple[int, ...] | None, spec: TensorSpec, pattern: re.Pattern[str]) -> tuple[int, ...] | None:
    rank = len(spec.shape)
    if axes is not None and len(axes) != rank:
        raise ValueError(
            f"transpose: {list(axes)} for {pattern.pattern!r} does not fit {spec.name!r} of shape {list(spec.shape)}"
        )
    order = tuple(reversed(range(rank))) if axes is None else axes
    return None if order == tuple(range(rank)) else order


def _axes(axes: Any) -> tuple[int, ...] | None:
    if axes is None:
        return None
    if isinstance(axes, (str, bytes)) or not isinstance(axes, Iterable):
        raise TypeError(f"transpose: axes are a list of integers, not {axes!r}")
    order = tuple(axes)
    if not all(isinstance(axis, int) and not isinstance(axis, bool) for axis in order):
        raise TypeError(f"transpose: axes are a list of integers, not {axes!r}")
    if sorted(order) != list(range(len(order))):
        raise ValueError(f"transpose: {list(order)} is no permutation of axes")
    return order


def _items(cast: Cast | None) -> list[tuple[Any, Any]]:
    return list(cast.items()) if isinstance(cast, Mapping) else []


def _dtype_name(dtype: Any) -> str:
    """TensorFlow's name of an element type."""
    if isinstance(dtype, str) and dtype in dtypes.TF_NAMES:
        return dtype
    try:
        name = dtypes.tf_name(np.dtype(dtype))
    except TypeError as error:
        if not isinstance(dtype, str):
            raise TypeError(f"cast: {dtype!r} is no element type: {error}") from error
        alike = ", ".join(sorted(each for each in dtypes.TF_NAMES if dtype and each.startswith(dtype)))
        raise ValueError(f"cast: {dtype!r} is no element type: {f'there are {alike}' if alike else error}") from error
    if name is None:
        raise ValueError(f"cast: no file here holds elements of {dtype!r}")
    return name


def _can_cast(source: str, target: str) -> bool:
    return source == target or (dtypes.kind(source), dtypes.kind(target)) in _CASTS
