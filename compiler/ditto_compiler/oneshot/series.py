"""Fourier series of few terms on a range: which frequencies, which coefficients.

A series with constant steps between its frequencies, and a period longer than the range, fits any smooth
function. One whose frequencies are free needs about half as many terms: a nonlinear problem, solved by
variable projection (Golub and Pereyra, 1973) with Kaufman's derivative (1975). Frequencies become whole one
by one, in units of the ring, while those that are left make up for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, linprog

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_FREE: Final = 10
"""Most frequencies that are searched for one by one."""

_STRETCHES: Final = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
"""Lengths of a period (or of half of it, where a half mirrors the other), as multiples of the range's."""

_STARTS: Final = 2
"""Of the searches for frequencies."""

_FIRSTS: Final = 12
"""Whole numbers that are tried for the first of the frequencies that were found."""

_STEPS: Final = 150
"""Of such a search, at most."""

_LARGEST: Final = 2.0**16
"""Of all coefficients, where each error counts alike."""


class Samples:
    """What a series is fitted to.

    Args:
        x: arguments, in order.
        y: the function's values.
        scale: what errors are divided by, at each.
        error: greatest that is asked for.
    """

    def __init__(self, x: Floats, y: Floats, scale: Floats, error: float) -> None:
        self.middle = 0.0 if abs(x[0] + x[-1]) <= 1 else (x[0] + x[-1]) / 2
        self.x = x - self.middle
        self.weight = 1 / scale
        self.target = y * self.weight
        self.asked = error
        mirrored = np.interp(-self.x, self.x, y)
        near = 0.01 * error * scale + np.abs(np.gradient(y, self.x))
        self.even = bool(np.all(np.abs(y - mirrored) <= near))
        self.odd = bool(np.all(np.abs(y + mirrored) <= near))

    @property
    def length(self) -> float:
        """Of the range."""
        return float(self.x[-1] - self.x[0])

    def price(self, growth: float) -> float:
        """Of a coefficient: what keeps coefficients within about so many times the function's values."""
        size = float(np.abs(self.target).max()) or 1.0
        return self.asked * math.sqrt(len(self.x)) / (growth * size)

    def waves(self, frequencies: Floats) -> Floats:
        """Ones, then cosines, then sines, as far as the function's symmetry needs them; weighted."""
        angles = np.multiply.outer(self.x, frequencies)
        columns = [np.ones((len(self.x), 1))]
        if not self.odd:
            columns.append(np.cos(angles))
        if not self.even:
            columns.append(np.sin(angles))
        return np.concatenate(columns, axis=1) * self.weight[:, None]

    def shortened(self, waves: Floats, count: int) -> Floats:
        """The waves of the first so many of their frequencies."""
        if self.even or self.odd:
            return waves[:, : 1 + count]
        every = (waves.shape[1] - 1) // 2
        return np.concatenate([waves[:, : 1 + count], waves[:, 1 + every : 1 + every + count]], axis=1)

    def priced(self, waves: Floats, price: float) -> Floats:
        """The waves, with rows that ask all coefficients but the constant to be small."""
        prices = price * np.eye(waves.shape[1])
        prices[0, 0] = 0
        return np.concatenate([waves, prices])

    def ridge(self, waves: Floats, price: float) -> tuple[Floats, Floats]:
        """Coefficients by least squares, where each has a price; and what is left, with the prices."""
        rows = self.priced(waves, price)
        target = np.append(self.target, np.zeros(waves.shape[1]))
        solution = np.linalg.lstsq(rows, target, rcond=1e-14)[0]
        return solution, rows @ solution - target

    def error(self, waves: Floats, price: float) -> float:
        """The greatest that `ridge` leaves."""
        return float(np.abs(self.ridge(waves, price)[1][: len(self.x)]).max())

    def minimax(self, waves: Floats) -> Floats | None:
        """Coefficients with the least greatest error, a linear program; None if that fails."""
        size = waves.shape[1]
        margin = np.full((len(self.x), 1), -1.0)
        solved = linprog(
            np.append(np.zeros(size), 1.0),
            A_ub=np.block([[waves, margin], [-waves, margin]]),
            b_ub=np.concatenate([self.target, -self.target]),
            bounds=[(-_LARGEST, _LARGEST)] * size + [(0, None)],
            method="highs-ds",
        )
        return np.asarray(solved.x[:-1]) if solved.status == 0 else None

    def pairs(self, frequencies: Floats, solution: Floats) -> Floats:
        """Of each frequency, the coefficients of the cosine and sine of the argument itself."""
        count = len(frequencies)
        cos = np.zeros(count) if self.odd else solution[1 : 1 + count]
        sin = np.zeros(count) if self.even else solution[-count:]
        back_cos, back_sin = np.cos(frequencies * self.middle), np.sin(frequencies * self.middle)
        return np.stack([cos * back_cos - sin * back_sin, cos * back_sin + sin * back_cos], axis=-1)


def regular(length: float, ring: int) -> Iterator[tuple[int, int]]:
    """First frequencies, and steps from one to the next, in units of a ring."""
    for stretch in _STRETCHES:
        # All harmonics repeat after their period; odd ones are mirrored after half of it.
        every, odd = (int(2.0**ring / (part * stretch * length)) for part in (1, 2))
        if every:
            yield every, every
        if odd:
            yield odd, 2 * odd


def free(samples: Samples, most: int) -> Iterator[Floats]:
    """Of one frequency, of two, ..., those that leave the least."""
    price = samples.price(16)

    def error(frequencies: Floats) -> float:
        return samples.error(samples.waves(frequencies), price)

    last: Floats | None = None
    for count in range(1, min(most, MOST_FREE) + 1):
        ladder, turn = np.arange(count), 2 * math.pi / samples.length
        starts = [turn * (ladder + 0.5) / stretch for stretch in (1.0, 1.3)]
        starts += [turn * (ladder + 1) / stretch for stretch in (1.2, 2.0)]
        starts = sorted(starts, key=error)[:_STARTS]
        if last is not None:
            starts.append(np.append(last, 2 * last[-1] - (last[-2] if count > 2 else 0.0)))
        last = min((descended(samples, start, price) for start in starts), key=error)
        yield last


def descended(samples: Samples, start: Floats, price: float, fixed: int = 0) -> Floats:
    """Frequencies near these that leave less; the first so many stay."""

    def left(moving: Floats) -> Floats:
        return samples.ridge(samples.waves(np.append(start[:fixed], moving)), price)[1]

    def derivative(moving: Floats) -> Floats:
        waves = samples.waves(np.append(start[:fixed], moving))
        rows = samples.priced(waves, price)
        solution = samples.ridge(waves, price)[0]
        angles = np.multiply.outer(samples.x, moving)
        slopes = np.zeros_like(angles)
        if not samples.odd:
            slopes -= np.sin(angles) * solution[1 + fixed : 1 + len(start)]
        if not samples.even:
            slopes += np.cos(angles) * solution[len(solution) - len(moving) :]
        moved = np.zeros((len(rows), len(moving)))
        moved[: len(samples.x)] = slopes * (samples.x * samples.weight)[:, None]
        basis = np.linalg.qr(rows)[0]
        return np.asarray(moved - basis @ (basis.T @ moved))

    moving = start[fixed:]
    found = least_squares(left, moving, jac=derivative, x_scale=moving, max_nfev=_STEPS).x
    return np.append(start[:fixed], np.sort(np.abs(found)))


def whole(samples: Samples, frequencies: Floats, ring: int) -> Ints:
    """Frequencies in units of a ring, near these, that leave little."""
    unit, price = 2 * math.pi * 2.0**-ring, samples.price(16)
    rates = frequencies / unit

    def error(rates: Floats) -> float:
        return samples.error(samples.waves(rates * unit), price)

    tried = []
    for first in np.unique(np.rint(np.linspace(0.85, 1.2, _FIRSTS) * rates[0]).clip(1)):
        near = np.append(first, rates[1:] * (first / rates[0]))
        if len(near) > 1:
            near = descended(samples, near * unit, price, 1) / unit
        rounded = _distinct(near)
        tried.append((error(rounded), tuple(rounded), near))
    tried.sort(key=lambda attempt: attempt[:2])
    least, best = tried[0][0], np.array(tried[0][1])
    for _, _, near in tried[:_STARTS]:
        if least <= samples.asked / 2:
            break
        for index in range(1, len(near) - 1):
            near = np.append(np.rint(near[: index + 1]), near[index + 1 :])
            near = descended(samples, near * unit, price, index + 1) / unit
        rounded = _distinct(near)
        if error(rounded) < least:
            least, best = error(rounded), rounded
    better = True
    while better:
        better = False
        for index in range(len(best)):
            for step in (-1, 1):
                moved = best.copy()
                moved[index] += step
                if moved.min() >= 1 and len(set(moved)) == len(moved) and error(moved) < least:
                    least, best, better = error(moved), moved, True
    return best.astype(np.int64)


def _distinct(rates: Floats) -> Floats:
    """Rounded, from 1 on, each above the one before."""
    ladder = np.arange(len(rates))
    return np.asarray(np.maximum.accumulate(np.maximum(np.sort(np.rint(rates)), 1) - ladder) + ladder)
