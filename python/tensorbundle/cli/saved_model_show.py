"""``tensorbundle saved-model show``: what is in a SavedModel."""

from __future__ import annotations

from typing import Any

import click

from tensorbundle.cli import completing, output, saved_model_options, saved_model_schema

_TENSORS = [("", "left"), ("name", "left"), ("dtype", "left"), ("shape", "left"), ("tensor", "left")]
_VARIABLES = [("variable", "left"), ("dtype", "left"), ("shape", "left"), ("size", "right")]
_MAX_CALLS = 10
_ASSETS = [("asset", "left"), ("size", "right"), ("tensor", "left")]
_EXAMPLES = """\b
Examples:
  tensorbundle saved-model show export/1
  tensorbundle saved-model show export/1 --tag-set serve --signature serving_default
  tensorbundle saved-model show export/1 --all
  tensorbundle saved-model show export/1 --json
"""

JSON_SCHEMA = saved_model_schema.JSON_SCHEMA


@click.command("show", short_help="Show what is in a SavedModel.", epilog=_EXAMPLES)
@completing.path_argument("directory")
@saved_model_options.tag_set
@click.option("--signature", metavar="KEY", help="Only this signature.")
@click.option("--ops", is_flag=True, help="List the operations, those of functions too, and how often each is used.")
@click.option("--functions", is_flag=True, help="List all functions that can be called, and those of the library.")
@click.option("--all", "everything", is_flag=True, help="List all of that, and every variable.")
@output.json_option
@click.pass_context
def command(  # noqa: PLR0917 - an argument for each option
    ctx: click.Context,
    directory: str,
    tags: list[str] | None,
    signature: str | None,
    ops: bool,
    functions: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Show the SavedModel in DIRECTORY: tags, signatures, functions to call, variables, assets, versions, fingerprint.

    Nothing of it is run. What is wrong with it is listed on stderr, and the exit code is then 3. JSON has all that
    --all shows.
    """
    from tensorbundle.cli import saved_model_facts

    bodies = ops or functions or everything or as_json
    with output.quietly():
        models = saved_model_options.opened(directory, tags)
        facts = saved_model_facts.of_directory(models, signature, bodies=bodies)
    if as_json:
        output.print_json(facts)
    else:
        _print_head(facts, everything)
        for each in facts["meta_graphs"]:
            _print_meta_graph(each, ops or everything, functions or everything)
    problems = _problems(facts)
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    ctx.exit(3 if problems else 0)


def _problems(facts: dict[str, Any]) -> list[str]:
    unread = facts["variables"]["problems"] if facts["variables"] else {}
    found = [text if name in text else f"{name}: {text}" for name, text in unread.items()]
    for each in facts["meta_graphs"]:
        found += each["problems"].values()
    return list(dict.fromkeys(map(output.printable, found)))


def _print_head(facts: dict[str, Any], with_variables: bool) -> None:
    size = output.human_size(facts["file_bytes"])
    click.echo(f"{output.printable(facts['path'])}: {facts['file']}, {size}, schema {facts['schema_version']}")
    variables = facts["variables"]
    click.echo(f"variables: {_variables_text(variables) if variables else 'none'}")
    if fingerprint := facts["fingerprint"]:
        uuid = output.printable(fingerprint["uuid"])
        click.echo(f"fingerprint: {fingerprint['saved_model_checksum']}" + (f", uuid {uuid}" if uuid else ""))
    if with_variables and variables and variables["tensors"]:
        click.echo()
        output.print_table(_VARIABLES, [_variable_row(tensor) for tensor in variables["tensors"]])


def _variables_text(variables: dict[str, Any]) -> str:
    count = output.count(len(variables["tensors"]), "tensor")
    files = output.count(variables["num_shards"], "data file")
    return f"{count}, {output.human_size(variables['nbytes'])}, {files}, {variables['format']}"


def _variable_row(tensor: dict[str, Any]) -> list[str]:
    size = output.human_size(tensor["nbytes"])
    return [output.printable(tensor["name"]), tensor["dtype"], str(tensor["shape"]), size]


def _print_meta_graph(facts: dict[str, Any], ops: bool, functions: bool) -> None:
    click.echo()
    click.echo(f"tags: {output.printable(', '.join(facts['tags'])) or '(none)'}")
    click.echo(_graph_text(facts))
    for purpose in ("main", "train"):
        if name := facts[f"{purpose}_op"]:
            click.echo(f"{purpose} op: {output.printable(name)}")
    for key, signature in facts["signatures"].items():
        _print_signature(key, signature)
    _print_calls([call for calls in facts["callables"].values() for call in calls], None if functions else _MAX_CALLS)
    if facts["assets"]:
        click.echo()
        output.print_table(_ASSETS, [_asset_row(asset) for asset in facts["assets"]])
    if ops:
        _print_list("operations", [f"{op} {number}" for op, number in facts["ops"].items()])
    if functions:
        _print_list("functions of the library", [_function_text(function) for function in facts["functions"]])
    _print_list("not in the library", facts["missing_functions"])


def _graph_text(facts: dict[str, Any]) -> str:
    version = facts["tensorflow_version"] or "of unknown version"
    counts = [output.count(facts["num_nodes"], "node"), output.count(len(facts["functions"]), "function")]
    counts += [output.count(facts["num_objects"], "object")] if facts["num_objects"] else []
    return f"TensorFlow {output.printable(version)}, graph version {facts['producer']}: {', '.join(counts)}"


def _print_signature(key: str, signature: dict[str, Any]) -> None:
    method = signature["method_name"]
    click.echo()
    click.echo(output.printable(f"signature {key}" + (f": {method}" if method else "")))
    rows = [
        _tensor_row(side[:-1], name, tensor, name in signature["defaults"] and side == "inputs")
        for side in ("inputs", "outputs")
        for name, tensor in signature[side].items()
    ]
    if rows:
        output.print_table(_TENSORS, rows)


def _tensor_row(side: str, name: str, tensor: dict[str, Any], has_default: bool) -> list[str]:
    shape = "any" if tensor["shape"] is None else str(tensor["shape"])
    made_of = ", ".join(tensor["names"])
    if tensor["encoding"] not in ("name", None):
        made_of = f"{tensor['encoding']}({made_of})"
    label = f"{name} (has a default)" if has_default else name
    return [side, output.printable(label), tensor["dtype"], shape, output.printable(made_of)]


def _asset_row(asset: dict[str, Any]) -> list[str]:
    size = "missing" if asset["nbytes"] is None else output.human_size(asset["nbytes"])
    return [output.printable(asset["file"]), size, output.printable(asset["tensor"])]


def _function_text(function: dict[str, Any]) -> str:
    inputs, outputs = (
        ", ".join(f"{argument['name']}: {argument['dtype']}" for argument in function[side])
        for side in ("inputs", "outputs")
    )
    return f"{function['name']}({inputs}) -> ({outputs}): {output.count(function['num_nodes'], 'node')}"


def _print_calls(calls: list[str], limit: int | None) -> None:
    more = len(calls[limit:]) if limit is not None else 0
    _print_list("functions to call", calls[:limit] + ([f"and {more} more, with --functions"] if more else []))


def _print_list(title: str, lines: list[str]) -> None:
    if lines:
        click.echo()
        click.echo(f"{title}:")
    for line in lines:
        click.echo(f"  {output.printable(line)}")
