"""What TensorFlow's tool ``inspect_checkpoint`` prints of a checkpoint, line by line."""

from __future__ import annotations

import argparse
import math
import re
import sys
from typing import TYPE_CHECKING, Any

import tensorbundle as tb
from tensorbundle.train.variables import load_checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from tensorbundle.train.reader import CheckpointReader

_TRUTH = {"True": True, "true": True, "1": True, "False": False, "false": False, "0": False}


def print_tensors_in_checkpoint_file(
    file_name: str | os.PathLike[str],
    tensor_name: str | None,
    all_tensors: bool,
    all_tensor_names: bool = False,
    count_exclude_pattern: str = "",
) -> None:
    """Prints the tensors of a checkpoint, and how many elements they have; what goes wrong is printed as well.

    Args:
        file_name: Whatever :func:`tensorbundle.open` takes.
        tensor_name: Only this tensor, with its elements. None or empty: a list of all.
        all_tensors: All tensors with their elements.
        all_tensor_names: All tensors without them.
        count_exclude_pattern: Regular expression: names in which it is found are left out of the number.
    """
    try:
        for text in described(
            file_name,
            tensor_name,
            all_tensors=all_tensors,
            all_tensor_names=all_tensor_names,
            count_exclude_pattern=count_exclude_pattern,
        ):
            _print(text)
    except (OSError, ValueError, tb.errors.OpError) as error:
        _print(str(error))


def described(
    file_name: str | os.PathLike[str],
    tensor_name: str | None = None,
    *,
    all_tensors: bool = False,
    all_tensor_names: bool = False,
    count_exclude_pattern: str = "",
) -> Iterator[str]:
    """What :func:`print_tensors_in_checkpoint_file` prints, a text for each of its lines or groups of them.

    Raises:
        NotFoundError: There is no such checkpoint, or no such tensor in it.
        ValueError, DataLossError, OpError: As :func:`load_checkpoint` and :meth:`CheckpointReader.get_tensor`.
    """
    reader = load_checkpoint(file_name)
    shapes = reader.get_variable_to_shape_map()
    if all_tensors or all_tensor_names:
        yield from _tensors(reader, sorted(shapes), shapes, with_elements=all_tensors)
    elif tensor_name:
        if tensor_name not in shapes:
            raise tb.errors.NotFoundError(f"Tensor {tensor_name} not found in checkpoint", tensor=tensor_name)
        yield from _tensors(reader, [tensor_name], shapes, with_elements=True)
    else:
        yield reader.debug_string().decode("utf-8", "surrogateescape")
    yield from _counted(shapes, count_exclude_pattern)


def parse_numpy_printoption(kv_str: str) -> None:
    """Sets one of NumPy's print options from a text such as ``precision=3``.

    Raises:
        argparse.ArgumentTypeError: It isn't of that form, there is no such option, or it can't have that value.
    """
    import numpy as np

    name, equals, text = kv_str.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{kv_str!r} is not of the form option=value")
    current: dict[str, Any] = dict(np.get_printoptions())
    if name == "formatter" or name not in current:
        raise argparse.ArgumentTypeError(f"{name!r} is not a print option that can be set here")
    kind = type(current[name])
    try:
        value = _TRUTH[text] if kind is bool else kind(text)
    except (KeyError, ValueError, TypeError):
        raise argparse.ArgumentTypeError(f"print option {name!r} can't be {text!r}") from None
    current[name] = value
    np.set_printoptions(**current)


def _tensors(
    reader: CheckpointReader, names: Iterable[str], shapes: Mapping[str, list[int]], *, with_elements: bool
) -> Iterator[str]:
    dtypes = reader.get_variable_to_dtype_map()
    for name in names:
        yield f"tensor: {name} ({dtypes[name].name}) {shapes[name]}"
        if with_elements:
            yield str(reader.get_tensor(name))


def _counted(shapes: Mapping[str, list[int]], exclude: str) -> Iterator[str]:
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    total = sum(counts.values())
    if exclude:
        left_out = [count for name, count in counts.items() if re.search(exclude, name)]
        total -= sum(left_out)
        yield f"# Excluding {len(left_out)} tensors ({sum(left_out)} params) that match {exclude} when counting."
    yield f"# Total number of params: {total}"


def _print(text: str) -> None:
    # Names that are no UTF-8 can't be printed as they are.
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
