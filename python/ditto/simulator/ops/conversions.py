"""Conversions between element types, and rounding to whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jax import lax

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    Exact,
    Tensor,
    integers_of,
    largest,
    operand_encoding,
    result_dtype,
    result_encoding,
)
from ditto.simulator.interpreter import (
    Rule,
)
from ditto.simulator.ops.base import held, register
from ditto.simulator.ops.elementwise import boolean, scaled
from ditto.simulator.overflow import Overflow
from ditto.simulator.ring import Floats, Raw
from ditto_compiler.diagnostics import source_location
from ditto_compiler.dtypes import integer_limits
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.ir import element_type, ir


def _convert(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    source, target = operand_encoding(op), result_encoding(op)
    if isinstance(target, Fxp) and isinstance(source, Fxp):
        # Between floats only the dtype changes: casts change encodings.
        return [x[0]]
    if element_type(op.results[0]) == "i1":
        return [boolean(op, np.asarray(x[0].raw != 0), x[0].error > 0)]
    if isinstance(source, Int):
        (integers,) = integers_of(op, x)
        if isinstance(target, Int):
            raw = rings.of_integers(integers.astype(result_dtype(op)), target.ring)
            return [Tensor(raw, x[0].error)]
        wide = np.ldexp(integers.astype(np.float64), target.frac)
        shifted = rings.of_integers(integers, target.ring) << target.frac
        return [e.hold(op, shifted, wide, np.ldexp(x[0].error, target.frac))]
    # Toward zero.
    raw = np.where(x[0].raw < 0, -(-x[0].raw >> source.frac), x[0].raw >> source.frac)
    dtype = element_type(op.results[0])
    least, most = integer_limits(dtype)
    outside = np.asarray((raw < least) | (raw > most), np.bool_)
    if outside.any():
        found = largest(rings.to_float(raw[outside]))
        location = source_location(op.location)
        e.report(op, Overflow(op.name, location, found, target, 0, int(outside.sum()), dtype))
    error = np.where(outside, np.inf, _steps(x[0].error, source.frac))
    return [Tensor(rings.of_integers(raw, target.ring), error)]


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
        return [scaled(e, op, whole, frac)]

    return rule


def _nearest(raw: Raw, frac: int) -> Raw:
    """Rounded to nearest, ties to even."""
    up = rings.shift_right(raw, frac)
    tie = (raw & ((1 << frac) - 1)) == (1 << frac >> 1)
    return np.where(tie & (frac > 0), up & ~1, up)


def _nearest_away(raw: Raw, frac: int) -> Raw:
    """Rounded to nearest, ties away from zero."""
    return np.where(raw < 0, -rings.shift_right(-raw, frac), rings.shift_right(raw, frac))


_EVEN, _AWAY = lax.RoundingMethod.TO_NEAREST_EVEN, lax.RoundingMethod.AWAY_FROM_ZERO

register("stablehlo.convert", exact=_convert, fast=held(lambda x: x))
register("stablehlo.floor", exact=_rounding(lambda raw, frac: raw >> frac), fast=held(lax.floor))
register("stablehlo.ceil", exact=_rounding(lambda raw, frac: -(-raw >> frac)), fast=held(lax.ceil))
register("stablehlo.round_nearest_even", exact=_rounding(_nearest), fast=held(lambda x: lax.round(x, _EVEN)))
register(
    "stablehlo.round_nearest_afz", exact=_rounding(_nearest_away), fast=held(lambda x: lax.round(x, _AWAY))
)
