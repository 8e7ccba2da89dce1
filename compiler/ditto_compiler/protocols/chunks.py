"""Cutting batches of tensors into chunks, whose messages travel together: the same cuts at all parties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SINGLE_CHUNK = 1 << 15
"""Elements up to which a batch is one chunk: one message per peer and round."""

MAX_CHUNK = 1 << 16
"""Most elements in a chunk of a larger batch."""

WINDOW = 15
"""Most chunks under way at a time.

Their messages travel together, so a window takes as long as one chunk where waiting is all that counts; and
what is under way is all that casts hold in memory beside their results.
"""


def chunk_count(elements: int) -> int:
    """Chunks of a batch; a multiple of three if there are several, so that roles rotate evenly."""
    return 1 if elements <= SINGLE_CHUNK else 3 * -(-elements // (3 * MAX_CHUNK))


@dataclass(frozen=True)
class Slice:
    """Consecutive elements of one tensor of a batch."""

    tensor: int
    start: int
    stop: int


def cut(sizes: Sequence[int]) -> Iterator[list[Slice]]:
    """A batch of tensors of so many elements, cut into chunks; none if there are no elements."""
    total = sum(sizes)
    room = most = -(-total // chunk_count(total))
    slices: list[Slice] = []
    for tensor, size in enumerate(sizes):
        at = 0
        while at < size:
            if not room:
                yield slices
                slices, room = [], most
            count = min(room, size - at)
            slices.append(Slice(tensor, at, at + count))
            at, room = at + count, room - count
    if slices:
        yield slices
