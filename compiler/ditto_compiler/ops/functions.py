"""Functions that the engine approximates: exponentials, roots, quotients, ..."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ditto_compiler import intervals
from ditto_compiler.custom_calls import call_problem
from ditto_compiler.encoding import RINGS, Fxp
from ditto_compiler.intervals import Range, exactly, join
from ditto_compiler.ir import encoding_of, ir
from ditto_compiler.matcher import row_statistic
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.base import (
    OPS,
    WIDE,
    IsSecret,
    Kind,
    Op,
    RangeRule,
    Ranges,
    Values,
    anything,
    elementwise,
    fitted,
    fixed_scale,
    register,
    unknown_range,
)
from ditto_compiler.ops.emitter import Emitter, same
from ditto_compiler.ops.products import times_tiny
from ditto_compiler.ops.sources import reciprocal_of
from ditto_compiler.quartic_exp import quartic_exp
from ditto_compiler.spu import domains
from ditto_compiler.spu.domains import Domain
from ditto_compiler.spu.literals import tiny_factor
from ditto_compiler.structure import constant, constant_through_layout, is_float


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


def is_approximated(op: ir.Operation) -> bool:
    """Whether the op has a `domain` of arguments: not if it divides integers, or by a public constant."""
    if op.name not in OPS or OPS[op.name].domain is None or not is_float(op.results[0]):
        return False
    if op.name == "stablehlo.custom_call":
        return bool(ir.StringAttr(op.attributes["call_target_name"]).value == "mhlo.erf")
    return op.name != "stablehlo.divide" or constant_through_layout(op.operands[1]) is None


def _known_target(op: ir.Operation, _: IsSecret) -> str | None:
    return call_problem(op)


def _division_rings(op: ir.Operation) -> tuple[int, ...]:
    # x / c is x * (1/c) for a public constant c, which needs no division; integers do without the engine's.
    return RINGS if not is_float(op.results[0]) or _divides_by_constant(op) else WIDE


def _divides_by_constant(op: ir.Operation) -> bool:
    return op.name == "stablehlo.divide" and constant_through_layout(op.operands[1]) is not None


def _no_integer_power(op: ir.Operation, _: IsSecret) -> str | None:
    if is_float(op.results[0]):
        return None
    return "the engine's power of integers is not exact; write x * x, or jnp.power, which multiplies"


def _divide_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x, y = (ranges.of(v) for v in op.operands)
    result = op.results[0]
    if not is_float(result):
        return [fitted(_integer_quotient(x, y), result)]
    # Pattern: e / sum(e) in [0, 1]   [e >= 0, along the same axes]
    statistic = row_statistic(result, op.operands[0], op.operands[1])
    if x.low >= 0 and x.is_numeric and statistic is not None and statistic.reducer == "add":
        return [Range(0.0, 1.0, nan=0 in y)]
    return [_quotient(x, y)]


def _quotient(x: Range, y: Range) -> Range:
    if 0 in y or y.nan or not y.has_numbers:
        return Range(-math.inf, math.inf, nan=True)
    inverse = Range(1 / y.high, 1 / y.low)
    if y.below or y.above:
        inverse = join(inverse, exactly(0.0))
    return intervals.multiply(x, inverse)


def _integer_quotient(x: Range, y: Range) -> Range:
    """Toward zero; x / 0 is -1, as XLA has it."""
    most = max(abs(x.low), abs(x.high))
    return Range(-most, most) if x.low < 0 or y.low < 0 else Range(-1 if 0 in y else 0, most)


def _remainder_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x, y = (ranges.of(v) for v in op.operands)
    # It has the sign of x, and less than the magnitude of y and of x; x % 0 is x for integers.
    most = x.largest if 0 in y else min(x.largest, y.largest)
    found = Range(-most if x.low < 0 else 0, most if x.high > 0 else 0)
    if is_float(op.results[0]):
        found = replace(found, nan=x.nan or y.nan or 0 in y or not x.is_numeric)
    return [fitted(found, op.results[0])]


def _power_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x, y = (ranges.of(v) for v in op.operands)
    if not is_float(op.results[0]):
        return [anything(op.results[0])]
    if x.is_bounded and y.is_bounded and x.low > 0:
        ends = [_pow(base, exponent) for base in (x.low, x.high) for exponent in (y.low, y.high)]
        return [Range(min(ends), max(ends))]
    return [Range(-math.inf if x.low < 0 else 0.0, math.inf, nan=True)]


def _pow(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf


def _from(least: float, function: Callable[[float], float], limit: float) -> RangeRule:
    """Of a rising function that is defined above `least`, where it has this limit."""

    def image(x: Range) -> Range:
        outside = not x.is_numeric or x.low <= least
        low = limit if x.low <= least else function(x.low) if math.isfinite(x.low) else math.inf
        high = math.inf if x.above or x.high == math.inf else limit if x.high <= least else function(x.high)
        return Range(low, max(low, high), nan=outside)

    return elementwise(image)


def _root(x: Range) -> Range:
    low = 0.0 if x.low <= 0 else math.sqrt(x.low)
    high = math.inf if x.above or x.high == math.inf else math.sqrt(max(x.high, 0.0))
    return Range(low, high, nan=x.nan or x.below or x.low < 0)


def _inverse_root(x: Range) -> Range:
    if x.low <= 0 or not x.is_numeric:
        return Range(0.0, math.inf, nan=True)
    low = 0.0 if x.high == math.inf else 1 / math.sqrt(x.high)
    return Range(low, 1 / math.sqrt(x.low) if math.isfinite(x.low) else math.inf)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def _logistic_of(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _falling(function: Callable[[Range], Range]) -> Callable[[Range], Range]:
    return lambda x: intervals.negate(function(x))


_EXP = intervals.monotone(_exp, 0.0, math.inf)
_EXPM1 = intervals.monotone(lambda x: _exp(x) - 1, -1.0, math.inf)
_TANH = intervals.monotone(math.tanh, -1.0, 1.0)
_ERF = intervals.monotone(math.erf, -1.0, 1.0)
_ERFC = _falling(intervals.monotone(lambda x: -math.erfc(x), -2.0, 0.0))


def _custom_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x = ranges.of(op.operands[0])
    return [_ERF(x) if ir.StringAttr(op.attributes["call_target_name"]).value == "mhlo.erf" else x]


NOWHERE = Domain(low=0.0, high=0.0, abs_error=math.inf, rel_error=math.inf)
"""Of a function that an encoding has no room for."""


def _exponential_domain(ring: int, frac: int) -> Domain:
    near, any_ = (quartic_exp(ring, frac, near_zero=near_zero) for near_zero in (True, False))
    if ring == 32 or near is None or any_ is None:
        return NOWHERE
    return Domain(
        low=-math.inf,
        high=any_.highest,
        abs_error=max(near.abs_error, any_.abs_error),
        rel_error=max(near.rel_error, any_.rel_error),
        outside="the result does not fit",
    )


def _exponential_minus_one_domain(ring: int, frac: int) -> Domain:
    of_exp = _exponential_domain(ring, frac)
    return replace(of_exp, abs_error=of_exp.abs_error + of_exp.rel_error)


def _logistic_domain(ring: int, frac: int) -> Domain:
    formula = quartic_exp(ring, frac, near_zero=True)
    if ring == 32 or formula is None:
        return NOWHERE
    # The inverse errs by 1.1e-6 of itself, and rounding in it by 8 ulp.
    error = formula.abs_error + 1.2e-6 + 8 * 2.0**-frac
    return Domain(low=-math.inf, high=math.inf, abs_error=error, rel_error=0.0)


def _remainder_domain(ring: int, frac: int) -> Domain:
    of_division, ulp = domains.domain("divide", ring, frac), 2.0**-frac
    if of_division.is_empty:
        return NOWHERE
    return replace(
        of_division,
        abs_error=4 * ulp,
        rel_error=0.0,
        per_divisor=0.0,
        smallest=4 * ulp,
        outside="any number; within 2 ulp of a multiple of the divisor, up to 2 ulp beyond it",
    )


def _erfc_domain(ring: int, frac: int) -> Domain:
    of_erf = domains.domain("erf", ring, frac)
    return replace(of_erf, abs_error=of_erf.abs_error + of_erf.rel_error, rel_error=0.0)


_erf_domain = partial(domains.domain, "erf")

_FUNCTION = Op("", __name__, Kind.ARITHMETIC, fixed_scale, unknown_range, same("log"))
_ANY_RING: Mapping[str, RangeRule] = {
    "cosine": elementwise(intervals.within(-1.0, 1.0)),
    "sine": elementwise(intervals.within(-1.0, 1.0)),
    "tanh": elementwise(_TANH),
}
_WIDE_RINGS: Mapping[str, RangeRule] = {
    "atan2": elementwise(intervals.within(-math.pi, math.pi)),
    "log": _from(0.0, math.log, -math.inf),
    "log_plus_one": _from(-1.0, math.log1p, -math.inf),
    "rsqrt": elementwise(_inverse_root),
    "sqrt": elementwise(_root),
}
_OURS: Mapping[str, tuple[RangeRule, Callable[[int, int], Domain]]] = {
    "exponential": (elementwise(_EXP), _exponential_domain),
    "exponential_minus_one": (elementwise(_EXPM1), _exponential_minus_one_domain),
}
"""What ditto-expand-functions writes out, which the engine is too rough for in ring 32."""

_DIVISION = _FUNCTION.named(
    "stablehlo.divide",
    emit=_divide,
    range=_divide_range,
    rings=WIDE,
    rings_of=_division_rings,
    domain=partial(domains.domain, "divide"),
)

register(
    *(
        _FUNCTION.named(
            f"stablehlo.{name}",
            emit=same(name),
            range=rule,
            rings=RINGS if name in _ANY_RING else WIDE,
            domain=partial(domains.domain, name),
        )
        for name, rule in (*_ANY_RING.items(), *_WIDE_RINGS.items())
    ),
    *(
        _FUNCTION.named(f"stablehlo.{name}", emit=same(name), range=rule, rings=WIDE, domain=domain)
        for name, (rule, domain) in _OURS.items()
    ),
    _FUNCTION.named(
        "stablehlo.logistic",
        emit=_logistic,
        range=elementwise(intervals.monotone(_logistic_of, 0.0, 1.0)),
        rings=WIDE,
        domain=_logistic_domain,
    ),
    _FUNCTION.named("chlo.erf", emit=_erf, range=elementwise(_ERF), rings=WIDE, domain=_erf_domain),
    _FUNCTION.named("chlo.erfc", emit=_erfc, range=elementwise(_ERFC), rings=WIDE, domain=_erfc_domain),
    _FUNCTION.named(
        "stablehlo.custom_call",
        emit=_custom_call,
        range=_custom_range,
        rings=WIDE,
        unsupported=_known_target,
        domain=_erf_domain,
    ),
    _DIVISION,
    _DIVISION.named(
        "stablehlo.remainder", emit=same("remainder"), range=_remainder_range, domain=_remainder_domain
    ),
    _FUNCTION.named(
        "stablehlo.power",
        emit=same("power"),
        range=_power_range,
        rings=WIDE,
        unsupported=_no_integer_power,
        domain=partial(domains.domain, "power"),
    ),
)
