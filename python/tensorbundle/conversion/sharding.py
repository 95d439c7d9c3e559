"""Which tensor goes to which file, where there are several."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def balanced(sizes: Sequence[int], count: int) -> list[int]:
    """A shard for each tensor, such that all shards have about as many bytes.

    The largest come first, each to the shard that has the fewest bytes by then.

    Args:
        sizes: Of the tensors, in bytes.
        count: Of shards; if there are fewer tensors, there are as many shards as tensors. None is empty.
    """
    shards = [(0, 0, number) for number in range(min(count, len(sizes)))]
    places = [0] * len(sizes)
    for position in sorted(range(len(sizes)), key=lambda position: (-sizes[position], position)):
        nbytes, tensors, number = heapq.heappop(shards)
        places[position] = number
        # By number of tensors where bytes don't decide: empty tensors don't crowd into one shard.
        heapq.heappush(shards, (nbytes + sizes[position], tensors + 1, number))
    return places


def limited(sizes: Sequence[int], max_bytes: int) -> list[int]:
    """A shard for each tensor, filled in order, none with more than ``max_bytes`` unless a single tensor has.

    Such a tensor is alone in its shard.
    """
    places = []
    number, taken = 0, 0
    for nbytes in sizes:
        if taken and taken + nbytes > max_bytes:
            number, taken = number + 1, 0
        places.append(number)
        taken += nbytes
    return places
