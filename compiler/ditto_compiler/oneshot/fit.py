"""Fitting one-shot functions: from a function and a range to terms with a proven error."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ditto_compiler.errors import DittoError
from ditto_compiler.oneshot import cache
from ditto_compiler.oneshot.series import Floats, Ints
from ditto_compiler.oneshot.series_search import POINTS, Exponential, Fourier, Search, points
from ditto_compiler.oneshot.terms import (
    EXPONENT_FRAC,
    TRIG_FRAC,
    VALUE_FRAC,
    Term,
    Terms,
    TermsError,
    values,
)

EVERY: Final = 1 << 17
"""Most arguments for which the error is taken at each, if fewer can prove it."""

MOST: Final = 1 << 20
"""Most for which it is otherwise."""

BEYOND: Final = 4
"""Arguments beyond either end for which terms are right as well: those that rounding, as in a few casts of
up to 3/2 units of the last place each, can make of an argument within the range."""

_CHUNK: Final = 1 << 14
"""Arguments that are evaluated at a time."""

_FINER: Final = 2
"""Bits by which a step of the argument changes the function by less than the error, where it is steepest."""

_LEAST_STEPS: Final = 9
"""Binary logarithm of the fewest steps of the argument from end to end."""

_RING_PRICE: Final = 3
"""Bits that travel for one bit more of the argument's ring: so many parties send it when it is made."""

_NOISE: Final = 0.6
"""In units of the result's last place, if nothing else is asked for: a little more than rounding has."""

_FEW: Final = 12
"""Terms up to which a series of free frequencies takes fewer bits than one with constant steps."""

_WIDER: Final = 6
"""Bits by which an argument's ring may be wider than the range needs, if nothing else is said."""


class FitError(DittoError):
    """No terms reach the error that was asked for."""


Function = Callable[[Floats], NDArray[np.floating[Any]]]


class _Known(NamedTuple):
    """A function at some arguments, and what errors are divided by there."""

    x: Ints
    y: Floats
    scale: Floats


class _Result(NamedTuple):
    """What a result is to be, and the root mean square of what rounding words may add to it."""

    ring: int
    frac: int
    noise: float


@dataclass(frozen=True)
class _Problem:
    """What is to be fitted.

    Attributes:
        function: of an array.
        ends: of the range.
        low: least argument for which terms have to be right, with `frac` fraction bits.
        high: greatest, likewise.
        y: values at `points` between `low` and `high`.
        widest: binary logarithm of the longest period.
        core: between which arguments the error counts.
        loose: how many times as large it may be elsewhere.
    """

    function: Function = field(repr=False)
    ends: tuple[float, float]
    low: int
    high: int
    frac: int
    y: Floats = field(repr=False)
    error: float
    relative: bool
    max_words: int
    widest: int
    core: tuple[float, float]
    loose: int

    @property
    def real(self) -> tuple[float, float]:
        """`low` and `high` as numbers."""
        return math.ldexp(self.low, -self.frac), math.ldexp(self.high, -self.frac)

    @property
    def narrowest(self) -> int:
        """Binary logarithm of the shortest period: that of a ring that holds the range."""
        return _narrowest(self.low, self.high, self.frac)

    @cached_property
    def smallest(self) -> float:
        """What errors are divided by, at least."""
        return float(self.scale(points(*self.real), self.y).min())

    def values(self, x: Floats) -> Floats:
        """The function's; beyond an end where it has none, what it has at the end."""
        return _values(self.function, x, *self.ends)

    def scale(self, x: Floats, y: Floats) -> Floats:
        """What errors of some values are divided by."""
        scale = np.abs(y) if self.relative else np.ones_like(y)
        low, high = (
            end if end not in self.ends else math.copysign(math.inf, end - sum(self.ends) / 2)
            for end in self.core
        )
        return np.where((x >= low) & (x <= high), scale, scale * self.loose)

    @cached_property
    def key(self) -> str:
        """Of all that a search depends on."""
        of = (self.real, self.error, self.relative, self.max_words, self.narrowest, self.widest)
        of = (*of, *((self.core, self.loose) if self.loose > 1 else ()))
        return hashlib.blake2b(repr(of).encode() + self.y.tobytes()).hexdigest()

    @cached_property
    def sampled(self) -> _Known:
        """Evenly spaced, or all."""
        return self.known(self._arguments(EVERY))

    @cached_property
    def all(self) -> _Known:
        """All arguments, unless there are too many."""
        return self.known(self._arguments(MOST))

    def _arguments(self, most: int) -> Ints:
        if self.high - self.low < most:
            return np.arange(self.low, self.high + 1)
        return np.unique(np.linspace(self.low, self.high, most).astype(np.int64))

    def known(self, x: Ints) -> _Known:
        """The function at some arguments."""
        real = np.ldexp(x.astype(np.float64), -self.frac)
        y = self.values(real)
        return _Known(x, y, self.scale(real, y))


_SEARCHES: Final[dict[str, Search]] = {}
"""By what they depend on."""

_FITTED: Final[dict[str, Terms | str]] = {}
"""Likewise; or the reason why there are none."""


def fit(
    evaluate: Function,
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
    fewer: int = 0,
    core: tuple[float, float] | None = None,
    loose: int = 1,
) -> Terms:
    """Terms for a function on low <= x <= high that take the fewest bits.

    They are right for `BEYOND` arguments more at either end: there the function counts where it is defined,
    and elsewhere what it is at the end.

    Args:
        evaluate: the function, of an array.
        low: least argument.
        high: greatest argument.
        ring_frac: fraction bits that the argument has. Terms take fewer if they do: steps by which the
            function changes by no more than a quarter of the error.
        result: ring and fraction bits of the result.
        error: largest error of the terms, before rounding to the result's fraction bits.
        relative: take `error` as a part of the function's value.
        max_words: most words that P0 may deal for each element, two for each term.
        max_ring: widest ring for the argument, with `ring_frac` fraction bits. One that is wider than the
            range by some bits has more frequencies to choose from, so that fewer words do. By default six
            bits wider, if that pays.
        noise: in units of the result's last place, the root mean square of what rounding the words adds. By
            default 0.6, or an eighth of the error where that is more.
        fewer: fraction bits that the result may do without, its ring as many bits narrower, if words of 64
            bits do not hold it otherwise.
        core: arguments for which `error` holds; by default all.
        loose: how many times as large the error may be for the others.

    Raises:
        FitError: there are none; the message says what could be reached.
    """
    if loose < 1:
        raise FitError(f"{_what(low, high)}: errors elsewhere cannot be {loose} times as large")
    inner = (low, high) if core is None or loose == 1 else (max(low, core[0]), min(high, core[1]))
    loosened = (inner, loose) if inner[0] < inner[1] and inner != (low, high) else ((low, high), 1)
    problem = _problem(evaluate, low, high, ring_frac, error, relative, max_words, max_ring, *loosened)
    if noise is not None and not 0 < noise < math.inf:
        raise FitError(f"{_what(low, high)}: the noise must be above 0")
    key = cache.digest(repr((problem.key, problem.frac, result, fewer, noise)))
    if key not in _FITTED:
        fracs = range(result[1], -1, -1)
        results = [_result(problem, result[0] - result[1] + frac, frac, noise) for frac in fracs]
        kept = cache.read(key)
        if isinstance(kept, Terms) and not _believable(problem, results[: fewer + 1], kept):
            kept = None
        if kept is None:
            # Several threads only wait for each other: the matrices are small.
            with threadpool_limits(1, "blas"):
                kept = _fit(problem, results, fewer)
            cache.write(key, kept)
        _FITTED[key] = kept
    found = _FITTED[key]
    if isinstance(found, str):
        raise FitError(found)
    return found


def _what(low: float, high: float) -> str:
    return f"cannot fit a function from {low} to {high}"


def _problem(
    evaluate: Function,
    low: float,
    high: float,
    ring_frac: int,
    error: float,
    relative: bool,
    max_words: int,
    max_ring: int | None,
    core: tuple[float, float],
    loose: int,
) -> _Problem:
    what = _what(low, high)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise FitError(f"{what}: expected finite numbers in order")
    if not 0 < error < math.inf:
        raise FitError(f"{what}: the error must be above 0")
    x = points(low, high)
    y = _values(evaluate, x, low, high)
    if not np.isfinite(y).all():
        raise FitError(f"{what}: it is not finite at {x[~np.isfinite(y)][0]}")
    zero = f"{what} to a relative error: it is 0 there"
    if relative and not np.abs(y).min() > 0:
        raise FitError(zero)
    frac = min(ring_frac, _steps(x, y, error * np.abs(y[1:]) if relative else error))
    first, last = math.ceil(math.ldexp(low, frac)), math.floor(math.ldexp(high, frac))
    if last - first < 2 or max(abs(first), abs(last)) >= 1 << 62:
        raise FitError(f"{what}: with {frac} fraction bits there are too few arguments, or too many")
    first, last = first - BEYOND, last + BEYOND
    narrowest = _narrowest(first, last, frac)
    y = _values(evaluate, points(math.ldexp(first, -frac), math.ldexp(last, -frac)), low, high)
    if relative and not np.abs(y).min() > 0:
        raise FitError(zero)
    return _Problem(
        evaluate,
        (low, high),
        first,
        last,
        frac,
        y,
        error,
        relative,
        max_words,
        narrowest + _WIDER if max_ring is None else min(max_ring - ring_frac, 64 - frac),
        core,
        loose,
    )


def _narrowest(low: int, high: int, frac: int) -> int:
    """Integer bits of the narrowest ring that tells arguments apart; rings have two at least."""
    return max(2, (high - low).bit_length() - frac)


def _steps(x: Floats, y: Floats, error: Floats | float) -> int:
    """Fraction bits with which a step of the argument changes a function by little of the error."""
    steepest = float((np.abs(np.diff(y)) / np.diff(x) / error).max())
    bits = _FINER + math.ceil(math.log2(steepest)) if steepest else 0
    return max(bits, _LEAST_STEPS - math.floor(math.log2(x[-1] - x[0])), 0)


def _values(evaluate: Function, x: Floats, low: float, high: float) -> Floats:
    """A function's values; beyond an end where it has none, what it has at the end."""

    def evaluated(x: Floats) -> Floats:
        with np.errstate(all="ignore"):
            y = np.asarray(evaluate(x), np.float64)
        if y.shape != x.shape:
            raise FitError(
                f"{_what(low, high)}: it gives numbers of shape {y.shape} for arguments of shape {x.shape}"
            )
        return y

    y = evaluated(x)
    beyond = ~np.isfinite(y) & ((x < low) | (x > high))
    if beyond.any():
        y = np.where(beyond, evaluated(np.clip(x, low, high)), y)
    return y


def _result(problem: _Problem, ring: int, frac: int, noise: float | None) -> _Result:
    usual = max(_NOISE, math.ldexp(problem.error * problem.smallest, frac) / 8)
    return _Result(ring, frac, usual if noise is None else noise)


def _search(problem: _Problem) -> Search:
    if problem.key not in _SEARCHES:
        _SEARCHES[problem.key] = Search(
            *problem.real,
            problem.y,
            problem.scale(points(*problem.real), problem.y),
            problem.error,
            problem.max_words // 2,
            problem.narrowest,
            problem.widest,
        )
    return _SEARCHES[problem.key]


def _believable(problem: _Problem, results: list[_Result], terms: Terms) -> bool:
    """Whether terms that were kept are an answer to a problem, and as good as they say at some arguments."""
    x = np.linspace(problem.low, problem.high, POINTS).astype(np.int64)
    known = problem.known(np.unique(x))
    return (
        (terms.low, terms.high, terms.frac) == (problem.low, problem.high, problem.frac)
        and (terms.loose == 1 or (terms.core, terms.loose) == (_core(problem), problem.loose))
        and terms.loose <= problem.loose
        and (terms.result_ring, terms.result_frac) in [(result.ring, result.frac) for result in results]
        and (terms.relative, terms.words <= problem.max_words) == (problem.relative, True)
        and _worst(terms, known) <= terms.error_bound <= problem.error + 2.0**-VALUE_FRAC
    )


def _fit(problem: _Problem, results: list[_Result], fewer: int) -> Terms | str:
    """With the first result that words of 64 bits hold, if `fewer` come before it at most; or why not."""
    search = _search(problem)
    reached, fitting = math.inf, len(results)
    for series in _stages(search):
        reached = min([reached, *(one.error for one in series if one.error > problem.error)])
        good = [one for one in series if one.error <= problem.error]
        for index, result in enumerate(results[:fitting]):
            made = [terms for one in good if (terms := _quantised(problem, result, one)) is not None]
            if made and index > fewer:
                fitting = index
            for terms in sorted(made, key=lambda terms: _bits(problem, terms)) if index <= fewer else ():
                proven = _proven(problem, terms)
                if proven <= problem.error:
                    error = math.ceil(math.ldexp(proven, VALUE_FRAC))
                    proved = replace(terms, error=error, relative=problem.relative)
                    if problem.loose == 1:
                        return proved
                    return replace(proved, core=_core(problem), loose=problem.loose)
                reached = min(reached, proven)
            if made:
                break
    kind = "relative error" if problem.relative else "error"
    if fitting < len(results):
        nearest = f"none fits words of 64 bits; one does with {results[fitting].frac} fraction bits"
        todo = "take fewer fraction bits, allow"
    else:
        nearest = f"the best has {reached:.2g}" if reached < math.inf else "none fits words of 64 bits"
        todo = "allow"
    return (
        f"no one-shot function of {problem.max_words} words reaches {kind} {problem.error:.2g} from "
        f"{problem.ends[0]:g} to {problem.ends[1]:g}: {nearest}; {todo} more words, a wider ring of the "
        "argument, a narrower range or a larger error"
    )


def _core(problem: _Problem) -> tuple[int, int]:
    """The arguments for which the error is what was asked for; at an end of the range, all beyond as well."""
    (first, last), (low, high) = problem.core, problem.ends
    return (
        problem.low if first <= low else math.ceil(math.ldexp(first, problem.frac)),
        problem.high if last >= high else math.floor(math.ldexp(last, problem.frac)),
    )


def _stages(search: Search) -> Iterator[list[Fourier] | list[Exponential]]:
    """What can be found, the cheapest kind first."""
    yield search.exponentials
    few = all(len(series.rates) <= _FEW for series in search.free)
    yield search.free if few else search.free + search.regular
    yield search.narrower + search.regular


def _bits(problem: _Problem, terms: Terms) -> int:
    """That travel for each element, and what the argument's ring costs where it is made."""
    wider = max(0, terms.ring - problem.frac - problem.narrowest)
    words = sum(terms.word_bits(term) for term in terms.terms)
    return 2 * (words + terms.result_ring) + _RING_PRICE * wider


def _proven(problem: _Problem, terms: Terms) -> float:
    """A bound of the error at every argument, or some error that is too large."""
    known = problem.sampled
    worst = _worst(terms, known, max(1, len(known.x) // POINTS))
    if worst > problem.error:
        return worst
    worst = _worst(terms, known)
    steps = int(np.diff(known.x).max())
    if worst > problem.error or steps == 1:
        return worst
    bound = worst + _between(terms, known)
    if bound <= problem.error:
        return bound
    known = problem.all
    return _worst(terms, known) + (_between(terms, known) if np.diff(known.x).max() > 1 else 0.0)


def _worst(terms: Terms, known: _Known, step: int = 1) -> float:
    """The greatest error at every so many of some arguments."""
    x, y, scale = known.x[::step], known.y[::step], known.scale[::step]
    worst = 0.0
    for at in range(0, len(x), _CHUNK):
        part = slice(at, at + _CHUNK)
        worst = max(worst, float((np.abs(values(terms, x[part]) - y[part]) / scale[part]).max()))
    return worst


def _between(terms: Terms, known: _Known) -> float:
    """How much greater the error may be between arguments.

    There it is off a straight line by its curvature, and by what integers are off.
    """
    steps = np.diff(known.x)
    curvature = float(np.abs(np.diff(known.y, 2)).max()) / int(steps.min()) ** 2
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
    return (curvature * int(steps.max()) ** 2 / 8 + jitter) / float(known.scale.min())


def _quantised(problem: _Problem, result: _Result, series: Fourier | Exponential) -> Terms | None:
    """Terms in integers, with as many bits as the noise asks for; None if they do not fit words of 64."""
    if isinstance(series, Exponential):
        return _exponential(problem, result, series)
    return _fourier(problem, result, series)


def _fourier(problem: _Problem, result: _Result, series: Fourier) -> Terms | None:
    rates, pairs, ring = np.array(series.rates), series.pairs, series.period + problem.frac
    sizes = np.maximum(np.hypot(pairs[:, 0], pairs[:, 1]), 2.0**-60)
    for guard in range(80):
        word_frac = result.frac + (guard + 1) // 2
        fracs = np.clip(np.rint(result.frac + guard // 2 + np.log2(sizes)), 0, TRIG_FRAC)
        variance = (
            2.0 ** (-2 * word_frac) + sizes**2 * (2.0 ** (-2 * fracs) + 8 * 2.0 ** (-2 * TRIG_FRAC))
        ) / 12
        if math.ldexp(math.sqrt(variance.sum()), result.frac) <= result.noise:
            break
    else:
        return None
    # In a ring of which all frequencies are even, one bit is not needed.
    common = int(np.bitwise_or.reduce(rates))
    spare = min((common & -common).bit_length() - 1, series.period - problem.narrowest)
    longest = int(fracs.max())
    drop = word_frac + longest - result.frac
    coefficient_frac = min(30 - math.ceil(math.log2(float(sizes.max())) + 1e-6), 62)
    coefficients = np.rint(np.ldexp(pairs, coefficient_frac)).astype(np.int64)
    return _made(
        problem,
        result,
        kind="fourier",
        ring=ring - spare,
        drop=drop,
        coefficient_frac=coefficient_frac,
        constant=round(math.ldexp(series.constant, result.frac + drop)),
        terms=tuple(
            Term(int(rate) >> spare, int(a), int(b), int(frac), longest - int(frac))
            for rate, (a, b), frac in zip(rates, coefficients, fracs, strict=True)
        ),
    )


def _exponential(problem: _Problem, result: _Result, series: Exponential) -> Terms | None:
    ring = problem.narrowest + problem.frac + 1
    rate, first = math.ldexp(series.rate, -problem.frac), math.log2(abs(series.factor))
    reach = rate * 2.0 ** (ring - 1)
    if ring > problem.widest + problem.frac or abs(reach) >= 60 or abs(first) >= 60:
        return None
    # Words are off by 2^-(word_frac + 1), times their factors; those by 2^-(frac + 1), times the words.
    guard = result.frac - math.log2(result.noise)
    word_frac = max(math.ceil(guard + max(reach, 0)), result.frac)
    largest = first + (rate * (problem.high - problem.low) if rate > 0 else -reach)
    frac = math.ceil(guard + largest)
    drop = max(word_frac + frac - result.frac, 0)
    whole_rate, whole_first = (round(math.ldexp(number, EXPONENT_FRAC)) for number in (rate, first))
    return _made(
        problem,
        result,
        kind="exponential",
        ring=ring,
        drop=drop,
        coefficient_frac=0,
        constant=round(math.ldexp(series.constant, result.frac + drop)),
        terms=(Term(whole_rate, whole_first, int(math.copysign(1, series.factor)), frac, 0),),
    )


def _made(problem: _Problem, result: _Result, **parts: Any) -> Terms | None:
    """Terms of the problem, or None if they are out of bounds."""
    try:
        return Terms(
            frac=problem.frac,
            low=problem.low,
            high=problem.high,
            result_ring=result.ring,
            result_frac=result.frac,
            **parts,
        )
    except TermsError:
        return None
