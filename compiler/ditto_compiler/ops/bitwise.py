"""Bitwise ops and shifts of integers and booleans."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ditto_compiler.dtypes import integer_limits, is_unsigned, width
from ditto_compiler.intervals import NOTHING, Range, exactly
from ditto_compiler.ir import element_type, ir
from ditto_compiler.ops.base import (
    OPS,
    Kind,
    Op,
    RangeRule,
    Ranges,
    Share,
    Values,
    elementwise,
    fitted,
    fixed_scale,
    register,
)
from ditto_compiler.ops.emitter import Emitter, as_arithmetic, on_whole_words, same


def _shift_right(e: Emitter, op: ir.Operation) -> Values:
    is_logical = op.name == "stablehlo.shift_right_logical"
    (shifted,) = same("shift_right_logical")(e, op) if is_logical else on_whole_words(e, op)
    users = {use.owner.operation.name for use in op.results[0].uses}
    reads_numbers = any(name not in OPS or not OPS[name].reads_bits for name in users)
    # The bits are converted back once, not by each op that calculates with them.
    return [as_arithmetic(e, shifted) if e.is_secret(op.results[0]) and reads_numbers else shifted]


def _and(x: Range, y: Range) -> Range:
    if x.low >= 0 and y.low >= 0:
        return Range(int(x.low) & int(y.low) if _are_bits(x, y) else 0, min(x.high, y.high))
    if x.low >= 0 or y.low >= 0:
        return Range(0, max(r.high for r in (x, y) if r.low >= 0))
    return _same_width(x, y)


def _or(x: Range, y: Range) -> Range:
    if _are_bits(x, y):
        return Range(int(x.low) | int(y.low), int(x.high) | int(y.high))
    return _same_width(x, y)


def _xor(x: Range, y: Range) -> Range:
    if x.low == x.high and y.low == y.high:
        return exactly(int(x.low) ^ int(y.low))
    return _same_width(x, y)


def _are_bits(x: Range, y: Range) -> bool:
    return min(x.low, y.low) >= 0 and max(x.high, y.high) <= 1


def _same_width(x: Range, y: Range) -> Range:
    """Integers of no more bits than the operands have."""
    bits = max(
        int(end).bit_length() if end >= 0 else (~int(end)).bit_length()
        for r in (x, y)
        for end in (r.low, r.high)
    )
    return Range(-(1 << bits) if min(x.low, y.low) < 0 else 0, (1 << bits) - 1)


def _not_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x, dtype = ranges.of(op.operands[0]), element_type(op.results[0])
    most = integer_limits(dtype)[1] if is_unsigned(dtype) else -1
    return [x.numbers(most - x.high, most - x.low)]


def _shift_range(shift: Callable[[int, int, int], int]) -> RangeRule:
    """The range rule of a shift, by what it makes of an integer, an amount, and the width."""

    def rule(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
        x, amount = (ranges.of(v) for v in op.operands)
        bits = width(element_type(op.results[0]))
        if not x.has_numbers or not amount.has_numbers:
            return [NOTHING]
        # A negative amount counts as one that is too large.
        amounts = {int(min(max(a if a >= 0 else bits, 0), bits)) for a in (amount.low, amount.high)}
        amounts |= {bits} if amount.low < 0 else set()
        amounts |= set(range(min(amounts), max(amounts) + 1))
        ends = [shift(int(end), a, bits) for end in (x.low, x.high) for a in amounts]
        if x.low < 0 <= x.high:
            ends += [shift(end, a, bits) for end in (-1, 0) for a in amounts]
        return [fitted(Range(min(ends), max(ends)), op.results[0])]

    return rule


def _left(x: int, amount: int, bits: int) -> int:
    return x << amount if amount < bits else 0


def _right_arithmetic(x: int, amount: int, bits: int) -> int:
    return x >> min(amount, bits)


def _right_logical(x: int, amount: int, bits: int) -> int:
    return (x % (1 << bits)) >> amount


def _popcnt_range(_: Ranges, op: ir.Operation) -> Sequence[Range]:
    return [Range(0, width(element_type(op.results[0])))]


_BITWISE = Op(
    "stablehlo.and",
    __name__,
    Kind.ARITHMETIC,
    fixed_scale,
    elementwise(_and),
    same("and"),
    share=Share.BITWISE,
    reads_bits=True,
)

register(
    _BITWISE,
    _BITWISE.named("stablehlo.or", emit=same("or"), range=elementwise(_or)),
    _BITWISE.named("stablehlo.xor", emit=same("xor"), range=elementwise(_xor)),
    _BITWISE.named("stablehlo.not", emit=same("not"), range=_not_range),
    _BITWISE.named("stablehlo.shift_left", emit=same("shift_left"), range=_shift_range(_left)),
    _BITWISE.named(
        "stablehlo.shift_right_arithmetic", emit=_shift_right, range=_shift_range(_right_arithmetic)
    ),
    _BITWISE.named("stablehlo.shift_right_logical", emit=_shift_right, range=_shift_range(_right_logical)),
    _BITWISE.named("stablehlo.popcnt", emit=same("popcnt"), range=_popcnt_range, reads_bits=False),
)
