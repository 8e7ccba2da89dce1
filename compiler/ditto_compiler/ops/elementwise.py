"""Sums, selections and comparisons, element by element."""

from __future__ import annotations

from ditto_compiler.intervals import Interval, hull
from ditto_compiler.ir import defining_op, ir
from ditto_compiler.op_attributes import direction_of, shape_of
from ditto_compiler.ops.base import (
    Kind,
    Op,
    Ranges,
    Share,
    Values,
    any_scale,
    fixed_scale,
    register,
    unknown_range,
)
from ditto_compiler.ops.emitter import Emitter, same
from ditto_compiler.structure import reducer, through_repeating


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
    return [e.one(_DIRECTIONS[direction_of(op)], e.type_of(op.results[0]), *e.operands(op))]


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


def _add_range(ranges: Ranges, op: ir.Operation) -> Interval:
    a, b = (ranges.interval(v) for v in op.operands)
    return a[0] + b[0], a[1] + b[1]


def _subtract_range(ranges: Ranges, op: ir.Operation) -> Interval:
    a, b = (ranges.interval(v) for v in op.operands)
    low, high = a[0] - b[1], a[1] - b[0]
    # Pattern: x - max(x) <= 0
    reduced = defining_op(through_repeating(op.operands[1]))
    if reduced is not None and reduced.name == "stablehlo.maximum":
        candidates = [defining_op(v) for v in reduced.operands]
        reduced = next((c for c in candidates if c is not None and c.name == "stablehlo.reduce"), reduced)
    is_maximum = reduced is not None and reduced.name == "stablehlo.reduce" and reducer(reduced) == "maximum"
    if is_maximum and reduced is not None and reduced.operands[0] == op.operands[0]:
        high = min(high, 0.0)
    return low, high


def _negate_range(ranges: Ranges, op: ir.Operation) -> Interval:
    low, high = ranges.interval(op.operands[0])
    return -high, -low


def _abs_range(ranges: Ranges, op: ir.Operation) -> Interval:
    low, high = ranges.interval(op.operands[0])
    return (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


def _maximum_range(ranges: Ranges, op: ir.Operation) -> Interval:
    a, b = (ranges.interval(v) for v in op.operands)
    return max(a[0], b[0]), max(a[1], b[1])


def _minimum_range(ranges: Ranges, op: ir.Operation) -> Interval:
    a, b = (ranges.interval(v) for v in op.operands)
    return min(a[0], b[0]), min(a[1], b[1])


def _clamp_range(ranges: Ranges, op: ir.Operation) -> Interval:
    low, x, high = (ranges.interval(v) for v in op.operands)
    return min(max(x[0], low[0]), high[1]), max(min(x[1], high[1]), low[0])


def _select_range(ranges: Ranges, op: ir.Operation) -> Interval:
    return hull(ranges.interval(op.operands[1]), ranges.interval(op.operands[2]))


def _sign_range(_: Ranges, __: ir.Operation) -> Interval:
    return -1.0, 1.0


_LINEAR = Op("stablehlo.add", __name__, Kind.ARITHMETIC, any_scale, _add_range, same("add"))
_PREDICATE = Op("stablehlo.compare", __name__, Kind.PREDICATE, any_scale, unknown_range, _compare)

register(
    _LINEAR,
    _LINEAR.named("stablehlo.subtract", emit=same("subtract"), range=_subtract_range),
    _LINEAR.named("stablehlo.negate", emit=same("negate"), range=_negate_range),
    _LINEAR.named("stablehlo.abs", emit=same("abs"), range=_abs_range),
    _LINEAR.named("stablehlo.maximum", emit=same("maximum"), range=_maximum_range),
    _LINEAR.named("stablehlo.minimum", emit=same("minimum"), range=_minimum_range),
    _LINEAR.named("stablehlo.clamp", emit=_clamp, range=_clamp_range),
    _LINEAR.named("stablehlo.select", emit=_select, range=_select_range, share=Share.BITWISE),
    _LINEAR.named("stablehlo.sign", emit=same("sign"), range=_sign_range, scale=fixed_scale),
    _PREDICATE,
    _PREDICATE.named("stablehlo.is_finite", emit=_is_finite),
)
