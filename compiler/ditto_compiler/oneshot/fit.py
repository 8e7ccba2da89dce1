"""Fitting one-shot functions: from a function and a range to terms with a proven error."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

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

_STRETCHES: Final = (1.0, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)
"""Lengths of a period (or of half of it, where a half mirrors the other), as multiples of the range's."""


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
    for terms in (*_exponentials(problem), *_fouriers(problem)):
        proven = _proven(problem, terms)
        reached = min(reached, proven)
        if proven <= problem.error and (best is None or _bits(terms) < _bits(best)):
            best = replace(terms, error=math.ceil(math.ldexp(proven, VALUE_FRAC)), relative=problem.relative)
    if best is None:
        kind = "relative error" if problem.relative else "error"
        raise FitError(
            f"no one-shot function of {problem.max_words} words reaches {kind} {problem.error:.2g} from "
            f"{math.ldexp(problem.low, -problem.frac):g} to {math.ldexp(problem.high + 1, -problem.frac):g}: the best "
            f"has {reached:.2g}; allow more words, a narrower range or a larger error"
        )
    return best


def _bits(terms: Terms) -> int:
    """That travel for each element."""
    return 2 * sum(terms.word_bits(term) for term in terms.terms) + 2 * terms.result_ring


def _proven(problem: _Problem, terms: Terms) -> float:
    """A bound of the error at every argument."""
    off = np.abs(values(terms, problem.x) - problem.y) / problem.scale
    worst = float(off.max())
    step = int(np.diff(problem.x).max())
    if step == 1:
        return worst
    # Between samples the error is off a straight line by its curvature.
    curvature = float(np.abs(np.diff(problem.y, 2)).max()) / int(np.diff(problem.x).min()) ** 2
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
    return worst + (curvature * step**2 / 8 + jitter) / float(problem.scale.min())


# Fourier series.


def _fouriers(problem: _Problem) -> Iterator[Terms]:
    """The shortest series of each candidate that reaches the error, or the longest."""
    at = problem.points(_POINTS)
    x, y, weight = problem.x[at], problem.y[at], 1 / problem.scale[at]
    fewest = problem.max_words // 2
    for candidate in _candidates(problem):
        count = _shortest(candidate, x, y, weight, problem.error, fewest)
        for more in range(count, min(count + 2, problem.max_words // 2) + 1):
            rates = candidate.rates(more)
            solved = _minimax(_waves(candidate.ring, rates, x), y, weight)
            if solved is None:
                continue
            terms = _quantised(problem, candidate.ring, rates, solved[1])
            if terms is not None:
                yield terms
            if solved[0] <= problem.error:
                if terms is not None and _proven(problem, terms) <= problem.error:
                    fewest = min(fewest, more + 1)
                    break


def _candidates(problem: _Problem) -> list[_Candidate]:
    span = problem.high - problem.low
    found: dict[tuple[int, int, int], _Candidate] = {}
    for ring in range(max(span.bit_length(), 2), problem.max_ring + 1):
        for stretch in _STRETCHES:
            # A series of all harmonics repeats after its period, one of odd ones is mirrored after half of it.
            step = int(2**ring / (stretch * span))
            if step and 2**ring / step <= 2.5 * span:
                found[ring, step, step] = _Candidate(ring, step, step)
            first = int(2 ** (ring - 1) / (stretch * span))
            if first and 2 ** (ring - 1) / first <= 2.5 * span:
                found[ring, first, 2 * first] = _Candidate(ring, first, 2 * first)
    # The same series in a wider ring adds nothing.
    return [
        c
        for (ring, first, step), c in found.items()
        if first % 2 or step % 2 or (ring - 1, first // 2, step // 2) not in found
    ]


def _waves(ring: int, rates: Sequence[int], x: Ints) -> Floats:
    """A column of ones, then cosines and sines."""
    angles = np.multiply.outer(x.astype(np.float64), np.array(rates)) * (2 * math.pi / 2.0**ring)
    waves = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(x), -1)
    return np.concatenate([np.ones((len(x), 1)), waves], axis=1)


def _shortest(candidate: _Candidate, x: Ints, y: Floats, weight: Floats, error: float, most: int) -> int:
    """Terms that least squares say are about enough."""
    waves = _waves(candidate.ring, candidate.rates(most), x) * weight[:, None]
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        columns = waves[:, : 2 * middle + 1]
        solution = np.linalg.lstsq(columns, y * weight, rcond=1e-9)[0]
        # The minimax error is below the greatest of least squares, by less than this factor as a rule.
        if np.abs(columns @ solution - y * weight).max() <= 3 * error:
            high = middle
        else:
            low = middle + 1
    return low


def _minimax(columns: Floats, y: Floats, weight: Floats) -> tuple[float, Floats] | None:
    """The least greatest weighted error, and the coefficients that have it."""
    rows = columns * weight[:, None]
    target = y * weight
    size = columns.shape[1]
    margin = np.full((len(y), 1), -1.0)
    solved = linprog(
        np.append(np.zeros(size), 1.0),
        A_ub=np.block([[rows, margin], [-rows, margin]]),
        b_ub=np.concatenate([target, -target]),
        bounds=[(-1e4, 1e4)] * size + [(0, None)],
        method="highs-ds",
    )
    if solved.status != 0:
        return None
    return float(solved.x[-1]), solved.x[:-1]


def _quantised(problem: _Problem, ring: int, rates: Sequence[int], solution: Floats) -> Terms | None:
    """Terms in integers, with as many bits as the noise asks for; None if they do not fit words of 64 bits."""
    pairs = solution[1:].reshape(-1, 2)
    sizes = np.hypot(pairs[:, 0], pairs[:, 1])
    coefficient_frac = min(30 - math.ceil(math.log2(max(float(np.abs(pairs).max()), 2.0**-30)) + 1e-6), 62)
    log_sizes = np.log2(np.maximum(sizes, 2.0**-40))
    for guard in range(2 * 30):
        word_frac = min(problem.result_frac + (guard + 1) // 2, coefficient_frac + TRIG_FRAC - 1)
        fracs = np.clip(np.rint(problem.result_frac + guard // 2 + log_sizes), 0, TRIG_FRAC).astype(int)
        variance = (2.0 ** (-2 * word_frac) + sizes**2 * 2.0 ** (-2 * fracs)).sum() / 12
        if math.sqrt(variance) <= math.ldexp(problem.noise, -problem.result_frac):
            break
    else:
        return None
    longest = int(fracs.max())
    drop = max(word_frac + longest - problem.result_frac, 0)
    if problem.result_ring + drop > 64:
        return None
    coefficients = np.rint(np.ldexp(pairs, coefficient_frac)).astype(np.int64)
    terms = [
        Term(int(rate), int(a), int(b), int(frac), problem.result_frac + drop - word_frac - int(frac))
        for rate, (a, b), frac in zip(rates, coefficients, fracs, strict=True)
    ]
    try:
        return Terms(
            kind="fourier",
            ring=ring,
            frac=problem.frac,
            low=problem.low,
            high=problem.high,
            result_ring=problem.result_ring,
            result_frac=problem.result_frac,
            drop=drop,
            coefficient_frac=coefficient_frac,
            constant=round(math.ldexp(float(solution[0]), problem.result_frac + drop)),
            terms=tuple(terms),
        )
    except TermsError:
        return None


# Exponentials.


def _exponentials(problem: _Problem) -> Iterator[Terms]:
    """One exponential, if the function is one."""
    if problem.max_words < 2 or not (np.all(problem.y > 0) or np.all(problem.y < 0)):
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
