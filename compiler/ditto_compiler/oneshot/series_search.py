"""Searching one-shot functions in real numbers: what does not depend on fraction bits or on the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.optimize import least_squares

from ditto_compiler.oneshot.series import MOST_FREE, Floats, Samples, regular, whole

POINTS: Final = 1024
"""One less than the arguments of which a function is known: denser towards both ends, like Chebyshev's."""

_LEAST_POINTS: Final = 128
"""Likewise of those that a search looks at."""

_EACH: Final = 8
"""Arguments that a search looks at for each term of a long series."""

_GROWTHS: Final = (2.0**14, 2.0**9, 2.0**4)
"""How many times larger than the function coefficients may be, more or less: fewer words, or narrower."""

_FREE_GROWTHS: Final = (2.0**6, 2.0**4)
"""The same for series of free frequencies."""

_BLOCKS: Final = (8, 16, 32)
"""Terms up to which series with constant steps are tried first."""

_HOPEFUL: Final = 4
"""Times the error: a series that leaves more is not tried with other prices."""

_TRIED: Final = 2
"""Series of multiples of a frequency that are tried."""

_WIDER: Final = (1, 3, 6)
"""Bits that an argument's ring may have beyond those that the range needs."""

_TREND: Final = 3
"""Frequencies from which the error of more is told beforehand."""

_MARGIN: Final = 0.97
"""Part of the error that a search takes: between the points it looks at, there may be more."""

_ROUGH: Final = 2.0
"""Times the error that whole coefficients for each error alike may make up for."""


def points(low: float, high: float) -> Floats:
    """Where a function from low to high is looked at."""
    middle, half = (low + high) / 2, (high - low) / 2
    return middle + half * _ends(POINTS)


def _ends(count: int) -> Floats:
    """From -1 to 1, each with its negative, 0 among them."""
    return np.asarray(np.sin(np.pi * np.arange(-count, count + 1, 2) / (2 * count)))


@dataclass(frozen=True)
class Fourier:
    """constant + sum of pairs[i] . (cos, sin)(2 pi rates[i] x / 2^period).

    Attributes:
        period: binary logarithm of the period of all.
        rates: the frequencies, as multiples of the least that has this period.
        pairs: the coefficients of each.
        constant: added to them.
        error: about the greatest.
    """

    period: int
    rates: tuple[int, ...]
    pairs: Floats
    constant: float
    error: float


@dataclass(frozen=True)
class Exponential:
    """factor 2^(rate (x - low)) + constant; `error` is about the greatest."""

    rate: float
    factor: float
    constant: float
    error: float


class Search:
    """Series for a function that is known at `points(low, high)`, found when they are asked for.

    Args:
        low: least argument.
        high: greatest argument.
        y: values.
        scale: what errors are divided by.
        error: greatest that is asked for.
        most: terms at most.
        narrowest: binary logarithm of the shortest period.
        widest: of the longest.
    """

    def __init__(
        self,
        low: float,
        high: float,
        y: Floats,
        scale: Floats,
        error: float,
        most: int,
        narrowest: int,
        widest: int,
    ) -> None:
        self.low, self.high, self._error, self._most = low, high, error, most
        self._x, self._y, self._scale = _ends(POINTS), y, scale
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        self._periods = sorted({min(narrowest + more, widest) for more in _WIDER})
        # An exponential has no period: its ring has one bit more than the range.
        self._has_room = narrowest < widest
        if self._periods[0] < narrowest:
            self._most = 0

    def _samples(self, count: int, growth: float) -> Samples:
        """As few of the points as that many terms need."""
        step = POINTS // _LEAST_POINTS
        while step > 1 and POINTS // step < _EACH * count:
            step //= 2
        at = slice(None, None, step)
        return Samples(self._x[at], self._y[at], self._scale[at], self._error, growth)

    def _unit(self, period: int) -> float:
        """The least frequency that has a period, in radians for half of the range."""
        return 2 * math.pi * self._half * 2.0**-period

    def _fourier(self, samples: Samples, period: int, rates: Floats, solution: Floats) -> Fourier:
        """With coefficients for arguments that are not counted from the middle."""
        turn = np.exp(2j * math.pi * rates * self._middle * 2.0**-period)
        pairs = samples.pairs(solution)
        values = (pairs[:, 0] + 1j * pairs[:, 1]) * turn
        turned = np.stack([values.real, values.imag], axis=-1)
        known = Samples(self._x, self._y, self._scale, self._error, 1.0)
        left = known.waves(rates * self._unit(period)) @ solution - known.target
        numbers = tuple(int(rate) for rate in rates)
        return Fourier(period, numbers, turned, float(solution[0]), float(np.abs(left).max()))

    @cached_property
    def regular(self) -> list[Fourier]:
        """Series with constant steps: the shortest that reach the error, for each price; or the nearest."""
        if self._most < 1:
            return []
        steps = [(period, *s) for period in self._periods for s in regular(self._unit(period))]
        asked, made = _MARGIN * self._error, list[Fourier]()
        found: list[tuple[float, int, tuple[int, int, int]]] = []
        for growth in _GROWTHS:
            for most in sorted({min(block, self._most) for block in (*_BLOCKS, self._most)}):
                found = self._lengths(steps, most, growth, asked)
                if found[0][0] <= asked:
                    break
            samples = self._samples(found[0][1], growth)
            for reached, count, (period, first, step) in found[:_TRIED]:
                rates = (first + step * np.arange(count)).astype(np.float64)
                if reached > asked and made:
                    continue
                solution = samples.ridge(rates * self._unit(period))
                made.append(self._fourier(samples, period, rates, solution))
            if found[0][0] > _HOPEFUL * self._error:
                break
            steps = [series for reached, _, series in found if reached <= _HOPEFUL * self._error]
        return made

    def _lengths(
        self, steps: list[tuple[int, int, int]], most: int, growth: float, asked: float
    ) -> list[tuple[float, int, tuple[int, int, int]]]:
        """The error of each series or, if that is less, the one asked for; and how many terms have it."""
        samples = self._samples(most, growth)
        found = []
        for period, first, step in steps:
            rates = (first + step * np.arange(most)).astype(np.float64)
            errors = samples.prefixes(rates * self._unit(period))
            good = np.flatnonzero(errors <= asked)
            if len(good):
                most = int(good[0]) + 1
                found.append((asked, most, (period, first, step)))
            else:
                found.append((float(errors.min()), len(errors), (period, first, step)))
        return sorted(found, key=lambda attempt: attempt[:2])

    @cached_property
    def free(self) -> list[Fourier]:
        """The shortest series that reaches the error, of frequencies found one after the other; or none."""
        return self._free(_FREE_GROWTHS[0])

    @cached_property
    def narrower(self) -> list[Fourier]:
        """Likewise, with smaller coefficients."""
        return self._free(_FREE_GROWTHS[1]) if self._reaching(self.free) else []

    def _reaching(self, series: list[Fourier]) -> bool:
        return any(one.error <= self._error for one in series)

    def _free(self, growth: float) -> list[Fourier]:
        most = min(self._most, MOST_FREE)
        samples, frequencies = self._samples(most, growth), np.zeros(0)
        made: Fourier | None = None
        errors: list[float] = []
        while len(errors) < most:
            frequencies = samples.extended(frequencies)
            errors.append(samples.error(frequencies))
            if errors[-1] <= _ROUGH * self._error or len(errors) == self._most:
                made = self._whole(samples, frequencies)
                if made.error <= self._error:
                    break
            if len(errors) > _TREND:
                # Each more takes about the same part of the error.
                rate = (errors[-1] / errors[-1 - _TREND]) ** (1 / _TREND)
                if errors[-1] * rate ** (most - len(errors)) > _ROUGH * self._error:
                    break
        return [] if made is None else [made]

    def _whole(self, samples: Samples, frequencies: Floats) -> Fourier:
        """With frequencies near these: one that reaches the error, or the nearest."""
        nearest: Fourier | None = None
        for period in self._periods:
            unit = self._unit(period)
            rates = whole(samples, frequencies, unit, asked=self._error / 2).astype(np.float64)
            solution, _ = samples.minimax(rates * unit)
            made = self._fourier(samples, period, rates, solution)
            if nearest is None or made.error < nearest.error:
                nearest = made
            if made.error <= _MARGIN * self._error:
                break
        assert nearest is not None, "there is a period"
        return nearest

    @cached_property
    def exponentials(self) -> list[Exponential]:
        """One exponential, without a constant and with one, if the function is monotonic."""
        if not self._has_room or self._most < 1:
            return []
        at = slice(None, None, POINTS // _LEAST_POINTS)
        x, y, weight = self._half * (self._x[at] + 1), self._y[at], 1 / self._scale[at]
        slopes = np.diff(y) / np.diff(x)
        if not (np.all(slopes > 0) or np.all(slopes < 0)):
            return []
        # The logarithm of its slope is a straight line; large slopes tell most.
        middles = (x[1:] + x[:-1]) / 2
        start = np.polyfit(middles, np.log2(np.abs(slopes)), 1, w=np.abs(slopes) * weight[1:])[0]

        def solved(rate: float, constant: bool) -> tuple[Floats, Floats]:
            power = np.exp2(np.minimum(rate * x, 1000.0))
            columns = np.stack([power, np.ones_like(x)], axis=1)[:, : 1 + constant] * weight[:, None]
            solution = np.linalg.lstsq(columns, y * weight, rcond=None)[0]
            return solution, columns @ solution - y * weight

        made = []
        for constant in (False, True):
            rate = least_squares(
                lambda rate, constant=constant: solved(rate[0], constant)[1],
                [start],
                x_scale=abs(start) or 1.0,
                ftol=1e-15,
                xtol=1e-15,
                gtol=1e-15,
                max_nfev=30,
            ).x[0]
            solution, left = solved(rate, constant)
            factor, *rest = (float(number) for number in solution)
            if factor:
                error = float(np.abs(left).max())
                made.append(Exponential(float(rate), factor, rest[0] if rest else 0.0, error))
        return made
