"""Intervals of real numbers: what is known of how large values get."""

from __future__ import annotations

import math

Interval = tuple[float, float]
"""[lo, hi]."""

UNKNOWN: Interval = (-math.inf, math.inf)

INFINITE = 2.0**24
"""Magnitudes from here on stand for infinity, as in attention masks: they are held saturated."""


def intersection(a: Interval, b: Interval) -> Interval:
    """What both know; the second where they contradict each other."""
    low, high = max(a[0], b[0]), min(a[1], b[1])
    # Rounding can make a proof and a measurement miss each other by a hair.
    return (low, high) if low <= high else b


def hull(*intervals: Interval) -> Interval:
    """The least interval with all of them in it."""
    return min(i[0] for i in intervals), max(i[1] for i in intervals)


def times(a: float, b: float) -> float:
    """A product of bounds, in which 0 times infinity is 0."""
    return 0.0 if 0.0 in (a, b) else a * b


def product(a: Interval, b: Interval) -> Interval:
    """Of x y."""
    ends = [times(x, y) for x in a for y in b]
    return min(ends), max(ends)


def scaled(a: Interval, count: float) -> Interval:
    """Of `count` x, for a count that is not negative."""
    return times(a[0], count), times(a[1], count)


def square(a: Interval) -> Interval:
    """Of x^2."""
    low, high = a
    smallest = 0.0 if low <= 0 <= high else min(low * low, high * high)
    return smallest, max(times(low, low), times(high, high))
