"""What a one-shot function costs: bytes over all parties, and rounds."""

from __future__ import annotations

from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.protocols.costs import FREE, ProtocolCost, packed_bytes
from ditto_compiler.protocols.parts import parts


def words_bytes(terms: Terms, elements: int) -> int:
    """Bytes of P0's words for one part of so many elements."""
    return sum(2 * packed_bytes(elements, terms.word_bits(term)) for term in terms.terms)


def oneshot_cost(terms: Terms, elements: int) -> ProtocolCost:
    """Of a function of so many elements: P0's words, then a message between P1 and P2 each way."""
    if not elements:
        return FREE
    sizes = [part.stop - part.start for part in parts(elements)]
    dealt = sum(words_bytes(terms, size) for size in sizes)
    return ProtocolCost(dealt + 2 * sum(packed_bytes(size, terms.result_ring) for size in sizes), 2, dealt)
