r"""Rules of a conversion: from the command line, and from a TOML file.

[[rename]]
from = "^bert/encoder/layer_([0-9]+)/"
to = 'layers.\1.'

[[cast]]
pattern = "kernel$"          # Without a pattern: all tensors of floating type.
dtype = "bfloat16"

[[transpose]]
pattern = "kernel$"
axes = [1, 0]                # Without axes: in reverse.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ARROW = "=>"
_AXES = re.compile(r"\d+(,\d+)*")
# Of each kind of rule in a file: what it must have, and what it may have.
_KEYS = {
    "rename": ({"from", "to"}, set[str]()),
    "cast": ({"dtype"}, {"pattern"}),
    "transpose": ({"pattern"}, {"axes"}),
}


def gather(
    path: str | None, rename: tuple[str, ...], cast: tuple[str, ...], transpose: tuple[str, ...]
) -> dict[str, Any]:
    """The arguments ``rename``, ``cast`` and ``transpose`` of :func:`tensorbundle.convert`.

    A file's rules come first, then those of the command line.

    Raises:
        click.UsageError: A rule that is none.
        OSError: The file can't be read.
    """
    rules: dict[str, list[dict[str, Any]]] = {"rename": [], "cast": [], "transpose": []}
    if path is not None:
        for kind, found in _read(path).items():
            rules[kind] += found
    rules["rename"] += [_parse_rename(text) for text in rename]
    rules["cast"] += [_parse_cast(text) for text in cast]
    rules["transpose"] += [_parse_transpose(text) for text in transpose]
    return {
        "rename": [(rule["from"], rule["to"]) for rule in rules["rename"]] or None,
        "cast": _as_cast(rules["cast"]),
        "transpose": _first_of_each((rule["pattern"], rule.get("axes")) for rule in rules["transpose"]) or None,
    }


def _as_cast(rules: list[dict[str, Any]]) -> Any:
    for_all = [rule["dtype"] for rule in rules if "pattern" not in rule]
    if not for_all:
        return _first_of_each((rule["pattern"], rule["dtype"]) for rule in rules) or None
    if len(rules) > 1:
        raise click.UsageError("a cast of all tensors excludes others: give a pattern with each, such as .=bfloat16")
    return for_all[0]


def _first_of_each(rules: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """As a dict, in which of rules with the same pattern the first one counts, as it does of rules with others."""
    found: dict[str, Any] = {}
    for pattern, value in rules:
        found.setdefault(pattern, value)
    return found


def _parse_rename(text: str) -> dict[str, Any]:
    pattern, arrow, replacement = text.partition(_ARROW)
    if not arrow:
        raise click.UsageError(f"--rename: {text!r} is not REGEX{_ARROW}TEXT")
    return {"from": pattern, "to": replacement}


def _parse_cast(text: str) -> dict[str, Any]:
    pattern, equals, dtype = text.rpartition("=")
    return {"pattern": pattern, "dtype": dtype} if equals else {"dtype": dtype}


def _parse_transpose(text: str) -> dict[str, Any]:
    pattern, equals, axes = text.rpartition("=")
    if not equals or not _AXES.fullmatch(axes):
        return {"pattern": text}
    return {"pattern": pattern, "axes": [int(axis) for axis in axes.split(",")]}


def _read(path: str) -> dict[str, list[dict[str, Any]]]:
    try:
        with open(path, "rb") as file:
            content = _loads()(file.read().decode("utf-8"))
    except ValueError as error:  # UTF-8's as well as TOML's.
        raise click.UsageError(f"{path}: it is no TOML: {error}") from error
    unknown = sorted(content.keys() - _KEYS.keys())
    if unknown:
        raise click.UsageError(f"{path}: expected [[rename]], [[cast]] and [[transpose]], found {', '.join(unknown)}")
    for kind, rules in content.items():
        _check(path, kind, rules)
    return content


def _check(path: str, kind: str, rules: Any) -> None:
    needed, possible = _KEYS[kind]
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise click.UsageError(f"{path}: expected [[{kind}]], a list of tables")
    for number, rule in enumerate(rules, 1):
        if not needed <= rule.keys() <= needed | possible:
            wanted = " and ".join(sorted(needed)) + "".join(f", perhaps {key}" for key in sorted(possible))
            raise click.UsageError(f"{path}: [[{kind}]] number {number}: expected {wanted}, found {', '.join(rule)}")
        for key, value in rule.items():
            is_right, what = (
                (_are_axes(value), "a list of integers") if key == "axes" else (isinstance(value, str), "text")
            )
            if not is_right:
                raise click.UsageError(f"{path}: [[{kind}]] number {number}: expected {what} as {key}, found {value!r}")


def _are_axes(value: Any) -> bool:
    return isinstance(value, list) and all(type(axis) is int for axis in value)


def _loads() -> Callable[[str], dict[str, Any]]:
    module = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    loads: Callable[[str], dict[str, Any]] = module.loads
    return loads
