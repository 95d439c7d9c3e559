"""The inputs of ``tensorbundle saved-model run``, from files and from literals. Nothing is unpickled or evaluated."""

from __future__ import annotations

import ast
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

_FILE = re.compile(r"(?P<path>.*?)(?:\[(?P<name>[^\[\]]*)\])?\Z", re.DOTALL)
# A literal is parsed by Python's own parser, which takes memory in proportion, and much of it.
_MAX_LITERAL = 1_000_000


def parse(files: Iterable[str], literals: Iterable[str]) -> dict[str, Any]:
    """Values by the names of inputs.

    Args:
        files: ``name=file.npy``, ``name=file.npz[array]`` or ``name=file.json``; several joined with ``;``.
        literals: ``name=[[1, 2]]``; several joined with ``;`` where none of them contains one.

    Raises:
        click.BadParameter: One of them is something else, or given twice.
        OSError: A file can't be read.
    """
    found: dict[str, Any] = {}
    for option, items, read in (("--inputs", _split(files), _from_file), ("--input-exprs", literals, _literal)):
        for item in items:
            name, equals, value = item.partition("=")
            if not equals or not name.strip():
                raise click.BadParameter(f"{item!r} is not NAME=VALUE", param_hint=option)
            if name.strip() in found:
                raise click.BadParameter(f"input {name.strip()!r} is given twice", param_hint=option)
            found[name.strip()] = read(value.strip())
    return found


def _split(items: Iterable[str]) -> list[str]:
    return [part.strip() for item in items for part in item.split(";") if part.strip()]


def _literal(text: str) -> Any:
    if len(text) > _MAX_LITERAL:
        raise click.BadParameter(f"{len(text)} characters; put it into a file", param_hint="--input-exprs")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise click.BadParameter(
            f"{text[:100]!r} is no literal of numbers, strings and lists: expressions are not evaluated",
            param_hint="--input-exprs",
        ) from error


def _from_file(text: str) -> Any:
    match = _FILE.match(text)
    path, name = (match["path"], match["name"]) if match else (text, None)
    if path.endswith(".json"):
        return _from_json(path)
    import numpy as np

    with open(path, "rb") as file:
        try:
            loaded = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise click.BadParameter(
                f"{path!r} is no array of NumPy's that can be read without unpickling it: {error}",
                param_hint="--inputs",
            ) from error
        return loaded if isinstance(loaded, np.ndarray) else _from_archive(loaded, path, name)


def _from_archive(archive: Any, path: str, name: str | None) -> NDArray[Any]:
    import numpy as np

    with archive:
        names = archive.files
        chosen = names[0] if name is None and len(names) == 1 else name
        if chosen not in names:
            raise click.BadParameter(f"{path!r} has the arrays {names}: give {path}[NAME]", param_hint="--inputs")
        try:
            return np.asarray(archive[chosen])
        except (ValueError, zipfile.BadZipFile) as error:
            raise click.BadParameter(f"{path}[{chosen}]: {error}", param_hint="--inputs") from error


def _from_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except (ValueError, RecursionError) as error:
            raise click.BadParameter(f"{path!r} is no JSON: {error}", param_hint="--inputs") from error


def as_array(name: str, value: Any, dtype: str) -> NDArray[Any]:
    """A value as an array of TensorFlow's element type ``dtype``.

    Raises:
        click.BadParameter: It can't be.
    """
    import numpy as np

    from tensorbundle.train.dtypes import as_dtype

    try:
        array = _strings(value) if dtype == "string" else np.asarray(value)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"input {name!r} can't be made {dtype}: {error}") from error
    if dtype == "string":
        return array
    if array.dtype.kind not in "biufcV":  # V: the small floats.
        raise click.BadParameter(f"input {name!r} can't be made {dtype}: it has elements of {array.dtype}")
    if array.dtype.kind == "c" and not dtype.startswith("complex"):
        raise click.BadParameter(f"input {name!r} can't be made {dtype}: it has complex values")
    converted = array.astype(as_dtype(dtype).as_numpy_dtype)
    if converted.dtype.kind in "biu" and (converted != array).any():
        raise click.BadParameter(f"input {name!r} can't be made {dtype}: it has values that this does not hold")
    return converted


def _strings(value: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    array = np.asarray(value, object)
    for position, element in enumerate(array.flat):
        if not isinstance(element, (bytes, str)):
            raise TypeError(f"an element of {type(element).__name__}")
        array.flat[position] = element.encode("utf-8") if isinstance(element, str) else element
    return array
