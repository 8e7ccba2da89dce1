"""What the protocols on shares cost, exactly: bytes over all three parties, and rounds.

Elements of r bits travel packed, n of them in ceil(n r / 8) bytes. Large tensors are cut into parts (`parts`)
whose messages share rounds. See docs/explanation/protocols.md.
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
        dealt: those of the bytes that P0 sends where it goes ahead of the others.
    """

    bytes: int
    rounds: int
    dealt: int

    @property
    def online(self) -> ProtocolCost:
        """What is left once P0 has gone ahead: of two rounds or more, the first is P0's alone."""
        return ProtocolCost(self.bytes - self.dealt, min(self.rounds, max(1, self.rounds - 1)), 0)


FREE = ProtocolCost(0, 0, 0)
"""Of what is local, and of tensors without elements."""


def packed_bytes(elements: int, bits: int) -> int:
    """Bytes of ring elements of so many bits in a message."""
    return (elements * bits + 7) // 8


def part_bytes(elements: int, bits: int) -> int:
    """Bytes of one ring element for each of a tensor, whose parts have messages of their own."""
    return sum(packed_bytes(part.stop - part.start, bits) for part in parts(elements))


def multiply_cost(elements: int, ring: int, drop: int) -> ProtocolCost:
    """Of a product with so many results, of operands in `ring`: by element, of matrices, a convolution."""
    word = packed_bytes(elements, ring - drop)
    return ProtocolCost(3 * word, 1, word) if elements else FREE


def widen_cost(elements: int, source: int, target: int, drop: int = 0, left: int = 0) -> ProtocolCost:
    """Of a cast between rings: four words for each element, of the bits that the wrap count needs."""
    bits = wrap_bits(source, target, drop, left)
    word = part_bytes(elements, bits)
    return ProtocolCost(4 * word, 2, 2 * word) if elements and bits else FREE


def wrap_bits(source: int, target: int, drop: int = 0, left: int = 0) -> int:
    """D, the bits of the wrap count that reach the result of a cast; 0 if it is local."""
    return max(0, target - source + drop - left)
