"""Fitting one-shot functions: from a function and a range to terms with a proven error."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, linprog

from ditto_compiler.errors import DittoError
from ditto_compiler.oneshot.terms import (
    EXPONENT_FRAC,
    TRIG_FRAC,
    VALUE_FRAC,
    Term,
    Terms,
    TermsError,
    values,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EVERY: Final = 1 << 20
"""Most arguments for which the error is taken at each."""

_SAMPLES: Final = 1 << 18
"""Of the function, where there are more arguments."""

_POINTS: Final = 300
"""Arguments that a fit looks at."""

_CHUNK: Final = 1 << 15
"""Arguments that are evaluated at a time."""

_STRETCHES: Final = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
"""Lengths of a period (or of half of it, where a half mirrors the other), as multiples of the range's."""

_GROWTHS: Final = (16.0, 2.0**9, 2.0**14)
"""How many times larger than the function coefficients may be, more or less."""

_FREE: Final = 10
"""Most frequencies that are searched for one by one."""

_STARTS: Final = 2
"""Of the searches for frequencies."""

_FIRSTS: Final = 12
"""Whole numbers that are tried for the first of the frequencies that were found."""

_DESCENTS: Final = 150
"""Steps of such a search."""

_TRIED: Final = 2
"""Series of multiples of a frequency that are tried."""

_LARGEST: Final = 2.0**16
"""Of all coefficients."""


class FitError(DittoError):
    """No terms reach the error that was asked for."""


@dataclass(frozen=True)
class _Problem:
    """What is to be fitted."""

    low: int
    high: int
    frac: int
    result_ring: int
    result_frac: int
    error: float
    relative: bool
    max_words: int
    max_ring: int
    noise: float
    x: Ints
    """Arguments where the error is taken, in order: all, or evenly spaced."""
    y: Floats

    @property
    def scale(self) -> Floats:
        """What errors are divided by."""
        return np.abs(self.y) if self.relative else np.ones_like(self.y)

    def points(self, count: int) -> NDArray[np.intp]:
        """Indices of samples, denser towards both ends."""
        positions = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2 * (len(self.x) - 1)
        return np.unique(np.concatenate([[0], np.rint(positions).astype(np.intp), [len(self.x) - 1]]))


class _Candidate(NamedTuple):
    """Harmonics of a ring: `step` apart, from `first` on."""

    ring: int
    first: int
    step: int

    def rates(self, count: int) -> list[int]:
        return [self.first + self.step * index for index in range(count)]


def fit(
    evaluate: Callable[[Floats], Floats],
    low: float,
    high: float,
    *,
    ring_frac: int,
    result: tuple[int, int],
    error: float,
    relative: bool = False,
    max_words: int = 64,
    max_ring: int | None = None,
    noise: float = 0.6,
) -> Terms:
    """Terms for a function on low <= x < high that take the fewest bytes.

    Args:
        evaluate: the function, of an array.
        low: least argument.
        high: above every argument.
        ring_frac: fraction bits of the argument.
        result: ring and fraction bits of the result.
        error: largest error of the terms, before rounding to the result's fraction bits.
        relative: take `error` as a part of the function's value.
        max_words: most words that P0 may deal for each element, two for each term.
        max_ring: widest ring for the argument; a ring that is wider than the range by several bits has more
            periods to choose from. By default one bit wider than what holds the range.
        noise: in units of the result's last place, the root mean square of what rounding the words adds.

    Raises:
        FitError: there are none; the message says what could be reached.
    """
    problem = _problem(evaluate, low, high, ring_frac, result, error, relative, max_words, max_ring, noise)
    digest = hashlib.blake2b(problem.y.tobytes())
    digest.update(repr(replace(problem, x=None, y=None)).encode())
    key = digest.digest()
    if key not in _FITTED:
        _FITTED[key] = _fit(problem)
    return _FITTED[key]


_FITTED: Final[dict[bytes, Terms]] = {}
"""By all that a fit depends on."""


def _problem(
    evaluate: Callable[[Floats], Floats],
    low: float,
    high: float,
    ring_frac: int,
    result: tuple[int, int],
    error: float,
    relative: bool,
    max_words: int,
    max_ring: int | None,
    noise: float,
) -> _Problem:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise FitError(f"cannot fit a function from {low} to {high}: expected finite numbers in order")
    least, most = math.ceil(math.ldexp(low, ring_frac)), math.ceil(math.ldexp(high, ring_frac)) - 1
    if most <= least:
        raise FitError(
            f"cannot fit a function from {low} to {high}: {ring_frac} fraction bits hold no such range"
        )
    if most - least < EVERY:
        x = np.arange(least, most + 1)
    else:
        x = np.unique(np.linspace(least, most, _SAMPLES).astype(np.int64))
    with np.errstate(all="ignore"):
        y = np.asarray(evaluate(np.ldexp(x.astype(np.float64), -ring_frac)), np.float64)
    if y.shape != x.shape or not np.isfinite(y).all():
        wrong = "its results are not one number for each argument"
        if y.shape == x.shape:
            wrong = f"it is not finite at {math.ldexp(int(x[~np.isfinite(y)][0]), -ring_frac)}"
        raise FitError(f"cannot fit a function from {low} to {high}: {wrong}")
    if relative and not np.abs(y).min() > 0:
        raise FitError(f"cannot fit a function from {low} to {high} to a relative error: it is 0 there")
    if not error > 0 or not noise > 0:
        raise FitError("cannot fit a function to an error, or a noise, that is not above 0")
    narrowest = max((most - least).bit_length(), 2)
    return _Problem(
        least,
        most,
        ring_frac,
        result[0],
        result[1],
        error,
        relative,
        max_words,
        narrowest + 1 if max_ring is None else max_ring,
        noise,
        x,
        y,
    )


def _fit(problem: _Problem) -> Terms:
    best: Terms | None = None
    reached = math.inf
    for search in (_exponentials, _fouriers):
        for terms in search(problem, _most(problem, best)):
            if best is not None and _bits(terms) >= _bits(best):
                continue
            proven = _proven(problem, terms)
            reached = min(reached, proven)
            if proven <= problem.error:
                best = replace(
                    terms, error=math.ceil(math.ldexp(proven, VALUE_FRAC)), relative=problem.relative
                )
    if best is None:
        kind = "relative error" if problem.relative else "error"
        nearest = f"the best has {reached:.2g}" if math.isfinite(reached) else "none fits words of 64 bits"
        raise FitError(
            f"no one-shot function of {problem.max_words} words reaches {kind} {problem.error:.2g} from "
            f"{math.ldexp(problem.low, -problem.frac):g} to {math.ldexp(problem.high + 1, -problem.frac):g}: "
            f"{nearest}; allow more words, a wider ring of the argument, a narrower range or a larger error"
        )
    return best


def _most(problem: _Problem, best: Terms | None) -> int:
    """Terms that may take fewer bits than the best so far."""
    if best is None:
        return problem.max_words // 2
    # A word of a series has at least the bits of the result.
    return min(
        problem.max_words // 2, sum(best.word_bits(term) for term in best.terms) // problem.result_ring
    )


def _bits(terms: Terms) -> int:
    """That travel for each element."""
    return 2 * sum(terms.word_bits(term) for term in terms.terms) + 2 * terms.result_ring


def _proven(problem: _Problem, terms: Terms) -> float:
    """A bound of the error at every argument."""
    worst = 0.0
    for at in range(0, len(problem.x), _CHUNK):
        part = slice(at, at + _CHUNK)
        off = np.abs(values(terms, problem.x[part]) - problem.y[part]) / problem.scale[part]
        worst = max(worst, float(off.max()))
    steps = np.diff(problem.x)
    if steps.max() == 1:
        return worst
    # Between samples the error is off a straight line by its curvature, and by what integers are off.
    curvature = float(np.abs(np.diff(problem.y, 2)).max()) / int(steps.min()) ** 2
    jitter = 0.0
    for term in terms.terms:
        if terms.kind == "fourier":
            size = math.hypot(term.first, term.second) * 2.0**-terms.coefficient_frac
            rate = 2 * math.pi * abs(term.rate) * 2.0**-terms.ring
            jitter += size * 2.0 ** (3 - TRIG_FRAC)
        else:
            size = 2.0 ** terms.exponents(term)[1]
            rate = math.log(2) * abs(term.rate) * 2.0**-EXPONENT_FRAC
            jitter += size * 2.0**-28
        curvature += size * rate**2
    return worst + (curvature * int(steps.max()) ** 2 / 8 + jitter) / float(problem.scale.min())


# Fourier series. Frequencies that are free reach an error with about half as many as multiples of one; they are
# searched for where they are few.


class _Samples:
    """What a series is fitted to: arguments from their middle, and whether the function is even or odd there."""

    def __init__(self, problem: _Problem, count: int) -> None:
        at = problem.points(count)
        whole = problem.low + problem.high
        self.middle = 0.0 if abs(whole) <= 1 else whole / 2
        self.x = problem.x[at] - self.middle
        self.y = problem.y[at]
        self.weight = 1 / problem.scale[at]
        self.target = self.y * self.weight
        mirrored = np.interp(-self.x, problem.x - self.middle, problem.y)
        near = 0.01 * problem.error / self.weight + np.abs(np.gradient(self.y, self.x))
        self.even = bool(np.all(np.abs(self.y - mirrored) <= near))
        self.odd = bool(np.all(np.abs(self.y + mirrored) <= near))

    def waves(self, frequencies: Floats) -> Floats:
        """Ones, then cosines, then sines, as far as the function's symmetry needs them; weighted."""
        angles = np.multiply.outer(self.x, frequencies)
        columns = [np.ones((len(self.x), 1))]
        if not self.odd:
            columns.append(np.cos(angles))
        if not self.even:
            columns.append(np.sin(angles))
        return np.concatenate(columns, axis=1) * self.weight[:, None]

    def priced(self, waves: Floats, price: float) -> Floats:
        """Rows below the waves that ask all coefficients but the constant to be small."""
        prices = price * np.eye(waves.shape[1])
        prices[0, 0] = 0
        return np.concatenate([waves, prices])

    def ridge(self, waves: Floats, price: float) -> tuple[Floats, Floats]:
        """Coefficients by least squares, where each has a price; and what is left, with the prices."""
        rows = self.priced(waves, price)
        target = np.append(self.target, np.zeros(waves.shape[1]))
        solution = np.linalg.lstsq(rows, target, rcond=1e-14)[0]
        left = rows @ solution
        left[: len(self.x)] -= self.target
        return solution, left

    def error(self, waves: Floats, price: float) -> float:
        """The greatest that `ridge` leaves."""
        return float(np.abs(self.ridge(waves, price)[1][: len(self.x)]).max())

    def pairs(self, frequencies: Floats, solution: Floats) -> Floats:
        """Coefficients of the cosines and sines of the argument itself."""
        count = len(frequencies)
        cos = np.zeros(count) if self.odd else solution[1 : 1 + count]
        sin = np.zeros(count) if self.even else solution[-count:]
        back = frequencies * self.middle
        return np.stack(
            [cos * np.cos(back) - sin * np.sin(back), cos * np.sin(back) + sin * np.cos(back)], axis=-1
        )


def _fouriers(problem: _Problem, most: int) -> Iterator[Terms]:
    """Series of at most so many terms that reach the error, or come near."""
    if most < 1 or problem.max_ring < (problem.high - problem.low).bit_length():
        return
    samples = _Samples(problem, max(_POINTS, 10 * most))
    size = float(np.abs(samples.target).max()) / math.sqrt(len(samples.x))
    prices = [problem.error / (growth * size) for growth in _GROWTHS]
    unit = 2 * math.pi * 2.0**-problem.max_ring
    shortest, nearest, found = most + 1, (math.inf, 0.0, np.zeros(0, np.int64)), []
    for first, step in _regular(problem):
        rates = first + step * np.arange(most)
        waves = samples.waves(rates * unit)
        for price in prices:
            error = samples.error(_shortened(samples, waves, min(shortest, most)), price)
            nearest = min(nearest, (error, price, rates[: min(shortest, most)]), key=lambda n: n[0])
            if error > problem.error:
                continue
            low, high = 1, min(shortest, most)
            while low < high:
                middle = (low + high) // 2
                if samples.error(_shortened(samples, waves, middle), price) <= problem.error:
                    high = middle
                else:
                    low = middle + 1
            shortest = high
            found.append((price, rates[:high]))
    for price, rates in found[-_TRIED:]:
        yield from _quantised(problem, samples, rates, samples.ridge(samples.waves(rates * unit), price)[0])
    if shortest > most:
        price, rates = nearest[1:]
        if len(rates):
            yield from _quantised(
                problem, samples, rates, samples.ridge(samples.waves(rates * unit), price)[0]
            )
    yield from _free(problem, prices[0], min(shortest, most))


def _shortened(samples: _Samples, waves: Floats, count: int) -> Floats:
    """The waves of the first so many frequencies."""
    if samples.even or samples.odd:
        return waves[:, : 1 + count]
    every = (waves.shape[1] - 1) // 2
    return np.concatenate([waves[:, : 1 + count], waves[:, 1 + every : 1 + every + count]], axis=1)


def _regular(problem: _Problem) -> list[tuple[int, int]]:
    """First frequencies and steps, in the widest ring."""
    found = {}
    span = problem.high - problem.low
    for stretch in _STRETCHES:
        # All harmonics repeat after their period; odd ones are mirrored after half of it.
        step = int(2**problem.max_ring / (stretch * span))
        first = int(2**problem.max_ring / (2 * stretch * span))
        if step:
            found[step, step] = None
        if first:
            found[first, 2 * first] = None
    return list(found)


def _free(problem: _Problem, price: float, most: int) -> Iterator[Terms]:
    """Series whose frequencies are free, from the shortest that may do to the shortest that does."""
    samples = _Samples(problem, _POINTS)
    unit = 2 * math.pi * 2.0**-problem.max_ring
    length = float(samples.x[-1] - samples.x[0])
    last: Floats | None = None
    for count in range(1, min(most, _FREE) + 1):
        ladder = np.arange(count)
        starts = [math.pi / length * (2 * ladder + 1) / stretch for stretch in (1.0, 1.3)]
        starts += [2 * math.pi / length * (ladder + 1) / stretch for stretch in (1.2, 2.0)]
        starts = sorted(starts, key=lambda start: samples.error(samples.waves(start), price))[:_STARTS]
        if last is not None:
            starts.append(np.append(last, 2 * last[-1] - (last[-2] if count > 2 else 0.0)))
        found = [_descended(samples, start, price) for start in starts]
        last = min(found, key=lambda frequencies: samples.error(samples.waves(frequencies), price))
        if samples.error(samples.waves(last), price) > 3 * problem.error:
            continue
        rates = _rounded(problem, samples, last / unit, price)
        solution = _minimax(samples.waves(rates * unit), samples.target)
        if solution is None:
            continue
        for terms in _quantised(problem, samples, rates, solution):
            yield terms
            if _proven(problem, terms) <= problem.error:
                return


def _descended(samples: _Samples, start: Floats, price: float, fixed: int = 0) -> Floats:
    """Frequencies that leave less, all but the first so many: variable projection, with Kaufman's derivative."""

    def left(moving: Floats) -> Floats:
        return samples.ridge(samples.waves(np.append(start[:fixed], moving)), price)[1]

    def derivative(moving: Floats) -> Floats:
        waves = samples.waves(np.append(start[:fixed], moving))
        rows = samples.priced(waves, price)
        solution, count = samples.ridge(waves, price)[0], len(start)
        # Of a cosine minus the sine, of a sine the cosine, times the argument.
        angles = np.multiply.outer(samples.x, moving)
        moved = np.zeros((len(rows), len(moving)))
        if not samples.odd:
            moved[: len(samples.x)] -= np.sin(angles) * solution[1 + fixed : 1 + count]
        if not samples.even:
            moved[: len(samples.x)] += np.cos(angles) * solution[len(solution) - count + fixed :]
        moved[: len(samples.x)] *= (samples.x * samples.weight)[:, None]
        basis = np.linalg.qr(rows)[0]
        return moved - basis @ (basis.T @ moved)

    moving = start[fixed:]
    found = least_squares(left, moving, jac=derivative, x_scale=moving, max_nfev=_DESCENTS).x
    return np.append(start[:fixed], np.sort(np.abs(found)))


def _rounded(problem: _Problem, samples: _Samples, rates: Floats, price: float) -> Ints:
    """Whole frequencies: with some for the first, the others come out near whole numbers."""
    unit = 2 * math.pi * 2.0**-problem.max_ring

    def error(whole: Floats) -> float:
        return samples.error(samples.waves(whole * unit), price)

    tried = []
    for first in np.unique(np.rint(np.linspace(0.85, 1.2, _FIRSTS) * rates[0]).clip(1)):
        near = np.append(first, rates[1:] * (first / rates[0]))
        if len(rates) > 1:
            near = _descended(samples, near * unit, price, 1) / unit
        whole = _distinct(np.rint(near))
        tried.append((error(whole), tuple(whole), near))
    tried.sort(key=lambda t: t[:2])
    best, error_of_best = np.array(tried[0][1]), tried[0][0]
    for _, _, near in tried[:_STARTS]:
        if error_of_best <= problem.error / 2:
            break
        # One after another becomes whole, and those that are left make up for it.
        for index in range(1, len(rates)):
            moved = np.append(np.rint(near[: index + 1]), near[index + 1 :])
            if index + 1 < len(rates):
                moved = _descended(samples, moved * unit, price, index + 1) / unit
            near = moved
        whole = _distinct(np.rint(near))
        if error(whole) < error_of_best:
            best, error_of_best = whole, error(whole)
    moved = True
    while moved:
        moved = False
        for index in range(len(rates)):
            for step in (-1, 1):
                whole = best.copy()
                whole[index] += step
                if whole.min() >= 1 and len(set(whole)) == len(whole) and error(whole) < error_of_best:
                    best, error_of_best, moved = whole, error(whole), True
    return best.astype(np.int64)


def _distinct(whole: Floats) -> Floats:
    """Frequencies above 0, each above the one before."""
    ladder = np.arange(len(whole))
    return np.maximum.accumulate(np.maximum(np.sort(whole), 1) - ladder) + ladder


def _minimax(rows: Floats, target: Floats) -> Floats | None:
    """Coefficients with the least greatest error."""
    size = rows.shape[1]
    margin = np.full((len(target), 1), -1.0)
    solved = linprog(
        np.append(np.zeros(size), 1.0),
        A_ub=np.block([[rows, margin], [-rows, margin]]),
        b_ub=np.concatenate([target, -target]),
        bounds=[(-_LARGEST, _LARGEST)] * size + [(0, None)],
        method="highs-ds",
    )
    return np.asarray(solved.x[:-1]) if solved.status == 0 else None


def _quantised(problem: _Problem, samples: _Samples, rates: Ints, solution: Floats) -> Iterator[Terms]:
    """Terms in integers, with as many bits as the noise asks for; none if they do not fit words of 64 bits."""
    unit = 2 * math.pi * 2.0**-problem.max_ring
    pairs = samples.pairs(rates * unit, solution)
    sizes = np.maximum(np.hypot(pairs[:, 0], pairs[:, 1]), 2.0**-60)
    coefficient_frac = min(30 - math.ceil(math.log2(float(sizes.max())) + 1e-6), 62)
    for guard in range(80):
        word_frac = problem.result_frac + (guard + 1) // 2
        fracs = np.clip(np.rint(problem.result_frac + guard // 2 + np.log2(sizes)), 0, TRIG_FRAC)
        noise = math.sqrt((2.0 ** (-2 * word_frac) + sizes**2 * 2.0 ** (-2 * fracs)).sum() / 12)
        if math.ldexp(noise, problem.result_frac) <= problem.noise:
            break
    longest = int(fracs.max())
    drop = word_frac + longest - problem.result_frac
    if problem.result_ring + drop > 64 or coefficient_frac < 0:
        return
    # A ring that is wider than the frequencies need is one in which all of them are even.
    common = min(
        int(np.bitwise_or.reduce(rates) & -np.bitwise_or.reduce(rates)).bit_length() - 1, problem.max_ring - 2
    )
    coefficients = np.rint(np.ldexp(pairs, coefficient_frac)).astype(np.int64)
    try:
        yield Terms(
            kind="fourier",
            ring=problem.max_ring - common,
            frac=problem.frac,
            low=problem.low,
            high=problem.high,
            result_ring=problem.result_ring,
            result_frac=problem.result_frac,
            drop=drop,
            coefficient_frac=coefficient_frac,
            constant=round(math.ldexp(float(solution[0]), problem.result_frac + drop)),
            terms=tuple(
                Term(int(rate) >> common, int(a), int(b), int(frac), longest - int(frac))
                for rate, (a, b), frac in zip(rates, coefficients, fracs, strict=True)
            ),
        )
    except TermsError:
        return


# Exponentials.


def _exponentials(problem: _Problem, most: int) -> Iterator[Terms]:
    """One exponential, if the function is one."""
    if most < 1 or not (np.all(problem.y > 0) or np.all(problem.y < 0)):
        return
    at = problem.points(_POINTS)
    x, logs = problem.x[at] - problem.low, np.log2(np.abs(problem.y[at]))
    weights = np.abs(problem.y[at]) / problem.scale[at]
    # Where the function is large, a straight line through its logarithm.
    rate, first = np.polyfit(x, logs, 1, w=weights)
    terms = _exponential(problem, float(rate), float(first), 1 if problem.y[0] > 0 else -1)
    if terms is not None:
        yield terms


def _exponential(problem: _Problem, rate: float, first: float, sign: int) -> Terms | None:
    ring = max((problem.high - problem.low).bit_length() + 1, 2)
    if ring > problem.max_ring:
        return None
    reach = abs(rate) * 2.0 ** (ring - 1)
    largest = max(first, first + rate * 2.0 ** (ring - 1))
    # Words are off by 2^-(word_frac + 1), times what they are multiplied with; that by 2^-(frac + 1), times words.
    spare = -math.log2(problem.noise)
    growing = rate > 0
    word_frac = math.ceil(problem.result_frac + spare + (reach if growing else 0))
    frac = math.ceil(problem.result_frac + spare + (largest if growing else first + reach))
    drop = max(word_frac + frac - problem.result_frac, 0)
    if problem.result_ring + drop > 64 or reach >= 64 or abs(first) > 64:
        return None
    term = Term(
        round(math.ldexp(rate, EXPONENT_FRAC)), round(math.ldexp(first, EXPONENT_FRAC)), sign, frac, 0
    )
    try:
        return Terms(
            kind="exponential",
            ring=ring,
            frac=problem.frac,
            low=problem.low,
            high=problem.high,
            result_ring=problem.result_ring,
            result_frac=problem.result_frac,
            drop=drop,
            coefficient_frac=0,
            constant=0,
            terms=(term,),
        )
    except TermsError:
        return None
