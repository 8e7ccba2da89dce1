"""What the parties do beside the engine that StableHLO has no op for: comparisons, and one-shot functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ditto.simulator import ring as rings
from ditto.simulator.exact import Exact, Tensor, largest, operand_encoding, result_encoding
from ditto.simulator.fast import Fast
from ditto.simulator.interpreter import value_encoding
from ditto.simulator.ops.base import register
from ditto.simulator.ops.elementwise import boolean
from ditto.simulator.overflow import Overflow
from ditto.simulator.ring import Floats
from ditto_compiler.beside.translate import translate
from ditto_compiler.diagnostics import source_location
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import ir
from ditto_compiler.oneshot.terms import EXPONENT_FRAC, Terms, evaluate, rounding, values


def _thresholds(op: ir.Operation) -> list[int]:
    return list(ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS]))


def _exact_less(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    """The sign of x - t in the ring; where the difference wraps around, that is the opposite of [x < t]."""
    (value,), encoding = x, operand_encoding(op)
    half = 2.0 ** (encoding.ring - 1)
    results, lost = [], np.empty(0)
    for threshold in _thresholds(op):
        difference = rings.wrap(value.raw - rings.as_raw(threshold, encoding.ring), encoding.ring)
        distance = rings.to_float(difference)
        wide = rings.to_float(value.raw) - float(threshold)
        wrapped = np.abs(wide - distance) > half
        lost = np.append(lost, wide[wrapped])
        gap = np.abs(distance)
        open_ = (value.error > 0) & ((gap <= value.error) | (gap + value.error >= half))
        results.append(boolean(op, np.asarray(difference < 0), open_ | wrapped))
    if lost.size:
        worst = largest(np.ldexp(lost, -encoding.frac))
        location = source_location(op.location)
        e.report(op, Overflow(op.name, location, worst, encoding, 0, lost.size, spare=1))
    return results


def _fast_less(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    frac = value_encoding(op.operands[0]).frac
    return [x[0] < math.ldexp(threshold, -frac) for threshold in _thresholds(op)]


def _terms(op: ir.Operation) -> Terms:
    return Terms.from_attributes(dict(translate(op)[2]))


def _exact_oneshot(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    """The integers that the function is for the parties, and how it changes with its argument."""
    (value,), terms, encoding = x, _terms(op), result_encoding(op)
    # Narrow rings have few elements.
    points, places = np.unique(value.raw, return_inverse=True)
    raw = evaluate(terms, points)
    wide = np.ldexp(values(terms, points), encoding.frac)
    places = places.reshape(value.raw.shape)
    off = np.abs(wide) if terms.relative else np.full(wide.shape, math.ldexp(1.0, encoding.frac))
    error = (off * terms.error_bound + rounding(terms))[places]
    if value.error.any():
        error = error + _change(terms, value)
    inside = np.asarray((value.raw >= terms.low) & (value.raw <= terms.high))
    low, high = (math.ldexp(end, -terms.frac) for end in (terms.low, terms.high))
    numbers = rings.read(value.raw, terms.frac)
    e.check_domain(op, numbers, inside, f"[{low:.6g}, {high:.6g}], for which it was fitted", "")
    return [e.hold(op, raw[places], wide[places], np.where(inside, error, np.inf))]


def _change(terms: Terms, x: Tensor) -> Floats:
    """How much the function can differ within the error of its argument, in units of its result."""
    least, most = rings.to_float(x.raw) - x.error, rings.to_float(x.raw) + x.error
    table = _slopes(terms)
    first, cells = _cells(terms)
    width = 2.0 ** (_span(terms) - cells)
    known = np.isfinite(x.error)
    start, end = (
        np.floor((np.where(known, number, first) - first) / width).astype(np.int64)
        for number in (least, most)
    )
    # Rounded, a number may come to lie in the next cell.
    start, end, count = start - 1, end + 1, 1 << cells
    if terms.kind == "fourier":
        length = np.minimum(end - start + 1, count)
        start = start % count
    else:
        # Below `low` the powers of two wrap around, and half of the ring above it.
        known = known & (least >= terms.low) & (most < first + 2.0 ** _span(terms))
        start, end = np.clip(start, 0, count - 1), np.clip(end, 0, count - 1)
        length = end - start + 1
    level = np.frexp(length.astype(np.float64))[1] - 1
    steepest = np.maximum(table[level, start], table[level, start + length - (1 << level)])
    return np.where(x.error > 0, np.where(known, steepest * np.where(known, x.error, 0.0), np.inf), 0.0)


MOST_CELLS = 12
"""Bits of the number of pieces in which the derivative of a function is bounded."""


def _span(terms: Terms) -> int:
    """Bits of the numbers that the terms tell apart."""
    return terms.ring if terms.kind == "fourier" else terms.ring - 1


def _cells(terms: Terms) -> tuple[int, int]:
    """Where the first piece starts, and bits of the number of pieces."""
    first = 0 if terms.kind == "fourier" else terms.low
    return first, min(_span(terms), MOST_CELLS)


@functools.lru_cache(maxsize=32)
def _slopes(terms: Terms) -> Floats:
    """The steepest slope in 2^level pieces from each on, in units of the result for one of the argument."""
    _, bits = _cells(terms)
    count = 1 << bits
    width = 2.0 ** (_span(terms) - bits)
    middle = (np.arange(count) + 0.5) * width
    slope, curvature = np.zeros(count), np.zeros(count)
    for term in terms.terms:
        if terms.kind == "fourier":
            rate = 2 * math.pi * term.rate / 2.0**terms.ring
            a, b = (math.ldexp(c, -terms.coefficient_frac) for c in (term.first, term.second))
            slope += rate * (b * np.cos(rate * middle) - a * np.sin(rate * middle))
            curvature += rate**2 * math.hypot(a, b)
        else:
            rate = math.ldexp(term.rate, -EXPONENT_FRAC)
            value = np.exp2(math.ldexp(term.first, -EXPONENT_FRAC) + rate * middle)
            slope += term.second * rate * math.log(2) * value
            curvature += (rate * math.log(2)) ** 2 * value * 2.0 ** abs(rate * width / 2)
    steepest = np.ldexp(np.abs(slope) + curvature * width / 2, terms.result_frac)
    if terms.kind == "fourier":
        # It goes on from the last piece to the first.
        steepest = np.tile(steepest, 2)
    levels = [steepest]
    for level in range(bits):
        last, step = levels[-1], 1 << level
        levels.append(np.maximum(last, np.append(last[step:], np.full(step, last[-1]))))
    return np.array(levels)


def _fast_oneshot(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    """The terms in floats; outside of their domain, as at its end, but for gradients."""
    terms = _terms(op)
    low, high = (math.ldexp(end, -terms.frac) for end in (terms.low, terms.high))
    number = x[0] + jax.lax.stop_gradient(jnp.clip(x[0], low, high) - x[0])
    total = jnp.full_like(number, math.ldexp(terms.constant, -terms.sum_frac))
    for term in terms.terms:
        if terms.kind == "fourier":
            phase = number * (2 * math.pi * term.rate * 2.0 ** (terms.frac - terms.ring))
            a, b = (math.ldexp(c, -terms.coefficient_frac) for c in (term.first, term.second))
            total = total + a * jnp.cos(phase) + b * jnp.sin(phase)
        else:
            rate = math.ldexp(term.rate, terms.frac - EXPONENT_FRAC)
            exponent = math.ldexp(term.first, -EXPONENT_FRAC) + (number - low) * rate
            total = total + term.second * jnp.exp2(exponent)
    return [f.hold(op.results[0], total)]


register(names.LESS, exact=_exact_less, fast=_fast_less)
register(names.ONESHOT, exact=_exact_oneshot, fast=_fast_oneshot)
