"""``tensorbundle cat``: the elements of a tensor, or of a part of it, of which nothing else is read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from tensorbundle import errors
from tensorbundle.cli import array_json, completing, index_text, output, schema, selecting

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    import tensorbundle

_EXAMPLES = """\b
Examples:
  tensorbundle cat run/model.ckpt-100 dense/bias
  tensorbundle cat run/model.ckpt-100 'embeddings[1000:1016, :]' --precision 3
  tensorbundle cat run/model.ckpt-100 'dense/kernel[..., 0]' --full
  tensorbundle cat run/model.ckpt-100 dense/kernel --format npy > kernel.npy
"""
_BLOCK = 1 << 24

JSON_SCHEMA = schema.document(
    "A tensor, or a part of one.",
    {
        "path": schema.text("The checkpoint."),
        "name": schema.text("The tensor."),
        "index": schema.or_null(schema.text("The part of it; null: all.")),
        "dtype": schema.text("TensorFlow's name of the element type."),
        "shape": schema.list_of(schema.integer("A size."), "The shape of what is printed."),
        "values": array_json.values_schema("The elements."),
    },
)


@click.command("cat", short_help="Print the elements of a tensor, or of a part of it.", epilog=_EXAMPLES)
@completing.path_argument()
@click.argument("tensor", metavar="NAME[INDEX]", shell_complete=completing.names)
@selecting.names_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "npy", "raw"]),
    default="text",
    show_default=True,
    help="As NumPy prints it, as JSON, as a .npy file, or the bare elements: little-endian, row by row.",
)
@click.option("--full", is_flag=True, help="Print every element: NumPy leaves out the middle of large arrays.")
@click.option("--precision", type=click.IntRange(0, 30), metavar="N", help="Print N digits after the point.")
@output.json_option
def command(  # noqa: PLR0917 - an argument for each option
    path: str, tensor: str, by: Any, form: str, full: bool, precision: int | None, as_json: bool
) -> None:
    """Print the tensor NAME of the checkpoint at PATH.

    INDEX is a basic index of NumPy's: integers, slices with any step, "..." and "None", as in 'kernel[0:10, -1]'. Only
    the bytes that it selects are read, and no checksum is compared; that of a whole tensor is. Quote it for the shell.

    The formats npy and raw go to files and pipes, not to a terminal. A string can be printed raw if it is a single one.
    """
    form = "json" if as_json else form
    if form in _WRITERS and output.is_terminal():
        raise click.UsageError(f"--format {form} is not for a terminal: send it to a file or a pipe")
    with output.opened(path) as opened:
        checkpoint = opened.named(by)
        name, index = _parsed(checkpoint, tensor)
        array = _read(checkpoint, name, index)
        dtype = checkpoint.entry(name).tf_dtype
        if form == "json":
            output.print_json(_described(checkpoint.path, name, index, dtype, array))
        elif form == "text":
            _print_text(array, full, precision)
        else:
            with output.binary() as file:
                _WRITERS[form](file, name, dtype, array)


def _parsed(checkpoint: tensorbundle.Checkpoint, text: str) -> tuple[str, str | None]:
    """Name and index. A name may have brackets itself."""
    name, bracket, index = text.rpartition("[")
    if text in checkpoint or not bracket or not index.endswith("]"):
        return text, None
    return name, index[:-1]


def _read(checkpoint: tensorbundle.Checkpoint, name: str, index: str | None) -> NDArray[Any]:
    try:
        return checkpoint.read(name, index=None if index is None else index_text.parse(index))
    except errors.TensorBundleError:
        raise
    except (IndexError, ValueError) as error:
        raise click.UsageError(f"{name}[{index}]: {error}") from error


def _print_text(array: NDArray[Any], full: bool, precision: int | None) -> None:
    import numpy as np

    with np.printoptions(threshold=sys.maxsize if full else None, precision=precision):
        text = str(array)
    output.write("\n".join(map(output.printable, text.split("\n"))) + "\n")


def _described(path: str, name: str, index: str | None, dtype: str, array: NDArray[Any]) -> dict[str, Any]:
    return {
        "path": path,
        "name": name,
        "index": index,
        "dtype": dtype,
        "shape": list(array.shape),
        "values": array_json.values(array),
    }


def _write_npy(file: BinaryIO, name: str, dtype: str, array: NDArray[Any]) -> None:
    import numpy as np

    if array.dtype.kind not in "biufc" or array.dtype.isbuiltin != 1:
        raise errors.UnimplementedError(
            f"{name!r} is of {dtype}, which .npy files can't hold: use --format raw or json"
        )
    np.lib.format.write_array(file, _little_endian(array), allow_pickle=False)


def _write_raw(file: BinaryIO, name: str, _dtype: str, array: NDArray[Any]) -> None:
    if array.dtype == object:
        if array.size != 1:
            message = f"{name!r} has {array.size} strings, which raw bytes could not tell apart: use --format json"
            raise errors.UnimplementedError(message)
        file.write(array.item())
        return
    flat = _little_endian(array).reshape(-1)
    step = max(_BLOCK // array.dtype.itemsize, 1)
    file.writelines(flat[start : start + step].tobytes() for start in range(0, flat.size, step))


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False) if array.dtype.isbuiltin == 1 else array


_WRITERS: dict[str, Callable[[BinaryIO, str, str, NDArray[Any]], None]] = {"npy": _write_npy, "raw": _write_raw}
