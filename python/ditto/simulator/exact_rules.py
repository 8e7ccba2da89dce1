"""How each op computes in the exact domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    CAST_ULPS,
    TRUNCATION_ULPS,
    Exact,
    Tensor,
    exactly,
    operand_encoding,
    rearrange,
    result_encoding,
)
from ditto.simulator.exact_products import convolution, dot, multiply, product, product_error, times_tiny
from ditto.simulator.exact_reductions import reduce, reduce_window, sort
from ditto.simulator.functions import FUNCTIONS, INTEGER_FUNCTIONS
from ditto.simulator.interpreter import (
    Rule,
    call_target,
    constant_numbers,
    divides_by_constant,
    tiny_operand,
)
from ditto.simulator.layout import MOVED_OPERANDS, MOVES
from ditto.simulator.ring import Floats, Raw
from ditto_compiler.diagnostics import source_location
from ditto_compiler.dialect.encoding import Cast, Fxp, Int
from ditto_compiler.ir import element_type, ir
from ditto_compiler.op_attributes import direction_of, get_i64, shape_of

EXP_STEPS = 8
"""The engine takes (1 + x / 2^8)^(2^8) for exp(x)."""


def _constant(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    return [e.literal(op, constant_numbers(op))]


def _iota(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    encoding, shape, dimension = result_encoding(op), shape_of(op.results[0]), get_i64(op, "iota_dimension")
    line = np.arange(shape[dimension]).reshape([-1 if d == dimension else 1 for d in range(len(shape))])
    numbers = np.broadcast_to(line, shape)
    return [_scaled(e, op, exactly(rings.as_raw(numbers, encoding.ring)), encoding.frac)]


def _move(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    count = MOVED_OPERANDS.get(op.name, len(x))
    where = [jnp.asarray(tensor.raw.astype(np.int32)) for tensor in x[count:]]
    return [rearrange(x[:count], lambda numbers: MOVES[op.name](op, [*numbers, *where]))]


def _forward(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    return x


def _add(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    a, b = x
    wide = rings.to_float(a.raw) + rings.to_float(b.raw)
    return [e.hold(op, a.raw + b.raw, wide, a.error + b.error)]


def _negate(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    return [e.hold(op, -x[0].raw, -rings.to_float(x[0].raw), x[0].error)]


def _subtract(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    a, b = x
    return _add(e, op, [a, Tensor(-b.raw, b.error)])


def _abs(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    return [e.hold(op, np.abs(x[0].raw), np.abs(rings.to_float(x[0].raw)), x[0].error)]


def _extremum(choose: np.ufunc) -> Rule[Tensor]:
    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        a, b = x
        raw = rings.as_raw(choose(a.raw, b.raw), result_encoding(op).ring)
        return [Tensor(raw, np.maximum(a.error, b.error))]

    return rule


def _clamp(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    low, middle, high = x
    raw = np.minimum(np.maximum(middle.raw, low.raw), high.raw)
    return [
        Tensor(
            rings.as_raw(raw, result_encoding(op).ring),
            np.maximum(np.maximum(low.error, middle.error), high.error),
        )
    ]


_COMPARISONS: Mapping[str, np.ufunc] = {
    "EQ": np.equal,
    "NE": np.not_equal,
    "LT": np.less,
    "LE": np.less_equal,
    "GT": np.greater,
    "GE": np.greater_equal,
}


def _compare(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    a, b = x
    holds = np.asarray(_COMPARISONS[direction_of(op)](a.raw, b.raw), np.bool_)
    error = a.error + b.error
    gap = np.abs(rings.to_float(a.raw) - rings.to_float(b.raw))
    return [_boolean(op, holds, (error > 0) & (gap <= error))]


def _boolean(op: ir.Operation, holds: NDArray[np.bool_], uncertain: NDArray[np.bool_]) -> Tensor:
    """Booleans, and whether the parties may find the opposite."""
    raw = rings.as_raw(np.asarray(holds, np.int64), result_encoding(op).ring)
    return Tensor(raw, np.broadcast_to(np.asarray(uncertain, np.float64), raw.shape))


def _is_finite(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    ones = np.ones(x[0].raw.shape, np.bool_)
    return [_boolean(op, ones, ~ones)]


def _select(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    choice, a, b = x
    chosen = choice.raw != 0
    either = np.maximum(a.error, b.error) + np.abs(rings.to_float(a.raw) - rings.to_float(b.raw))
    error = np.where(choice.error > 0, either, np.where(chosen, a.error, b.error))
    return [Tensor(rings.as_raw(np.where(chosen, a.raw, b.raw), result_encoding(op).ring), error)]


def _sign(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    (value,), frac = x, result_encoding(op).frac
    sign = np.asarray(value.raw > 0, np.int64) - np.asarray(value.raw < 0, np.int64)
    uncertain = (value.error > 0) & (np.abs(rings.to_float(value.raw)) <= value.error)
    signs = Tensor(rings.as_raw(sign, result_encoding(op).ring), np.where(uncertain, 2.0, 0.0))
    return [_scaled(e, op, signs, frac)]


def _divide(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    if not divides_by_constant(op):
        return _function(e, op, x)
    factor = tiny_operand(op)
    if factor is not None:
        return [times_tiny(e, op, x[0], factor.number)]
    return [product(e, op, x[0], e.reciprocal(op.operands[1]))]


def _scaled(e: Exact, op: ir.Operation, x: Tensor, bits: int) -> Tensor:
    """x * 2^bits."""
    wide = np.ldexp(rings.to_float(x.raw), bits)
    return e.hold(op, x.raw << bits, wide, np.ldexp(x.error, bits))


def _convert(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    source, target = operand_encoding(op), result_encoding(op)
    if isinstance(target, Fxp):
        # Between floats only the dtype changes: casts change encodings.
        return [_scaled(e, op, x[0], target.frac) if isinstance(source, Int) else x[0]]
    if element_type(op.results[0]) == "i1":
        return [_boolean(op, np.asarray(x[0].raw != 0), x[0].error > 0)]
    if isinstance(source, Int):
        return [x[0]]
    # Toward zero.
    raw = np.where(x[0].raw < 0, -(-x[0].raw >> source.frac), x[0].raw >> source.frac)
    return [Tensor(rings.as_raw(raw, target.ring), _steps(x[0].error, source.frac))]


def _steps(error: Floats, bits: int) -> Floats:
    """How far apart numbers are, in units of 2^bits, after rounding to whole ones."""
    return np.asarray(np.ceil(np.ldexp(error, -bits)), np.float64)


def _rounding(integral: Callable[[Raw, int], Raw]) -> Rule[Tensor]:
    """Rounds to whole numbers: `integral` gives them, from ring elements and fraction bits."""

    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        frac = result_encoding(op).frac
        whole = Tensor(
            rings.as_raw(integral(x[0].raw, frac), result_encoding(op).ring), _steps(x[0].error, frac)
        )
        return [_scaled(e, op, whole, frac)]

    return rule


def _nearest(raw: Raw, frac: int) -> Raw:
    """Rounded to nearest, ties to even."""
    up = rings.shift_right(raw, frac)
    tie = (raw & ((1 << frac) - 1)) == (1 << frac >> 1)
    return np.where(tie & (frac > 0), up & ~1, up)


def _nearest_away(raw: Raw, frac: int) -> Raw:
    """Rounded to nearest, ties away from zero."""
    return np.where(raw < 0, -rings.shift_right(-raw, frac), rings.shift_right(raw, frac))


def _bitwise(function: Callable[..., ArrayLike]) -> Rule[Tensor]:
    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        raw = rings.wrap(function(*(tensor.raw for tensor in x)), result_encoding(op).ring)
        unsure = np.sum([np.broadcast_to(tensor.error, raw.shape) for tensor in x], axis=0) > 0
        worst = 1.0 if element_type(op.results[0]) == "i1" else np.inf
        return [Tensor(raw, np.where(unsure, worst, 0.0))]

    return rule


def _not(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    return _bitwise((lambda v: 1 - v) if element_type(op.results[0]) == "i1" else np.invert)(e, op, x)


def _shift_right_logical(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    # As unsigned numbers of the ring's width, whatever the dtype's: so does the engine.
    mask = (1 << result_encoding(op).ring) - 1
    return _bitwise(lambda v, bits: (v.astype(object) & mask) >> bits.astype(object))(e, op, x)


def _popcnt(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    width = int(element_type(op.results[0]).lstrip("ui"))
    count = np.vectorize(lambda v: (int(v) & ((1 << width) - 1)).bit_count(), otypes=[np.int64])
    return _bitwise(count)(e, op, x)


def _function(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    encoding = result_encoding(op)
    if op.name == "stablehlo.custom_call" and len(x) == 1 and call_target(op) != "mhlo.erf":
        return x
    if e.functions == "engine" and op.name in ("stablehlo.exponential", "stablehlo.exponential_minus_one"):
        return [_engine_exponential(e, op, x[0])]
    table = INTEGER_FUNCTIONS if isinstance(encoding, Int) else FUNCTIONS
    numbers = table[op.name](*(rings.read(t.raw, operand_encoding(op, i).frac) for i, t in enumerate(x)))
    raw, wide = rings.quantize(numbers, encoding.ring, encoding.frac)
    exact = isinstance(encoding, Int) and not any(t.error.any() for t in x)
    return [e.hold(op, raw, wide, 0.0 if exact else np.inf)]


def _engine_exponential(e: Exact, op: ir.Operation, x: Tensor) -> Tensor:
    """(1 + x / 2^8)^(2^8), by squarings that the engine truncates."""
    encoding = result_encoding(op)
    one = 1 << encoding.frac
    power = Tensor(rings.shift_right(x.raw, EXP_STEPS) + one, np.ldexp(x.error, -EXP_STEPS) + TRUNCATION_ULPS)
    for _ in range(EXP_STEPS):
        number = rings.to_float(power.raw)
        error = product_error(power, power, np.multiply)
        power = e.hold(op, power.raw * power.raw, number * number, error, dropped=encoding.frac)
    if op.name == "stablehlo.exponential":
        return power
    return e.hold(op, power.raw - one, rings.to_float(power.raw) - one, power.error)


def _cast(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    cast = Cast(operand_encoding(op), result_encoding(op))
    if cast.op == "upcast" and isinstance(cast.source, Int):
        # Integers may wrap around in their ring, but not on the way into another.
        raw = x[0].raw
        unsafe = e.check(op, op.name, source_location(op.location), raw, rings.to_float(raw), cast.source)
        x = [Tensor(raw, np.maximum(x[0].error, unsafe))]
    if not cast.shift_right:
        return [_scaled(e, op, x[0], cast.shift_left)]
    raw = rings.shift_right(x[0].raw, cast.shift_right)
    error = np.ldexp(x[0].error, -cast.shift_right) + CAST_ULPS
    return [e.hold(op, raw, rings.to_float(raw), error)]


def _while(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    condition, body = (region.blocks[0] for region in op.regions)
    while e.run(condition, x)[0].raw != 0:
        x = e.run(body, x)
    return x


def _branch(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """`if` and `case`; an index out of range chooses the last branch."""
    blocks = [region.blocks[0] for region in op.regions]
    index = int(x[0].raw)
    if op.name == "stablehlo.if":
        index = 0 if index else 1
    chosen = e.run(blocks[index if 0 <= index < len(blocks) else -1], [])
    if x[0].error > 0:
        return [Tensor(tensor.raw, np.full(tensor.raw.shape, np.inf)) for tensor in chosen]
    return chosen


EXACT: dict[str, Rule[Tensor]] = {
    "stablehlo.constant": _constant,
    "stablehlo.iota": _iota,
    **dict.fromkeys(MOVES, _move),
    "stablehlo.optimization_barrier": _forward,
    "stablehlo.reduce_precision": _forward,
    "stablehlo.add": _add,
    "stablehlo.subtract": _subtract,
    "stablehlo.negate": _negate,
    "stablehlo.abs": _abs,
    "stablehlo.sign": _sign,
    "stablehlo.maximum": _extremum(np.maximum),
    "stablehlo.minimum": _extremum(np.minimum),
    "stablehlo.clamp": _clamp,
    "stablehlo.compare": _compare,
    "stablehlo.is_finite": _is_finite,
    "stablehlo.select": _select,
    "stablehlo.multiply": multiply,
    "chlo.square": multiply,
    "stablehlo.dot": dot,
    "stablehlo.dot_general": dot,
    "stablehlo.convolution": convolution,
    "stablehlo.reduce": reduce,
    "stablehlo.reduce_window": reduce_window,
    "stablehlo.sort": sort,
    "stablehlo.convert": _convert,
    "stablehlo.floor": _rounding(lambda raw, frac: raw >> frac),
    "stablehlo.ceil": _rounding(lambda raw, frac: -(-raw >> frac)),
    "stablehlo.round_nearest_even": _rounding(_nearest),
    "stablehlo.round_nearest_afz": _rounding(_nearest_away),
    "stablehlo.and": _bitwise(np.bitwise_and),
    "stablehlo.or": _bitwise(np.bitwise_or),
    "stablehlo.xor": _bitwise(np.bitwise_xor),
    "stablehlo.not": _not,
    "stablehlo.shift_left": _bitwise(np.left_shift),
    "stablehlo.shift_right_arithmetic": _bitwise(np.right_shift),
    "stablehlo.shift_right_logical": _shift_right_logical,
    "stablehlo.popcnt": _popcnt,
    **dict.fromkeys(FUNCTIONS, _function),
    "stablehlo.divide": _divide,
    **{f"ditto.{name}": _cast for name in ("downcast", "upcast", "rescale")},
    "stablehlo.while": _while,
    "stablehlo.case": _branch,
    "stablehlo.if": _branch,
}
"""How to compute each op of the table of supported ops, and casts."""
