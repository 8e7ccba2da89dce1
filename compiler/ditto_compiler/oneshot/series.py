"""Fourier series of few terms on a range: which frequencies, which coefficients.

A series with constant steps between its frequencies, and a period longer than the range, fits any smooth
function. One whose frequencies are free needs about half as many terms: a nonlinear problem, solved by
variable projection (Golub and Pereyra, 1973) with Kaufman's derivative (1975). Frequencies become whole one
by one, in units of the ring, while those that are left make up for it.

Arguments are scaled to [-1, 1]. Matrices are kept small: for those, the linear algebra below starts no
threads, which take longer to meet than to compute where other processes run.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_FREE: Final = 20
"""Most frequencies that are searched for one by one."""

_STRETCHES: Final = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
"""Lengths of a period (or of half of it, where a half mirrors the other), as multiples of the range's."""

_STARTS: Final = 3
"""Places that are tried for one more frequency."""

_GRID: Final = 80
"""Frequencies among which these places are looked for."""

_FIRSTS: Final = 8
"""Whole numbers that are tried for the first of the frequencies that were found."""

_STEPS: Final = 40
"""Of a search for frequencies, at most."""

_FEW_STEPS: Final = 5
"""Of one that starts near its end."""

_ENOUGH: Final = 3e-3
"""Part of what is left, below which a step is the last."""

_TRIES: Final = 8
"""Of a step, each shorter than the one before."""

_FAR: Final = 1.5
"""That a frequency moves in a step, at most: half of what is between two with constant steps."""

_TINY: Final = 1e-300
"""What keeps a matrix from being singular."""

_ROUNDS: Final = 12
"""Of weighting anew."""


class _Projected(NamedTuple):
    """A function's part along some waves: what is left of it, an orthonormal basis and how it was made."""

    left: Floats
    basis: Floats
    triangle: Floats
    along: Floats

    @property
    def size(self) -> float:
        """Of what is left, squared."""
        return float(self.left @ self.left)

    def solution(self) -> Floats:
        """The coefficients of the waves."""
        return _substituted(self.triangle, self.along)


def _substituted(triangle: Floats, right: Floats) -> Floats:
    """The solution of an upper triangular system."""
    x = right.copy()
    for i in range(len(x) - 1, -1, -1):
        x[i] /= triangle[i, i]
        x[:i] -= triangle[:i, i] * x[i]
    return x


def _solved(matrix: Floats, right: Floats) -> Floats:
    """The solution of a system: the library's own starts threads however small it is."""
    basis, triangle = np.linalg.qr(matrix)
    return _substituted(triangle, right @ basis)


class Samples:
    """What a series is fitted to.

    Args:
        x: arguments in [-1, 1], in order, each with its negative.
        y: the function's values.
        scale: what errors are divided by, at each.
        error: greatest that is asked for.
        growth: how many times larger than the function coefficients may be, more or less.
    """

    def __init__(self, x: Floats, y: Floats, scale: Floats, error: float, growth: float) -> None:
        near = 0.01 * error * np.minimum(scale, scale[::-1])
        self.even = bool(np.all(np.abs(y - y[::-1]) <= near))
        self.odd = bool(np.all(np.abs(y + y[::-1]) <= near))
        # Of a function with a symmetry, one half says all.
        half = slice(len(x) // 2 if self.even or self.odd else 0, None)
        self.x = x[half]
        self.weight = 1 / scale[half]
        self.target = y[half] * self.weight
        size = float(np.abs(self.target).max()) or 1.0
        # Of a coefficient.
        self._price = error * math.sqrt(len(self.x)) / (growth * size)

    @property
    def _of_each(self) -> int:
        """Columns for each frequency."""
        return 1 if self.even or self.odd else 2

    def waves(self, frequencies: Floats) -> Floats:
        """A constant, then the cosine and sine of each, as far as the symmetry needs them; weighted."""
        angles = np.multiply.outer(self.x, frequencies)
        made = np.full((len(self.x), 1 + self._of_each * len(frequencies)), 0.0 if self.odd else 1.0)
        if not self.odd:
            np.cos(angles, out=made[:, 1 :: self._of_each])
        if not self.even:
            np.sin(angles, out=made[:, self._of_each :: self._of_each])
        made *= self.weight[:, None]
        return made

    def _priced(self, waves: Floats) -> Floats:
        """The waves, with rows that ask all coefficients but the constant to be small."""
        count, size = waves.shape
        rows = np.zeros((count + size, size))
        rows[:count] = waves
        np.fill_diagonal(rows[count:], self._price)
        rows[count, 0] = 1.0 if self.odd else 0.0
        return rows

    def _projected(self, frequencies: Floats) -> _Projected:
        basis, triangle = np.linalg.qr(self._priced(self.waves(frequencies)))
        along = np.asarray(basis[: len(self.x)].T @ self.target, np.float64)
        target = np.concatenate([self.target, np.zeros(len(along))])
        return _Projected(target - basis @ along, basis, triangle, along)

    def ridge(self, frequencies: Floats) -> Floats:
        """Coefficients by least squares, where each has a price."""
        return self._projected(frequencies).solution()

    def error(self, frequencies: Floats) -> float:
        """The greatest that `ridge` leaves."""
        return float(np.abs(self._projected(frequencies).left[: len(self.x)]).max())

    def prefixes(self, frequencies: Floats) -> Floats:
        """The greatest error that the first 1, 2, ... frequencies leave."""
        basis = np.linalg.qr(self._priced(self.waves(frequencies)))[0][: len(self.x)]
        left = self.target[:, None] - np.cumsum(basis * (self.target @ basis), axis=1)
        return np.asarray(np.abs(left[:, self._of_each :: self._of_each]).max(axis=0))

    def minimax(self, frequencies: Floats) -> tuple[Floats, float]:
        """Coefficients with about the least greatest error, by Lawson's weights (1961), and that error."""
        waves = self.waves(frequencies)
        weights = np.ones(len(self.x))
        best, least = np.zeros(waves.shape[1]), math.inf
        for _ in range(_ROUNDS):
            root = np.sqrt(weights)
            rows = self._priced(waves * root[:, None])
            basis, triangle = np.linalg.qr(rows)
            solution = _substituted(triangle, basis[: len(root)].T @ (self.target * root))
            left = np.abs(self.target - waves @ solution)
            if left.max() < least:
                best, least = solution, float(left.max())
            weights *= left + 0.02 * left.max()
            weights *= len(weights) / weights.sum()
        return best, least

    def pairs(self, solution: Floats) -> Floats:
        """Of each frequency, the coefficients of its cosine and sine."""
        made = np.zeros(((len(solution) - 1) // self._of_each, 2))
        if not self.odd:
            made[:, 0] = solution[1 :: self._of_each]
        if not self.even:
            made[:, 1] = solution[self._of_each :: self._of_each]
        return made

    def extended(self, frequencies: Floats) -> Floats:
        """One frequency more, and the others near where they are, that leave little."""
        starts = [np.sort(np.append(frequencies, more)) for more in self._places(frequencies)]
        return min(map(self.descended, starts), key=self.error)

    def _places(self, frequencies: Floats) -> Floats:
        """Where one frequency more would take the most of what is left, while the others stay."""
        top = 1.5 * float(np.max(frequencies, initial=math.pi)) + 3.0
        grid = np.linspace(top / _GRID, top, _GRID)
        now = self._projected(frequencies)
        top_left, top_basis = now.left[: len(self.x)], now.basis[: len(self.x)]
        each, asked = self._of_each, self._price**2
        more = self.waves(grid)[:, 1:]
        first, second = more[:, ::each], more[:, each - 1 :: each]
        inner, other = top_basis.T @ first, top_basis.T @ second
        a, b = top_left @ first, top_left @ second
        aa = (first * first).sum(axis=0) - (inner * inner).sum(axis=0) + asked
        if each == 1:
            gains = a * a / aa
        else:
            bb = (second * second).sum(axis=0) - (other * other).sum(axis=0) + asked
            ab = (first * second).sum(axis=0) - (inner * other).sum(axis=0)
            gains = (bb * a * a - 2 * ab * a * b + aa * b * b) / (aa * bb - ab * ab)
        around = np.concatenate([[-math.inf], gains, [-math.inf]])
        peaks = np.flatnonzero((gains >= around[:-2]) & (gains >= around[2:]))
        return np.asarray(grid[peaks[np.argsort(-gains[peaks])[:_STARTS]]])

    def descended(self, start: Floats, fixed: int = 0, steps: int = _STEPS) -> Floats:
        """Frequencies near these that leave less, by Levenberg and Marquardt; the first so many stay."""
        count, at, now = len(self.x), start, self._projected(start)
        size, damping = now.size, 1e-2
        for _ in range(steps):
            slopes = self._slopes(at, now.solution())[:, fixed:]
            # Of what moving a frequency changes, the part that no coefficients make up for.
            inner = now.basis[:count].T @ slopes
            normal: Floats = slopes.T @ slopes - inner.T @ inner
            gradient = slopes.T @ now.left[:count]
            gained = 0.0
            for _ in range(_TRIES):
                change = _solved(normal + np.diag(damping * np.diag(normal) + _TINY), gradient)
                tried = np.append(at[:fixed], np.abs(at[fixed:] + np.clip(change, -_FAR, _FAR)))
                then = self._projected(tried)
                gained = size - then.size
                if gained > 0:
                    break
                damping *= 10
            if gained <= 0:
                break
            at, now, damping = tried, then, damping / 10
            enough = gained <= _ENOUGH * size
            size = now.size
            if enough:
                break
        return np.append(at[:fixed], np.sort(at[fixed:]))

    def _slopes(self, frequencies: Floats, solution: Floats) -> Floats:
        """Of the series, by each of its frequencies."""
        angles = np.multiply.outer(self.x, frequencies)
        slopes = np.zeros_like(angles)
        if not self.odd:
            slopes -= np.sin(angles) * solution[1 :: self._of_each]
        if not self.even:
            slopes += np.cos(angles) * solution[self._of_each :: self._of_each]
        return np.asarray(slopes * (self.x * self.weight)[:, None])


def regular(unit: float) -> list[tuple[int, int]]:
    """First frequencies, and steps from one to the next, in multiples of a unit, in radians."""
    made: dict[tuple[int, int], None] = {}
    for stretch in _STRETCHES:
        # All harmonics repeat after their period; odd ones are mirrored after half of it.
        every, odd = (int(math.pi / (part * stretch * unit)) for part in (1, 2))
        if every:
            made[every, every] = None
        if odd:
            made[odd, 2 * odd] = None
    return list(made)


def whole(samples: Samples, frequencies: Floats, unit: float, *, asked: float) -> Ints:
    """Frequencies as multiples of a unit, near these, that leave little; any that leave `asked` will do."""
    rates = frequencies / unit

    def error(rates: Floats) -> float:
        return samples.error(rates * unit)

    tried = []
    for first in np.unique(np.rint(np.linspace(0.85, 1.2, _FIRSTS) * rates[0]).clip(1)):
        near = np.append(first, rates[1:] * (first / rates[0]))
        if len(near) > 1:
            near = samples.descended(near * unit, 1, _FEW_STEPS) / unit
        rounded = _distinct(near)
        tried.append((error(rounded), tuple(rounded), near))
    tried.sort(key=lambda attempt: attempt[:2])
    least, best = tried[0][0], np.array(tried[0][1])
    for _, _, near in tried[:_STARTS]:
        if least <= asked:
            break
        for index in range(1, len(near) - 1):
            near = np.append(np.rint(near[: index + 1]), near[index + 1 :])
            near = samples.descended(near * unit, index + 1, _FEW_STEPS) / unit
        rounded = _distinct(near)
        if error(rounded) < least:
            least, best = error(rounded), rounded
    better = True
    while better and least > asked:
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
