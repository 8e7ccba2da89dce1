"""Element-wise ops."""

from __future__ import annotations

from collections.abc import Callable

from ditto_compiler.dialect.encoding import Fxp
from ditto_compiler.ir import encoding_of, ir
from ditto_compiler.matcher import constant
from ditto_compiler.op_attributes import direction_of, shape_of
from ditto_compiler.spu.emit.constants import reciprocal_of, shift_left
from ditto_compiler.spu.emit.emitter import EmitRule, Emitter, Values, as_arithmetic, plain_element
from ditto_compiler.spu.emit.shares import BITWISE, region_result
from ditto_compiler.spu.literals import tiny_factor
from ditto_compiler.spu.op_table import constant_through_layout

ENGINE_INT_BITS = 30
"""Fraction bits up to which the engine's rounding toward zero is right: it computes 2^frac in 32 bits."""


def _same(name: str) -> Callable[[Emitter, ir.Operation], Values]:
    """An op that pphlo has under `name`, on the same operands."""

    def emit(e: Emitter, op: ir.Operation) -> Values:
        return [e.one(name, e.type_of(op.results[0]), *e.operands(op))]

    return emit


def _forward(e: Emitter, op: ir.Operation) -> Values:
    return e.operands(op)


def _on_whole_words(e: Emitter, op: ir.Operation) -> Values:
    # The engine shifts arithmetically only what it holds in full width: not the few bits that `and` leaves.
    first, *rest = op.operands
    operands = [region_result(e, first), *(e.values[value] for value in rest)]
    return [e.one(op.name.removeprefix("stablehlo."), e.type_of(op.results[0]), *operands)]


def _shift_right(e: Emitter, op: ir.Operation) -> Values:
    is_logical = op.name == "stablehlo.shift_right_logical"
    (shifted,) = _same("shift_right_logical")(e, op) if is_logical else _on_whole_words(e, op)
    users = {use.owner.operation.name for use in op.results[0].uses}
    # The bits are converted back once, not by each op that calculates with them.
    return [as_arithmetic(e, shifted) if e.is_secret(op.results[0]) and users - BITWISE else shifted]


def _rescale(e: Emitter, op: ir.Operation) -> Values:
    # Only those that add bits are lowered; the others are between regions.
    source, target = encoding_of(op.operands[0]), encoding_of(op.results[0])
    assert source is not None and target is not None
    shifted = shift_left(e, e.as_integer(e.values[op.operands[0]]), target.frac - source.frac)
    return [e.bitcast(shifted, e.element(op.results[0]))]


def product_operands(e: Emitter, op: ir.Operation) -> tuple[Values, str]:
    """Operands of a product, and its pphlo element type: integers when it is to be exact.

    The engine truncates products of fixed-point values and leaves those of integers alone.
    """
    scales = {encoding_of(value) for value in (*op.operands, *op.results)}
    if len(scales) == 1 or not isinstance(encoding_of(op.results[0]), Fxp):
        return e.operands(op), e.element(op.results[0])
    return [e.as_integer(value) for value in e.operands(op)], e.integer


def _multiply(e: Emitter, op: ir.Operation) -> Values:
    operands, element = product_operands(e, op)
    result = op.results[0]
    encoding = encoding_of(result)
    if len(operands) == 2 and isinstance(encoding, Fxp) and element != e.integer:
        for index in (1, 0):
            factor = tiny_factor(op.operands[index], encoding)
            if factor is not None:
                return [_times_tiny(e, op, operands[1 - index], factor)]
    left, right = operands if len(operands) == 2 else operands * 2
    product = e.one("multiply", e.type(shape_of(result), element, e.is_secret(result)), left, right)
    return [e.bitcast(product, e.element(result))]


def _times_tiny(e: Emitter, op: ir.Operation, value: ir.Value, factor: float) -> ir.Value:
    # The engine wants the literal as the operand itself, and takes its magnitude.
    type_ = e.type_of(op.results[0])
    magnitude = e.constant(e.dense([abs(factor)], shape_of(op.results[0]), e.element(op.results[0])))
    product = e.one("multiply", type_, value, magnitude)
    return product if factor > 0 else e.one("negate", type_, product)


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


def _divide(e: Emitter, op: ir.Operation) -> Values:
    # Pattern: x / c -> x * (1/c)   [c a public constant]
    numerator = e.values[op.operands[0]]
    type_ = e.type_of(op.results[0])
    encoding = encoding_of(op.results[0])
    if isinstance(encoding, Fxp) and constant_through_layout(op.operands[1]) is not None:
        factor = tiny_factor(op.operands[1], encoding, reciprocal=True)
        if factor is not None:
            return [_times_tiny(e, op, numerator, factor)]
        return [e.one("multiply", type_, numerator, reciprocal_of(e, op.operands[1]))]
    # Pattern: 1 / y -> reciprocal(y)
    if isinstance(encoding, Fxp) and constant(op.operands[0]) == 1.0:
        return [e.one("reciprocal", type_, e.values[op.operands[1]])]
    return [e.one("divide", type_, numerator, e.values[op.operands[1]])]


EMITTERS: dict[str, EmitRule] = {
    **{
        f"stablehlo.{name}": _same(name)
        for name in [
            "abs",
            "add",
            "and",
            "atan2",
            "ceil",
            "cosine",
            "exponential",
            "exponential_minus_one",
            "log",
            "log_plus_one",
            "maximum",
            "minimum",
            "negate",
            "not",
            "or",
            "popcnt",
            "power",
            "remainder",
            "rsqrt",
            "shift_left",
            "sign",
            "sine",
            "sqrt",
            "subtract",
            "tanh",
            "xor",
        ]
    },
    "stablehlo.floor": _on_whole_words,
    "stablehlo.round_nearest_even": _on_whole_words,
    "stablehlo.shift_right_arithmetic": _shift_right,
    "stablehlo.shift_right_logical": _shift_right,
    "stablehlo.optimization_barrier": _forward,
    "stablehlo.reduce_precision": _forward,
    "stablehlo.compare": _compare,
    "stablehlo.is_finite": _is_finite,
    "stablehlo.clamp": _clamp,
    "stablehlo.convert": _convert,
    "stablehlo.round_nearest_afz": _round_nearest_afz,
    "stablehlo.divide": _divide,
    "stablehlo.logistic": _logistic,
    "stablehlo.select": _select,
    "stablehlo.custom_call": _custom_call,
    "chlo.square": _multiply,
    "stablehlo.multiply": _multiply,
    "ditto.rescale": _rescale,
    "chlo.erf": _erf,
    "chlo.erfc": _erfc,
}
