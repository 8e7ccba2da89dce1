"""Functions that the engine approximates: exponentials, roots, quotients, ..."""

from __future__ import annotations

import math
from collections.abc import Callable

from ditto_compiler.encoding import RINGS, Fxp
from ditto_compiler.intervals import UNKNOWN, Interval, product
from ditto_compiler.ir import defining_op, encoding_of, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.base import (
    WIDE,
    IsSecret,
    Kind,
    Op,
    RangeRule,
    Ranges,
    Values,
    fixed_scale,
    register,
    unknown_range,
)
from ditto_compiler.ops.emitter import Emitter, same
from ditto_compiler.ops.products import times_tiny
from ditto_compiler.ops.sources import reciprocal_of
from ditto_compiler.spu.literals import tiny_factor
from ditto_compiler.structure import constant, constant_through_layout, is_float, reducer, through_repeating


def _logistic(e: Emitter, op: ir.Operation) -> Values:
    # 1 / (1 + exp(-x)), as the engine's own compiler expands it.
    (x,) = e.operands(op)
    type_ = e.type_of(op.results[0])
    one = e.splat(1.0, shape_of(op.results[0]), e.element(op.results[0]))
    exp = e.one("exponential", type_, e.one("negate", type_, x))
    return [e.one("reciprocal", type_, e.one("add", type_, exp, one))]


def _erf(e: Emitter, op: ir.Operation) -> Values:
    return [
        e.one(
            "custom_call",
            e.type_of(op.results[0]),
            *e.operands(op),
            call_target_name=ir.StringAttr.get("mhlo.erf"),
        )
    ]


def _erfc(e: Emitter, op: ir.Operation) -> Values:
    # erfc(x) = 1 - erf(x)
    (erf,) = _erf(e, op)
    one = e.splat(1.0, shape_of(op.results[0]), e.element(op.results[0]))
    return [e.one("subtract", e.type_of(op.results[0]), one, erf)]


def _custom_call(e: Emitter, op: ir.Operation) -> Values:
    target = ir.StringAttr(op.attributes["call_target_name"]).value
    return _erf(e, op) if target == "mhlo.erf" else e.operands(op)


def _divide(e: Emitter, op: ir.Operation) -> Values:
    # Pattern: x / c -> x * (1/c)   [c a public constant]
    numerator = e.values[op.operands[0]]
    type_ = e.type_of(op.results[0])
    encoding = encoding_of(op.results[0])
    if isinstance(encoding, Fxp) and constant_through_layout(op.operands[1]) is not None:
        factor = tiny_factor(op.operands[1], encoding, reciprocal=True)
        if factor is not None:
            return [times_tiny(e, op, numerator, factor)]
        return [e.one("multiply", type_, numerator, reciprocal_of(e, op.operands[1]))]
    # Pattern: 1 / y -> reciprocal(y)
    if isinstance(encoding, Fxp) and constant(op.operands[0]) == 1.0:
        return [e.one("reciprocal", type_, e.values[op.operands[1]])]
    return [e.one("divide", type_, numerator, e.values[op.operands[1]])]


def _known_target(op: ir.Operation, _: IsSecret) -> str | None:
    target = ir.StringAttr(op.attributes["call_target_name"]).value
    if target not in ("mhlo.erf", "Sharding"):
        return f"there is no private implementation of the custom call @{target}"
    return None


def _division_rings(op: ir.Operation) -> tuple[int, ...]:
    # x / c is x * (1/c) for a public constant c, which needs no division.
    return RINGS if is_float(op.results[0]) and constant_through_layout(op.operands[1]) is not None else WIDE


def _divide_range(ranges: Ranges, op: ir.Operation) -> Interval:
    # Pattern: e / sum(e) in [0, 1]   [e >= 0]
    summed = defining_op(through_repeating(op.operands[1]))
    numerator = ranges.interval(op.operands[0])
    is_share = (
        summed is not None
        and summed.name == "stablehlo.reduce"
        and reducer(summed) == "add"
        and summed.operands[0] == op.operands[0]
        and numerator[0] >= 0
    )
    if is_share:
        return 0.0, 1.0
    low, high = ranges.interval(op.operands[1])
    if low <= 0 <= high:
        return UNKNOWN
    return product(numerator, (1 / high, 1 / low))


def _monotone(function: Callable[[float], float]) -> RangeRule:
    def rule(ranges: Ranges, op: ir.Operation) -> Interval:
        low, high = ranges.interval(op.operands[0])
        return function(low), function(high)

    return rule


def _within(low: float, high: float) -> RangeRule:
    return lambda _, __: (low, high)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


_FUNCTION = Op("", __name__, Kind.ARITHMETIC, fixed_scale, unknown_range, same("log"))
_ANY_RING = {
    "exponential": _monotone(_exp),
    "exponential_minus_one": unknown_range,
    "cosine": _within(-1.0, 1.0),
    "sine": _within(-1.0, 1.0),
    "tanh": _within(-1.0, 1.0),
}

register(
    *(
        _FUNCTION.named(f"stablehlo.{name}", emit=same(name), range=range_)
        for name, range_ in _ANY_RING.items()
    ),
    *(
        _FUNCTION.named(f"stablehlo.{name}", emit=same(name), rings=WIDE)
        for name in ("atan2", "log", "log_plus_one", "power", "remainder", "rsqrt", "sqrt")
    ),
    _FUNCTION.named("stablehlo.logistic", emit=_logistic, range=_within(0.0, 1.0), rings=WIDE),
    _FUNCTION.named("chlo.erf", emit=_erf, range=_within(-1.0, 1.0), rings=WIDE),
    _FUNCTION.named("chlo.erfc", emit=_erfc, range=_within(0.0, 2.0), rings=WIDE),
    _FUNCTION.named("stablehlo.custom_call", emit=_custom_call, rings=WIDE, unsupported=_known_target),
    _FUNCTION.named(
        "stablehlo.divide", emit=_divide, range=_divide_range, rings=WIDE, rings_of=_division_rings
    ),
)
