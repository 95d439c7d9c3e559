"""JSON as safetensors means it: UTF-8, no duplicate keys, nothing that only Python takes for JSON."""

from __future__ import annotations

import collections
import json
from typing import Any, NoReturn

#: No header or index is longer than this, in bytes; a file that says otherwise is none.
MAX_BYTES = 100_000_000


def parse(text: bytes) -> dict[str, Any]:
    """The object that ``text`` is.

    Raises:
        ValueError: It is none; the message says why, without saying where it comes from.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is no UTF-8") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {type(value).__name__}")  # noqa: TRY004 - of a file, not an argument
    return value


def is_text(value: object) -> bool:
    """True for a string that UTF-8 can encode: an escape may spell half of a character."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = collections.Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:200]!r} is there twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
