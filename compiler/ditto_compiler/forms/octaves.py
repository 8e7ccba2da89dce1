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
    factor = _pick(octave, x, low, high, lambda k: 2.0**-k)
    t = (x * factor).within(2.0)
    y, correction = _inverse(t)
    return (factor * y) * correction


def oneshot_reciprocal(x: Tensor) -> Tensor:
    """1/x as a one-shot function, where the range of x is known, and otherwise the engine's own."""
    return x.oneshot("reciprocal", Tensor.reciprocal, Tensor.reciprocal, 1e-3, relative=True)


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
    octave = _octave(x, low, high, least=2.0**low)
    t = (x * _pick(octave, x, low, high, lambda k: 2.0**-k)).within(2.0)
    y = _quadratic(t, RSQRT).within(1.6)
    h = (1.0 - (t * (y * y).within(2.6)).within(1.1)).within(1.0)
    root = _pick(octave, x, low, high, lambda k: 2.0 ** (-k / 2))
    return (root * y) * ((h * h).within(1.0) * 0.375 + h * 0.5 + 1.0).within(1.9)


def _octave(x: Tensor, low: int, high: int, least: float | None = None) -> Tensor:
    """For each element, whether it is below the powers of two from low + 1 to high."""
    shape = (*x.shape, high - low)
    powers = x.builder.vector([2.0**k for k in range(low + 1, high + 1)], x).spread(shape, [len(x.shape)])
    return x.spread(shape, range(len(x.shape))).within(2.0 ** (high + 1), least) < powers


def _pick(octave: Tensor, like: Tensor, low: int, high: int, number: Callable[[int], float]) -> Tensor:
    """number(k) for elements in octave k, in the dtype of `like`.

    Steps from one number to the next are selected, not multiplied, so nothing is truncated; being differences
    of numbers on the grid, they are on it too.
    """
    numbers = [round(number(k) * 2.0**GRID_BITS) * 2.0**-GRID_BITS for k in range(low, high + 1)]
    steps = [lower - higher for lower, higher in itertools.pairwise(numbers)]
    rank = len(octave.shape)
    chosen = octave.builder.vector(steps, like).spread(octave.shape, [rank - 1]).where(octave, 0.0)
    return (chosen.sum([rank - 1]).within(numbers[0]) + numbers[-1]).within(numbers[0])


def _quadratic(t: Tensor, coefficients: Sequence[float]) -> Tensor:
    c0, c1, c2 = coefficients
    return (t * t).within(4.0) * c2 + t * c1 + c0
