"""What the ring elements of integers can be.

An integer of a type of w bits is held in a ring of k bits, most often k >= w. Operations on shares are
those of the ring, so after an addition that wraps around in its type the ring element is the sum, which
agrees with the integer in the low w bits only. A ring element is *canonical* if, read as a signed number, it
is the integer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ditto_compiler import intervals
from ditto_compiler.analyses.ranges import Known, RangeAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import is_unsigned, width
from ditto_compiler.encoding import Int
from ditto_compiler.intervals import Range, exactly, join
from ditto_compiler.ir import element_type, encoding_of, func, ir
from ditto_compiler.ops import OPS
from ditto_compiler.ops.base import fits


class HeldRanges(RangeAnalysis):
    """Ranges of ring elements as signed numbers, in an annotated function whose casts are inserted.

    It takes for granted what ditto-legalize-integers sees to: ops that read more than the low bits of
    integers are given canonical ones, or else read no more than those.

    Attributes:
        values: ranges of the integers themselves.
    """

    def __init__(self, entry: func.FuncOp) -> None:
        self.values = RangeAnalysis(entry)
        super().__init__(entry)

    def fitted(self, range_: Range, value: ir.Value) -> Range:
        """As in the base class: ring elements wrap around in their ring."""
        encoding = encoding_of(value)
        if not is_integer(value) or encoding is None or not range_.has_numbers:
            return range_
        half = 1 << (encoding.ring - 1)
        if range_.is_bounded:
            turns = (int(range_.low) + half) // (2 * half)
            if turns == (int(range_.high) + half) // (2 * half):
                return Range(range_.low - turns * 2 * half, range_.high - turns * 2 * half)
        return Range(-half, half - 1)

    def reads(self, value: ir.Value) -> Range:
        """As in the base class: what is not canonical is made so, or read modulo its type."""
        return self.of(value) if self.is_canonical(value) else self.values.of(value)

    def is_canonical(self, value: ir.Value) -> bool:
        """Whether the ring elements are provably the integers."""
        return fits(self.of(value), value)

    def replace(self, old: ir.Value, new: ir.Value) -> None:
        """Puts `new` in the place of `old`, which is held alike."""
        self.stands_for(new, old)
        old.replace_all_uses_with(new)

    def stands_for(self, new: ir.Value, old: ir.Value) -> None:
        """Takes what is known of `old` for `new`, which is made to be the same."""
        self.note(new, self.of(old))
        self.values.note(new, self.values.of(old))

    def _sharpened(self, op: ir.Operation, value: ir.Value, proved: Range, known: Known) -> Range:
        # What was measured is the integer, which the ring element need not be.
        return super()._sharpened(op, value, proved, known) if fits(proved, value) else proved

    def _proved(self, op: ir.Operation) -> Sequence[Range]:
        entry, rule = OPS.get(op.name), _RULES.get(op.name)
        if op.name in names.CASTS:
            found: Sequence[Range] = [_cast(self, op)]
        elif entry is not None and entry.modular(op):
            found = super()._proved(op)
        elif rule is not None and is_integer(op.results[0]):
            found = [rule(self, op)]
        else:
            found = [self.values.of(result) for result in op.results]
        return [self.fitted(range_, result) for range_, result in zip(found, op.results, strict=True)]


def is_integer(value: ir.Value) -> bool:
    """Whether a tensor's elements are integers, but not booleans."""
    return isinstance(encoding_of(value), Int) and element_type(value) != "i1"


def upcasts_exactly(range_: Range, ring: int) -> bool:
    """Whether the upcast of integers in a range is right, see docs/explanation/protocols.md."""
    limit = 1 << (ring - 2)
    return not range_.has_numbers or (-limit <= range_.low and range_.high < limit)


def _cast(held: HeldRanges, op: ir.Operation) -> Range:
    (x,) = op.operands
    source, found = encoding_of(x), held.of(x)
    if (
        not is_integer(x)
        or op.name != "ditto.upcast"
        or source is None
        or upcasts_exactly(found, source.ring)
    ):
        return found
    if width(element_type(x)) >= source.ring:
        return held.values.of(x)
    # Off by 2^ring, perhaps: the low bits are right.
    return Range(found.low - (1 << source.ring), found.high + (1 << source.ring))


def _convert(held: HeldRanges, op: ir.Operation) -> Range:
    (x,) = op.operands
    return held.reads(x) if is_integer(x) else held.values.of(op.results[0])


def _choice(held: HeldRanges, op: ir.Operation) -> Range:
    """One of the operands, of which nothing is read but which it is."""
    if all(map(held.is_canonical, op.operands)):
        return held.values.of(op.results[0])
    return join(*map(held.of, op.operands))


def _abs(held: HeldRanges, op: ir.Operation) -> Range:
    x = held.of(op.operands[0])
    return intervals.magnitude(x) if held.is_canonical(op.operands[0]) else join(x, intervals.negate(x))


def _divide(held: HeldRanges, op: ir.Operation) -> Range:
    found, bits = held.values.of(op.results[0]), width(element_type(op.results[0]))
    # The least integer divided by -1 has no place in the type.
    return found if is_unsigned(element_type(op.results[0])) else join(found, exactly(1 << (bits - 1)))


def _shift_right_logical(held: HeldRanges, op: ir.Operation) -> Range:
    x, amount = map(held.reads, op.operands)
    if x.low >= 0 or amount.low > 0:
        return held.values.of(op.results[0])
    # By 0, the low bits of a negative integer are taken for a number.
    return Range(0, (1 << width(element_type(op.results[0]))) - 1)


def _shift_right_arithmetic(held: HeldRanges, op: ir.Operation) -> Range:
    dtype = element_type(op.results[0])
    top = 1 << (width(dtype) - 1)
    if is_unsigned(dtype) and held.reads(op.operands[0]).high >= top:
        return Range(-top, top - 1)
    return held.values.of(op.results[0])


_RULES: Mapping[str, Callable[[HeldRanges, ir.Operation], Range]] = {
    "stablehlo.abs": _abs,
    "stablehlo.clamp": _choice,
    "stablehlo.convert": _convert,
    "stablehlo.divide": _divide,
    "stablehlo.maximum": _choice,
    "stablehlo.minimum": _choice,
    "stablehlo.reduce": _choice,
    "stablehlo.reduce_window": _choice,
    "stablehlo.shift_right_arithmetic": _shift_right_arithmetic,
    "stablehlo.shift_right_logical": _shift_right_logical,
}
"""Of ops that are not modular, and whose results are not always canonical."""
