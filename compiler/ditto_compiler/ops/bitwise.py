"""Bitwise ops and shifts of integers and booleans."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ditto_compiler.dtypes import integer_limits, is_unsigned, width
from ditto_compiler.intervals import NOTHING, Range, exactly
from ditto_compiler.ir import element_type, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.base import (
    Kind,
    Op,
    RangeRule,
    Ranges,
    Share,
    Values,
    always,
    elementwise,
    fixed_scale,
    never,
    register,
)
from ditto_compiler.ops.emitter import (
    Emitter,
    aligned,
    bits_for_users,
    may_be_bitwise,
    on_whole_words,
    ring_elements,
    same,
)


def _shift_right(e: Emitter, op: ir.Operation) -> Values:
    is_logical = op.name == "stablehlo.shift_right_logical"
    (shifted,) = same("shift_right_logical")(e, op) if is_logical else on_whole_words(e, op)
    return [bits_for_users(e, op, shifted)]


def _popcnt(e: Emitter, op: ir.Operation) -> Values:
    # The engine counts in as many low bits as its own type has: only those of the operand's may be there.
    (x,) = e.operands(op)
    spare = width(e.integer) - width(element_type(op.operands[0]))
    return [e.one("popcnt", e.type_of(op.results[0]), aligned(e, x, spare))]


def _not(e: Emitter, op: ir.Operation) -> Values:
    # The engine's is -1 - x, of all bits of the ring.
    (x,) = e.operands(op)
    dtype = element_type(op.results[0])
    if dtype == "i1" or not is_unsigned(dtype) or width(dtype) == e.ring:
        return same("not")(e, op)
    ones = ring_elements(e, [integer_limits(dtype)[1]], shape_of(op.results[0]))
    if may_be_bitwise(op.operands[0]):
        return [e.one("xor", e.type_of(op.results[0]), x, ones)]
    return [e.one("subtract", e.type_of(op.results[0]), ones, x)]


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
    if not x.has_numbers:
        return [x]
    most = integer_limits(dtype)[1] if is_unsigned(dtype) else -1
    return [x.numbers(most - x.high, most - x.low)]


def _shift_range(shift: Callable[[int, int, int], int]) -> RangeRule:
    """The range rule of a shift, by what it makes of an integer, an amount, and the width."""

    def rule(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
        x, amount = ranges.of(op.operands[0]), ranges.reads(op.operands[1])
        bits = width(element_type(op.results[0]))
        if not x.has_numbers or not amount.has_numbers:
            return [NOTHING]
        # A negative amount counts as one that is too large.
        least = min(max(int(amount.low), 0), bits) if amount.high >= 0 else bits
        most = bits if amount.low < 0 else min(int(amount.high), bits)
        amounts = range(least, most + 1)
        ends = [shift(int(end), a, bits) for end in (x.low, x.high) for a in amounts]
        if x.low < 0 <= x.high:
            ends += [shift(end, a, bits) for end in (-1, 0) for a in amounts]
        return [ranges.fitted(Range(min(ends), max(ends)), op.results[0])]

    return rule


def _left(x: int, amount: int, bits: int) -> int:
    return x << amount if amount < bits else 0


def _right_arithmetic(x: int, amount: int, bits: int) -> int:
    # Of unsigned integers, too, the top bit moves in.
    return (x - (1 << bits) if x >> (bits - 1) == 1 else x) >> min(amount, bits)


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
    modular=always,
)
_SHIFT_RIGHT = _BITWISE.named("stablehlo.shift_right_arithmetic", emit=_shift_right, modular=never)

register(
    _BITWISE,
    _BITWISE.named("stablehlo.or", emit=same("or"), range=elementwise(_or)),
    _BITWISE.named("stablehlo.xor", emit=same("xor"), range=elementwise(_xor)),
    _BITWISE.named("stablehlo.not", emit=_not, range=_not_range),
    _BITWISE.named("stablehlo.shift_left", emit=same("shift_left"), range=_shift_range(_left)),
    _SHIFT_RIGHT.named("stablehlo.shift_right_arithmetic", range=_shift_range(_right_arithmetic)),
    _SHIFT_RIGHT.named("stablehlo.shift_right_logical", range=_shift_range(_right_logical)),
    _BITWISE.named("stablehlo.popcnt", emit=_popcnt, range=_popcnt_range, reads_bits=False, modular=always),
)
