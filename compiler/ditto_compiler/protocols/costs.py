"""What the protocols on shares cost, exactly: bytes over all three parties, and rounds.

Elements of r bits travel packed, n of them in ceil(n r / 8) bytes. Large tensors are cut into parts (`parts`)
whose messages share rounds. See docs/protocols.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from ditto_compiler.protocols.parts import parts


@dataclass(frozen=True)
class ProtocolCost:
    """What one instance of a protocol costs.

    Attributes:
        bytes: that the three parties send, together.
        rounds: one after another, each of which may carry messages of other protocols as well.
    """

    bytes: int
    rounds: int

    def then(self, other: ProtocolCost) -> ProtocolCost:
        """One after the other."""
        return ProtocolCost(self.bytes + other.bytes, self.rounds + other.rounds)

    def beside(self, other: ProtocolCost) -> ProtocolCost:
        """Both at once."""
        return ProtocolCost(self.bytes + other.bytes, max(self.rounds, other.rounds))


FREE = ProtocolCost(0, 0)
"""Of what is local, and of tensors without elements."""


def packed_bytes(elements: int, bits: int) -> int:
    """Bytes of ring elements of so many bits in a message."""
    return (elements * bits + 7) // 8


def part_bytes(elements: int, bits: int) -> int:
    """Bytes of one ring element for each of a tensor, whose parts have messages of their own."""
    return sum(packed_bytes(part.stop - part.start, bits) for part in parts(elements))


def multiply_cost(elements: int, ring: int, drop: int) -> ProtocolCost:
    """Of a product with so many results, of operands in `ring`: by element, of matrices, a convolution."""
    return ProtocolCost(3 * packed_bytes(elements, ring - drop), 1) if elements else FREE


def widen_cost(elements: int, source: int, target: int, drop: int = 0, left: int = 0) -> ProtocolCost:
    """Of a cast between rings: four words for each element, of the bits that the wrap count needs."""
    bits = wrap_bits(source, target, drop, left)
    return ProtocolCost(4 * part_bytes(elements, bits), 2) if elements and bits else FREE


def wrap_bits(source: int, target: int, drop: int = 0, left: int = 0) -> int:
    """D, the bits of the wrap count that reach the result of a cast; 0 if it is local."""
    return max(0, target - source + drop - left)
