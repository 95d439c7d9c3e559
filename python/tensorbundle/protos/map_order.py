"""Serialized maps in the order of their keys: each runtime has an order of its own, deterministic or not."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from tensorbundle import _core
from tensorbundle.protos import pool


class _Types(NamedTuple):
    """The fields that lead to maps, as ``_core.sort_map_entries`` takes them, and the position of each type in them."""

    fields: list[list[tuple[int, int, bool]]]
    positions: dict[str, int]


def sort_maps(full_name: str, data: bytes) -> bytes:
    """The bytes of a message of that type with all its maps sorted, as protobuf's C++ sorts them when it is asked to.

    Raises:
        LimitError: Messages nest deeper than 100 levels.
    """
    types = _types()
    position = types.positions.get(full_name)
    return data if position is None else _core.sort_map_entries(data, types.fields, position)


@functools.cache
def _types() -> _Types:
    found: dict[str, Any] = {}
    for name in pool.full_names():
        _collect(pool.POOL.FindMessageTypeByName(name), found)
    kept = _leading_to_maps(found)
    positions = {name: position for position, name in enumerate(kept)}
    fields = [
        [
            (field.number, positions[field.message_type.full_name], _is_map_entry(field.message_type))
            for field in found[name].fields
            if field.message_type is not None and field.message_type.full_name in positions
        ]
        for name in kept
    ]
    return _Types(fields, positions)


def _collect(descriptor: Any, found: dict[str, Any]) -> None:
    found[descriptor.full_name] = descriptor
    for nested in descriptor.nested_types:
        _collect(nested, found)


def _leading_to_maps(descriptors: dict[str, Any]) -> list[str]:
    """The types that are entries of maps, have maps, or have fields of such types."""
    inner = {name: _field_types(descriptor) for name, descriptor in descriptors.items()}
    kept = {name for name, descriptor in descriptors.items() if _is_map_entry(descriptor)}
    while more := {name for name, types in inner.items() if types & kept} - kept:
        kept |= more
    return sorted(kept)


def _field_types(descriptor: Any) -> set[str]:
    return {field.message_type.full_name for field in descriptor.fields if field.message_type is not None}


def _is_map_entry(descriptor: Any) -> bool:
    return bool(descriptor.GetOptions().map_entry)
