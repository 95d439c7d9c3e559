"""``tensorbundle saved-model run``: hands a signature to TensorFlow, where that is installed."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import click

from tensorbundle import errors
from tensorbundle.cli import (
    array_json,
    completing,
    output,
    run_inputs,
    saved_model_options,
    saved_model_scan,
    schema,
    tensor_text,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorbundle.saved_model import SavedModel

_EXAMPLES = """\b
Examples:
  tensorbundle saved-model run export/1 --input-exprs 'x=[[1.0, 2.0]]'
  tensorbundle saved-model run export/1 --inputs 'x=batch.npy' --outdir results
  tensorbundle saved-model run export/1 --signature regress --inputs 'x=data.npz[features]' --json
"""

JSON_SCHEMA = schema.document(
    "The outputs by their names.", {}, additionalProperties=array_json.values_schema("The elements of an output.")
)


@click.command("run", short_help="Run a signature with TensorFlow.", epilog=_EXAMPLES)
@completing.path_argument("directory")
@saved_model_options.tag_set
@click.option("--signature", default="serving_default", metavar="KEY", show_default=True, help="What to run.")
@click.option(
    "--inputs",
    "files",
    multiple=True,
    metavar="NAME=FILE",
    help="An input from FILE.npy, FILE.npz[ARRAY] or FILE.json; may be repeated, or several joined with ';'.",
)
@click.option(
    "--input-exprs",
    "literals",
    multiple=True,
    metavar="NAME=LITERAL",
    help="An input such as 'x=[[1.0, 2.0]]'; may be repeated.",
)
@click.option("--outdir", metavar="DIR", help="Store each output as DIR/<output>.npy.")
@click.option("--overwrite", is_flag=True, help="Replace files there.")
@output.json_option
def command(  # noqa: PLR0917 - an argument for each option
    directory: str,
    tags: list[str] | None,
    signature: str,
    files: tuple[str, ...],
    literals: tuple[str, ...],
    outdir: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Run a signature of the SavedModel in DIRECTORY with an installed TensorFlow, and print its outputs.

    A model is a program: run none that you don't trust. Inputs are read as data; nothing is unpickled or evaluated.
    """
    from tensorbundle import saved_model

    with output.quietly():
        model = saved_model.load(directory, tags)
    definition = model.signatures[signature]
    feeds = _feeds(definition, run_inputs.parse(files, literals))
    targets = {key: _tensor_name(key, definition.outputs[key]) for key in sorted(definition.outputs)}
    paths = _output_paths(targets, outdir, overwrite)
    _warn(model)
    results = _run(model, feeds, targets)
    _store(results, paths)
    if as_json:
        output.print_json({key: array_json.values(array) for key, array in results.items()})
    else:
        for key, array in results.items():
            click.echo(f"{output.printable(key)}:")
            click.echo("\n".join(map(output.printable, str(array).split("\n"))))


def _feeds(definition: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What to feed, by the names of tensors: arrays, and of what is left out the default, a serialized tensor."""
    unknown = sorted(given.keys() - set(definition.inputs))
    absent = sorted(set(definition.inputs) - given.keys() - set(definition.defaults))
    if unknown:
        known = ", ".join(sorted(definition.inputs)) or "none"
        raise click.UsageError(f"the signature has no input {unknown[0]!r}; it has: {known}")
    if absent:
        raise click.UsageError(f"the signature needs the inputs {', '.join(absent)}")
    feeds: dict[str, Any] = {}
    for key, info in definition.inputs.items():
        if key in given:
            dtype = tensor_text.dtype_name(info.dtype)
            feeds[_tensor_name(key, info)] = run_inputs.as_array(key, given[key], dtype)
        else:
            feeds[_tensor_name(key, info)] = definition.defaults[key].SerializeToString()
    return feeds


def _tensor_name(key: str, info: Any) -> str:
    if info.WhichOneof("encoding") != "name":
        raise errors.UnimplementedError(f"{key!r} is no dense tensor: only those can be given and shown")
    return str(info.name)


def _output_paths(targets: dict[str, str], outdir: str | None, overwrite: bool) -> dict[str, str]:
    """Where each output is to be stored; empty if nowhere."""
    if outdir is None:
        return {}
    # Names of outputs come from the model.
    unfit = [key for key in targets if "/" in key or "\0" in key or key in ("", ".", "..")]
    if unfit:
        raise click.UsageError(f"output {unfit[0]!r} can't be the name of a file")
    paths = {key: os.path.join(outdir, f"{key}.npy") for key in targets}
    there = [path for path in paths.values() if os.path.lexists(path)]
    if there and not overwrite:
        raise click.UsageError(f"{there[0]!r} is there already; --overwrite replaces it")
    return paths


def _warn(model: SavedModel) -> None:
    from tensorbundle.saved_model.denied import DENIED

    found = sorted({use.op for use in saved_model_scan.uses(model, DENIED)})
    if found:
        named = ", ".join(f"{op} ({DENIED[op]})" for op in found)
        click.echo(f"tensorbundle: the model has operations that reach beyond it: {named}", err=True)


def _run(model: SavedModel, feeds: dict[str, Any], targets: dict[str, str]) -> dict[str, NDArray[Any]]:
    import numpy as np

    tf = _tensorflow()
    v1 = tf.compat.v1
    try:
        with v1.Graph().as_default(), v1.Session() as session:
            v1.saved_model.loader.load(session, sorted(model.tags), model.path)
            results = session.run(targets, {name: _fed(value, tf) for name, value in feeds.items()})
    except (tf.errors.OpError, ValueError, TypeError, RuntimeError) as error:
        raise errors.TensorBundleError(f"TensorFlow says: {' '.join(str(error).split())}") from error
    return {key: np.asarray(results[key]) for key in targets}


def _fed(value: Any, tf: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    proto = tf.make_tensor_proto(0)
    proto.ParseFromString(value)
    return tf.make_ndarray(proto)


def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        tf = importlib.import_module("tensorflow")  # Which has no annotations.
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise click.UsageError('running a model needs TensorFlow: pip install "tensorbundle[tensorflow]"') from error
    tf.get_logger().setLevel("ERROR")
    return tf


def _store(results: dict[str, NDArray[Any]], paths: dict[str, str]) -> None:
    import numpy as np

    for key, path in paths.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        np.save(path, _storable(key, results[key]), allow_pickle=False)


def _storable(key: str, array: NDArray[Any]) -> NDArray[Any]:
    """Strings as NumPy's of one size, which end at their last byte that isn't zero."""
    if array.dtype != object:
        return array
    if any(element.endswith(b"\0") for element in array.flat):
        raise errors.UnimplementedError(f"output {key!r} has strings that end with a zero byte: they can't be stored")
    return array.astype(bytes)
