"""The checkpoint that the demo reads: shaped like BERT-large, of any size, packed as TensorFlow packs it.

Memory stays at a few megabytes for any size.
"""

from __future__ import annotations

import json
import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

import tensorbundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_LAYERS = 24
_HEADS = 16
_POSITIONS = 512
_CHUNK_ELEMENTS = 1 << 20

MIN_SIZE_BYTES = 1_000_000


def bert_shapes(nbytes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a model with BERT-large's 24 layers and about ``nbytes`` of float32, in key order.

    The hidden size follows from the size; the vocabulary takes what remains.
    """
    elements = nbytes // 4
    # With BERT's own vocabulary of 30522 words: 24 layers of 12 h^2 and 13 h, embeddings and pooler.
    quadratic, linear = _LAYERS * 12 + 1, 30522 + _POSITIONS + _LAYERS * 13
    hidden = (math.sqrt(linear * linear + 4 * quadratic * elements) - linear) / (2 * quadratic)
    hidden = max(1, round(hidden / _HEADS)) * _HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "bert/embeddings/LayerNorm/beta": (hidden,),
        "bert/embeddings/LayerNorm/gamma": (hidden,),
        "bert/embeddings/position_embeddings": (_POSITIONS, hidden),
        "bert/embeddings/token_type_embeddings": (2, hidden),
        "bert/pooler/dense/bias": (hidden,),
        "bert/pooler/dense/kernel": (hidden, hidden),
    }
    for layer in range(_LAYERS):
        shapes |= _layer_shapes(f"bert/encoder/layer_{layer}", hidden)
    rest = elements - sum(math.prod(shape) for shape in shapes.values())
    shapes["bert/embeddings/word_embeddings"] = (max(100, rest // hidden), hidden)
    return dict(sorted(shapes.items()))


def _layer_shapes(scope: str, hidden: int) -> dict[str, tuple[int, ...]]:
    dense = {
        "attention/self/query": (hidden, hidden),
        "attention/self/key": (hidden, hidden),
        "attention/self/value": (hidden, hidden),
        "attention/output/dense": (hidden, hidden),
        "intermediate/dense": (hidden, 4 * hidden),
        "output/dense": (4 * hidden, hidden),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in dense.items():
        shapes[f"{scope}/{name}/kernel"] = shape
        shapes[f"{scope}/{name}/bias"] = shape[1:]
    for name in ("attention/output/LayerNorm", "output/LayerNorm"):
        shapes[f"{scope}/{name}/beta"] = (hidden,)
        shapes[f"{scope}/{name}/gamma"] = (hidden,)
    return shapes


def write(prefix: str, shapes: dict[str, tuple[int, ...]], report: Callable[[int], None]) -> dict[str, int]:
    """Writes a checkpoint of random numbers, to the disk: the page cache forgets only what is there.

    Args:
        prefix: Where; its directory exists.
        shapes: Tensors, in key order.
        report: Called with the number of bytes written so far.

    Returns:
        The CRC-32 of each tensor's bytes, which is not the sum that the checkpoint holds; also written to
        ``<prefix>.checksums.json``.
    """
    generator = np.random.default_rng(0)
    checksums: dict[str, int] = {}
    written = 0

    def chunks(name: str, elements: int) -> Iterator[NDArray[np.float32]]:
        nonlocal written
        checksums[name] = 0
        for start in range(0, elements, _CHUNK_ELEMENTS):
            chunk = generator.random(min(_CHUNK_ELEMENTS, elements - start), dtype=np.float32)
            checksums[name] = zlib.crc32(chunk.data, checksums[name])
            yield chunk
            written += chunk.nbytes
            report(written)

    with tensorbundle.CheckpointWriter(prefix, alignment=1) as writer:
        for name, shape in shapes.items():
            writer.add_chunks(name, "float32", shape, chunks(name, math.prod(shape)))
    with open(checksums_path(prefix), "w", encoding="ascii") as file:
        json.dump(checksums, file)
    return checksums


def checksums_path(prefix: str) -> str:
    """Where :func:`write` leaves the checksums."""
    return f"{prefix}.checksums.json"
