"""exp as a quartic that is squared several times: the numbers of the formula, and how right it is.

exp(x) = p(x / 2^n)^(2^n), and p is made of two products, by Knuth's preconditioning: with u = s x,
y = u (u + a0) + a1 and p = y (y + u + a2) + a3. So n squarings cost n + 3 products, where the engine's own
exponential, (1 + x/256)^256, costs nine and errs by x^2/512 of the result.

p(t) is sigma^4 t^4 plus the cubic that has its value 1 at 0, and that of e^t at three more points. sigma is
near the fourth root of the leading coefficient that the fit would choose, but a multiple of 1/64, so that s,
which multiplies x, is exact in fixed point. n is the smallest with which the formula errs by less than 2^-8,
and by less than the root of 8 ulp.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.spu.domains import largest_product

Floats = NDArray[np.float64]

NEAR_ZERO = 0.5
"""Arguments that are known to be below this take fewer squarings."""

_TRUNCATION_ULPS = 1.5
"""By how much a truncation is off, in units of the last place: the engine's by 1, a rescale by 3/2."""


@dataclass(frozen=True)
class QuarticExp:
    """The formula for one encoding.

    Attributes:
        squarings: n.
        slope: s, which x is multiplied by.
        constants: a0 to a3.
        lowest: smaller arguments count as this: exp of it is 2^-6 units in the last place.
        highest: larger arguments have results that do not fit.
        largest: no number on the way to p is larger in magnitude.
        abs_error: for x <= 0, rounding included.
        rel_error: for x > 0, rounding included.
    """

    squarings: int
    slope: float
    constants: tuple[float, float, float, float]
    lowest: float
    highest: float
    largest: float
    abs_error: float
    rel_error: float


@functools.cache
def quartic_exp(ring: int, frac: int, *, near_zero: bool) -> QuarticExp | None:
    """The formula for arguments up to `NEAR_ZERO`, or up to the largest whose result fits.

    None where there is none: with so many fraction bits that nothing fits, or so few that `slope` is lost.
    """
    lowest, room = -(frac + 6) * math.log(2), largest_product(ring, frac)
    if room < 4 or frac < 12:
        return None
    highest = NEAR_ZERO if near_zero else math.log(room)
    nodes = (-1.5, -4.5, -9.0) if near_zero else (-3.0, 0.5 * highest, 0.95 * highest)
    x = np.linspace(lowest, highest, 2001)
    true, tolerance = np.exp(x), min(2.0**-8, 2.0 ** (1.5 - frac / 2))
    for squarings in range(3, 12):
        sigma, constants = _fit(np.array(nodes) / 2**squarings)
        slope = sigma / 2**squarings
        inner, outer, power = _quartic(slope * x, constants)
        error = np.abs(power ** (2**squarings) - true)
        is_small = (error / np.maximum(true, 1.0)).max() <= tolerance
        if is_small and power[0] ** (2**squarings) <= 2.0 ** (-frac - 2):
            break
    error = error + _rounding_ulps(slope * x, constants, squarings, frac) * 2.0**-frac
    relative = float((error / true)[x > 0].max())
    return QuarticExp(
        squarings,
        slope,
        constants,
        lowest,
        highest if near_zero else highest - math.log1p(relative),
        1.02 * float(max(np.abs(number).max() for number in (slope * x, inner, outer, power))),
        float(error[x <= 0].max()),
        relative,
    )


def _fit(nodes: Floats) -> tuple[float, tuple[float, float, float, float]]:
    """sigma and a0 to a3."""
    powers = np.stack([nodes**k for k in range(5)], 1)
    free = np.linalg.solve(powers[:, 2:], np.exp(nodes) - 1 - nodes)
    sigma = round(64 * free[2] ** 0.25) / 64
    cubic = np.linalg.solve(powers[:, 1:4], np.exp(nodes) - 1 - (sigma * nodes) ** 4)
    c1, c2, c3 = (float(c) / sigma**k for k, c in enumerate(cubic, start=1))
    a0 = (c3 - 1) / 2
    rest = c2 - a0 * (a0 + 1)
    a1 = c1 - a0 * rest
    a2 = rest - 2 * a1
    return sigma, (a0, a1, a2, 1 - a1 * (a1 + a2))


def _quartic(u: Floats, constants: tuple[float, ...]) -> tuple[Floats, Floats, Floats]:
    """y, y + u + a2, and p."""
    a0, a1, a2, a3 = constants
    inner = u * (u + a0) + a1
    outer = inner + u + a2
    return inner, outer, inner * outer + a3


def _rounding_ulps(u: Floats, constants: tuple[float, ...], squarings: int, frac: int) -> Floats:
    """How far rounding can carry the result at the worst: of constants by 1/2 ulp, of products, and of the
    last square's root by one bit more, which explicit rescaling may drop."""
    off, ulp = _TRUNCATION_ULPS, 2.0**-frac
    inner, outer, power = map(np.abs, _quartic(u, constants))
    inner_off = np.abs(u) * (off + 0.5) + np.abs(u + constants[0]) * off + off + 0.5
    power_off = outer * inner_off + inner * (inner_off + off + 0.5) + off + 0.5
    for squaring in range(squarings):
        if squaring == squarings - 1:
            power_off = power_off + off
        power_off = (2 * power + power_off * ulp) * power_off + off
        power = power**2
    return np.asarray(power_off)
