"""Building models with ``Builder``, and looking at what has been built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tensorbundle import errors
from tensorbundle.protos import messages
from tensorbundle.protos.convert import read_file
from tensorbundle.saved_model import Builder

from .graphs import WEIGHTS, matmul


def files_in(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))


def read(directory: Path):
    return read_file(messages.SavedModel, str(directory / "saved_model.pb"))


def built(directory: Path, graph=None, variables=None, tags=("serve",), **options):
    """The meta graph of a model that is built by one call."""
    made = Builder(directory, durable=False)
    made.add_meta_graph_and_variables(
        graph or matmul(), {"w": WEIGHTS} if variables is None else variables, tags, **options
    )
    made.save()
    (meta_graph,) = read(directory).meta_graphs
    return meta_graph


def refused(directory: Path, message: str, graph=None, variables=None, error=errors.BuilderError, **options):
    """Expects an error, and that it leaves nothing."""
    made = Builder(directory, durable=False)
    variables = {"w": WEIGHTS} if variables is None else variables
    with pytest.raises(error, match=f"^{re.escape(message)}$") as caught:
        made.add_meta_graph_and_variables(graph or matmul(), variables, ["serve"], **options)
    assert files_in(directory) == []
    return caught.value


def nodes(meta_graph):
    return {node.name: node for node in meta_graph.graph_def.node}
