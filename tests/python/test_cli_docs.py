"""Help, page and JSON Schemas of the commands are made from one source, and right."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from support import cli, publish
from support.bundle_writer import Mutations, write_bundle
from support.paths import REPOSITORY
from support.servable import write_model

import tensorbundle as tb
from tensorbundle.cli import app

COMMANDS = cli.commands()
TOOL = REPOSITORY / "tools" / "make_cli_docs.py"
JSON = [name for name, command in COMMANDS.items() if any("--json" in each.opts for each in command.params)]


def schema_of(name: str) -> dict[str, Any]:
    return sys.modules[COMMANDS[name].callback.__module__].JSON_SCHEMA


def test_page_is_what_the_commands_say():
    page = REPOSITORY / "docs" / "cli.md"
    assert page.read_text(encoding="utf-8") == runpy.run_path(str(TOOL))["page"](), "run tools/make_cli_docs.py"


@pytest.mark.parametrize("name", [*COMMANDS, "", "saved-model", "serving"])
def test_help_ends_with_examples(name):
    result = cli.invoke(*name.split(), "--help")
    assert (result.code, result.err) == (0, "")
    _, colon, examples = result.out.rpartition("\n  Examples:\n")
    assert colon
    assert all(line.startswith("    ") for line in examples.splitlines())
    assert f"tensorbundle {name}".strip() in examples
    assert max(map(len, result.out.splitlines())) <= 120


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name):
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            assert parameter.help, parameter.opts
            assert parameter.help.endswith("."), parameter.opts
    assert COMMANDS[name].short_help.endswith(".")


def described(schema: dict[str, Any]) -> bool:
    """Whether every property, at any depth, has a description."""
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]
    inner += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    is_null = schema.get("type") == "null" or set(schema) == {"$ref"}
    return (is_null or bool(schema.get("description"))) and all(map(described, inner))


@pytest.mark.parametrize("name", JSON)
def test_schemas_are_complete(name):
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert described(schema)
    result = cli.invoke(*name.split(), "--json-schema")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == schema


def test_schema_of_failures():
    jsonschema.Draft202012Validator.check_schema(app.JSON_SCHEMA)
    assert described(app.JSON_SCHEMA)


# What commands print


def sound(folder: Path) -> Path:
    tensors = {"dense/kernel": np.ones((4, 3), np.float32), "names": [b"a", b"b"], "parts": np.arange(8.0)}
    return write_bundle(folder / "sound", tensors, shards=2, slices={"parts": ["0,4", "4,4"]}).prefix


def incomplete(folder: Path) -> Path:
    prefix = write_bundle(folder / "incomplete", {"a": np.ones(3), "b": np.ones(3)}, shards=2).prefix
    publish.data_path(prefix, 1, 2).unlink()
    return prefix


def objects(folder: Path) -> str:
    return tb.save_objects(folder / "objects", {"model": {"w": np.ones(3, np.float32)}})


def model(folder: Path) -> Path:
    write_model(folder / "model")
    return folder / "model"


def models(folder: Path) -> Path:
    write_model(folder / "models" / "1")
    (folder / "models" / "x").mkdir()
    return folder / "models"


def changed(folder: Path) -> list[object]:
    """Two checkpoints that differ in every way."""
    other = {
        "dense/kernel": np.full((4, 3), np.nan, np.float32),
        "parts": np.arange(8, dtype=np.float32),
        "new": np.ones(1),
    }
    return [sound(folder), tb.save(folder / "other", other, durable=False)]


def damaged(folder: Path) -> Path:
    mutate = Mutations(data=lambda _, data: data.__setitem__(3, 1))
    return write_bundle(folder / "damaged", {"a": np.ones(3), "b": np.ones(3)}, mutate=mutate).prefix


# A command's arguments, exit code, and what it is given.
CASES: list[tuple[str, Callable[[Path], list[object]], int]] = [
    ("average", lambda folder: [sound(folder), folder / "mean", "--weights", "2"], 0),
    ("cat", lambda folder: [sound(folder), "dense/kernel[0]"], 0),
    ("cat", lambda folder: [sound(folder), "names"], 0),
    ("convert", lambda folder: [sound(folder), folder / "new"], 0),
    ("convert", lambda folder: [sound(folder), folder / "new.safetensors", "--exclude", "names", "--dry-run"], 0),
    ("diff", lambda folder: [sound(folder), sound(folder)], 0),
    ("diff", changed, 1),
    ("diff", lambda folder: [*changed(folder), "--values"], 1),
    ("edit", lambda folder: [sound(folder), "--rename", "dense=>d", "--dry-run"], 0),
    ("edit", lambda folder: [sound(folder), "--drop", "dense"], 0),
    ("ls", lambda folder: [sound(folder)], 0),
    ("ls", lambda folder: [incomplete(folder)], 3),
    ("ls", lambda folder: [objects(folder), "--names", "path"], 0),
    ("merge", lambda folder: [sound(folder), folder / "new"], 0),
    ("salvage", lambda folder: [sound(folder), folder / "new"], 0),
    ("salvage", lambda folder: [damaged(folder), folder / "new"], 1),
    ("saved-model scan", lambda folder: [model(folder)], 0),
    ("saved-model scan", lambda folder: [model(folder), "--op", "VariableV2", "--op", "NoOp"], 1),
    ("saved-model show", lambda folder: [model(folder)], 0),
    ("serving check", lambda folder: [models(folder)], 1),
    ("serving list", lambda folder: [models(folder)], 0),
    ("serving publish", lambda folder: [model(folder), folder / "base"], 0),
    ("serving publish", lambda folder: [folder, folder.parent / "base"], 1),
    ("show", lambda folder: [sound(folder)], 0),
    ("show", lambda folder: [incomplete(folder)], 3),
    ("show", lambda folder: [objects(folder), "--objects"], 0),
    ("stats", lambda folder: [sound(folder)], 0),
    ("verify", lambda folder: [sound(folder)], 0),
    ("verify", lambda folder: [incomplete(folder)], 3),
]
# Validated by tests of their own: they take long, or TensorFlow.
ELSEWHERE = {"demo", "saved-model run"}


def test_every_command_with_json_has_a_case():
    assert set(JSON) <= {name for name, *_ in CASES} | ELSEWHERE


@pytest.mark.parametrize(("name", "arguments", "code"), CASES, ids=[f"{name} {code}" for name, _, code in CASES])
def test_documents_are_what_the_schema_says(tmp_path, name, arguments, code):
    folder = tmp_path / "folder"
    folder.mkdir()
    result = cli.invoke(*name.split(), *arguments(folder), "--json")
    assert result.code == code, result
    jsonschema.validate(json.loads(result.out), schema_of(name), jsonschema.Draft202012Validator)
