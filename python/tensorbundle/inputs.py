"""What users give to be written, as NumPy arrays: buffers, arrays of other libraries, strings, plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorbundle import dtypes

_CPU = 1  # DLPack's kDLCPU.


def to_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    """The tensor that ``value`` becomes. Elements are copied only where they must be converted.

    Args:
        name: For messages.
        value: An array; anything with ``__array__``, the buffer protocol or DLPack on a CPU; ``bytes`` or ``str``, or
            nested sequences or arrays of these (stored as UTF-8); numbers, or nested sequences of them.

    Returns:
        An array of a dtype that a checkpoint holds. For strings: a row-major object array of ``bytes`` that nothing
        else refers to.

    Raises:
        TypeError: There is no tensor of such elements.
        ValueError: Nested sequences of different lengths; text that UTF-8 can't encode; or a tensor that is not in the
            memory of the CPU.
    """
    array = _as_array(name, value)
    if array.dtype.kind in "SUOT" or array.dtype.hasobject:
        return _as_bytes(name, array)
    if dtypes.tf_name(array.dtype) is None:
        raise TypeError(f"tensor {name!r}: a checkpoint can't hold elements of dtype {array.dtype}")
    return array


def _as_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, (bytes, str)):
        array = np.empty((), object)
        array[()] = value
        return array
    if isinstance(value, np.ndarray):
        return _plain(name, value)
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array_interface__"):
        return _of_library(name, value)
    if isinstance(value, (list, tuple)):
        _check_masks(name, value, set())
    try:
        array = np.asanyarray(value)
    except ValueError as error:  # Of different lengths.
        raise ValueError(f"tensor {name!r}: {error}") from error
    except (AttributeError, BufferError, RuntimeError, TypeError) as error:  # Another library's: no array.
        raise TypeError(f"tensor {name!r}: {error}") from error
    array = _plain(name, array)
    # NumPy cuts strings to a fixed width and takes zeros at their ends for padding.
    holds_text = array.dtype.kind in "SU" and not isinstance(value, (np.generic, memoryview))
    return np.asarray(value, dtype=object) if holds_text else array


def _plain(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Without what subclasses add; a mask says that elements are missing, which a checkpoint can't."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise TypeError(f"tensor {name!r}: a checkpoint can't hold masked elements; use .filled()")
    return np.asarray(array)


def _check_masks(name: str, values: list[Any] | tuple[Any, ...], seen: set[int]) -> None:
    """Refuses masked arrays in nested sequences, of which NumPy takes the elements alone.

    Args:
        name: For messages.
        values: A sequence.
        seen: The sequences that have been looked at: they may hold each other.
    """
    seen.add(id(values))
    kinds = set(map(type, values))  # Few, and quickly found, whatever the number of values.
    masked = tuple(kind for kind in kinds if issubclass(kind, np.ma.MaskedArray))
    nested = tuple(kind for kind in kinds if issubclass(kind, (list, tuple)))
    for value in values if masked or nested else ():
        if isinstance(value, masked):
            _plain(name, value)
        elif isinstance(value, nested) and id(value) not in seen:
            _check_masks(name, value, seen)


def _of_library(name: str, value: Any) -> np.ndarray[Any, Any]:
    """The elements of another library's tensor, where they lie if that can be had."""
    from tensorbundle import _core

    # Its own way first: TensorFlow's __dlpack__ ends the process if it is asked for what it can't hand out.
    problem: Exception | None = None
    if hasattr(value, "__array__"):
        try:
            array = np.asanyarray(value)
        except ValueError as error:
            if not hasattr(value, "numpy"):
                raise ValueError(f"tensor {name!r}: {error}") from error
            return np.asarray(value.numpy())  # TensorFlow's scalars of types that NumPy lacks are no arrays yet.
        except (RuntimeError, TypeError) as error:  # Not of this type, not with a history, not from this device.
            problem = error
        else:
            return _plain(name, array)
    try:
        value = _resolved(value)
        device, number = map(int, value.__dlpack_device__())
        if device == _CPU:
            return _core.from_dlpack(value)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"tensor {name!r}: {problem or error}") from error
    raise ValueError(f"tensor {name!r} is on device {device}:{number}, not on the CPU: copy it there first")


def _resolved(value: Any) -> Any:
    """PyTorch's tensor without its history, and a copy if its elements are still to be conjugated or negated.

    DLPack hands out what lies in memory, and of a negation that is still to come PyTorch does not even say so.
    """
    if getattr(value, "requires_grad", False):
        value = value.detach()
    for resolve in ("resolve_conj", "resolve_neg"):
        if hasattr(value, resolve):
            value = getattr(value, resolve)()
    return value


def _as_bytes(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A row-major copy whose elements are all ``bytes``."""
    from tensorbundle import _core

    elements = np.array(array, dtype=object, order="C", copy=True)
    flat = elements.reshape(-1)
    first = _core.first_not_bytes(flat)
    for position in range(first if first >= 0 else flat.size, flat.size):
        if type(flat[position]) is not bytes:
            flat[position] = _to_bytes(name, flat, position, elements.shape)
    return elements


def _to_bytes(name: str, elements: np.ndarray[Any, Any], position: int, shape: tuple[int, ...]) -> bytes:
    element = elements[position]
    if isinstance(element, str):
        try:
            return element.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ValueError(f"tensor {name!r}: text{_place(position, shape)} has no UTF-8: {error}") from error
    if isinstance(element, (bytes, bytearray, memoryview)):
        return bytes(element)
    # Where an integer is too large for any type, NumPy makes objects of all.
    for place, other in enumerate(elements):
        if isinstance(other, int) and not -(2**63) <= other < 2**64:
            raise TypeError(f"tensor {name!r}: the integer{_place(place, shape)} is too large for any integer type")
    raise TypeError(
        f"tensor {name!r}: object arrays may hold bytes and str only, "
        f"this one has {type(element).__name__}{_place(position, shape)}"
    )


def _place(position: int, shape: tuple[int, ...]) -> str:
    return f" at {[int(number) for number in np.unravel_index(position, shape)]}" if shape else ""
