"""The fast domain: real numbers under XLA, rounded to the grids of their encodings.

Differentiable: rounding and saturation pass gradients on as they are (straight-through estimation).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import ArrayLike

from ditto.dtypes import numpy_dtype
from ditto.simulator.interpreter import (
    Interpreter,
    Rule,
    call_target,
    constant_numbers,
    divides_by_constant,
    tiny_operand,
)
from ditto.simulator.layout import MOVES, Move
from ditto_compiler.dialect.encoding import Fxp
from ditto_compiler.ir import element_type, encoding_of, ir
from ditto_compiler.op_attributes import (
    convolution_layout,
    direction_of,
    dot_dimensions,
    get_i64,
    get_i64s,
    get_padding,
    shape_of,
)
from ditto_compiler.spu.op_table import FLOAT_TYPES, reducer, sort_key


def working_dtype(dtype: str) -> Any:
    """What a tensor of a front-end dtype is computed in: floats in JAX's widest, double if it is enabled."""
    wide = jnp.float64 if dtype in FLOAT_TYPES else numpy_dtype(dtype)
    return jax.dtypes.canonicalize_dtype(wide)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def fake_quantize(x: Array, encoding: Fxp) -> Array:
    """`x` rounded to multiples of 2^-frac and saturated at 2^(ring-2-frac); its derivative is 1."""
    limit = 2.0 ** (encoding.ring - 2 - encoding.frac)
    scaled = x * 2.0**encoding.frac
    # Larger floats are integers already; scaling them back might be infinite.
    fraction_bits = jnp.finfo(x.dtype).nmant
    rounded = jnp.where(jnp.abs(scaled) < 2.0**fraction_bits, jnp.round(scaled) * 2.0**-encoding.frac, x)
    return jnp.clip(rounded, -limit, limit)


@fake_quantize.defjvp  # type: ignore[untyped-decorator]
def _straight_through(encoding: Fxp, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return fake_quantize(primals[0], encoding), tangents[0]


class Fast(Interpreter[Array]):
    """Runs programs in the fast domain, under `jax.jit` too."""

    def hold(self, value: ir.Value, array: ArrayLike) -> Array:
        """`array` as the encoding of `value` holds it."""
        array = jnp.asarray(array, working_dtype(element_type(value)))
        encoding = encoding_of(value)
        return fake_quantize(array, encoding) if isinstance(encoding, Fxp) else array

    def literal(self, op: ir.Operation, numbers: Sequence[float]) -> Array:
        """As in the base class."""
        shape = shape_of(op.results[0])
        array = np.asarray(numbers)
        return self.hold(
            op.results[0],
            np.broadcast_to(array.reshape(()), shape) if array.size == 1 else array.reshape(shape),
        )


def _held(function: Callable[..., Array]) -> Rule[Array]:
    """An op that computes elements."""
    return lambda f, op, x: [f.hold(op.results[0], function(*x))]


def _moved(move: Move) -> Rule[Array]:
    return lambda f, op, x: [move(op, x)]


def _forward(f: Fast, op: ir.Operation, x: list[Array]) -> list[Array]:
    return x


def _constant(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    return [f.literal(op, constant_numbers(op))]


def _iota(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    result = op.results[0]
    dtype = working_dtype(element_type(result))
    return [f.hold(result, lax.broadcasted_iota(dtype, shape_of(result), get_i64(op, "iota_dimension")))]


_COMPARISONS: Mapping[str, Callable[..., Array]] = {
    "EQ": lax.eq,
    "NE": lax.ne,
    "LT": lax.lt,
    "LE": lax.le,
    "GT": lax.gt,
    "GE": lax.ge,
}


def _compare(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    return [_COMPARISONS[direction_of(op)](*x)]


def _multiply(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    factor = tiny_operand(op)
    if factor is not None:
        return [f.hold(op.results[0], x[1 - factor.position] * factor.number)]
    return [f.hold(op.results[0], lax.mul(x[0], x[-1]))]


def _divide(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    if not divides_by_constant(op):
        return [f.hold(op.results[0], lax.div(*x))]
    factor = tiny_operand(op)
    if factor is not None:
        return [f.hold(op.results[0], x[0] * factor.number)]
    return [f.hold(op.results[0], lax.mul(x[0], f.reciprocal(op.operands[1])))]


def _dot(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    lb, rb, lc, rc = dot_dimensions(op)
    product = lax.dot_general(x[0], x[1], ((lc, rc), (lb, rb)), precision=lax.Precision.HIGHEST)
    return [f.hold(op.results[0], product)]


def _convolution(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    image, kernel = x
    layout = convolution_layout(op)
    spatial = [str(d) for d in range(image.ndim - 2)]
    ones = [1] * len(spatial)
    if "window_reversal" in op.attributes:
        flags = list(ir.DenseBoolArrayAttr(op.attributes["window_reversal"]))
        kernel = lax.rev(
            kernel, [layout.kernel.index(d) for d, flag in zip(spatial, flags, strict=True) if flag]
        )
    product = lax.conv_general_dilated(
        image,
        kernel,
        window_strides=get_i64s(op, "window_strides", ones),
        padding=list(zip(*get_padding(op, len(spatial)), strict=True)),
        lhs_dilation=get_i64s(op, "lhs_dilation", ones),
        rhs_dilation=get_i64s(op, "rhs_dilation", ones),
        dimension_numbers=lax.ConvDimensionNumbers(
            tuple(layout.input.index(d) for d in ("b", "f", *spatial)),
            tuple(layout.kernel.index(d) for d in ("o", "i", *spatial)),
            tuple(layout.output.index(d) for d in ("b", "f", *spatial)),
        ),
        precision=lax.Precision.HIGHEST,
    )
    return [f.hold(op.results[0], product)]


_MONOIDS: Mapping[str, tuple[Callable[..., Array], float]] = {
    "add": (lax.add, 0.0),
    "multiply": (lax.mul, 1.0),
    "maximum": (lax.max, -math.inf),
    "minimum": (lax.min, math.inf),
}
"""Reducers that JAX differentiates, if it sees that they start from their identity."""


def _reduce(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    dimensions = get_i64s(op, "dimensions")
    return _reduction(f, op, x, lambda xs, start, combine: lax.reduce(xs, start, combine, dimensions))


def _reduce_window(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    ones = [1] * x[0].ndim
    reduce = functools.partial(
        lax.reduce_window,
        window_dimensions=get_i64s(op, "window_dimensions"),
        window_strides=get_i64s(op, "window_strides", ones),
        padding=list(zip(*get_padding(op, x[0].ndim), strict=True)),
        base_dilation=get_i64s(op, "base_dilations", ones),
        window_dilation=get_i64s(op, "window_dilations", ones),
    )
    return _reduction(f, op, x, reduce)


def _reduction(f: Fast, op: ir.Operation, x: Sequence[Array], reduce: Callable[..., Any]) -> list[Array]:
    half = len(x) // 2
    operands, initial = tuple(x[:half]), tuple(x[half:])
    name = reducer(op)
    if half == 1 and name in _MONOIDS and jnp.issubdtype(x[0].dtype, jnp.floating):
        combine, identity = _MONOIDS[str(name)]
        result = reduce(operands[0], np.asarray(identity, x[0].dtype), combine)
        return [f.hold(op.results[0], combine(result, initial[0]))]
    block = op.regions[0].blocks[0]
    return list(reduce(operands, initial, lambda a, b: tuple(f.run(block, [*a, *b]))))


def _sort(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    key = sort_key(op)
    assert key is not None and key[0] == 0, "ditto-check-supported lets no other sorts pass"
    reverse = lax.neg if jnp.issubdtype(x[0].dtype, jnp.floating) else lax.bitwise_not
    descending = key[1] == "GT"
    first = reverse(x[0]) if descending else x[0]
    first, *rest = lax.sort((first, *x[1:]), get_i64(op, "dimension", -1), num_keys=1)
    return [reverse(first) if descending else first, *rest]


def _custom_call(f: Fast, op: ir.Operation, x: list[Array]) -> list[Array]:
    return [f.hold(op.results[0], lax.erf(x[0]))] if call_target(op) == "mhlo.erf" else x


def _cast(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    return [f.hold(op.results[0], x[0])]


def _while(f: Fast, op: ir.Operation, x: list[Array]) -> list[Array]:
    condition, body = (region.blocks[0] for region in op.regions)
    # JAX differentiates no loop in reverse, so one whose length is known while JAX traces is unrolled.
    while not isinstance(holds := f.run(condition, x)[0], jax.core.Tracer):
        if not holds:
            return x
        x = f.run(body, x)
    return list(lax.while_loop(lambda state: f.run(condition, state)[0], lambda state: f.run(body, state), x))


def _branch(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    """`if` and `case`; an index out of range chooses the last branch."""
    blocks = [region.blocks[0] for region in op.regions]
    if op.name == "stablehlo.if":
        blocks.reverse()
    last = len(blocks) - 1
    index = x[0].astype(jnp.int32)
    index = jnp.where((index < 0) | (index > last), last, index)
    return list(lax.switch(index, [functools.partial(f.run, block, []) for block in blocks]))


_ELEMENTWISE: Mapping[str, Callable[..., Array]] = {
    "stablehlo.abs": lax.abs,
    "stablehlo.add": lax.add,
    "stablehlo.and": lax.bitwise_and,
    "stablehlo.atan2": lax.atan2,
    "stablehlo.ceil": lax.ceil,
    "stablehlo.clamp": lax.clamp,
    "stablehlo.convert": lambda x: x,
    "stablehlo.cosine": lax.cos,
    "stablehlo.exponential": lax.exp,
    "stablehlo.exponential_minus_one": lax.expm1,
    "stablehlo.floor": lax.floor,
    "stablehlo.is_finite": lambda x: lax.full_like(x, True, jnp.bool_),
    "stablehlo.log": lax.log,
    "stablehlo.log_plus_one": lax.log1p,
    "stablehlo.logistic": lax.logistic,
    "stablehlo.maximum": lax.max,
    "stablehlo.minimum": lax.min,
    "stablehlo.negate": lax.neg,
    "stablehlo.not": lax.bitwise_not,
    "stablehlo.or": lax.bitwise_or,
    "stablehlo.popcnt": lax.population_count,
    "stablehlo.power": lax.pow,
    "stablehlo.remainder": lax.rem,
    "stablehlo.round_nearest_afz": lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO),
    "stablehlo.round_nearest_even": lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "stablehlo.rsqrt": lax.rsqrt,
    "stablehlo.select": lax.select,
    "stablehlo.shift_left": lax.shift_left,
    "stablehlo.shift_right_arithmetic": lax.shift_right_arithmetic,
    "stablehlo.shift_right_logical": lax.shift_right_logical,
    "stablehlo.sign": lax.sign,
    "stablehlo.sine": lax.sin,
    "stablehlo.sqrt": lax.sqrt,
    "stablehlo.subtract": lax.sub,
    "stablehlo.tanh": lax.tanh,
    "stablehlo.xor": lax.bitwise_xor,
    "chlo.erf": lax.erf,
    "chlo.erfc": lax.erfc,
}

FAST: dict[str, Rule[Array]] = {
    **{name: _held(function) for name, function in _ELEMENTWISE.items()},
    **{name: _moved(move) for name, move in MOVES.items()},
    "stablehlo.constant": _constant,
    "stablehlo.iota": _iota,
    "stablehlo.optimization_barrier": _forward,
    "stablehlo.reduce_precision": _forward,
    "stablehlo.compare": _compare,
    "stablehlo.multiply": _multiply,
    "chlo.square": _multiply,
    "stablehlo.divide": _divide,
    "stablehlo.dot": _dot,
    "stablehlo.dot_general": _dot,
    "stablehlo.convolution": _convolution,
    "stablehlo.reduce": _reduce,
    "stablehlo.reduce_window": _reduce_window,
    "stablehlo.sort": _sort,
    "stablehlo.custom_call": _custom_call,
    **{f"ditto.{name}": _cast for name in ("downcast", "upcast", "rescale")},
    "stablehlo.while": _while,
    "stablehlo.case": _branch,
    "stablehlo.if": _branch,
}
"""How to compute each op of the table of supported ops, and casts."""
