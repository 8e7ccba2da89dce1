"""What comparisons and bits cost: bytes over all parties, and rounds."""

from __future__ import annotations

from collections.abc import Sequence

from ditto_compiler.protocols.comparison_tree import (
    comparison_tree,
    dealt_bits,
    product_bits,
    product_levels,
)
from ditto_compiler.protocols.costs import FREE, ProtocolCost, packed_bytes, part_bytes


def less_cost(ring: int, elements: int, thresholds: int = 1, rounds: int | None = None) -> ProtocolCost:
    """Of comparing a tensor with public thresholds.

    Raises:
        ValueError: see `comparison_tree`.
    """
    if not elements or not thresholds:
        return FREE
    tree, row = comparison_tree(ring, thresholds, rounds), part_bytes(elements, 1)
    return ProtocolCost(tree.bits(thresholds) * row, tree.rounds, tree.first(thresholds) * row)


def conjunction_cost(elements: int) -> ProtocolCost:
    """Of `conjunction` and `disjunction`."""
    row = packed_bytes(elements, 1)
    return ProtocolCost(3 * row, 1, row) if elements else FREE


def any_along_cost(count: int, others: int) -> ProtocolCost:
    """Of `any_along` over an axis of `count` elements, for each of `others`."""
    if count < 2 or not others:
        return FREE
    if count == 2:
        return conjunction_cost(others)
    levels, row = product_levels(count), part_bytes(others, 1)
    return ProtocolCost(
        sum(map(product_bits, levels)) * row, 1 + len(levels), sum(map(dealt_bits, levels)) * row
    )


def _times_cost(elements: int, dealt: Sequence[int], rings: Sequence[int]) -> ProtocolCost:
    """Of words that P0 deals, and of those that P1 and P2 send each other."""
    if not elements or not rings:
        return FREE
    first, second = (sum(part_bytes(elements, ring) for ring in words) for words in (dealt, rings))
    return ProtocolCost(first + 2 * second, 2, first)


def times_less_cost(
    ring: int, elements: int, numbers: Sequence[Sequence[tuple[int, bool]]], rounds: int | None = None
) -> ProtocolCost:
    """Of `times_less`: for each threshold, the rings of its numbers, and whether each is secret (or 1).

    Raises:
        ValueError: see `comparison_tree`.
    """
    compared = less_cost(ring, elements, len(numbers), rounds)
    words = [
        _times_cost(
            elements, [max(r for r, _ in rings), *(r for r, secret in rings if secret)], [r for r, _ in rings]
        )
        for rings in numbers
        if rings
    ]
    if not compared.rounds:
        return compared
    return ProtocolCost(
        compared.bytes + sum(cost.bytes for cost in words),
        compared.rounds + bool(words),
        compared.dealt + sum(cost.dealt for cost in words),
    )


def to_number_cost(ring: int, elements: int) -> ProtocolCost:
    """Of `to_number` and `times_public`: three words."""
    return _times_cost(elements, [ring], [ring])


def times_bit_cost(rings: Sequence[int], elements: int) -> ProtocolCost:
    """Of `times_bit_each`; of `times_bit` and `select` with the one ring: four words."""
    return _times_cost(elements, [max(rings, default=0), *rings], rings)
