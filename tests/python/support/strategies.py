"""Hypothesis strategies for what checkpoints are made of."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from .slices import Slice

shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
texts = st.text(min_size=1, max_size=12).filter(lambda name: not name.startswith("\0"))
names = st.one_of(texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(min_size=1, max_size=8))


@st.composite
def pieces_of(draw: st.DrawFn, shape: tuple[int, ...]) -> list[Slice]:
    """Pieces that make up a tensor of this shape, in any order and spelling."""
    cut: list[list[tuple[int, int] | None]] = []
    for size in shape:
        edges = sorted({0, size, *draw(st.lists(st.integers(1, size), max_size=2))})
        extents: list[tuple[int, int] | None] = [(low, high - low) for low, high in itertools.pairwise(edges)]
        if len(extents) == 1 and draw(st.booleans()):
            extents = [None]
        cut.append(extents)
    return draw(st.permutations(list(itertools.product(*cut))))
