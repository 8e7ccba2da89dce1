"""Sums, selections and comparisons, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from ditto.simulator import ring as rings
from ditto.simulator.choices import extremum_rounding
from ditto.simulator.exact import (
    Exact,
    Tensor,
    integers_of,
    is_integral,
    result_encoding,
)
from ditto.simulator.fast import Fast
from ditto.simulator.interpreter import (
    Rule,
)
from ditto.simulator.ops.base import held, register
from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import (
    direction_of,
)


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


def _elements(op: ir.Operation, x: Sequence[Tensor]) -> list[NDArray[Any]]:
    """The operands' elements, to be ordered: integers as their type has them, floats as they are held."""
    return integers_of(op, x) if is_integral(op) else [tensor.raw for tensor in x]


def _extremum(choose: np.ufunc) -> Rule[Tensor]:
    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        a, b = x
        raw = rings.of_integers(choose(*_elements(op, x)), result_encoding(op).ring)
        return [Tensor(raw, np.maximum(a.error, b.error))]

    return rule


def _clamp(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    low, middle, high = x
    least, element, most = _elements(op, x)
    return [
        Tensor(
            rings.of_integers(np.minimum(np.maximum(element, least), most), result_encoding(op).ring),
            np.maximum(np.maximum(low.error, middle.error), high.error),
        )
    ]


_EXACT_COMPARISONS: Mapping[str, np.ufunc] = {
    "EQ": np.equal,
    "NE": np.not_equal,
    "LT": np.less,
    "LE": np.less_equal,
    "GT": np.greater,
    "GE": np.greater_equal,
}


def _exact_compare(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    left, right = _elements(op, x)
    holds = np.asarray(_EXACT_COMPARISONS[direction_of(op)](left, right), np.bool_)
    error = x[0].error + x[1].error
    gap = np.abs(rings.to_float(left) - rings.to_float(right))
    return [boolean(op, holds, (error > 0) & (gap <= error))]


def boolean(op: ir.Operation, holds: NDArray[np.bool_], uncertain: NDArray[np.bool_]) -> Tensor:
    """Booleans, and whether the parties may find the opposite."""
    raw = rings.as_raw(np.asarray(holds, np.int64), result_encoding(op).ring)
    return Tensor(raw, np.broadcast_to(np.asarray(uncertain, np.float64), raw.shape))


_FAST_COMPARISONS: Mapping[str, Callable[..., Array]] = {
    "EQ": lax.eq,
    "NE": lax.ne,
    "LT": lax.lt,
    "LE": lax.le,
    "GT": lax.gt,
    "GE": lax.ge,
}


def _fast_compare(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    return [_FAST_COMPARISONS[direction_of(op)](*x)]


def _is_finite(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    ones = np.ones(x[0].raw.shape, np.bool_)
    return [boolean(op, ones, ~ones)]


def _select(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    choice, a, b = x
    chosen = choice.raw != 0
    either = np.maximum(a.error, b.error)
    rounding = extremum_rounding(op)
    if rounding is None:
        either = either + np.abs(rings.to_float(a.raw) - rings.to_float(b.raw))
    else:
        either = either + math.ldexp(rounding, result_encoding(op).frac)
    error = np.where(choice.error > 0, either, np.where(chosen, a.error, b.error))
    return [Tensor(rings.as_raw(np.where(chosen, a.raw, b.raw), result_encoding(op).ring), error)]


def _sign(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    (value,), frac = x, result_encoding(op).frac
    (elements,) = _elements(op, x)
    sign = np.asarray(elements > 0, np.int64) - np.asarray(elements < 0, np.int64)
    uncertain = (value.error > 0) & (np.abs(rings.to_float(value.raw)) <= value.error)
    signs = Tensor(rings.as_raw(sign, result_encoding(op).ring), np.where(uncertain, 2.0, 0.0))
    return [scaled(e, op, signs, frac)]


def logical(function: Callable[..., Array], of_booleans: Callable[..., Array]) -> Callable[..., Array]:
    """A function, with another one for booleans, which JAX neither adds nor multiplies."""
    return lambda *x: (of_booleans if x[0].dtype == jnp.bool_ else function)(*x)


def scaled(e: Exact, op: ir.Operation, x: Tensor, bits: int) -> Tensor:
    """x * 2^bits."""
    wide = np.ldexp(rings.to_float(x.raw), bits)
    return e.hold(op, x.raw << bits, wide, np.ldexp(x.error, bits))


register("stablehlo.add", exact=_add, fast=held(logical(lax.add, lax.bitwise_or)))
register("stablehlo.subtract", exact=_subtract, fast=held(lax.sub))
register("stablehlo.negate", exact=_negate, fast=held(lax.neg))
register("stablehlo.abs", exact=_abs, fast=held(lax.abs))
register("stablehlo.sign", exact=_sign, fast=held(lax.sign))
register("stablehlo.maximum", exact=_extremum(np.maximum), fast=held(lax.max))
register("stablehlo.minimum", exact=_extremum(np.minimum), fast=held(lax.min))
register("stablehlo.clamp", exact=_clamp, fast=held(lax.clamp))
register("stablehlo.compare", exact=_exact_compare, fast=_fast_compare)
register("stablehlo.is_finite", exact=_is_finite, fast=held(lambda x: lax.full_like(x, True, jnp.bool_)))
register("stablehlo.select", exact=_select, fast=held(lax.select))
