"""How the comparisons of a batch share messages, and how large those are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ditto_compiler.protocols.chunks import Slice, cut

DIGIT_BITS = 4
"""Of the digits that the comparison in docs/explanation/protocols.md cuts a value into."""


class Group(NamedTuple):
    """Elements of one ring that are compared with the same number of thresholds."""

    ring: int
    elements: int
    thresholds: int


def digits(ring: int) -> int:
    """D, the digits of a ring element."""
    return ring // DIGIT_BITS


def query_bytes(ring: int) -> int:
    """Bytes of one element's query, for any number of thresholds: 16 bits a digit, the top one 8."""
    return 2 * digits(ring) - 1


def rows(count: int) -> int:
    """Bits that stand for a number of `count` digits: G of each, and P of each but the lowest."""
    return 2 * count - 1


def row_bytes(elements: int) -> int:
    """Bytes that hold one bit of each element."""
    return (elements + 7) // 8


def comparison_rounds(ring: int) -> int:
    """Rounds of a comparison: two, and one for each level of the tree over the digits."""
    return 1 + digits(ring).bit_length()


def chunks(groups: Sequence[Group]) -> Iterator[tuple[int, list[Slice]]]:
    """The batch cut into chunks of one ring each, in the order in which they are sent: ring and slices.

    A chunk's elements, and their number of chunks, are those of casts; empty groups are left out.
    """
    for ring in sorted({group.ring for group in groups}):
        # Those that are not in this ring, or are compared with nothing, have no elements here.
        for slices in cut([g.elements if g.ring == ring and g.thresholds else 0 for g in groups]):
            yield ring, slices
