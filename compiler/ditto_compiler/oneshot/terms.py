"""One-shot functions as plain integers: what the parties compute, and how far off it is.

f(x) is a sum of terms, each of which splits into what P0 knows and what P1 and P2 know of x = u + v
(docs/explanation/protocols.md, "One-shot functions"). Two kinds:

* `fourier`: a cos(2 pi n x / 2^ring) + b sin(2 pi n x / 2^ring), with whole n. The period is the ring's size,
  so that the wrap of u + v does not matter.
* `exponential`: +- 2^(first + rate (x - low)), for low <= x < low + 2^(ring - 1): the top bits of u - low and
  v tell of the wrap.

Cosines, sines and powers are integer arithmetic, alike on every machine. `python/native/oneshot.cpp` has
the same formulas; the tests hold the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.errors import DittoError

Kind = Literal["fourier", "exponential"]

TRIG_FRAC: Final = 30
"""Fraction bits of cosines and sines."""

EXPONENT_FRAC: Final = 56
"""Fraction bits of the exponents of powers of two."""

VALUE_FRAC: Final = 40
"""Fraction bits of a function's value before it is rounded to the result's."""

MAX_TERMS: Final = 256

MOST_LOOSE: Final = 1 << 20

_TRIG_ERROR: Final = 3 * 2.0**-TRIG_FRAC
"""Most by which an integer cosine or sine is off."""

_POWER_ERROR: Final = 2.0**-28
"""Most by which an integer power of two is off, as a part of it, before it is rounded."""

# Polynomials in w = y^2 for sin(pi y / 4) / y and (cos(pi y / 4) - 1) / w, with 31 fraction bits.
_SIN: Final = (1686629713, -173399667, 5348079, -78539, 664)
_COS: Final = (-662337939, 34046932, -699997, 7606)
# In y, for (2^y - 1) / y: the first with 31 fraction bits, the others with 32.
_POWER: Final = (1488522236, 1031764902, 238389752, 41301092, 5750554, 627479, 89043)


class TermsError(DittoError):
    """Integers that are no one-shot function."""


class Term(NamedTuple):
    """One term, which takes two of P0's words.

    Attributes:
        rate: n (fourier), or the exponent's growth per unit of x, with `EXPONENT_FRAC` fraction bits.
        first: a (fourier), or the exponent at x = low, with `EXPONENT_FRAC` fraction bits.
        second: b (fourier), or the sign: 1 or -1.
        frac: fraction bits of what P1 and P2 multiply with.
        shift: zero bits below the product: so many bits of the word need not travel.
    """

    rate: int
    first: int
    second: int
    frac: int
    shift: int


@dataclass(frozen=True)
class Terms:
    """A one-shot function.

    Attributes:
        kind: of all terms.
        ring: of the argument, in bits, up to 64.
        frac: fraction bits of the argument.
        low: least argument, with `frac` fraction bits.
        high: greatest argument, likewise.
        result_ring: of the result, in bits.
        result_frac: fraction bits of the result.
        drop: bits by which the parties' products are longer than the result, above and below.
        coefficient_frac: fraction bits of a and b (fourier).
        constant: added to all, with `result_frac + drop` fraction bits.
        terms: in order of messages.
        error: proven for every argument from low to high, of the function before rounding; in units of
            2^-40, or of 2^-40 of the function's value if `relative`.
        relative: what `error` is relative to.
        core: least and greatest argument between which `error` holds, with `frac` fraction bits, like `low`.
        loose: how many times as large it may be elsewhere.

    Raises:
        TermsError: something is out of bounds, or does not fit the rest.
    """

    kind: Kind
    ring: int
    frac: int
    low: int
    high: int
    result_ring: int
    result_frac: int
    drop: int
    coefficient_frac: int
    constant: int
    terms: tuple[Term, ...]
    error: int = 0
    relative: bool = False
    core: tuple[int, int] = (0, 0)
    loose: int = 1

    def __post_init__(self) -> None:
        whole = [(name, getattr(self, name)) for name in _NUMBERS]
        whole += [("core", number) for number in self.core] + [("loose", self.loose)]
        whole += [(f"terms[{i}]", number) for i, term in enumerate(self.terms) for number in term]
        for name, number in whole:
            _check(
                type(number) is int and -(1 << 63) <= number < 1 << 63,
                f"{name} is {number!r}, not an integer of 64 bits",
            )
        _check(self.kind in get_args(Kind), f"kind is {self.kind!r}, not one of {', '.join(get_args(Kind))}")
        _check(0 < len(self.terms) <= MAX_TERMS, f"there are {len(self.terms)} terms, not 1 to {MAX_TERMS}")
        _check(type(self.relative) is bool and self.error >= 0, "the error is not a bound")
        _check(len(self.core) == 2 and self.core[0] <= self.core[1], f"core is {self.core}")
        for name, least, most in (
            ("loose", 1, MOST_LOOSE),
            ("ring", 2, 64),
            ("frac", 0, 63),
            ("result_ring", 1, 64),
            ("result_frac", 0, VALUE_FRAC),
            ("drop", 0, 64 - self.result_ring),
            ("coefficient_frac", 0, 62),
        ):
            number = getattr(self, name)
            _check(least <= number <= most, f"{name} is {number}, not from {least} to {most}")
        half = 1 << (self.ring - 1)
        span = half if self.kind == "exponential" else 2 * half
        _check(
            0 <= self.high - self.low < span,
            f"arguments from {self.low} to {self.high} do not fit ring {self.ring}",
        )
        for index, term in enumerate(self.terms):
            self._check_term(f"terms[{index}]", term)
        _check(self._largest < 1 << 22, "values are too large")

    def _check_term(self, name: str, term: Term) -> None:
        _check(0 <= term.shift < self.word_ring, f"{name}: shift is {term.shift}")
        if self.kind == "fourier":
            _check(max(abs(term.first), abs(term.second)) < 1 << 31, f"{name}: coefficients are too large")
            _check(0 <= term.frac <= TRIG_FRAC, f"{name}: frac is {term.frac}")
            kept = self.coefficient_frac + TRIG_FRAC - self.word_frac(term)
            _check(1 <= kept <= 62, f"{name}: words have {self.word_frac(term)} fraction bits")
        else:
            _check(term.second in (-1, 1), f"{name}: sign is {term.second}")
            _check(-64 <= term.frac <= 64, f"{name}: frac is {term.frac}")
            reach, most = abs(term.rate) << (self.ring - 1), 63 << EXPONENT_FRAC
            dealt = term.first + (self.word_frac(term) << EXPONENT_FRAC)
            for start in (term.first, dealt, term.frac << EXPONENT_FRAC):
                _check(-2 * most < start - reach and start + reach < most, f"{name}: powers are too large")

    @cached_property
    def _largest(self) -> float:
        """Above every value."""
        if self.kind == "fourier":
            most = sum(math.hypot(t.first, t.second) for t in self.terms) * 2.0**-self.coefficient_frac
        else:
            reach = 2.0 ** (self.ring - 1)
            greatest = [(term.first + max(term.rate * reach, 0)) * 2.0**-EXPONENT_FRAC for term in self.terms]
            most = sum(2.0 ** min(exponent, 64) for exponent in greatest)
        return most + abs(self.constant) * 2.0**-self.sum_frac

    def exponents(self, term: Term) -> tuple[float, float]:
        """Least and greatest exponent of a term, from the least argument to the greatest."""
        ends = (term.first, term.first + term.rate * (self.high - self.low))
        return min(ends) * 2.0**-EXPONENT_FRAC, max(ends) * 2.0**-EXPONENT_FRAC

    @property
    def word_ring(self) -> int:
        """K, the ring of words and products."""
        return self.result_ring + self.drop

    @property
    def sum_frac(self) -> int:
        """Fraction bits of the products."""
        return self.result_frac + self.drop

    def word_frac(self, term: Term) -> int:
        """Fraction bits of a term's words."""
        return self.sum_frac - term.shift - term.frac

    def word_bits(self, term: Term) -> int:
        """Bits in which each of a term's words travels."""
        return self.word_ring - term.shift

    @property
    def words(self) -> int:
        """That P0 deals for each element."""
        return 2 * len(self.terms)

    @property
    def error_bound(self) -> float:
        """`error` as a number."""
        return math.ldexp(self.error, -VALUE_FRAC)

    def errors(self, x: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """`error` as a number for each of some arguments."""
        inside = (x >= self.core[0]) & (x <= self.core[1])
        return np.where(inside, 1.0, float(self.loose)) * self.error_bound

    def table(self) -> NDArray[np.int64]:
        """The terms as the kernels take them: rate, coefficients, the two scales, the shift."""
        rows = []
        for term in self.terms:
            if self.kind == "fourier":
                kept = self.coefficient_frac + TRIG_FRAC - self.word_frac(term)
                rows.append((term.rate, term.first, term.second, kept, term.frac, term.shift))
            else:
                first = term.first + (self.word_frac(term) << EXPONENT_FRAC)
                rows.append((term.rate, first, term.second, 0, term.frac, term.shift))
        return np.array(rows, np.int64)

    def to_attributes(self) -> dict[str, int | str | list[int]]:
        """Plain data, for a program's file."""
        return {
            "kind": self.kind,
            **{name: getattr(self, name) for name in _NUMBERS},
            "relative": int(self.relative),
            "terms": [number for term in self.terms for number in term],
            **({"core": list(self.core), "loose": self.loose} if self.loose > 1 else {}),
        }

    @staticmethod
    def from_attributes(attributes: Mapping[str, Any]) -> Terms:
        """What `to_attributes` gave.

        Raises:
            TermsError: it is anything else.
        """
        names = {"kind", "terms", "relative", *_NUMBERS}
        looser: dict[str, Any] = {"core": [0, 0], "loose": 1}
        if names | set(looser) == set(attributes):
            looser = {name: attributes[name] for name in looser}
            names |= set(looser)
        _check(set(attributes) == names, f"expected {sorted(names)}, got {sorted(map(str, attributes))}")
        flat, relative = attributes["terms"], attributes["relative"]
        size = len(Term._fields)
        _check(
            isinstance(flat, (list, tuple)) and len(flat) % size == 0,
            f"terms are not lists of {size} integers",
        )
        _check(type(relative) is int and relative in (0, 1), f"relative is {relative!r}, not 0 or 1")
        core = looser["core"]
        _check(isinstance(core, (list, tuple)) and len(core) == 2, f"core is {core!r}, not two integers")
        _check(isinstance(attributes["kind"], str), f"kind is {attributes['kind']!r}")
        return Terms(
            kind=attributes["kind"],
            **{name: attributes[name] for name in _NUMBERS},
            terms=tuple(Term(*flat[at : at + size]) for at in range(0, len(flat), size)),
            relative=bool(relative),
            core=tuple(core),
            loose=looser["loose"],
        )


_NUMBERS: Final = (
    "ring",
    "frac",
    "low",
    "high",
    "result_ring",
    "result_frac",
    "drop",
    "coefficient_frac",
    "constant",
    "error",
)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise TermsError(f"one-shot function: {message}")


def evaluate(terms: Terms, x: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The function in integers: arguments with `frac` fraction bits to results with `result_frac`.

    What the parties compute differs from it by `rounding(terms)` units at most, modulo 2^result_ring.
    """
    drop = VALUE_FRAC - terms.result_frac
    rounded = _values(terms, x) + np.int64(1 << drop >> 1) >> np.int64(drop)
    unused = np.int64(64 - terms.result_ring)
    return rounded << unused >> unused


def values(terms: Terms, x: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """The function before its result is rounded; `Terms.error` is about these numbers."""
    return np.ldexp(_values(terms, x).astype(np.float64), -VALUE_FRAC)


def rounding(terms: Terms) -> float:
    """Most by which the parties' results differ from those of `evaluate`, in units of the last place."""
    off = 0.0
    for term in terms.terms:
        word, factor = 2.0 ** -(terms.word_frac(term) + 1), 2.0 ** -(term.frac + 1)
        if terms.kind == "fourier":
            size = math.hypot(term.first, term.second) * 2.0**-terms.coefficient_frac
            word, factor = word + 1.5 * size * _TRIG_ERROR, factor + _TRIG_ERROR
            off += math.sqrt(2) * (size * factor + word) + 2 * word * factor
            off += 2 * size * _TRIG_ERROR + 2.0**-VALUE_FRAC
        else:
            reach = 2.0 ** abs(term.rate * 2.0 ** (terms.ring - 1 - EXPONENT_FRAC))
            largest = 2.0 ** terms.exponents(term)[1]
            growing = term.rate >= 0
            # What P1 and P2 multiply with is 1 to `reach`, or 1 to its inverse; P0's words are the rest.
            off += word * (reach if growing else 1) + factor * largest * (1 if growing else reach)
            off += 4 * largest * _POWER_ERROR + word * factor + 2.0**-VALUE_FRAC
    off += 2.0 ** -(terms.sum_frac + 1)
    return off * 2.0**terms.result_frac + (1.0 if terms.drop else 0.0) + 0.5


def deviation(terms: Terms) -> float:
    """Root mean square of what words and truncation add to results, in units of their last place.

    Words and what they are multiplied by are rounded, 1/12 of a squared place each; so are two parts of the
    sum.
    """
    variance = 0.0
    for term in terms.terms:
        word, factor = 2.0 ** -terms.word_frac(term), 2.0**-term.frac
        if terms.kind == "fourier":
            size = math.hypot(term.first, term.second) * 2.0**-terms.coefficient_frac
            variance += word**2 + (size * factor) ** 2
        else:
            # Of factors, the parties' powers, the mean over the ring.
            reach = abs(term.rate * 2.0 ** (terms.ring - EXPONENT_FRAC)) * math.log(2)
            mean = -math.expm1(-2 * reach) / (2 * reach) if reach else 1.0
            largest = 2.0 ** terms.exponents(term)[1]
            grown = math.exp(reach / 2) if term.rate >= 0 else 1.0
            variance += mean * (word * grown) ** 2 + mean * (factor * largest) ** 2
    return math.sqrt(variance / 12 * 4.0**terms.result_frac + (2 / 12 if terms.drop else 0.0))


def _values(terms: Terms, x: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """With VALUE_FRAC fraction bits."""
    x = np.asarray(x).astype(np.int64)
    constant = terms.constant << VALUE_FRAC >> terms.sum_frac
    total = np.full(x.shape, constant, np.int64)
    if terms.kind == "fourier":
        kept = terms.coefficient_frac + TRIG_FRAC - VALUE_FRAC
        for term in terms.terms:
            cos, sin = turn(phases(x.view(np.uint64), term.rate, terms.ring))
            value = np.int64(term.first) * cos + np.int64(term.second) * sin
            total += (
                (value + np.int64(1 << kept >> 1) >> np.int64(kept))
                if kept >= 0
                else value << np.int64(-kept)
            )
    else:
        for term in terms.terms:
            exponents = np.int64(term.rate) * (x - np.int64(terms.low)) + np.int64(
                term.first + (VALUE_FRAC << EXPONENT_FRAC)
            )
            total += np.int64(term.second) * power(exponents).view(np.int64)
    return total


def phases(x: NDArray[np.uint64], rate: int, ring: int) -> NDArray[np.uint32]:
    """rate x mod 2^ring as 32 bits of a turn."""
    turns = x * np.uint64(rate % (1 << 64)) << np.uint64(64 - ring)
    return (turns >> np.uint64(32)).astype(np.uint32)


def turn(phase: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cosine and sine of 2^-32 turns, with `TRIG_FRAC` fraction bits."""
    quadrant = (phase + np.uint32(1 << 29)) >> np.uint32(30)
    # Within an eighth of a turn from the quadrant's middle: y, in quarters of pi, with 31 fraction bits.
    y = ((phase << np.uint32(2)).view(np.int32)).astype(np.int64)
    w = y * y >> 32
    sin = np.full_like(w, _SIN[-1])
    for coefficient in _SIN[-2::-1]:
        sin = coefficient + (sin * w >> 30)
    sin = sin * y + (1 << 31) >> 32
    cos = np.full_like(w, _COS[-1])
    for coefficient in _COS[-2::-1]:
        cos = coefficient + (cos * w >> 30)
    cos = (1 << 30) + (cos * w + (1 << 30) >> 31)
    odd = (quadrant & np.uint32(1)).astype(bool)
    cos, sin = np.where(odd, sin, cos), np.where(odd, cos, sin)
    cos = np.where((quadrant + np.uint32(1)) & np.uint32(2), -cos, cos)
    sin = np.where(quadrant & np.uint32(2), -sin, sin)
    return cos, sin


def power(exponents: NDArray[np.int64]) -> NDArray[np.uint64]:
    """2^e, rounded, for exponents of `EXPONENT_FRAC` fraction bits below 63."""
    y = (exponents >> np.int64(EXPONENT_FRAC - 32)).view(np.uint64) & np.uint64(0xFFFFFFFF)
    grown = np.full_like(y, _POWER[-1])
    for coefficient in _POWER[-2:0:-1]:
        grown = np.uint64(coefficient) + (grown * y >> np.uint64(32))
    grown = np.uint64(_POWER[0]) + (grown * y >> np.uint64(33))
    # With 30 fraction bits, so that 2 fits as well.
    mantissa = np.uint64(1 << 30) + (grown * y >> np.uint64(33))
    whole = exponents >> np.int64(EXPONENT_FRAC)
    right = np.minimum(np.int64(62) - whole, 63).astype(np.uint64)
    half = np.uint64(1) << right >> np.uint64(1)
    return np.where(whole < -1, np.uint64(0), (mantissa << np.uint64(32)) + half >> right)
