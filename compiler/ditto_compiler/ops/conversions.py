"""Conversions between element types, and rounding to whole numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ditto_compiler import intervals
from ditto_compiler.dtypes import FLOAT_TYPES, width
from ditto_compiler.encoding import Fxp
from ditto_compiler.intervals import BOOLEAN, INFINITE, Range, exactly
from ditto_compiler.ir import element_type, encoding_of, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.base import (
    Kind,
    Op,
    RangeRule,
    Ranges,
    Scale,
    Share,
    Values,
    elementwise,
    fixed_scale,
    register,
)
from ditto_compiler.ops.emitter import Emitter, on_whole_words, plain_element, same
from ditto_compiler.structure import is_float

ENGINE_INT_BITS = 30
"""Fraction bits up to which the engine's rounding toward zero is right: it computes 2^frac in 32 bits."""


def _convert(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    old, new = (e.element(v) for v in (op.operands[0], op.results[0]))
    if old == "i1" and e.is_secret(op.operands[0]):
        x = e.arithmetic_predicate(op.operands[0])
    if new == "i1" and old != "i1":
        zero = e.splat(0, shape_of(op.operands[0]), old)
        return [e.one("not_equal", e.type_of(op.results[0]), x, zero)]
    if old in ("f32", "f64") and new[0] in "iu" and e.frac > ENGINE_INT_BITS:
        return [_by_magnitude(e, op, x, lambda m: e.one("convert", e.type_of(op.results[0]), m))]
    return [x if old == new else e.one("convert", e.type_of(op.results[0]), x)]


def _round_nearest_afz(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    type_ = e.type_of(op.results[0])
    if e.frac <= ENGINE_INT_BITS:
        return [e.one("round_nearest_afz", type_, x)]
    half = e.splat(0.5, shape_of(op.results[0]), e.element(op.results[0]))
    return [_by_magnitude(e, op, x, lambda m: e.one("floor", type_, e.one("add", type_, m, half)))]


def _by_magnitude(
    e: Emitter, op: ir.Operation, x: ir.Value, function: Callable[[ir.Value], ir.Value]
) -> ir.Value:
    """sign(x) * function(|x|): the engine adds 2^frac - 1, computed in 32 bits, to negative x only."""
    secret = e.is_secret(op.operands[0])
    zero = e.splat(0.0, shape_of(op.operands[0]), plain_element(x))
    negative = e.one("less", e.type(shape_of(op.operands[0]), "i1", secret), x, zero)
    magnitude = function(e.one("abs", x.type, x))
    type_ = e.type_of(op.results[0])
    return e.one("select", type_, negative, e.one("negate", type_, magnitude), magnitude)


def _convert_scale(op: ir.Operation) -> Scale:
    return Scale.ANY if isinstance(encoding_of(op.results[0]), Fxp) else Scale.FIXED


def _convert_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x, result = ranges.of(op.operands[0]), op.results[0]
    if element_type(result) == "i1":
        return [exactly(int(0 not in x)) if x.is_numeric and (0 not in x or x.low == x.high) else BOOLEAN]
    if is_float(op.operands[0]) and not is_float(result):
        x = _TRUNCATED(x)
    if is_float(result) and not is_float(op.operands[0]):
        x = _known_numbers(x)
    return [ranges.fitted(x, result)]


def _keeps_low_bits(op: ir.Operation) -> bool:
    """Whether it cuts integers off, or takes booleans, of which there are no low bits."""
    source, target = (element_type(v) for v in (op.operands[0], op.results[0]))
    if source in FLOAT_TYPES or target in FLOAT_TYPES or target == "i1":
        return False
    return source == "i1" or width(target) <= width(source)


def _known_numbers(x: Range) -> Range:
    """Integers as floats; what only the width of their type bounds is not known at all."""
    return x.numbers(x.low if x.low > -INFINITE else -math.inf, x.high if x.high < INFINITE else math.inf)


_TRUNCATED = intervals.monotone(math.trunc, -math.inf, math.inf)


def _whole(function: Callable[[float], float]) -> RangeRule:
    return elementwise(intervals.monotone(function, -math.inf, math.inf))


def _half_away(x: float) -> float:
    return math.copysign(math.floor(abs(x) + 0.5), x)


_ROUNDING = Op(
    "stablehlo.floor",
    __name__,
    Kind.ARITHMETIC,
    fixed_scale,
    _whole(math.floor),
    on_whole_words,
    share=Share.BITWISE,
)

register(
    _ROUNDING,
    _ROUNDING.named("stablehlo.ceil", emit=same("ceil"), range=_whole(math.ceil)),
    _ROUNDING.named("stablehlo.round_nearest_even", range=_whole(round)),
    _ROUNDING.named("stablehlo.round_nearest_afz", emit=_round_nearest_afz, range=_whole(_half_away)),
    _ROUNDING.named(
        "stablehlo.convert",
        emit=_convert,
        scale=_convert_scale,
        range=_convert_range,
        modular=_keeps_low_bits,
    ),
)
