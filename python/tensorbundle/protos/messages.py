"""The message classes and enums by TensorFlow's simple names, such as ``messages.SavedModel`` or ``messages.DataType``.

A name is looked up when it is first used. Where Keras has a message of the same name as TensorFlow, it is TensorFlow's.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):  # Or whoever looks into modules would import protobuf.
        from tensorbundle.protos import pool

        try:
            value = pool.find(name)
        except KeyError:
            pass
        else:
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from tensorbundle.protos import pool

    return sorted({*globals(), *pool.names()})
