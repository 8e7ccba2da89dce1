"""The pass `ditto-assign-fractions`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.headroom import Headroom
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import insert_cast_after, insert_casts
from ditto_compiler.encoding import RINGS, Fxp
from ditto_compiler.ir import encoding_of, ir, ops_of, set_encoding
from ditto_compiler.ops.scales import dyadic_bits, is_free, is_product
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import constant_through_layout, splat_of


@dataclass(frozen=True)
class DittoAssignFractions(Pass):
    """Give weights, inputs and constants that enter a product as many fraction bits as the product can hold.

    A product's fraction bits are the sum of its operands', and the product must stay under
    2^(ring - 2 - margin). What its magnitude leaves after the bits of the computed operand goes to the
    operand that the caller or the program supplies, which is encoded there directly: weights near 0.03
    keep 12 to 16 bits in ring 32, where one fraction for the whole ring would leave them 3. More bits in
    a weight cost nothing: the rescale that follows drops them.

    A constant that is a small multiple of a power of two gets just the bits it needs, none for an
    integer; multiplying by 1/8 is then a change of fraction, without a rescale. One of different numbers,
    a table, keeps the policy's bits at least: its largest number says nothing of its smallest. So does what
    is in ring 128.

    Magnitudes come from the attribute `ditto.max_abs` and from range analysis. Where neither knows, a product
    is assumed to be as small as the policy's own scale asks of the engine: under 2^(ring - 2 - 2 * frac).

    Requires: rescaling explicit. Keeps: c3.

    Before, with |%0| <= 15:

        %0 = stablehlo.dot_general %x, %w ...
          : (tensor<..., #ditto.fxp<32, 10>>, tensor<..., #ditto.fxp<32, 10>>)
          -> tensor<..., #ditto.fxp<32, 20>>

    After:

        %1 = "ditto.rescale"(%w) : (tensor<..., #ditto.fxp<32, 10>>) -> tensor<..., #ditto.fxp<32, 15>>
        %0 = stablehlo.dot_general %x, %1 ...
          : (tensor<..., #ditto.fxp<32, 10>>, tensor<..., #ditto.fxp<32, 15>>)
          -> tensor<..., #ditto.fxp<32, 25>>

    (ditto-optimize-casts makes the rescale of an input an input at that scale.)

    Errors: a product too large for its ring at any useful scale (names op, range and what to do).
    """

    name: ClassVar[str] = "ditto-assign-fractions"
    margin_bits: int = 1
    """Bits kept free above the known magnitude of every value."""
    min_bits: int = 4
    """Fewest fraction bits of an operand; less is an error."""
    significant_bits: int = 12
    """Leading bits of a supplied operand that are worth sending for."""

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-expand-rescale")
        headroom = Headroom(RangeAnalysis(entry), self.margin_bits)
        for op in [op for op in ops_of(entry.entry_block) if is_product(op)]:
            if len(op.operands) != 2 or not isinstance(encoding_of(op.results[0]), Fxp):
                continue
            left, right = op.operands
            free = [index for index in (1, 0) if is_free(op.operands[index])]
            if not free or left == right:
                continue
            supplied, computed = op.operands[free[0]], op.operands[1 - free[0]]
            own, other = encoding_of(supplied), encoding_of(computed)
            assert isinstance(own, Fxp) and isinstance(other, Fxp)
            budget = headroom.product(op, own.frac) - other.frac
            room = min(budget, headroom.value(supplied, own.frac), dyadic_bits(supplied, own.ring))
            frac = self._whole_bytes(room, headroom.ranges.bound(supplied))
            if _is_table(supplied) or own.ring == max(RINGS):
                # Who asks for the widest ring asks for its digits.
                frac = max(frac, min(room, own.frac))
            if frac < min(self.min_bits, dyadic_bits(supplied, own.ring)):
                bound = headroom.ranges.bound(op.results[0])
                errors.add(
                    op,
                    f"its result reaches {bound:.3g}, which leaves {frac} fraction bits for an operand in "
                    f"ring {own.ring}, fewer than {self.min_bits}; give it a rule with a wider ring, or "
                    "fewer frac bits",
                )
                continue
            target = Fxp(own.ring, frac)
            if target == own:
                continue
            home = _home_of(op)
            op.operands[free[0]] = insert_casts(supplied, target, before=op)
            _retype(op, Fxp(own.ring, frac + other.frac), home, headroom.ranges)
        errors.raise_if_any()

    def _whole_bytes(self, room: int, bound: float) -> int:
        """The fewest whole bytes of fraction that keep `significant_bits`, or all bits there is room for.

        A truncation sends its bits in words of whole bytes, so bits up to the next byte are free, and
        bits beyond what is worth having are not.
        """
        magnitude = math.ceil(math.log2(bound)) if 0 < bound < math.inf else 0
        wanted = max(8, -(-(self.significant_bits - magnitude) // 8) * 8)
        return min(room, wanted)


def _retype(op: ir.Operation, exact: Fxp, home: Fxp, ranges: RangeAnalysis) -> None:
    """Changes the product's scale, and the rescale that follows it along with it."""
    result = op.results[0]
    for use in list(result.uses):
        user = use.owner.operation
        if user.name in names.CASTS and encoding_of(user.results[0]) == home:
            user.results[0].replace_all_uses_with(result)
            ranges.erase(user)
    set_encoding(result, exact)
    insert_cast_after(op, home)


def _home_of(op: ir.Operation) -> Fxp:
    """The scale that the rescale after a product leads to."""
    for use in op.results[0].uses:
        user = use.owner.operation
        if user.name in names.CASTS:
            target = encoding_of(user.results[0])
            assert isinstance(target, Fxp)
            return target
    target = encoding_of(op.results[0])
    assert isinstance(target, Fxp)
    return target


def _is_table(value: ir.Value) -> bool:
    """Whether a value is a constant of different numbers."""
    constant = constant_through_layout(value)
    return constant is not None and splat_of(constant) is None
