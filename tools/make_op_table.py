"""Writes the table of operations that ``tensorbundle.saved_model`` ships, from an installed TensorFlow.

    python tools/make_op_table.py python/tensorbundle/saved_model/ops.txt

One line for each operation, sorted by name: its ``OpDef`` in protobuf's text form, with what stripping attributes and
naming outputs need: attributes with their types and defaults, outputs, and whether it has a state.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def table() -> list[str]:
    """The lines."""
    from google.protobuf import text_format
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    everything = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return sorted(text_format.MessageToString(_needed(op), as_one_line=True) for op in everything.op)


def _needed(op):
    """A copy without documentation, inputs, limits and what only compilers read."""
    kept = type(op)(name=op.name, is_stateful=op.is_stateful)
    for output in op.output_arg:
        fields = ("name", "type", "type_attr", "number_attr", "type_list_attr", "is_ref")
        kept.output_arg.add(**{field: getattr(output, field) for field in fields})
    for attr in op.attr:
        default = attr.default_value if attr.HasField("default_value") else None
        kept.attr.add(name=attr.name, type=attr.type, default_value=default)
    return kept


def main(path: str) -> int:
    """Writes the table to ``path``."""
    lines = table()
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    print(f"{len(lines)} operations")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
