"""Public names of a package, imported when they are first used (PEP 562)."""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def look_up(package: str, name: str, modules: Collection[str], homes: Mapping[str, str]) -> object:
    """What a package's ``__getattr__`` gives.

    Args:
        package: The package's full name.
        name: The attribute that was asked for.
        modules: Names that are modules of the package.
        homes: Other public names, and the module of the package that has each.

    Raises:
        AttributeError: It is no public name.
    """
    if name in modules:
        return importlib.import_module(f"{package}.{name}")
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
    setattr(sys.modules[package], name, value)
    return value
