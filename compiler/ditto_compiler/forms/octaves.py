"""1/x and 1/sqrt(x) of positive numbers by octaves: half the rounds of the engine's own, for few elements.

The engine finds the highest bit of x by decomposing x, which takes most of its rounds. Comparing x with all
powers of two at once takes the rounds of one comparison, and a sum of the results times constants is local.
With f = 2^-k for x in [2^k, 2^(k+1)), t = f x is in [1, 2), where a quadratic and one step of third order
do. What is below the lowest octave counts as in it, with a bounded result; above the highest it is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from ditto_compiler.forms.builder import Tensor

RECIPROCAL = (210 / 99, -144 / 99, 32 / 99)
"""c0 + c1 t + c2 t^2 of the least relative error to 1/t on [1, 2]: 1/99, by Chebyshev's T3(2t - 3)/T3(-3)."""

GRID_BITS = 18
"""Fraction bits where the engine divides, and these forms run."""

RSQRT = (1.57963908, -0.73051431, 0.14768758)
"""The same for 1/sqrt(t): 0.00319, fitted by linear programming."""


def reciprocal(x: Tensor, low: int, high: int) -> Tensor:
    """1/x for 2^low <= x < 2^(high + 1), to a relative error of 1.1e-6: y (1 + e + e^2), e = 1 - t y."""
    octave = _octave(x, low, high)
    factor = _pick(octave, low, high, lambda k: 2.0**-k)
    t = (x * factor).within(2.0)
    y, correction = _inverse(t)
    return (factor * y) * correction


def unit_reciprocal(t: Tensor) -> Tensor:
    """1/t for t in [1, 2], as above."""
    y, correction = _inverse(t)
    return y * correction


def _inverse(t: Tensor) -> tuple[Tensor, Tensor]:
    """About 1/t for t in [1, 2], and what corrects it."""
    y = _quadratic(t, RECIPROCAL).within(2.2)
    e = (1.0 - (t * y).within(1.1)).within(1.0)
    return y, ((e * e).within(1.0) + e + 1.0).within(3.0)


def rsqrt(x: Tensor, low: int, high: int) -> Tensor:
    """1/sqrt(x) for 2^low <= x < 2^(high + 1), to 1e-7 and 2^-19: y (1 + h/2 + 3/8 h^2), h = 1 - t y^2."""
    root = _pick(_octave(x, low, high), low, high, lambda k: 2.0 ** (-k / 2))
    # Right for any root, also one that truncation has moved.
    t = ((x * root).within(2.0 ** ((high + 2) / 2)) * root).within(2.1)
    y = _quadratic(t, RSQRT).within(1.6)
    h = (1.0 - (t * (y * y).within(2.6)).within(1.1)).within(1.0)
    return (root * y) * ((h * h).within(1.0) * 0.375 + h * 0.5 + 1.0).within(1.9)


def _octave(x: Tensor, low: int, high: int) -> Tensor:
    """For each element, ones for the powers of two from low + 1 to high that it is below, and zeros."""
    shape = (*x.shape, high - low)
    powers = x.builder.vector([2.0**k for k in range(low + 1, high + 1)], x).spread(shape, [len(x.shape)])
    below = x.spread(shape, range(len(x.shape))) < powers
    return below.converted(x.type.element_type).within(1.0)


def _pick(octave: Tensor, low: int, high: int, number: Callable[[int], float]) -> Tensor:
    """number(k) for elements in octave k; `number` falls, so nothing cancels.

    Of numbers on the grid, the steps are on it too, and rounding them does not add up.
    """
    numbers = [round(number(k) * 2.0**GRID_BITS) * 2.0**-GRID_BITS for k in range(low, high + 1)]
    steps = [lower - higher for lower, higher in itertools.pairwise(numbers)]
    above_last = octave.dot(octave.builder.vector(steps, octave)).within(numbers[0])
    return (above_last + numbers[-1]).within(numbers[0])


def _quadratic(t: Tensor, coefficients: Sequence[float]) -> Tensor:
    c0, c1, c2 = coefficients
    return (t * t).within(4.0) * c2 + t * c1 + c0
