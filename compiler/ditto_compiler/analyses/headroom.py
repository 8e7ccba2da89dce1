"""How many fraction bits a value can have without leaving the range that the protocols need."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.ir import encoding_of, ir


@dataclass(frozen=True)
class Headroom:
    """Largest safe fractions, from ranges.

    A value held in ring k must satisfy |x| * 2^frac < 2^(k-2) for comparisons, truncations and upcasts
    to be right (docs/explanation/protocols.md). `margin_bits` more are kept free.

    Attributes:
        ranges: known magnitudes.
        margin_bits: kept free above them.
    """

    ranges: RangeAnalysis
    margin_bits: int

    def value(self, value: ir.Value, frac: int) -> int:
        """The most fraction bits of `value`; twice `frac`, as in `product`, when its magnitude is unknown."""
        encoding = encoding_of(value)
        assert encoding is not None
        bound = self.ranges.bound(value)
        if math.isinf(bound):
            return 2 * frac
        return self.bits(bound, encoding.ring)

    def product(self, op: ir.Operation, frac: int) -> int:
        """The most fraction bits of a product, so the most that its operands' may add up to.

        With unknown magnitude it is what a policy of `frac` bits asks of the engine anyhow, 2 * frac; but
        an element-wise product with a known operand, a constant say, is as safe as the other operand.
        """
        rooms = [self.value(op.results[0], frac)]
        if op.name == "stablehlo.multiply" and math.isinf(self.ranges.bound(op.results[0])):
            for known, other in (op.operands, reversed(op.operands)):
                bound = self.ranges.bound(known)
                if 0 < bound < math.inf:
                    rooms.append(self.value(other, frac) - math.ceil(math.log2(bound)))
        encoding = encoding_of(op.results[0])
        assert encoding is not None
        return min(max(rooms), encoding.ring - 2)

    def bits(self, bound: float, ring: int) -> int:
        """The most fraction bits of a value of magnitude up to `bound`."""
        room = ring - 2
        if bound <= 0:
            return room
        # Without a margin the bound itself, which may be a power of two, has to stay below the end.
        taken = max(self.margin_bits + math.ceil(math.log2(bound)), math.frexp(bound)[1])
        return min(room, room - taken)
