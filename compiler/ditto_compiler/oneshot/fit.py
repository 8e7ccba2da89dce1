"""Fitting one-shot functions: from a function and a range to terms with a proven error."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ditto_compiler.errors import DittoError
from ditto_compiler.oneshot.series import Floats, Ints, Samples, free, regular, whole
from ditto_compiler.oneshot.terms import (
    EXPONENT_FRAC,
    TRIG_FRAC,
    VALUE_FRAC,
    Term,
    Terms,
    TermsError,
    values,
)

EVERY: Final = 1 << 20
"""Most arguments for which the error is taken at each."""

_SAMPLES: Final = 1 << 18
"""Of the function, where there are more arguments."""

_CHUNK: Final = 1 << 15
"""Arguments that are evaluated at a time."""

_POINTS: Final = 300
"""Arguments that a fit looks at."""

_GROWTHS: Final = (2.0**14, 2.0**9, 2.0**4)
"""How many times larger than the function coefficients may be, more or less: fewer words, or narrower."""

_FREE_BELOW: Final = 28
"""Terms with constant steps, below which it is worth while to search for frequencies one by one."""

_TRIED: Final = 2
"""Series of multiples of a frequency that are tried."""

_WIDER: Final = (1, 3, 6)
"""Bits that an argument's ring may have beyond those that the range needs."""

_RING_PRICE: Final = 3
"""Bits that travel for one bit more of the argument's ring: so many parties send it when it is made."""

_NOISE: Final = 0.6
"""In units of the result's last place, if nothing else is asked for: a little more than rounding has."""


class FitError(DittoError):
    """No terms reach the error that was asked for."""


@dataclass(frozen=True)
class _Problem:
    """What is to be fitted: arguments are integers, `high` the greatest."""

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
    x: Ints = field(repr=False)
    """Arguments where the error is taken, in order: all, or evenly spaced."""
    y: Floats = field(repr=False)

    @cached_property
    def scale(self) -> Floats:
        """What errors are divided by."""
        return np.abs(self.y) if self.relative else np.ones_like(self.y)

    @property
    def narrowest(self) -> int:
        """Bits of a ring that holds the range."""
        return max((self.high - self.low).bit_length(), 2)

    def samples(self, count: int) -> Samples:
        """So many arguments, denser towards both ends."""
        ends = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count)) / 2
        at = np.rint(ends * (len(self.x) - 1)).astype(np.intp)
        at = np.unique(np.concatenate([[0], at, [len(self.x) - 1]]))
        return Samples(self.x[at].astype(np.float64), self.y[at], self.scale[at], self.error)

    @cached_property
    def digest(self) -> bytes:
        """Of all that a fit depends on."""
        return hashlib.blake2b(repr(self).encode() + self.y.tobytes()).digest()


_FITTED: Final[dict[bytes, Terms]] = {}
"""By the digest of the problem."""


def fit(
    evaluate: Callable[[Floats], NDArray[np.floating[Any]]],
    low: float,
    high: float,
    *,
    ring_frac: int,
    result: tuple[int, int],
    error: float,
    relative: bool = False,
    max_words: int = 64,
    max_ring: int | None = None,
    noise: float | None = None,
) -> Terms:
    """Terms for a function on low <= x < high that take the fewest bits.

    Args:
        evaluate: the function, of an array.
        low: least argument.
        high: above every argument.
        ring_frac: fraction bits of the argument.
        result: ring and fraction bits of the result.
        error: largest error of the terms, before rounding to the result's fraction bits.
        relative: take `error` as a part of the function's value.
        max_words: most words that P0 may deal for each element, two for each term.
        max_ring: widest ring for the argument. One that is wider than the range by some bits has more
            frequencies to choose from, so that fewer words do. By default six bits wider, if that pays.
        noise: in units of the result's last place, the root mean square of what rounding the words adds. By
            default 0.6, or an eighth of the error where that is more.

    Raises:
        FitError: there are none; the message says what could be reached.
    """
    problem = _problem(evaluate, low, high, ring_frac, result, error, relative, max_words, max_ring, noise)
    if problem.digest not in _FITTED:
        _FITTED[problem.digest] = _fit(problem)
    return _FITTED[problem.digest]


def _problem(
    evaluate: Callable[[Floats], NDArray[np.floating[Any]]],
    low: float,
    high: float,
    ring_frac: int,
    result: tuple[int, int],
    error: float,
    relative: bool,
    max_words: int,
    max_ring: int | None,
    noise: float | None,
) -> _Problem:
    what = f"cannot fit a function from {low} to {high}"
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise FitError(f"{what}: expected finite numbers in order")
    if not (0 < error < math.inf and (noise is None or 0 < noise < math.inf)):
        raise FitError(f"{what}: the error and the noise must be above 0")
    least, most = math.ceil(math.ldexp(low, ring_frac)), math.ceil(math.ldexp(high, ring_frac)) - 1
    if most - least < 2 or max(abs(least), abs(most)) >= 1 << 62:
        raise FitError(f"{what}: with {ring_frac} fraction bits there are too few arguments, or too many")
    if most - least < EVERY:
        x = np.arange(least, most + 1)
    else:
        x = np.unique(np.linspace(least, most, _SAMPLES).astype(np.int64))
    with np.errstate(all="ignore"):
        y = np.asarray(evaluate(np.ldexp(x.astype(np.float64), -ring_frac)), np.float64)
    if y.shape != x.shape:
        raise FitError(f"{what}: it gives numbers of shape {y.shape} for arguments of shape {x.shape}")
    if not np.isfinite(y).all():
        raise FitError(f"{what}: it is not finite at {math.ldexp(int(x[~np.isfinite(y)][0]), -ring_frac)}")
    smallest = float(np.abs(y).min()) if relative else 1.0
    if not smallest > 0:
        raise FitError(f"{what} to a relative error: it is 0 there")
    if noise is None:
        noise = max(_NOISE, math.ldexp(error * smallest, result[1]) / 8)
    if max_ring is None:
        max_ring = min(max((most - least).bit_length(), 2) + _WIDER[-1], 64)
    return _Problem(least, most, ring_frac, *result, error, relative, max_words, max_ring, noise, x, y)


def _fit(problem: _Problem) -> Terms:
    best: Terms | None = None
    reached = math.inf
    for search in (_exponentials, _fouriers):
        most = problem.max_words // 2
        if best is not None:
            # A word of a series has at least the bits of the result.
            most = min(most, _bits(problem, best) // (2 * problem.result_ring) - 1)
        for terms in search(problem, most):
            if best is not None and _bits(problem, terms) >= _bits(problem, best):
                continue
            proven = _proven(problem, terms)
            reached = min(reached, proven)
            if proven <= problem.error:
                error = math.ceil(math.ldexp(proven, VALUE_FRAC))
                best = replace(terms, error=error, relative=problem.relative)
    if best is None:
        kind = "relative error" if problem.relative else "error"
        nearest = f"the best has {reached:.2g}" if reached < math.inf else "none fits words of 64 bits"
        low, high = (math.ldexp(x, -problem.frac) for x in (problem.low, problem.high + 1))
        raise FitError(
            f"no one-shot function of {problem.max_words} words reaches {kind} {problem.error:.2g} from "
            f"{low:g} to {high:g}: {nearest}; allow more words, a wider ring of the argument, a narrower "
            "range or a larger error"
        )
    return best


def _bits(problem: _Problem, terms: Terms) -> int:
    """That travel for each element, and what the argument's ring costs where it is made."""
    wider = max(0, terms.ring - problem.narrowest)
    words = sum(terms.word_bits(term) for term in terms.terms)
    return 2 * (words + problem.result_ring) + _RING_PRICE * wider


def _proven(problem: _Problem, terms: Terms) -> float:
    """A bound of the error at every argument, or some error that is too large."""

    def worst_of(part: slice) -> float:
        off = np.abs(values(terms, problem.x[part]) - problem.y[part]) / problem.scale[part]
        return float(off.max())

    worst = worst_of(slice(None, None, max(1, len(problem.x) // _POINTS)))
    if worst > problem.error:
        return worst
    for at in range(0, len(problem.x), _CHUNK):
        worst = max(worst, worst_of(slice(at, at + _CHUNK)))
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


def _fouriers(problem: _Problem, most: int) -> Iterator[Terms]:
    """Series of at most so many terms that reach the error, or come near."""
    rings = sorted({min(problem.narrowest + more, problem.max_ring) for more in _WIDER} | {problem.max_ring})
    if most < 1 or rings[0] < problem.narrowest:
        return
    shortest = most + 1
    for terms in _regular(problem, most, rings):
        shortest = min(shortest, len(terms.terms))
        yield terms
    if min(shortest, most) >= _FREE_BELOW:
        return
    samples = problem.samples(_POINTS)
    for frequencies in free(samples, min(shortest, most)):
        if samples.error(samples.waves(frequencies), samples.price(16)) > 2 * problem.error:
            continue
        for ring in rings:
            rates = whole(samples, frequencies, ring)
            solution = samples.minimax(samples.waves(rates * _unit(ring)))
            made = None if solution is None else _quantised(problem, samples, ring, rates, solution)
            if made is not None:
                yield made
                if _proven(problem, made) <= problem.error:
                    return


def _regular(problem: _Problem, most: int, rings: list[int]) -> Iterator[Terms]:
    """Series with constant steps: the shortest that reach the error, or one that comes near."""
    samples = problem.samples(max(_POINTS, 10 * most))
    asked = 0.98 * problem.error
    steps = [(ring, *s) for ring in sorted({rings[0], rings[-1]}) for s in regular(samples.length, ring)]
    waves = {
        (ring, first, step): samples.waves((first + step * np.arange(most)) * _unit(ring))
        for ring, first, step in steps
    }
    for growth in _GROWTHS:
        price, shortest = samples.price(growth), most

        def error(series: tuple[int, int, int], count: int, price: float = price) -> float:
            return samples.error(samples.shortened(waves[series], count), price)

        found: list[tuple[int, float, tuple[int, int, int]]] = []
        for series in steps:
            reached = error(series, shortest)
            if reached <= asked:
                low = 1
                while low < shortest:
                    middle = (low + shortest) // 2
                    if error(series, middle) <= asked:
                        shortest = middle
                    else:
                        low = middle + 1
                reached = asked
            found.append((shortest, max(reached, asked), series))
        # Those that reach the error come first, the shortest of them before all.
        found.sort(key=lambda attempt: (attempt[1], attempt[0]))
        tried = 0
        for count, _, (ring, first, step) in found:
            rates = first + step * np.arange(count)
            solution = samples.ridge(samples.waves(rates * _unit(ring)), price)[0]
            terms = _quantised(problem, samples, ring, rates, solution)
            if terms is not None:
                yield terms
                tried += 1
            if tried == _TRIED:
                break


def _unit(ring: int) -> float:
    """The frequency, for each unit of the argument, of which all others in a ring are multiples."""
    return 2 * math.pi * 2.0**-ring


def _quantised(problem: _Problem, samples: Samples, ring: int, rates: Ints, solution: Floats) -> Terms | None:
    """Terms in integers, with as many bits as the noise asks for; None if they do not fit words of 64."""
    pairs = samples.pairs(rates * _unit(ring), solution)
    sizes = np.maximum(np.hypot(pairs[:, 0], pairs[:, 1]), 2.0**-60)
    for guard in range(80):
        word_frac = problem.result_frac + (guard + 1) // 2
        fracs = np.clip(np.rint(problem.result_frac + guard // 2 + np.log2(sizes)), 0, TRIG_FRAC)
        variance = (
            2.0 ** (-2 * word_frac) + sizes**2 * (2.0 ** (-2 * fracs) + 8 * 2.0 ** (-2 * TRIG_FRAC))
        ) / 12
        if math.ldexp(math.sqrt(variance.sum()), problem.result_frac) <= problem.noise:
            break
    else:
        return None
    # In a ring of which all frequencies are even, one bit is not needed.
    common = int(np.bitwise_or.reduce(rates))
    spare = min((common & -common).bit_length() - 1, ring - 2)
    longest = int(fracs.max())
    drop = word_frac + longest - problem.result_frac
    coefficient_frac = min(30 - math.ceil(math.log2(float(sizes.max())) + 1e-6), 62)
    coefficients = np.rint(np.ldexp(pairs, coefficient_frac)).astype(np.int64)
    return _made(
        problem,
        kind="fourier",
        ring=ring - spare,
        drop=drop,
        coefficient_frac=coefficient_frac,
        constant=round(math.ldexp(float(solution[0]), problem.result_frac + drop)),
        terms=tuple(
            Term(int(rate) >> spare, int(a), int(b), int(frac), longest - int(frac))
            for rate, (a, b), frac in zip(rates, coefficients, fracs, strict=True)
        ),
    )


def _exponentials(problem: _Problem, most: int) -> Iterator[Terms]:
    """One exponential and a constant, if the function is that."""
    ring = problem.narrowest + 1
    if most < 1 or ring > problem.max_ring:
        return
    samples = problem.samples(_POINTS)
    x = samples.x - samples.x[0]
    y = samples.target / samples.weight
    slopes = np.gradient(y, x)
    if not (np.all(slopes > 0) or np.all(slopes < 0)):
        return
    # The logarithm of its slope is a straight line; large slopes tell most.
    start = np.polyfit(x, np.log2(np.abs(slopes)), 1, w=np.abs(slopes) * samples.weight)[0]

    def solved(rate: float, constant: bool) -> tuple[Floats, Floats]:
        power = np.exp2(np.minimum(rate * x, 1000.0))
        columns = np.stack([power, np.ones_like(x)], axis=1)[:, : 1 + constant] * samples.weight[:, None]
        solution = np.linalg.lstsq(columns, samples.target, rcond=None)[0]
        return solution, columns @ solution - samples.target

    for constant in (False, True):
        rate = least_squares(
            lambda rate, constant=constant: solved(rate[0], constant)[1],
            [start],
            x_scale=abs(start) or 1.0,
            ftol=1e-15,
            xtol=1e-15,
            gtol=1e-15,
        ).x[0]
        factor, *rest = (float(number) for number in solved(rate, constant)[0])
        if factor:
            terms = _exponential(problem, ring, float(rate), factor, rest[0] if rest else 0.0)
            if terms is not None:
                yield terms


def _exponential(problem: _Problem, ring: int, rate: float, factor: float, constant: float) -> Terms | None:
    """factor 2^(rate (x - low)) + constant in integers; None if it does not fit words of 64 bits."""
    first = math.log2(abs(factor))
    reach = rate * 2.0 ** (ring - 1)
    if abs(reach) >= 60 or abs(first) >= 60:
        return None
    # Words are off by 2^-(word_frac + 1), times their factors; those by 2^-(frac + 1), times the words.
    guard = problem.result_frac - math.log2(problem.noise)
    word_frac = max(math.ceil(guard + max(reach, 0)), problem.result_frac)
    frac = math.ceil(guard + first + abs(reach))
    drop = max(word_frac + frac - problem.result_frac, 0)
    whole_rate, whole_first = (round(math.ldexp(number, EXPONENT_FRAC)) for number in (rate, first))
    return _made(
        problem,
        kind="exponential",
        ring=ring,
        drop=drop,
        coefficient_frac=0,
        constant=round(math.ldexp(constant, problem.result_frac + drop)),
        terms=(Term(whole_rate, whole_first, int(math.copysign(1, factor)), frac, 0),),
    )


def _made(problem: _Problem, **parts: Any) -> Terms | None:
    """Terms of the problem, or None if they are out of bounds."""
    try:
        return Terms(
            frac=problem.frac,
            low=problem.low,
            high=problem.high,
            result_ring=problem.result_ring,
            result_frac=problem.result_frac,
            **parts,
        )
    except TermsError:
        return None
