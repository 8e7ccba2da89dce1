"""What a one-shot function costs: bytes and rounds, as the runtime sends them."""

from __future__ import annotations

from dataclasses import dataclass

from ditto_compiler.oneshot.terms import Terms

ALONE = 3 * 1024


@dataclass(frozen=True)
class ProtocolCost:
    """Bytes over all parties, and rounds."""

    bytes: int
    rounds: int


def parts(elements: int) -> list[int]:
    """Elements of the parts that a tensor is cut into."""
    if elements < ALONE:
        return [elements]
    third = -(-elements // (3 * 64)) * 64
    return [third, min(third, elements - third), elements - third - min(third, elements - third)]


def packed(elements: int, ring: int) -> int:
    """Bytes of a message of elements of `ring` bits."""
    return (elements * ring + 7) // 8


def words_bytes(terms: Terms, elements: int) -> int:
    """Bytes of P0's words for one part."""
    return sum(2 * packed(elements, terms.word_bits(term)) for term in terms.terms)


def oneshot_cost(terms: Terms, elements: int) -> ProtocolCost:
    """Of a function of so many elements."""
    total = sum(words_bytes(terms, n) + 2 * packed(n, terms.result_ring) for n in parts(elements))
    return ProtocolCost(total, 2 if elements else 0)
