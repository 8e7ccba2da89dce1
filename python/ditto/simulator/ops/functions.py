"""Functions that the engine approximates, as it does, and as they should be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product as pairs
from typing import Any

import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from ditto.simulator import engine_functions
from ditto.simulator import ring as rings
from ditto.simulator.exact import (
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
from ditto.simulator.ops.products import product, times_tiny
from ditto.simulator.ring import Floats
from ditto_compiler.encoding import Int
from ditto_compiler.ir import ir
from ditto_compiler.spu.domains import contains, domain, error_at
from ditto_compiler.structure import constant

FLOAT32_ERROR = 2.0**-22
"""Relative, of numpy's functions of float32 against the engine's."""

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
    if isinstance(encoding, Int):
        return [divided(op, x)]
    if e.functions == "ideal":
        return [_ideal(e, op, x)]
    name = _engine_name(op)
    if name == "reciprocal":
        x = x[1:]
    by_float32 = name in engine_functions.BY_FLOAT32 and not e.is_secret(op.results[0])
    result = (_by_float32 if by_float32 else _by_emulation)(e, op, name, x)
    if op.name != "chlo.erfc":
        return [result]
    return [Tensor(rings.wrap((1 << encoding.frac) - result.raw, encoding.ring), result.error)]


def _ideal(e: Exact, op: ir.Operation, x: list[Tensor]) -> Tensor:
    encoding = result_encoding(op)
    numbers = _IDEAL[op.name](*(rings.read(t.raw, operand_encoding(op, i).frac) for i, t in enumerate(x)))
    raw, wide = rings.quantize(numbers, encoding.ring, encoding.frac)
    return e.hold(op, raw, wide, np.inf)


def _engine_name(op: ir.Operation) -> str:
    """What the engine calls the function."""
    if op.name == "stablehlo.divide" and constant(op.operands[0]) == 1.0:
        return "reciprocal"
    if op.name.startswith("chlo.") or op.name == "stablehlo.custom_call":
        return "erf"
    return str(op.name).partition(".")[2]


def _by_emulation(e: Exact, op: ir.Operation, name: str, x: list[Tensor]) -> Tensor:
    encoding = result_encoding(op)
    ring, frac = encoding.ring, encoding.frac
    raw = engine_functions.FUNCTIONS[name](*(t.raw for t in x), ring, frac)
    numbers, errors = _numbers(x, frac)
    found = domain(name, ring, frac)
    inside = contains(name, found, *numbers)
    # The divisor is what leaves the domain of a division, if it is not the dividend.
    by_divisor = found.divisor < math.inf and contains(name, found, numbers[0], 1.0).all()
    e.check_domain(op, numbers[-1 if by_divisor else 0], inside, f"{found} in {encoding}", found.outside)
    error = np.zeros(raw.shape)
    if e.is_secret(op.results[0]):
        error = engine_functions.ULPS[name](frac, rings.read(raw, frac), *numbers)
    if any(t.error.any() for t in x):
        # By what the function differs, and twice by what the engine's differs from it.
        corners = _corners(name, numbers, errors)
        true = [(_TRUE[name](*corner), corner) for corner in corners]
        off = np.max([error_at(name, ring, frac, value, *corner) for value, corner in true], axis=0)
        stays = np.all([contains(name, found, *corner) for corner in corners], axis=0)
        spread = np.where(stays, _change(name, numbers, errors) + 2 * off, np.inf)
        error = error + np.where(np.max(errors, axis=0) > 0, np.ldexp(spread, frac), 0.0)
    return Tensor(raw, np.where(inside & ~np.isnan(error), error, np.inf))


def _by_float32(e: Exact, op: ir.Operation, name: str, x: list[Tensor]) -> Tensor:
    """Of what everybody sees: in float32, toward zero."""
    encoding = result_encoding(op)
    numbers, errors = _numbers(x, encoding.frac)
    found = engine_functions.BY_FLOAT32[name](*(number.astype(np.float32) for number in numbers))
    wide = np.trunc(np.ldexp(np.asarray(found, np.float64), encoding.frac))
    limit = 2.0 ** (encoding.ring - 2)
    raw = rings.from_float(np.clip(np.nan_to_num(wide, nan=0.0), -limit, limit), encoding.ring)
    error = FLOAT32_ERROR * np.abs(wide) + 1
    if any(t.error.any() for t in x):
        error = error + np.ldexp(_change(name, numbers, errors), encoding.frac)
    return e.hold(op, raw, wide, np.where(np.isnan(error), np.inf, error))


def _numbers(x: list[Tensor], frac: int) -> tuple[list[Floats], list[Floats]]:
    """What operands hold, and how far the parties' may be from it."""
    return [rings.read(t.raw, frac) for t in x], [np.asarray(np.ldexp(t.error, -frac)) for t in x]


def _corners(name: str, numbers: list[Floats], errors: list[Floats]) -> list[list[Floats]]:
    """The corners of the box that the parties' operands are in; a root of what is below 0 is that of 0."""
    corners = [
        [x + sign * off for x, sign, off in zip(numbers, signs, errors, strict=True)]
        for signs in pairs((-1, 1), repeat=len(numbers))
    ]
    return [[np.maximum(x, 0.0)] for (x,) in corners] if name == "sqrt" else corners


def _change(name: str, numbers: list[Floats], errors: list[Floats]) -> Floats:
    """How much a function can differ in the box of its operands; infinite if it may be anything there."""
    if name in ("sine", "cosine"):
        return errors[0]
    corners = _corners(name, numbers, errors)
    if name == "remainder":
        change = _remainder_change(numbers, errors, corners)
    else:
        # It rises or falls with each operand, where that does not change its sign.
        true = _TRUE[name](*numbers)
        change = np.max([np.abs(_TRUE[name](*corner) - true) for corner in corners], axis=0)
    if name == "atan2":
        # Across the negative axis, the angle is the same but for a turn.
        across = (numbers[1] <= errors[1]) & (np.abs(numbers[0]) <= errors[0])
        return np.where(across, 2 * math.pi, change)
    if name in ("divide", "reciprocal", "remainder"):
        return np.where(np.abs(numbers[-1]) > errors[-1], change, np.inf)
    if name == "power":
        same = np.floor(numbers[1] - errors[1]) == np.floor(numbers[1] + errors[1])
        return np.where((numbers[0] > errors[0]) | (same & (-numbers[0] > errors[0])), change, np.inf)
    return change


def _remainder_change(numbers: list[Floats], errors: list[Floats], corners: list[list[Floats]]) -> Floats:
    """How far a remainder may be off: by the divisor for each whole number that the quotient may pass."""
    y, (x_off, y_off) = numbers[1], errors
    quotients = np.array([a / b for a, b in corners])
    # The engine's own quotient may be on the other side of a whole number.
    lost = 2.0**-13 * np.abs(quotients) + 2.0**-10 / np.abs(y)
    wholes = np.ceil(np.max(quotients + lost, axis=0)) - np.floor(np.min(quotients - lost, axis=0)) - 1
    largest = np.max(np.abs(quotients), axis=0) + 1
    return np.asarray(x_off + largest * y_off + wholes * (np.abs(y) + y_off))


_TRUE: Mapping[str, Callable[..., Floats]] = {
    **{name.partition(".")[2]: function for name, function in _IDEAL.items()},
    "erf": _erf,
    "power": lambda x, y: np.abs(x) ** y * np.where((x < 0) & (np.floor(y) % 2 == 1), -1.0, 1.0),
    "reciprocal": lambda x: 1 / x,
}
"""By the engine's names; the power as the engine means it, for negative bases too."""


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
