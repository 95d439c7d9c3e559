"""What operations have for outputs and default attributes: as the meta graph says, else as TensorFlow's do.

``ops.txt`` is the table of TensorFlow's own, a line for each; ``tools/make_op_table.py`` makes it.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from typing import Any, NamedTuple

from tensorbundle.protos import messages
from tensorbundle.protos.text import parse_text

_FILE = "ops.txt"
_NAME = re.compile(r'^name: "([^"]*)"', re.MULTILINE)


class Outputs(NamedTuple):
    """The outputs of a node: the arguments of its operation that they are, and how many of each."""

    arguments: list[tuple[str, int]]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.arguments)

    def name(self, number: int) -> str | None:
        """What functions call one of them, such as ``product:0``; None if there are fewer."""
        for argument, count in self.arguments:
            if number < count:
                return f"{argument}:{number}"
            number -= count
        return None


class OpDefs:
    """The definitions of the operations of one meta graph."""

    def __init__(self, meta_graph: Any) -> None:
        self._own = {op.name: op for op in meta_graph.meta_info_def.stripped_op_list.op}
        self._functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}

    def find(self, name: str) -> Any | None:
        """The ``OpDef`` of an operation that is no function of the graph; None if nobody knows it."""
        if name in self._functions:
            return None
        return self._own.get(name) or _shipped(name)

    def find_any(self, name: str) -> Any | None:
        """The ``OpDef`` of an operation or a function of the graph; None if nobody knows it."""
        return self._functions[name].signature if name in self._functions else self.find(name)

    def outputs(self, node: Any) -> Outputs | None:
        """The outputs of a node; None if nobody knows its operation."""
        op_def = self.find_any(node.op)
        return None if op_def is None else Outputs([(arg.name, _count(arg, node)) for arg in op_def.output_arg])


def _count(arg: Any, node: Any) -> int:
    """How many tensors an output consists of."""
    if arg.type_list_attr:
        return len(node.attr[arg.type_list_attr].list.type)
    return max(0, node.attr[arg.number_attr].i) if arg.number_attr else 1


@functools.cache
def _shipped(name: str) -> Any | None:
    line = _lines().get(name)
    return None if line is None else parse_text(messages.OpDef, line, _FILE)


@functools.cache
def _lines() -> dict[str, str]:
    table = importlib.resources.files(__package__).joinpath(_FILE).read_text("ascii")
    return dict(zip(_NAME.findall(table), table.splitlines(), strict=True))
