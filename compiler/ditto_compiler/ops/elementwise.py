"""Sums, selections and comparisons, element by element."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace

from ditto_compiler import intervals
from ditto_compiler.dialect.attributes import LOW_BITS, get_attribute
from ditto_compiler.dtypes import width
from ditto_compiler.intervals import BOOLEAN, INFINITE, Range, exactly, join
from ditto_compiler.ir import element_type, ir
from ditto_compiler.matcher import row_statistic
from ditto_compiler.op_attributes import direction_of, shape_of
from ditto_compiler.ops.base import (
    Kind,
    Op,
    Ranges,
    Share,
    Values,
    always,
    any_scale,
    elementwise,
    fixed_scale,
    never,
    register,
)
from ditto_compiler.ops.emitter import Emitter, aligned, same
from ditto_compiler.structure import constant, is_float


def _is_finite(e: Emitter, op: ir.Operation) -> Values:
    # Fixed point has neither infinities nor NaNs.
    return [e.splat(1, shape_of(op.results[0]), "i1")]


_DIRECTIONS = {
    "EQ": "equal",
    "NE": "not_equal",
    "LT": "less",
    "LE": "less_equal",
    "GT": "greater",
    "GE": "greater_equal",
}


def _compare(e: Emitter, op: ir.Operation) -> Values:
    operands = e.operands(op)
    if get_attribute(op, LOW_BITS) is not None:
        spare = e.ring - width(element_type(op.operands[0]))
        operands = [aligned(e, x, spare) for x in operands]
    return [e.one(_DIRECTIONS[direction_of(op)], e.type_of(op.results[0]), *operands)]


def _select(e: Emitter, op: ir.Operation) -> Values:
    predicate, on_true, on_false = e.operands(op)
    if e.is_secret(op.operands[0]):
        predicate = e.arithmetic_predicate(op.operands[0])
    predicate = e.broadcast_scalar(predicate, op.results[0], "i1", e.is_secret(op.operands[0]))
    return [e.one("select", e.type_of(op.results[0]), predicate, on_true, on_false)]


def _clamp(e: Emitter, op: ir.Operation) -> Values:
    low, x, high = e.operands(op)
    element = e.element(op.results[0])
    low = e.broadcast_scalar(low, op.results[0], element, e.is_secret(op.operands[0]))
    high = e.broadcast_scalar(high, op.results[0], element, e.is_secret(op.operands[2]))
    return [e.one("clamp", e.type_of(op.results[0]), low, x, high)]


def _subtract_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    found = intervals.subtract(*(ranges.of(v) for v in op.operands))
    # Pattern: x - max(x) <= 0, x - min(x) >= 0   [along the same axes; integers may wrap around]
    is_real = is_float(op.results[0])
    statistic = row_statistic(op.results[0], op.operands[0], op.operands[1]) if is_real else None
    if statistic is not None and statistic.reducer == "maximum" and found.has_numbers:
        found = replace(found, low=min(found.low, 0), high=min(found.high, 0), above=False)
    if statistic is not None and statistic.reducer == "minimum" and found.has_numbers:
        found = replace(found, low=max(found.low, 0), high=max(found.high, 0), below=False)
    return [ranges.fitted(found, op.results[0])]


def _clamped(low: Range, x: Range, high: Range) -> Range:
    return intervals.minimum(intervals.maximum(x, low), high)


def _sign(x: Range) -> Range:
    signs = [(r > 0) - (r < 0) for r in (x.low, x.high)] if x.has_numbers else []
    signs += [-1] * x.below + [1] * x.above
    return Range(min(signs, default=math.inf), max(signs, default=-math.inf), nan=x.nan)


def _compare_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x, y = (ranges.of(v) for v in op.operands)
    same = op.operands[0] == op.operands[1]
    # Infinity itself, and not what only stands for it, is beyond every number.
    x, y = (_literal(v, range_) for v, range_ in zip(op.operands, (x, y), strict=True))
    known = compared(direction_of(op), x, y, same=same)
    return [BOOLEAN if known is None else exactly(int(known))]


def _literal(value: ir.Value, range_: Range) -> Range:
    number = constant(value) if not range_.has_numbers else None
    return exactly(number) if number is not None and math.isinf(number) else range_


LARGEST = sys.float_info.max


def compared(direction: str, x: Range, y: Range, *, same: bool = False) -> bool | None:
    """What a comparison gives for all elements, or None where the ranges leave it open.

    Args:
        direction: EQ, NE, LT, LE, GT or GE.
        x: of the left side.
        y: of the right side.
        same: whether both sides are one value.
    """
    if x.nan or y.nan:
        return None
    if same:
        return direction in ("EQ", "LE", "GE")
    (x_low, x_high), (y_low, y_high) = _extended(x, y), _extended(y, x)
    if direction in ("GT", "GE"):
        x_low, x_high, y_low, y_high = y_low, y_high, x_low, x_high
        direction = {"GT": "LT", "GE": "LE"}[direction]
    if direction in ("EQ", "NE"):
        apart = x_high < y_low or y_high < x_low
        one = x_low == x_high == y_low == y_high
        return (direction == "EQ") == one if apart or one else None
    if x_high < y_low or (direction == "LE" and x_high == y_low):
        return True
    return False if y_high < x_low or (direction == "LT" and y_high == x_low) else None


def _extended(x: Range, other: Range) -> tuple[float, float]:
    """The least and the largest element, with infinity for what stands for it."""
    if x.is_numeric and other.low == other.high and math.isinf(other.low):
        # Bounds that are not known are bounds of numbers.
        return max(x.low, -LARGEST), min(x.high, LARGEST)
    low = -math.inf if x.below else x.low if x.has_numbers else INFINITE
    high = math.inf if x.above else x.high if x.has_numbers else -INFINITE
    return low, high


def _is_finite_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x = ranges.of(op.operands[0])
    return [exactly(1) if x.is_numeric else BOOLEAN]


def _select_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    predicate, yes, no = (ranges.of(v) for v in op.operands)
    if predicate.low == predicate.high:
        return [yes if predicate.low else no]
    return [join(yes, no)]


_LINEAR = Op(
    "stablehlo.add",
    __name__,
    Kind.ARITHMETIC,
    any_scale,
    elementwise(intervals.add),
    same("add"),
    modular=always,
)
_CHOICE = _LINEAR.named("stablehlo.maximum", emit=same("maximum"), modular=never)
_PREDICATE = Op("stablehlo.compare", __name__, Kind.PREDICATE, any_scale, _compare_range, _compare)

register(
    _LINEAR,
    _LINEAR.named("stablehlo.subtract", emit=same("subtract"), range=_subtract_range),
    _LINEAR.named("stablehlo.negate", emit=same("negate"), range=elementwise(intervals.negate)),
    _CHOICE.named("stablehlo.abs", emit=same("abs"), range=elementwise(intervals.magnitude)),
    _CHOICE.named("stablehlo.maximum", range=elementwise(intervals.maximum)),
    _CHOICE.named("stablehlo.minimum", emit=same("minimum"), range=elementwise(intervals.minimum)),
    _CHOICE.named("stablehlo.clamp", emit=_clamp, range=elementwise(_clamped)),
    _LINEAR.named("stablehlo.select", emit=_select, range=_select_range, share=Share.BITWISE),
    _CHOICE.named("stablehlo.sign", emit=same("sign"), range=elementwise(_sign), scale=fixed_scale),
    _PREDICATE,
    _PREDICATE.named("stablehlo.is_finite", emit=_is_finite, range=_is_finite_range),
)
