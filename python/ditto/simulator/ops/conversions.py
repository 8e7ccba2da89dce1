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
from ditto_compiler.encoding import Encoding, Fxp, Int
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
    raw = _toward_zero(x[0].raw, source.frac)
    dtype = element_type(op.results[0])
    least, most = integer_limits(dtype)
    outside = np.asarray((raw < least) | (raw > most), np.bool_)
    if outside.any():
        found = largest(rings.to_float(raw[outside]))
        location = source_location(op.location)
        e.report(op, Overflow(op.name, location, found, target, 0, int(outside.sum()), dtype))
    error = np.where(outside, np.inf, _steps(x[0], source, _toward_zero))
    return [Tensor(rings.of_integers(raw, target.ring), error)]


Integral = Callable[[Raw, int], Raw]
"""Gives whole numbers, from ring elements and fraction bits."""


def _steps(x: Tensor, encoding: Encoding, integral: Integral) -> Floats:
    """How far the whole numbers of the parties can be from those here, for one that rises with x."""
    known = x.error < 2.0 ** (encoding.ring - 2)
    off = rings.from_float(np.where(known, np.ceil(x.error), 0.0), encoding.ring)
    here = integral(x.raw, encoding.frac)
    ends = [integral(x.raw + off, encoding.frac) - here, here - integral(x.raw - off, encoding.frac)]
    return np.where(known, np.maximum(*map(rings.to_float, ends)), np.inf)


def _rounding(integral: Integral) -> Rule[Tensor]:
    """Rounds to whole numbers."""

    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        encoding = result_encoding(op)
        raw = rings.as_raw(integral(x[0].raw, encoding.frac), encoding.ring)
        return [scaled(e, op, Tensor(raw, _steps(x[0], encoding, integral)), encoding.frac)]

    return rule


def _toward_zero(raw: Raw, frac: int) -> Raw:
    return np.where(raw < 0, -(-raw >> frac), raw >> frac)


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
