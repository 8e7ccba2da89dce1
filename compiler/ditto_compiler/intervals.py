"""What the elements of a tensor can be: intervals of numbers, and what stands beside numbers.

A tensor may mix numbers with what stands for infinity, such as the -1e9 of an attention mask: then "at least
-1e9" would say nothing of the numbers. So a range is an interval of numbers and flags for the rest. The order
is that of sets: a range is below another if it allows less, and the join of two allows what either does.
Bounds of integers are Python's own, so exact; those of reals are floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

Interval = tuple[float, float]
"""[lo, hi]."""

INFINITE = 2.0**24
"""Magnitudes of float constants from here on stand for infinity where they meet smaller numbers."""

SMALL = 2.0**-4
"""Factors from here on leave what stands for infinity larger than ordinary numbers."""


@dataclass(frozen=True)
class Range:
    """A set of values that a tensor's elements lie in.

    Attributes:
        low: least number; above `high` if no element is an ordinary number.
        high: largest number.
        below: whether elements may stand for minus infinity.
        above: whether elements may stand for infinity.
        nan: whether elements may be no number: a written NaN, or what a function gives outside of its
            domain (1/0, the logarithm of 0, the root of -1).
    """

    low: float
    high: float
    below: bool = False
    above: bool = False
    nan: bool = False

    @staticmethod
    def of_constants(numbers: Iterable[float]) -> Range:
        """Of float constants, huge ones apart."""
        found = NOTHING
        for number in numbers:
            if math.isnan(number):
                found = replace(found, nan=True)
            elif abs(number) < INFINITE:
                found = replace(found, low=min(found.low, number), high=max(found.high, number))
            else:
                found = replace(found, below=found.below or number < 0, above=found.above or number > 0)
        return found

    @property
    def has_numbers(self) -> bool:
        """Whether elements may be ordinary numbers."""
        return self.low <= self.high

    @property
    def is_numeric(self) -> bool:
        """Whether every element is an ordinary number."""
        return not (self.below or self.above or self.nan)

    @property
    def is_bounded(self) -> bool:
        """Whether every element is a number between known bounds."""
        return self.is_numeric and math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def interval(self) -> Interval:
        """[lo, hi] of all elements; (-inf, inf) where something else than numbers may stand."""
        return (self.low, self.high) if self.is_numeric else (-math.inf, math.inf)

    @property
    def ends(self) -> Interval:
        """[lo, hi] of what are numbers or stand for infinities; what is no number is left out."""
        return (-math.inf if self.below else self.low, math.inf if self.above else self.high)

    @property
    def bound(self) -> float:
        """The largest magnitude of all elements; inf where something else than numbers may stand."""
        return self.largest if self.is_numeric else math.inf

    @property
    def largest(self) -> float:
        """The largest magnitude of the elements that are ordinary numbers; 0 if there are none."""
        return max(abs(self.low), abs(self.high)) if self.has_numbers else 0.0

    def numbers(self, low: float, high: float) -> Range:
        """The same flags, and other numbers."""
        return replace(self, low=low, high=high)

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    def __str__(self) -> str:
        parts = [_text(self.low, self.high)] if self.has_numbers else []
        parts += [word for word in ("below", "above", "nan") if getattr(self, word)]
        return " | ".join(parts) or "nothing"


def _text(low: float, high: float) -> str:
    def number(x: float) -> str:
        return str(x) if isinstance(x, int) else f"{x:.6g}"

    return f"[{number(low)}, {number(high)}]"


UNKNOWN = Range(-math.inf, math.inf)
"""Any number."""

NOTHING = Range(math.inf, -math.inf)
"""No element at all."""

BOOLEAN = Range(0, 1)


def exactly(number: float) -> Range:
    """One number."""
    return Range(number, number)


def join(*ranges: Range) -> Range:
    """What any of them allows."""
    return Range(
        min((r.low for r in ranges), default=math.inf),
        max((r.high for r in ranges), default=-math.inf),
        any(r.below for r in ranges),
        any(r.above for r in ranges),
        any(r.nan for r in ranges),
    )


def widened(old: Range, new: Range) -> Range:
    """`new`, with bounds that grew moved to the next power of 16, so that loops come to a fixed point soon.

    Beyond 2^64, bounds of floats are given up.
    """
    low = new.low if new.low >= old.low else min(0, -_power_above(-new.low))
    high = new.high if new.high <= old.high else max(0, _power_above(new.high))
    return replace(new, low=low, high=high)


def _power_above(bound: float) -> float:
    """The next power of 16, or what is not positive itself."""
    if bound <= 0 or math.isinf(bound):
        return bound
    exponent = math.frexp(bound)[1] // 4 * 4 + 4
    if isinstance(bound, int):
        return 1 << max(exponent, 0)
    return math.ldexp(1.0, exponent) if exponent <= 64 else math.inf


def times(a: float, b: float) -> float:
    """A product of bounds, in which 0 times infinity is 0."""
    return 0 if 0 in (a, b) else a * b


def add(a: Range, b: Range) -> Range:
    """x + y."""
    if (a.below and b.above) or (a.above and b.below):
        # Infinities have no difference; the numbers that stand for them may have any.
        return Range(-math.inf, math.inf, True, True, True)
    numbers = (a.low + b.low, a.high + b.high) if a.has_numbers and b.has_numbers else (math.inf, -math.inf)
    return Range(*numbers, a.below or b.below, a.above or b.above, a.nan or b.nan)


def negate(a: Range) -> Range:
    """-x."""
    return Range(-a.high, -a.low, a.above, a.below, a.nan)


def subtract(a: Range, b: Range) -> Range:
    """x - y."""
    return add(a, negate(b))


def multiply(a: Range, b: Range) -> Range:
    """x y; what stands for infinity, times 0, is 0, as it is for the large numbers of masks."""
    low, high = math.inf, -math.inf
    if a.has_numbers and b.has_numbers:
        ends = [times(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        low, high = min(ends), max(ends)
    below = above = False
    for huge, other in ((a, b), (b, a)):
        positive, negative = other.high > 0 or other.above, other.low < 0 or other.below
        falls = (huge.below and positive) or (huge.above and negative)
        rises = (huge.above and positive) or (huge.below and negative)
        below |= falls
        above |= rises
        if (huge.below or huge.above) and other.low < SMALL and other.high > -SMALL:
            # A small factor may make an ordinary number of it.
            low, high = -math.inf if falls else min(low, 0), math.inf if rises else max(high, 0)
    return Range(low, high, below, above, a.nan or b.nan)


def square(a: Range) -> Range:
    """x^2."""
    if not a.has_numbers:
        return Range(math.inf, -math.inf, above=a.below or a.above, nan=a.nan)
    low = 0 if 0 in a else min(times(a.low, a.low), times(a.high, a.high))
    return Range(low, times(a.largest, a.largest), above=a.below or a.above, nan=a.nan)


def scaled(a: Range, count: float) -> Range:
    """The sum of `count` of them."""
    if not count:
        return exactly(0)
    return a.numbers(times(a.low, count), times(a.high, count)) if a.has_numbers else a


def maximum(a: Range, b: Range) -> Range:
    """max(x, y)."""
    low = max(a.low, b.low)
    # Where one is below all numbers, the other is the larger.
    if a.below and b.has_numbers:
        low = min(low, b.low)
    if b.below and a.has_numbers:
        low = min(low, a.low)
    numbers = (low, max(a.high, b.high)) if _meets(a, b) else (math.inf, -math.inf)
    return Range(*numbers, a.below and b.below, a.above or b.above, a.nan or b.nan)


def _meets(a: Range, b: Range) -> bool:
    """Whether the larger of two may be an ordinary number."""
    return (a.has_numbers and (b.has_numbers or b.below)) or (b.has_numbers and a.below)


def minimum(a: Range, b: Range) -> Range:
    """min(x, y)."""
    return negate(maximum(negate(a), negate(b)))


def magnitude(a: Range) -> Range:
    """|x|."""
    if not a.has_numbers:
        return Range(math.inf, -math.inf, above=a.below or a.above, nan=a.nan)
    low = 0 if 0 in a else min(abs(a.low), abs(a.high))
    return Range(low, a.largest, above=a.below or a.above, nan=a.nan)


def monotone(function: Callable[[float], float], least: float, most: float) -> Callable[[Range], Range]:
    """The image under a rising function that has these limits at the infinities."""

    def at(bound: float) -> float:
        return function(bound) if math.isfinite(bound) else (most if bound > 0 else least)

    def image(a: Range) -> Range:
        ends = [at(a.low), at(a.high)] if a.has_numbers else []
        ends += [
            limit for limit, there in ((least, a.below), (most, a.above)) if there and math.isfinite(limit)
        ]
        return Range(
            min(ends, default=math.inf),
            max(ends, default=-math.inf),
            a.below and math.isinf(least),
            a.above and math.isinf(most),
            a.nan,
        )

    return image


def within(low: float, high: float) -> Callable[..., Range]:
    """Any result of a function with these bounds."""
    return lambda *operands: Range(low, high, nan=any(operand.nan for operand in operands))
