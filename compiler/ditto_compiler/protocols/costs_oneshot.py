"""What a one-shot function costs, exactly."""

from __future__ import annotations

from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.protocols.costs import FREE, ProtocolCost, packed_bytes
from ditto_compiler.protocols.parts import parts


def words_bytes(terms: Terms, elements: int) -> int:
    """Bytes of P0's words for one part."""
    return sum(2 * packed_bytes(elements, terms.word_bits(term)) for term in terms.terms)


def oneshot_cost(terms: Terms, elements: int) -> ProtocolCost:
    """Of a function of so many elements."""
    sizes = [part.stop - part.start for part in parts(elements)]
    total = sum(words_bytes(terms, n) + 2 * packed_bytes(n, terms.result_ring) for n in sizes)
    return ProtocolCost(total, 2) if elements else FREE
