"""JSON Schemas in few words: what the commands print as JSON. The manual is made from them, and tests compare them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Schema: TypeAlias = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def document(description: str, properties: dict[str, Schema], **more: Any) -> Schema:
    """The schema of a whole document, an object.

    Args:
        description: What it is, a sentence.
        properties: A schema for each of its properties, in the order in which they are printed. All are always there.
        more: Keywords besides, such as ``defs``, which stands for ``$defs``.
    """
    besides = {f"${key}" if key == "defs" else key: value for key, value in more.items()}
    return {"$schema": _DIALECT, **record(description, properties), **besides}


def record(description: str, properties: dict[str, Schema]) -> Schema:
    """An object that has these properties, and no others."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def text(description: str, choices: tuple[str, ...] = ()) -> Schema:
    """A string; one of ``choices`` if there are any."""
    return {"type": "string", "description": description, **({"enum": list(choices)} if choices else {})}


def integer(description: str) -> Schema:
    """A whole number."""
    return {"type": "integer", "description": description}


def number(description: str) -> Schema:
    """Any number."""
    return {"type": "number", "description": description}


def flag(description: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": description}


def list_of(items: Schema, description: str) -> Schema:
    """An array of things that are alike."""
    return {"type": "array", "description": description, "items": items}


def map_of(values: Schema, description: str) -> Schema:
    """An object with any keys, whose values are alike."""
    return {"type": "object", "description": description, "additionalProperties": values}


def or_null(other: Schema) -> Schema:
    """The same, or null."""
    if "$ref" in other:
        return {"description": other["description"], "anyOf": [{"$ref": other["$ref"]}, {"type": "null"}]}
    if "enum" in other:
        other = {**other, "enum": [*other["enum"], None]}
    return {**other, "type": [other["type"], "null"]}


def one_of(description: str, *documents: Schema) -> Schema:
    """One of several documents."""
    bare = [{key: value for key, value in each.items() if key != "$schema"} for each in documents]
    return {"$schema": _DIALECT, "description": description, "anyOf": bare}


def reference(name: str, description: str) -> Schema:
    """What ``$defs`` of the document has under that name."""
    return {"$ref": f"#/$defs/{name}", "description": description}
