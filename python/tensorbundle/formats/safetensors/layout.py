"""How a safetensors file is laid out, before a byte of it is written."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorbundle import errors
from tensorbundle.formats.safetensors import jsontext
from tensorbundle.formats.safetensors.dtypes import BY_TF_NAME, RANK
from tensorbundle.formats.safetensors.header import LENGTH_BYTES, METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tensorbundle.formats.source import TensorSpec

# Tensors begin at a multiple of this; the header is padded with spaces.
_ALIGNMENT = 8


class Layout(NamedTuple):
    """Where everything of a file goes.

    Attributes:
        header: The first bytes of the file: the header with its length.
        offsets: Where each tensor's bytes begin and end, from the start of the file; in the order of the file.
        size: Of the whole file, in bytes.
    """

    header: bytes
    offsets: dict[str, tuple[int, int]]
    size: int


def layout(specs: Iterable[TensorSpec], metadata: Mapping[str, str] | None = None) -> Layout:
    """Lays out a file as the format's own writer does: widest elements first, so that all are aligned, then by name.

    Args:
        specs: The tensors, in any order; their ``nbytes`` don't count.
        metadata: What the file says besides, or None for a file without. An empty mapping is written as such. It is
            written sorted by key: the same mapping gives the same bytes.

    Raises:
        UnimplementedError: The format has no such element type.
        ValueError: A name is given twice, is reserved, or has no UTF-8; or so does the metadata.
        TypeError: Metadata that isn't text.
        LimitError: The header would be longer than the format allows.
    """
    content: dict[str, Any] = {} if metadata is None else {METADATA_KEY: _checked_metadata(metadata)}
    extents: dict[str, tuple[int, int]] = {}
    at = 0
    for spec, name in sorted(_typed(specs), key=lambda item: (-RANK[item[1]], item[0].name)):
        if spec.name in extents:
            raise ValueError(f"tensor {spec.name!r} is given twice")
        end = at + math.prod(spec.shape) * BY_TF_NAME[spec.dtype].bits // 8
        content[spec.name] = {"dtype": name, "shape": list(spec.shape), "data_offsets": [at, end]}
        extents[spec.name] = (at, end)
        at = end
    header = _encoded(content)
    offsets = {name: (begin + len(header), end + len(header)) for name, (begin, end) in extents.items()}
    return Layout(header, offsets, at + len(header))


def _typed(specs: Iterable[TensorSpec]) -> list[tuple[TensorSpec, str]]:
    """The tensors, and the format's names of their types."""
    typed = []
    for spec in specs:
        if spec.dtype not in BY_TF_NAME:
            raise errors.UnimplementedError(
                f"tensor {spec.name!r} is of type {spec.dtype}, which safetensors doesn't have", tensor=spec.name
            )
        if spec.name == METADATA_KEY or not jsontext.is_text(spec.name):
            why = "is reserved" if spec.name == METADATA_KEY else "has no UTF-8"
            raise ValueError(f"safetensors can't hold a tensor called {spec.name!r}: the name {why}")
        typed.append((spec, BY_TF_NAME[spec.dtype].name))
    return typed


def _checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    for item in (text for pair in metadata.items() for text in pair):
        if not isinstance(item, str):
            raise TypeError(f"metadata of safetensors is text, not {item!r}")
        if not jsontext.is_text(item):
            raise ValueError(f"metadata has no UTF-8: {item!r}")
    return dict(sorted(metadata.items()))


def _encoded(content: dict[str, Any]) -> bytes:
    """The header with its length, padded."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > jsontext.MAX_BYTES:
        raise errors.LimitError(
            f"a safetensors header holds at most {jsontext.MAX_BYTES} bytes, that of {len(content)} tensors would take "
            f"{len(text)}: use more shards"
        )
    return len(text).to_bytes(LENGTH_BYTES, "little") + text
