"""What comparisons and bits cost: bytes over all parties, and rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ditto_compiler.protocols.comparison_tree import comparison_tree, product_bits, product_levels


@dataclass(frozen=True)
class ProtocolCost:
    """Bytes over all parties, and rounds."""

    bytes: int
    rounds: int


def _parts(elements: int) -> list[int]:
    """Elements of each part that a tensor is cut into: `ditto.runtime.protocols.rounds.Party.seats`."""
    if elements < 3 * 1024:
        return [elements]
    third = -(-elements // (3 * 64)) * 64
    return [third, min(2 * third, elements) - third, elements - min(2 * third, elements)]


def _rows(elements: int) -> int:
    """Bytes of one bit of each element, in all parts."""
    return sum((part + 7) // 8 for part in _parts(elements))


def less_cost(ring: int, elements: int, thresholds: int = 1, rounds: int | None = None) -> ProtocolCost:
    """Of comparing a tensor with public thresholds.

    Raises:
        ValueError: see `comparison_tree`.
    """
    if not elements or not thresholds:
        return ProtocolCost(0, 0)
    tree = comparison_tree(ring, thresholds, rounds)
    return ProtocolCost(tree.bits(thresholds) * _rows(elements), tree.rounds)


def conjunction_cost(elements: int) -> ProtocolCost:
    """Of `conjunction` and `disjunction`."""
    return ProtocolCost(3 * ((elements + 7) // 8), 1 if elements else 0)


def any_along_cost(count: int, others: int) -> ProtocolCost:
    """Of `any_along` over an axis of `count` elements, for each of `others`."""
    if count < 2 or not others:
        return ProtocolCost(0, 0)
    if count == 2:
        return conjunction_cost(others)
    levels = product_levels(count)
    return ProtocolCost(sum(map(product_bits, levels)) * _rows(others), 1 + len(levels))


def _times_cost(elements: int, dealt: Sequence[int], rings: Sequence[int]) -> ProtocolCost:
    """Of words that P0 deals, and of those that P1 and P2 send each other."""
    if not elements or not rings:
        return ProtocolCost(0, 0)
    words = [*dealt, *rings, *rings]
    return ProtocolCost(sum((part * ring + 7) // 8 for part in _parts(elements) for ring in words), 2)


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
    return ProtocolCost(compared.bytes + sum(cost.bytes for cost in words), compared.rounds + bool(words))


def to_number_cost(ring: int, elements: int) -> ProtocolCost:
    """Of `to_number` and `times_public`."""
    return _times_cost(elements, [ring], [ring])


def times_bit_cost(rings: Sequence[int], elements: int) -> ProtocolCost:
    """Of `times_bit_each`; of `times_bit` and `select` with the one ring."""
    return _times_cost(elements, [max(rings, default=0), *rings], rings)
