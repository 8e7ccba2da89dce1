"""Functions that the engine approximates: it promises no error bound for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    TRUNCATION_ULPS,
    Exact,
    Tensor,
    operand_encoding,
    result_encoding,
)
from ditto.simulator.fast import Fast
from ditto.simulator.interpreter import (
    call_target,
    divides_by_constant,
    tiny_operand,
)
from ditto.simulator.ops.base import held, register
from ditto.simulator.ops.integers import divided
from ditto.simulator.ops.products import product, product_error, times_tiny
from ditto_compiler.encoding import Int
from ditto_compiler.ir import ir

EXP_STEPS = 8
"""The engine takes (1 + x / 2^8)^(2^8) for exp(x)."""


_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


_IDEAL: Mapping[str, Callable[..., NDArray[Any]]] = {
    "stablehlo.atan2": np.arctan2,
    "stablehlo.cosine": np.cos,
    "stablehlo.divide": np.divide,
    "stablehlo.exponential": np.exp,
    "stablehlo.exponential_minus_one": np.expm1,
    "stablehlo.log": np.log,
    "stablehlo.log_plus_one": np.log1p,
    "stablehlo.logistic": lambda x: 1 / (1 + np.exp(-x)),
    "stablehlo.power": np.power,
    "stablehlo.remainder": np.fmod,
    "stablehlo.rsqrt": lambda x: 1 / np.sqrt(x),
    "stablehlo.sine": np.sin,
    "stablehlo.sqrt": np.sqrt,
    "stablehlo.tanh": np.tanh,
    "stablehlo.custom_call": _erf,
    "chlo.erf": _erf,
    "chlo.erfc": _erfc,
}
"""In float64."""


def _exact_divide(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    if not divides_by_constant(op):
        return _exact_function(e, op, x)
    factor = tiny_operand(op)
    if factor is not None:
        return [times_tiny(e, op, x[0], factor.number)]
    return [product(e, op, x[0], e.reciprocal(op.operands[1]))]


def _fast_divide(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    if not divides_by_constant(op):
        return [f.hold(op.results[0], lax.div(*x))]
    factor = tiny_operand(op)
    if factor is not None:
        return [f.hold(op.results[0], x[0] * factor.number)]
    return [f.hold(op.results[0], lax.mul(x[0], f.reciprocal(op.operands[1])))]


def _exact_function(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    encoding = result_encoding(op)
    if op.name == "stablehlo.custom_call" and len(x) == 1 and call_target(op) != "mhlo.erf":
        return x
    if e.functions == "engine" and op.name in ("stablehlo.exponential", "stablehlo.exponential_minus_one"):
        return [_engine_exponential(e, op, x[0])]
    if isinstance(encoding, Int):
        return [divided(op, x)]
    numbers = _IDEAL[op.name](*(rings.read(t.raw, operand_encoding(op, i).frac) for i, t in enumerate(x)))
    raw, wide = rings.quantize(numbers, encoding.ring, encoding.frac)
    return [e.hold(op, raw, wide, np.inf)]


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


def _fast_custom_call(f: Fast, op: ir.Operation, x: list[Array]) -> list[Array]:
    return [f.hold(op.results[0], lax.erf(x[0]))] if call_target(op) == "mhlo.erf" else x


for _name, _function in {
    "stablehlo.atan2": lax.atan2,
    "stablehlo.cosine": lax.cos,
    "stablehlo.exponential": lax.exp,
    "stablehlo.exponential_minus_one": lax.expm1,
    "stablehlo.log": lax.log,
    "stablehlo.log_plus_one": lax.log1p,
    "stablehlo.logistic": lax.logistic,
    "stablehlo.power": lax.pow,
    "stablehlo.remainder": lax.rem,
    "stablehlo.rsqrt": lax.rsqrt,
    "stablehlo.sine": lax.sin,
    "stablehlo.sqrt": lax.sqrt,
    "stablehlo.tanh": lax.tanh,
    "chlo.erf": lax.erf,
    "chlo.erfc": lax.erfc,
}.items():
    register(_name, exact=_exact_function, fast=held(_function))
register("stablehlo.divide", exact=_exact_divide, fast=_fast_divide)
register("stablehlo.custom_call", exact=_exact_function, fast=_fast_custom_call)
