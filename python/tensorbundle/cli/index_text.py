"""A NumPy index as it is typed, ``[1000:1016, :]``, to the index itself. Nothing is evaluated."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import EllipsisType
    from typing import TypeAlias

    Item: TypeAlias = int | slice | EllipsisType | None

_NUMBER = re.compile(r"[+-]?[0-9]{1,19}\Z")
_WORDS = {"...": ..., "Ellipsis": ..., "None": None, "newaxis": None, "np.newaxis": None}
_MAX_ITEMS = 512


def parse(text: str) -> tuple[Item, ...]:
    """What stands between the brackets: integers, slices, ``...`` and ``None``, separated by commas.

    Raises:
        ValueError: It is something else.
    """
    items = text.split(",")
    if items[-1].strip() == "" and len(items) > 1:  # As in a tuple, the last comma may be one too many.
        items.pop()
    if len(items) > _MAX_ITEMS:
        raise ValueError(f"an index of {len(items)} items: no tensor has so many dimensions")
    return tuple(_item(item.strip()) for item in items)


def _item(text: str) -> Item:
    if text in _WORDS:
        return _WORDS[text]
    parts = [part.strip() for part in text.split(":")]
    if len(parts) == 1:
        return _number(text)
    if len(parts) > 3:
        raise ValueError(f"{text!r} is no slice: START:STOP:STEP")
    return slice(*(_number(part) if part not in ("", "None") else None for part in parts))


def _number(text: str) -> int:
    if not _NUMBER.match(text):
        raise ValueError(f"{text!r} is no integer, slice, '...' or 'None': other indices are not supported")
    return int(text)
