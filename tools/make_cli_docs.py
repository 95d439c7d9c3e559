"""Writes ``docs/cli.md`` from the commands themselves: their help, options, examples and JSON Schemas.

With ``--check`` it writes nothing, and says whether the page is what it should be.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tensorbundle.cli import app as root

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
HEAD = """# The command line

<!-- Made by tools/make_cli_docs.py. Change the commands, then run it. -->

`pip install "tensorbundle[cli]"` gives the command `tensorbundle`; `python -m tensorbundle.cli` is the same. Every
command says what it does with `--help`; what it prints with `--json` has the schema that `--json-schema` prints, and
that stands here as a table. Tables and progress are drawn by `rich` on a terminal; a pipe gets plain text.
"""
ENDS = """## When something fails

There is one line on stderr, which says what happened and where, and nothing is left half written. `--debug`, before the
command or after it, shows a traceback instead. With `--json`, stdout has a document of its own:

"""


def main(arguments: list[str]) -> int:
    """Writes or checks the page; 1 if it is not as it should be."""
    text = page()
    if arguments == ["--check"]:
        is_right = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print(f"{PAGE}: {'as it should be' if is_right else 'stale: run tools/make_cli_docs.py'}")
        return 0 if is_right else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page() -> str:
    """The whole page."""
    commands = list(leaves(root.app, click.Context(root.app, info_name="tensorbundle")))
    parts = [HEAD, synopsis(commands), described(root.app.help or ""), options_table(root.app)]
    parts += [section(path, command) for path, command in commands]
    parts += [ENDS + schema_text(root.JSON_SCHEMA)]
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def leaves(group: click.Group, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, those in groups too."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None:
            raise LookupError(f"{ctx.command_path} {name}: there is no such command")
        if isinstance(command, click.Group):
            yield from leaves(command, click.Context(command, info_name=name, parent=ctx))
        else:
            yield f"{ctx.command_path} {name}", command


def synopsis(commands: list[tuple[str, click.Command]]) -> str:
    """The commands, a row for each."""
    rows = [[f"[`{bare(path)}`](#{anchor(path)})", command.get_short_help_str(200)] for path, command in commands]
    return table(["command", "what it does"], rows)


def section(path: str, command: click.Command) -> str:
    """What the page says of one command."""
    schema = getattr(sys.modules[command.callback.__module__], "JSON_SCHEMA", None)
    parts = [
        f"## {bare(path)}",
        f"```\n{usage(path, command)}\n```",
        described(command.help or ""),
        options_table(command),
        described(command.epilog or ""),
        "" if schema is None else "JSON:\n\n" + schema_text(schema),
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def usage(path: str, command: click.Command) -> str:
    """How it is called. Click has words for this too, which differ from version to version."""
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    return " ".join([path, "[OPTIONS]", *(argument_text(each) for each in arguments if each.metavar != "")])


def argument_text(argument: click.Argument) -> str:
    """An argument, as usage has it."""
    if argument.metavar:
        return argument.metavar
    name = choices_of(argument) or argument.name.upper()
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs == -1 else "")


def described(text: str) -> str:
    """Help as Markdown: paragraphs that are not to be wrapped become blocks of code."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(paragraph(each) for each in paragraphs if each.strip())


def paragraph(text: str) -> str:
    """One paragraph."""
    if not text.startswith("\b\n"):
        return escaped(text)
    lines = text.split("\n")[1:]
    if lines[0] != "Examples:":
        return "```\n" + "\n".join(lines) + "\n```"
    return "Examples:\n\n```sh\n" + inspect.cleandoc("\n".join(lines[1:])) + "\n```"


def options_table(command: click.Command) -> str:
    """The options, a row for each."""
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    rows = [[f"`{option_text(each)}`", escaped(f"{each.help or ''}{default_text(each)}")] for each in options]
    return table(["option", ""], rows) if rows else ""


def option_text(option: click.Option) -> str:
    """An option with its value."""
    value = "" if option.is_flag else option.metavar or choices_of(option) or "N"
    return f"{', '.join(option.opts)} {value}".strip()


def choices_of(parameter: click.Parameter) -> str:
    """The values that it may have, if they are few."""
    return "|".join(parameter.type.choices) if isinstance(parameter.type, click.Choice) else ""


def default_text(option: click.Option) -> str:
    """What it is if it is not given."""
    return f" Default: {option.default}." if option.show_default else ""


def schema_text(schema: dict[str, Any]) -> str:
    """A document's properties as a table, a row for each at any depth."""
    if "anyOf" in schema and "properties" not in schema:
        parts = [f"{escaped(schema['description'])}"]
        parts += [schema_text(each) for each in schema["anyOf"]]
        return "\n\n".join(parts)
    definitions = dict(schema.get("$defs", {}))
    rows = [[f"`{path}`", kind, escaped(text)] for path, kind, text in rows_of(schema, definitions, "")]
    return f"{escaped(schema['description'])}\n\n{table(['property', 'type', ''], rows)}"


def rows_of(schema: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Path, type and description of all that is in an object."""
    named = [(f"{prefix}{name}", each) for name, each in schema.get("properties", {}).items()]
    if isinstance(schema.get("additionalProperties"), dict):
        named.append((f"{prefix}<name>", schema["additionalProperties"]))
    for path, each in named:
        yield path, kind_of(each), text_of(each)
        inner, place = innermost(each, definitions, path)
        yield from rows_of(inner, definitions, f"{place}.")


def innermost(schema: dict[str, Any], definitions: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """What arrays are made of, and what a reference is to: once, at the document's first mention."""
    while "items" in schema:
        schema, path = schema["items"], f"{path}[]"
    name = reference_of(schema)
    return (definitions.pop(name, {}), path) if name else (schema, path)


def reference_of(schema: dict[str, Any]) -> str | None:
    """The name of the definition that a schema refers to."""
    for each in [schema, *schema.get("anyOf", [])]:
        if "$ref" in each:
            return str(each["$ref"]).rpartition("/")[2]
    return None


def kind_of(schema: dict[str, Any]) -> str:
    """The type, in words."""
    name = reference_of(schema)
    if name:
        return f"{name}, null" if "anyOf" in schema else name
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    inner = schema.get("items", schema.get("additionalProperties"))
    if isinstance(inner, dict):
        between = "of" if "items" in schema else "to"
        types = [f"{each} {between} {kind_of(inner)}" if each in ("array", "object") else each for each in types]
    return ", ".join(types)


def text_of(schema: dict[str, Any]) -> str:
    """The description, and the choices that there are."""
    choices = ", ".join(f"`{each}`" for each in schema.get("enum", ()) if each is not None)
    return f"{schema['description']} {f'One of {choices}.' if choices else ''}".strip()


def table(titles: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def escaped(text: str) -> str:
    """Text in which Markdown sees no markup."""
    return re.sub(r"([*_<>\[\]])", r"\\\1", " ".join(text.split()))


def bare(path: str) -> str:
    """A command's name without the program's."""
    return path.removeprefix("tensorbundle ")


def anchor(path: str) -> str:
    """What a link to its section ends with."""
    return bare(path).replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
