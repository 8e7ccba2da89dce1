"""Where the engine's fixed-point functions are right, and how right: laws in ring width and fraction bits.

SPU 0.9.5 approximates exponentials, roots, quotients and so on by a few products, each of which it truncates.
`domain` says for which arguments that works, and how far the parties' result can be from the true one; the
laws follow from the engine's formulas (libspu/kernel/hal/fxp_approx.cc, fxp_base.cc, polymorphic.cc), and
`ditto bench domains` measures them on the engine. With k the ring's width and f the fraction bits:

1. What is truncated must be below 2^(k-2), so products, squares and quotients below R = 2^(k - 2 - 2f).
2. Arguments are normalized by looking at 2f bits (the logarithm at one more, rsqrt at one or three less), so
   they must be below 2^f, 2^(f+1), 2^(f-1).
3. Constants have f bits, rounded toward zero.

A truncation goes up or down at random, to either neighbour: 1 ulp, or 1.5 where its operand was truncated
before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import expm1, floor, inf, log, pi, sqrt
from typing import Any

import numpy as np

EXP_STEPS = 8
"""The engine takes (1 + x / 2^8)^(2^8) for exp(x)."""

LOWEST_EXPONENT = -480.0
"""Below, that grows again as exp(-512 - x), and soon is any number."""

ERF = tuple(float(np.float32(c)) for c in (1.0, 0.278393, 0.230389, 0.000972, 0.078108))
"""(1 - erf(x))^(-1/4) for x >= 0 is about their polynomial: Abramowitz and Stegun 7.1.27."""

_LOG2_E = 1.4426950216293335
"""log2(e), as float32's log2 and exp have it."""


@dataclass(frozen=True)
class Domain:
    """Where a function is right.

    Attributes:
        low: the operand is above this, or is it where it is not negative; of two operands the first (for
            atan2, both).
        high: the operand is below this.
        abs_error: |the parties' result - true| <= abs_error + rel_error |true|, and what follows.
        rel_error: see `abs_error`.
        smallest: operands other than 0 (the divisor, for division) are at least this in magnitude.
        divisor: the second operand's magnitude is below this.
        result: the result's magnitude is below this; for a remainder, the quotient's.
        per_divisor: the error grows by this over |divisor|, or over atan2's larger operand.
        per_result: the error grows by this times the square of the true result.
        per_exponent: the error of a power grows by expm1(per_exponent |exponent|) |true|.
        outside: what the engine gives elsewhere.
    """

    low: float
    high: float
    abs_error: float
    rel_error: float
    smallest: float = 0.0
    divisor: float = inf
    result: float = inf
    per_divisor: float = 0.0
    per_result: float = 0.0
    per_exponent: float = 0.0
    outside: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the function is right nowhere."""
        return self.low >= self.high

    @property
    def error_text(self) -> str:
        """What is stated of errors, y being the result."""
        parts = [f"{self.abs_error:.2g}"]
        for size, what in (
            (self.rel_error, "y"),
            (self.per_result, "y²"),
            (self.per_divisor, "1/divisor"),
            (self.per_exponent, "y exponent"),
        ):
            if size:
                parts.append(f"{size:.2g} {what}")
        return " + ".join(parts)

    def __str__(self) -> str:
        parts = []
        if self.low > -inf or self.high < inf:
            parts.append(f"between {self.low:.4g} and {self.high:.4g}")
        if self.smallest > max(0.0, self.low):
            what = "the divisor's" if self.divisor < inf else "its"
            parts.append(f"{what} magnitude from {self.smallest:.3g} on")
        if self.divisor < inf:
            parts.append(f"the divisor's below {self.divisor:.4g}")
        if self.result < inf:
            parts.append(f"the result's below {self.result:.4g}")
        return ", ".join(parts) or "any number"


def domain(name: str, ring: int, frac: int) -> Domain:
    """The domain of the engine's function `name`, one of `LAWS`, on shares.

    Empty where the engine has no such function: in ring 32 but for `RING_32`, and with so many fraction bits
    that its own constants do not fit.
    """
    wide = {32: 14, 64: 30, 128: 57}[ring]
    if (ring == 32 and name not in RING_32) or not 0 < frac <= wide:
        return Domain(low=0.0, high=0.0, abs_error=inf, rel_error=inf)
    found = LAWS[name](ring, frac)
    room = 2.0 ** (ring - 2 - frac)
    return replace(found, low=max(found.low, -room), high=min(found.high, room))


def contains(name: str, found: Domain, *operands: Any) -> Any:
    """Whether operands, numbers or arrays, are in the domain of a function."""
    x, last = np.asarray(operands[0], np.float64), np.asarray(operands[-1], np.float64)
    with np.errstate(all="ignore"):
        inside = ((x >= found.low) if found.low >= 0 else (x > found.low)) & (x < found.high)
        if name == "atan2":
            return inside & (last > found.low) & (last < found.high)
        if name in ("divide", "remainder"):
            inside = inside & (np.abs(last) < found.divisor) & (np.abs(last) >= found.smallest)
            return inside & (last != 0) & (np.abs(x / last) < found.result)
        inside = inside & ((np.abs(x) >= found.smallest) | (x == 0))
        if name in ("power", "reciprocal"):
            inside = inside & (x != 0)
        if name == "power":
            inside = inside & (np.abs(last * np.log2(np.abs(x))) < np.log2(found.result))
        return inside


def error_at(name: str, ring: int, frac: int, true: Any, *operands: Any) -> Any:
    """How far the parties' result may be from `true`, the function's value at these operands in the domain.

    Numbers or arrays. For exponentials, sine and cosine it says more than the domain does.
    """
    found = domain(name, ring, frac)
    error = found.abs_error + found.rel_error * np.abs(true) + found.per_result * np.square(true)
    if name.startswith("exponential"):
        return np.minimum(error, exponential_error(frac, operands[0]))
    if name in ("sine", "cosine"):
        return np.minimum(error, sine_error(frac, operands[0]))
    if name == "divide":
        return error + found.per_divisor / np.abs(operands[1])
    if name == "atan2":
        return error + found.per_divisor / np.maximum(np.abs(operands[0]), np.abs(operands[1]))
    if name == "power":
        return error + np.expm1(found.per_exponent * np.abs(operands[1])) * np.abs(true)
    return error


def encoding_loss(number: float, frac: int) -> float:
    """What a constant loses when it is encoded, in ulps."""
    return number * 2.0**frac - floor(number * 2.0**frac)


def largest_product(ring: int, frac: int) -> float:
    """R: what the engine truncates must be below this."""
    return float(2.0 ** (ring - 2 - 2 * frac))


def exponential_ulps(frac: int, x: Any) -> Any:
    """How far the parties' exponential can be from one that rounds to nearest, in ulps.

    About 3 + 785 e^x; by the recurrence of errors through the eight squarings.
    """
    ulp = 2.0**-frac
    # The power; how far one that rounds to nearest is from it; how far the parties' is from that.
    power, rounded, other = np.abs(1 + np.asarray(x, np.float64) / (1 << EXP_STEPS)), 0.5 * ulp, ulp
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(EXP_STEPS):
            other = (2 * (power + rounded) + other) * other + 1.5 * ulp
            rounded = (2 * power + rounded) * rounded + 0.5 * ulp
            power = power**2
    return other / ulp


def exponential_error(frac: int, x: Any) -> Any:
    """How far the engine's exponential may be from e^x: 1 - (1 + x/256)^256 / e^x, and rounding.

    Relatively x^2 / 512 for small x.
    """
    x = np.asarray(x, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        approximation = np.abs((1 + x / 256) ** 256 - np.exp(x))
        return approximation + 1.5 * exponential_ulps(frac, x) * 2.0**-frac


def sine_error(frac: int, x: Any) -> Any:
    """How far the sine of x in the domain may be off: 2 pi loses bits in each turn."""
    drift = np.abs(np.asarray(x, np.float64)) / (2 * pi) * encoding_loss(2 * pi, frac)
    return 1.2e-4 + (drift + 32) * 2.0**-frac


def inverse_ulps(frac: int) -> float:
    """Rounding in 1/c for c in [1/2, 1), in ulps of c / x: two Goldschmidt steps, from 30 bits on three."""
    return 11.0 if frac >= 30 else 8.0


def inverse_error(frac: int) -> float:
    """Relatively: e^4 (e^8 from 30 bits on) with e = 1 - c (2.9142 - 2c) <= 0.0858, and rounding."""
    start = 0.0858 + 2.0 ** -min(frac, 20)
    return float(start ** (8 if frac >= 30 else 4) + inverse_ulps(frac) * 2.0**-frac)


def logistic_ulps(frac: int, result: Any, x: Any) -> Any:
    """How far the parties' 1 / (1 + exp(-x)) can be from one that rounds to nearest, in ulps."""
    exp = exponential_ulps(frac, -np.asarray(x, np.float64))
    exp = exp * result**2 / (1 - np.minimum(np.ldexp(exp * result, -frac), 0.9))
    return 1.5 + inverse_ulps(frac) * result + exp + inverse_jump_ulps(frac)


def inverse_jump_ulps(frac: int) -> float:
    """By how much 1/x jumps between one octave of x and the next, in ulps, at x = 2."""
    return float(np.ldexp(1.5e-9 if frac >= 30 else 2.7e-5, frac))


@functools.cache
def _exponential(ring: int, frac: int) -> Domain:
    # The last square must be below R, its rounding errors included.
    room, ulp = largest_product(ring, frac), 2.0**-frac
    high = 256 * expm1(log(room) / 256)
    for _ in range(4):
        power = (1 + high / 256) ** 256
        error = 1.5 * float(exponential_ulps(frac, high)) * ulp
        high = 256 * expm1(log(room / (1 + error / power)) / 256)
    above, below = np.linspace(0, max(high, 0), 400), -np.geomspace(ulp, -LOWEST_EXPONENT, 400)
    return Domain(
        low=LOWEST_EXPONENT,
        high=high,
        abs_error=float(exponential_error(frac, below).max()),
        rel_error=float((exponential_error(frac, above) / np.exp(above)).max()),
        outside="above: any number; below -512: exp(-512 - x), soon any number",
    )


def _exponential_minus_one(ring: int, frac: int) -> Domain:
    of_exp = _exponential(ring, frac)
    return replace(of_exp, abs_error=of_exp.abs_error + of_exp.rel_error)


def _log(ring: int, frac: int) -> Domain:
    # x = c 2^e, and |e| log(2) must be below R; frac + 1 is the most that is seen.
    octaves = min(frac + 1, floor(largest_product(ring, frac) / log(2)))
    if 2 * frac + 1 > ring - 2:
        octaves = 0
    smallest = 2.0 ** -min(octaves, frac)
    return Domain(
        low=smallest,
        high=2.0 ** min(octaves, frac + 1),
        abs_error=5e-8 + (23 + (frac + 1) * encoding_loss(log(2), frac)) * 2.0**-frac,
        rel_error=0.0,
        smallest=smallest,
        outside="above and below 0: (f+1) log 2 - 2.378; at 0: -(f+1) log 2 - 2.378",
    )


def _log_plus_one(ring: int, frac: int) -> Domain:
    of_sum = _log(ring, frac)
    return replace(of_sum, low=of_sum.low - 1, high=of_sum.high - 1, smallest=0.0)


def _reciprocal(ring: int, frac: int) -> Domain:
    return Domain(
        low=-(2.0**frac),
        high=2.0**frac,
        abs_error=2 * 2.0**-frac,
        rel_error=inverse_error(frac),
        smallest=max(2.0**-frac, 1.001 / largest_product(ring, frac)),
        outside="from 2^f on and at 0: 0; below the smallest: any number",
    )


def _divide(ring: int, frac: int) -> Domain:
    room, ulp = largest_product(ring, frac), 2.0**-frac
    return Domain(
        low=-room / 2.002,
        high=room / 2.002,
        abs_error=2 * ulp,
        rel_error=inverse_error(frac),
        smallest=ulp,
        divisor=2.0**frac,
        result=room / 1.001,
        per_divisor=1.5 * ulp,
        outside="divisors from 2^f on, and 0: 0; large dividends or quotients: any number",
    )


def _root_scale(frac: int) -> tuple[float, float]:
    """rsqrt's constant sqrt(2) 2^(f/2): what it loses, relatively, and the limit of x that goes with it."""
    scale = sqrt(2) * 2.0 ** (frac // 2 + frac % 2)
    return 1 - floor(scale) / scale, 2.0 ** (frac - (3 if frac % 2 else 1))


def _rsqrt(ring: int, frac: int) -> Domain:
    lost, high = _root_scale(frac)
    ulp = 2.0**-frac
    smallest = max(ulp, 1.01 / largest_product(ring, frac) ** 2)
    return Domain(
        low=smallest,
        high=high,
        abs_error=2 * ulp,
        rel_error=8.3e-5 + lost + 114 * ulp,
        smallest=smallest,
        outside="0",
    )


def _sqrt(ring: int, frac: int) -> Domain:
    # One step from rsqrt squares its error; g = x rsqrt(x) must be below R.
    inverse, ulp = _rsqrt(ring, frac), 2.0**-frac
    high = min(inverse.high, largest_product(ring, frac) ** 2 / 1.01)
    start = 8.3e-5 + _root_scale(frac)[0] + 3 * ulp
    return Domain(
        low=0.0,
        high=high,
        abs_error=3 * ulp,
        rel_error=1.6 * start**2 + 3 * ulp,
        per_result=1.6 * ulp,
        smallest=inverse.smallest,
        outside="0",
    )


def _tanh(ring: int, frac: int) -> Domain:
    fifth = 0.2 * 2.0**frac
    return Domain(
        low=-inf,
        high=inf,
        abs_error=4.9e-3 + 0.45 * (1 - floor(fifth) / fifth) + 23 * 2.0**-frac,
        rel_error=0.0,
        outside="from 5 on: 1.0027",
    )


def _sine(ring: int, frac: int) -> Domain:
    lost_inverse, lost_turn = encoding_loss(1 / (2 * pi), frac), encoding_loss(2 * pi, frac)
    # A turn is miscounted by |x| lost_inverse ulp of a turn; up to 1/8 turn, the polynomial holds.
    turns = 0.12 * 2.0**frac / (lost_inverse + lost_turn / 39.4 + 1e-9) - 8
    high = max(0.0, min(largest_product(ring, frac) - 4, turns))
    return Domain(
        low=-high,
        high=high,
        abs_error=float(sine_error(frac, high)),
        rel_error=0.0,
        outside="any number, not in [-1, 1]",
    )


def _power(ring: int, frac: int) -> Domain:
    base, ulp = _log(ring, frac), 2.0**-frac
    lost = encoding_loss(_LOG2_E, frac) * ulp + 2e-8
    octaves = 0.0 if frac + 32 > ring - 2 else min(32.0, largest_product(ring, frac))
    return Domain(
        low=-base.high if octaves else 0.0,
        high=base.high if octaves else 0.0,
        abs_error=2 * ulp,
        rel_error=8.7e-5 + 12 * ulp + 22.2 * lost,
        smallest=base.smallest,
        result=2.0**octaves,
        per_exponent=base.abs_error,
        outside="2^z wraps around, z mod 32; 0 is taken for e^(-(f+1) log 2 - 2.378)",
    )


def _atan2(ring: int, frac: int) -> Domain:
    ulp = 2.0**-frac
    high = min(2.0**frac, largest_product(ring, frac) / 2.002)
    polynomial = 6.5e-6 + 20 * ulp if frac <= 20 else 5e-8 + 24 * ulp
    return Domain(
        low=-high,
        high=high,
        abs_error=polynomial + inverse_error(frac) / 2,
        rel_error=0.0,
        per_divisor=1.5 * ulp,
        outside="larger operand from 2^f on: 0, pi/2 or pi",
    )


def _remainder(ring: int, frac: int) -> Domain:
    return replace(
        _divide(ring, frac),
        abs_error=1.5 * 2.0**-frac,
        rel_error=0.0,
        per_divisor=0.0,
        outside="off by the divisor where the quotient's error spans a whole number",
    )


def _erf(ring: int, frac: int) -> Domain:
    room, ulp = largest_product(ring, frac), 2.0**-frac

    def power(x: float) -> float:
        return float(sum(c * x**i for i, c in enumerate(ERF)) ** 4)

    high = inf
    if power(3.0) * 1.01 + 30 * ulp >= room:
        low, high = 0.0, 3.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if power(middle) * 1.01 < room else (low, middle)
    return Domain(
        low=-high,
        high=high,
        abs_error=4.7e-4 + 30 * ulp,
        rel_error=inverse_error(frac),
        outside="up to 3: any number; from 3 on: 1",
    )


def _logistic(ring: int, frac: int) -> Domain:
    argument = _exponential(ring, frac)
    return Domain(
        low=-argument.high,
        high=-argument.low,
        abs_error=8.8e-4 + 1.5 * float(logistic_ulps(frac, 0.5, 0.0)) * 2.0**-frac,
        rel_error=inverse_error(frac),
        outside="any number",
    )


LAWS: dict[str, Callable[[int, int], Domain]] = {
    "atan2": _atan2,
    "cosine": _sine,
    "divide": _divide,
    "erf": _erf,
    "exponential": _exponential,
    "exponential_minus_one": _exponential_minus_one,
    "log": _log,
    "log_plus_one": _log_plus_one,
    "logistic": _logistic,
    "power": _power,
    "reciprocal": _reciprocal,
    "remainder": _remainder,
    "rsqrt": _rsqrt,
    "sine": _sine,
    "sqrt": _sqrt,
    "tanh": _tanh,
}
"""The law of each of the engine's functions, of ring and fraction bits."""

RING_32 = frozenset({"cosine", "exponential", "exponential_minus_one", "sine", "tanh"})
"""What the engine has in ring 32; its constants for the others do not fit."""
