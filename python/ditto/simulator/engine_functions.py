"""Fixed-point functions as SPU 0.9.5 computes them, on ring elements.

Each function takes the ring elements of secret operands (signed, see `ditto.simulator.ring`), the ring's
width and the number of fraction bits, and gives the ring elements that the engine gives: in the domain, and
outside of it too, where they wrap around, vanish or saturate. The result is that of the engine's plaintext
protocol (REF2K) bit by bit. The parties' differs in one thing: where this module rounds to nearest, they
round up or down at random, so that each truncation is off by at most 1 ulp; `ULPS` bounds what that comes to
in the domain (`ditto_compiler.spu.domains`). A number that is truncated from 2^(ring-2) in magnitude on may
be off by 2^(ring-bits) besides, at random: outside of the domain such results are any number.

Formulas and coefficients are SPU's (commit 45d13d9b: libspu/kernel/hal/fxp_approx.cc, fxp_base.cc,
polymorphic.cc), with RuntimeConfig's defaults: exponentials by the power of 2^8, log by a minimax polynomial,
two Goldschmidt steps, three from 30 fraction bits on.

One public operand of two changes nothing. If all are public, the engine computes `BY_FLOAT32` in float32 and
encodes the result, toward zero; the others as here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import erf as erf_of
from math import log as math_log
from math import pi

import numpy as np
from numpy.typing import NDArray

from ditto.simulator import ring as rings
from ditto.simulator.ring import Floats, Raw
from ditto_compiler.spu.domains import (
    ERF,
    EXP_STEPS,
    exponential_ulps,
    inverse_jump_ulps,
    inverse_ulps,
    logistic_ulps,
)


def _float32(*numbers: float) -> tuple[float, ...]:
    """Coefficients that the engine holds in float32."""
    return tuple(float(np.float32(number)) for number in numbers)


_LOG = _float32(
    0.0,
    0.9999964239,
    -0.4998741238,
    0.3317990258,
    -0.2407338084,
    0.1676540711,
    -0.0953293897,
    0.0360884937,
    -0.0064535442,
)
"""log(1 + x) on [0, 1]."""

_EXP2 = (
    float(np.float32(0.100000007744302) * np.float32(10)),
    *_float32(0.693147180426163, 0.240226510710170),
    float(np.float32(0.555040686204663) / np.float32(10)),
    float(np.float32(0.961834122588046) / np.float32(100)),
    float(np.float32(0.133273035928143) / np.float32(100)),
)
"""2^x on [0, 1]."""

(_LOG2_E,) = _float32(1.4426950216293335)
"""log2(e), from float32's log2 and exp."""

_RSQRT = _float32(4.14285016, -15.47994394, 38.4714796, -49.86605845, 26.02942339)
"""1 / sqrt(x) on [1/4, 1/2]."""

_TANH = _float32(
    1.2514045938932097,
    -0.3655987797163166,
    0.17253141478140663,
    -0.08943445792774211,
    0.047703017901250824,
    -0.025830290571688078,
    0.014338801903468182,
    -0.008541730970059077,
    0.0061230685785789475,
)
"""tanh(5 x) on [-1, 1]: coefficients of the Chebyshev polynomials of degrees 1, 3, ..., 17."""

_SINE = _float32(
    -0.07570787578233389, -0.8532364056408055, 0.2474789050491474, -0.02719844932262742, 0.0016750058127101841
)
"""sin(5/4 pi x) on [-1, 1]: of degrees 1, 3, ..., 9."""


_ATAN_SMALL = _float32(
    6.3893490851163976e-06,
    0.99938232039482577,
    0.0096717091887422429,
    -0.38851091678439126,
    0.13850820695354954,
    0.065822467870128534,
    -0.039488402923576769,
)
"""atan(x) on [0, 1], up to 20 fraction bits."""

_ATAN_LARGE = _float32(
    7.3035884235708622e-09,
    0.99999906394905635,
    3.5324890092487464e-05,
    -0.33393042345794194,
    0.0054765660426422556,
    0.16982068444578205,
    0.10531189733914688,
    -0.37905943050720364,
    0.32946653597875702,
    -0.1337452245060563,
    0.022023163399866309,
)
"""atan(x) on [0, 1], above 20 fraction bits."""


@dataclass(frozen=True)
class _Fixed:
    """Fixed-point arithmetic in a ring."""

    ring: int
    frac: int

    def __post_init__(self) -> None:
        if not 0 < 2 * self.frac < self.ring:
            raise ValueError(f"{self.frac} fraction bits in ring {self.ring}")

    @property
    def one(self) -> int:
        return 1 << self.frac

    def number(self, value: float) -> int:
        """A constant, as the engine encodes it: toward zero, at most 2^(ring-2)."""
        limit = 1 << (self.ring - 2)
        return min(max(int(np.ldexp(value, self.frac)), -limit), limit - 1)

    def wrap(self, x: Raw) -> Raw:
        return rings.wrap(x, self.ring)

    def truncate(self, x: Raw, bits: int) -> Raw:
        """x / 2^bits; at random up or down in ABY3."""
        return rings.as_raw(rings.shift_right(self.wrap(x), bits), self.ring)

    def multiply(self, x: Raw, y: Raw | int) -> Raw:
        return self.truncate(x * y, self.frac)

    def polynomial(self, x: Raw, coefficients: Sequence[float]) -> Raw:
        """sum of c[i] x^i, truncated once.

        Powers as the engine takes them: from x, ..., x^n the next n by products with x^n.
        """
        degree, powers = len(coefficients) - 1, [x]
        while len(powers) < degree:
            powers += [self.multiply(power, powers[-1]) for power in powers[: degree - len(powers)]]
        total = self.weighted(powers, coefficients[1:]) + self.one * self.number(coefficients[0])
        return self.truncate(total, self.frac)

    def weighted(self, terms: Sequence[Raw], coefficients: Sequence[float]) -> Raw:
        """sum of c[i] t[i], not truncated."""
        total = terms[0] * self.number(coefficients[0])
        for term, coefficient in zip(terms[1:], coefficients[1:], strict=True):
            total = total + term * self.number(coefficient)
        return total

    def odd_chebyshev(self, x: Raw, coefficients: Sequence[float]) -> Raw:
        """sum of c[i] T_(2i+1)(x), by T_(n+2) = (4 x^2 - 2) T_n - T_(n-2)."""
        factor = 4 * self.multiply(x, x) - self.number(2.0)
        terms = [x, self.multiply(x, factor - self.one)]
        while len(terms) < len(coefficients):
            terms.append(self.multiply(factor, terms[-1]) - terms[-2])
        return self.truncate(self.weighted(terms, coefficients), self.frac)

    def power_of_two(self, exponent: Raw, limit: int) -> Raw:
        """2^exponent, or 0 where that is not in [0, limit)."""
        held = (exponent >= 0) & (exponent < limit)
        exponent = rings.as_raw(np.where(held, exponent, 0), self.ring)
        return rings.as_raw(np.where(held, np.left_shift(rings.as_raw(1, self.ring), exponent), 0), self.ring)

    def bit_length(self, x: Raw) -> Raw:
        """How many bits x takes as an unsigned number: the ring's width for negative x."""
        rest, length = np.where(x < 0, 0, x), np.where(x < 0, self.ring, 0)
        for bits in (64, 32, 16, 8, 4, 2, 1):
            if bits < self.ring - 1:
                long = rest >= 1 << bits
                length, rest = length + np.where(long, bits, 0), np.where(long, rest >> bits, rest)
        return rings.as_raw(length + np.where(rest > 0, 1, 0), self.ring)

    def is_less(self, x: Raw, y: Raw | int) -> NDArray[np.bool_]:
        """Whether x - y is negative in the ring."""
        return np.asarray(self.wrap(x - y) < 0, np.bool_)

    def normalizer(self, x: Raw) -> Raw:
        """The power of two that brings x >= 0 into [1/2, 1); 0 where x >= 2^frac or x = 0."""
        return np.where(x == 0, 0, self.power_of_two(2 * self.frac - self.bit_length(x), 2 * self.frac))

    def inverse(self, x: Raw, normalizer: Raw) -> Raw:
        """1 / c for c = x * normalizer, in [1/2, 1).

        Goldschmidt: r = 2.9142 - 2 c, e = 1 - c r, then twice (three times from 30 fraction bits on)
        r = r (1 + e), e = e^2.
        """
        (guess,) = _float32(2.9142)
        scaled = self.multiply(x, normalizer)
        result = self.number(guess) - 2 * scaled
        error = self.one - self.multiply(scaled, result)
        steps = 3 if self.frac >= 30 else 2
        for step in range(steps):
            result = self.multiply(result, error + self.one)
            if step + 1 < steps:
                error = self.multiply(error, error)
        return result

    def inverse_of(self, x: Raw) -> Raw:
        """1 / x for x >= 0."""
        normalizer = self.normalizer(x)
        return self.multiply(self.inverse(x, normalizer), normalizer)

    def quotient(self, x: Raw, y: Raw) -> Raw:
        """x / y for y >= 0: by 1 / c times x, then times the normalizer."""
        normalizer = self.normalizer(y)
        return self.multiply(self.multiply(self.inverse(y, normalizer), x), normalizer)

    def magnitude(self, x: Raw) -> Raw:
        return self.wrap(np.where(x < 0, -x, x))


@np.errstate(over="ignore")
def exponential(x: Raw, ring: int, frac: int) -> Raw:
    """exp(x): SPU's exp_taylor with 8 iterations: (1 + x / 2^8)^(2^8), by eight squarings."""
    e = _Fixed(ring, frac)
    power = e.truncate(x, EXP_STEPS) + e.one
    for _ in range(EXP_STEPS):
        power = e.multiply(power, power)
    return e.wrap(power)


@np.errstate(over="ignore")
def exponential_minus_one(x: Raw, ring: int, frac: int) -> Raw:
    """exp(x) - 1: the exponential, less 1."""
    return rings.wrap(exponential(x, ring, frac) - (1 << frac), ring)


@np.errstate(over="ignore")
def log(x: Raw, ring: int, frac: int) -> Raw:
    """log(x): SPU's log_minmax: x = c 2^k with c in [1, 2), a polynomial of degree 8 in c - 1, plus k log(2).

    From 2^(frac+1) on, and for negative x, c becomes 0 and k is held: (frac + 1) log(2) - 2.378.
    """
    e = _Fixed(ring, frac)
    length, bits = e.bit_length(x), 2 * frac + 1
    factor = np.where(x == 0, 0, e.power_of_two(bits - length, bits))
    mantissa = e.polynomial(e.multiply(x, factor) - e.one, _LOG)
    exponent = (np.minimum(length, bits + 1) - (frac + 1)) << frac
    return e.wrap(mantissa + e.multiply(exponent, e.number(math_log(2))))


@np.errstate(over="ignore")
def log_plus_one(x: Raw, ring: int, frac: int) -> Raw:
    """log(1 + x): the logarithm of the sum."""
    return log(rings.wrap(x + (1 << frac), ring), ring, frac)


@np.errstate(over="ignore")
def reciprocal(x: Raw, ring: int, frac: int) -> Raw:
    """1 / x: SPU's reciprocal_goldschmidt: |x| = c 2^k, c in [1/2, 1); 1 / c by Goldschmidt, times 2^-k.

    0 for |x| >= 2^frac and for x = 0.
    """
    e = _Fixed(ring, frac)
    result = e.inverse_of(e.magnitude(x))
    return e.wrap(np.where(x < 0, -result, result))


@np.errstate(over="ignore")
def divide(x: Raw, y: Raw, ring: int, frac: int) -> Raw:
    """x / y: SPU's div_goldschmidt: |y| = c 2^k, c in [1/2, 1); 1 / c by Goldschmidt, times x, times 2^-k.

    0 for |y| >= 2^frac and for y = 0. (SPU's compiler makes a product out of a division by a constant: not
    this.)
    """
    e = _Fixed(ring, frac)
    result = e.quotient(x, e.magnitude(y))
    return e.wrap(np.where(y < 0, -result, result))


@np.errstate(over="ignore")
def rsqrt(x: Raw, ring: int, frac: int) -> Raw:
    """1 / sqrt(x): SPU's f_rsqrt: x = u 2^k, u in [1/4, 1/2); a polynomial of degree 4 in u, times 2^(-k/2).

    0 for x <= 0, and from 2^(frac-1) on (from 2^(frac-3) on for odd `frac`).
    """
    e = _Fixed(ring, frac)
    above = e.bit_length(x)  # the place of the lowest power of two above x
    above = np.where((x == 0) | (above == ring), -1, above)
    places = 2 * frac
    factor = np.where(above < 0, 0, e.power_of_two(places - 1 - above, places))
    root = e.polynomial(e.multiply(x, factor), (0.0, *_RSQRT[1:])) + e.number(_RSQRT[0])
    half, places = above >> 1, frac // 2 * 2
    factor = np.where(above < 0, 0, e.power_of_two(places - 1 - half, places))
    # 2^(frac/2) and sqrt(2) 2^(frac/2), times 2 for odd frac.
    if frac % 2:
        odd, even = int((1 << (frac // 2 + 1)) * np.sqrt(2)), 1 << ((frac + 3) // 2)
    else:
        odd, even = 1 << (frac // 2), int((1 << (frac // 2)) * np.sqrt(2))
    scale = np.where((above >= 0) & (above & 1 == 0), even, odd)
    return e.multiply(root, e.wrap(rings.as_raw(scale, ring) * factor))


@np.errstate(over="ignore")
def sqrt(x: Raw, ring: int, frac: int) -> Raw:
    """sqrt(x): SPU's f_sqrt: y = rsqrt(x), g = x y, h = y / 2, and one step g (3/2 - g h)."""
    e = _Fixed(ring, frac)
    inverse = rsqrt(x, ring, frac)
    root, half = e.multiply(x, inverse), e.multiply(inverse, e.number(0.5))
    return e.multiply(root, e.number(1.5) - e.multiply(root, half))


@np.errstate(over="ignore")
def tanh(x: Raw, ring: int, frac: int) -> Raw:
    """tanh(x): SPU's tanh_chebyshev: x held in [-5, 5], over 5, odd Chebyshev polynomials to degree 17."""
    e = _Fixed(ring, frac)
    low, high = e.number(-5.0), e.number(5.0)
    x = np.where(e.is_less(x, low), low, x)
    x = np.where(e.is_less(x, high), x, high)
    return e.wrap(e.odd_chebyshev(e.multiply(x, e.number(*_float32(0.2))), _TANH))


@np.errstate(over="ignore")
def sine(x: Raw, ring: int, frac: int) -> Raw:
    """sin(x): SPU's sin_chebyshev: x - 2 pi floor((x + pi) / 2 pi), over 5/4 pi, to degree 9.

    1 / 2 pi and 2 pi have `frac` bits, so errors grow with |x|.
    """
    e = _Fixed(ring, frac)
    turns = e.multiply(e.wrap(x + e.number(pi)), e.number(1 / (2 * pi))) >> frac << frac
    x = e.wrap(x - e.multiply(e.wrap(turns), e.number(2 * pi)))
    return e.wrap(e.odd_chebyshev(e.multiply(x, e.number(*_float32(0.25464790894703254))), _SINE))


@np.errstate(over="ignore")
def cosine(x: Raw, ring: int, frac: int) -> Raw:
    """cos(x): sin(pi / 2 - x)."""
    return sine(rings.wrap(_Fixed(ring, frac).number(pi / 2) - x, ring), ring, frac)


@np.errstate(over="ignore")
def power(x: Raw, y: Raw, ring: int, frac: int) -> Raw:
    """x^y: SPU's power: 2^(y log(|x|) log2(e)), negative where x is and floor(y) is odd.

    2^z is exp2_pade: a polynomial of degree 5 in z - floor(z), times 2^(floor(z) mod 32), over 2^32 for z <
    0. So the domain is -32 <= z < 32; beyond it z wraps around.
    """
    e = _Fixed(ring, frac)
    z = e.multiply(y, log(e.magnitude(x), ring, frac))
    result = _exp2(e, e.multiply(z, e.number(_LOG2_E)))
    odd = (y >> frac) & 1 == 1
    return e.wrap(np.where((x < 0) & odd, -result, result))


def _exp2(e: _Fixed, z: Raw) -> Raw:
    whole = z >> e.frac
    fraction = z - (whole << e.frac)
    powers = [fraction]
    for _ in range(4):
        powers.append(e.multiply(fraction, powers[-1]))
    result = e.truncate(e.weighted(powers, _EXP2[1:]), e.frac) + e.number(_EXP2[0])
    result = e.wrap(result * e.power_of_two(whole & 31, 32))
    return np.where(z < 0, e.truncate(result, 32), result)


@np.errstate(over="ignore")
def atan2(y: Raw, x: Raw, ring: int, frac: int) -> Raw:
    """The angle of (x, y): SPU's atan2_minimax: a polynomial in the smaller over the larger, mirrored.

    0 / 0 counts as 0. The larger must be below 2^frac.
    """
    e = _Fixed(ring, frac)
    across, up = e.magnitude(x), e.magnitude(y)
    steep = e.is_less(across, up)
    larger = np.where(steep, up, across)
    ratio = e.quotient(e.wrap(across + up - larger), larger)
    angle = e.polynomial(ratio, _ATAN_SMALL if frac <= 20 else _ATAN_LARGE)
    angle = np.where(steep, e.number(pi / 2) - angle, angle)
    angle = np.where(x < 0, e.number(pi) - angle, angle)
    return e.wrap(np.where(y < 0, -angle, angle))


@np.errstate(over="ignore")
def remainder(x: Raw, y: Raw, ring: int, frac: int) -> Raw:
    """x - y trunc(x / y), by `divide`: off by y where the quotient's error carries it across an integer."""
    e = _Fixed(ring, frac)
    quotient = divide(x, y, ring, frac)
    down = quotient >> frac
    up = e.wrap(quotient + e.one - 1) >> frac
    whole = e.wrap(np.where(quotient < 0, up, down) << frac)
    return e.wrap(x - e.multiply(whole, y))


@np.errstate(over="ignore")
def erf(x: Raw, ring: int, frac: int) -> Raw:
    """erf(x): SPU's f_erf: 1 - 1 / p(|x|)^4 with p of degree 4; +-1 from |x| = 3 on."""
    e = _Fixed(ring, frac)
    magnitude = e.magnitude(x)
    power = e.polynomial(magnitude, ERF)
    for _ in range(2):
        power = e.multiply(power, power)
    result = np.where(e.is_less(magnitude, e.number(3.0)), e.one - e.inverse_of(power), e.one)
    return e.wrap(np.where(x < 0, -result, result))


@np.errstate(over="ignore")
def logistic(x: Raw, ring: int, frac: int) -> Raw:
    """1 / (1 + exp(-x)), as SPU's compiler writes the logistic function."""
    exp = exponential(rings.wrap(-x, ring), ring, frac)
    return reciprocal(rings.wrap(exp + (1 << frac), ring), ring, frac)


FUNCTIONS: Mapping[str, Callable[..., Raw]] = {
    "atan2": atan2,
    "cosine": cosine,
    "divide": divide,
    "erf": erf,
    "exponential": exponential,
    "exponential_minus_one": exponential_minus_one,
    "log": log,
    "log_plus_one": log_plus_one,
    "logistic": logistic,
    "power": power,
    "reciprocal": reciprocal,
    "remainder": remainder,
    "rsqrt": rsqrt,
    "sine": sine,
    "sqrt": sqrt,
    "tanh": tanh,
}
"""By name in pphlo and StableHLO. Ring 32 has `ditto_compiler.spu.domains.RING_32` only."""

BY_FLOAT32: Mapping[str, Callable[..., Floats]] = {
    "atan2": np.arctan2,
    "cosine": np.cos,
    "divide": np.divide,
    "erf": np.vectorize(erf_of, otypes=[np.float64]),
    "exponential": np.exp,
    "exponential_minus_one": np.expm1,
    "log": np.log,
    "log_plus_one": np.log1p,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "power": np.power,
    "reciprocal": np.reciprocal,
    "sine": np.sin,
}
"""What the engine computes of public operands in float32."""


# How far the parties' result can be from the emulation's. A truncation differs by 1 ulp at most if its
# operand is exact, by less than 3/2 ulp on top of the operand's own difference in general; the numbers are
# what that comes to at the worst place, to first order. Where an intermediate number may fall on either side
# of a limit between two approximations, the difference of the two at the limit is added.


def _constant_ulps(ulps: float) -> Callable[..., Floats]:
    return lambda frac, result, *operands: np.full(np.shape(result), ulps)


def _exponential_ulps(frac: int, result: Floats, x: Floats) -> Floats:
    return np.asarray(exponential_ulps(frac, x), np.float64)


def _reciprocal_ulps(frac: int, result: Floats, x: Floats) -> Floats:
    return np.asarray(1.5 + inverse_ulps(frac) * np.abs(result))


def _divide_ulps(frac: int, result: Floats, x: Floats, y: Floats) -> Floats:
    return np.asarray(1.5 * (1 + 1 / np.abs(y)) + inverse_ulps(frac) * np.abs(result))


def _rsqrt_ulps(frac: int, result: Floats, x: Floats) -> Floats:
    return np.asarray(1.5 + 112 * np.abs(result))


def _sqrt_ulps(frac: int, result: Floats, x: Floats) -> Floats:
    ulps = 2.5 + 2.5 * np.abs(result) + 1.53 * result**2
    return np.asarray(ulps * (1 + np.ldexp(4 * np.abs(result), -frac)))


def _sine_ulps(frac: int, result: Floats, x: Floats) -> Floats:
    # A turn more or less by rounding, where (x + pi) / 2 pi is near a whole number.
    inverse, scale = np.ldexp(1 / (2 * pi), frac), np.ldexp(0.25464790894703254, frac)
    turns = np.ldexp((x + pi) * np.floor(inverse), -frac)
    near = np.abs(turns - np.rint(turns)) < np.ldexp(3.0, -frac)
    jump = np.ldexp(2e-4, frac) + 2 + 25 * (scale - np.floor(scale))
    return np.asarray(np.where(near, 15 + jump, 15.0), np.float64)


def _cosine_ulps(frac: int, result: Floats, x: Floats) -> Floats:
    return _sine_ulps(frac, result, pi / 2 - x)


def _power_ulps(frac: int, result: Floats, x: Floats, y: Floats) -> Floats:
    relative = np.ldexp(17 * np.abs(y) + 4, -frac) + 8.6e-5
    return np.asarray(1.5 + np.ldexp(np.expm1(relative) * np.abs(result), frac))


def _atan2_ulps(frac: int, result: Floats, y: Floats, x: Floats) -> Floats:
    return np.asarray((11.0 if frac >= 30 else 9.5) + 1.5 / np.maximum(np.abs(x), np.abs(y)))


def _remainder_ulps(frac: int, result: Floats, x: Floats, y: Floats) -> Floats:
    quotient = x / y
    unsure = np.ldexp(_divide_ulps(frac, quotient, x, y), -frac)
    near = unsure + (3e-9 if frac >= 30 else 5.6e-5) * np.abs(quotient)
    close = np.abs(quotient - np.rint(quotient)) <= near
    return np.asarray(1.5 + np.where(close, np.ldexp(np.abs(y), frac) * np.ceil(unsure), 0.0))


def _erf_ulps(frac: int, result: Floats, x: Floats) -> Floats:
    inside = (24.0 if frac >= 30 else 21.5) + inverse_jump_ulps(frac)
    return np.asarray(np.where(np.abs(x) >= 3, 0.0, inside), np.float64)


def _logistic_ulps(frac: int, result: Floats, x: Floats) -> Floats:
    return np.asarray(logistic_ulps(frac, result, x), np.float64)


ULPS: Mapping[str, Callable[..., Floats]] = {
    "atan2": _atan2_ulps,
    "cosine": _cosine_ulps,
    "divide": _divide_ulps,
    "erf": _erf_ulps,
    "exponential": _exponential_ulps,
    "exponential_minus_one": _exponential_ulps,
    "log": _constant_ulps(17),
    "log_plus_one": _constant_ulps(17),
    "logistic": _logistic_ulps,
    "power": _power_ulps,
    "reciprocal": _reciprocal_ulps,
    "remainder": _remainder_ulps,
    "rsqrt": _rsqrt_ulps,
    "sine": _sine_ulps,
    "sqrt": _sqrt_ulps,
    "tanh": _constant_ulps(17),
}
"""ULPS[name](frac, result, *operands), all numbers (not ring elements): a bound on |the parties' result - the
emulation's|, in ulps, for operands that both hold alike and that are in the domain.

| function               | ulps, y = |result|                                                     |
|------------------------|------------------------------------------------------------------------|
| exponential (minus 1)  | 3 + 785 y for 14 bits and more; by a recurrence for fewer              |
| log, log_plus_one      | 17                                                                     |
| reciprocal             | 1.5 + 8 y (from 30 bits on: 11 y)                                      |
| divide                 | the same, and 1.5 / |divisor|                                          |
| rsqrt                  | 1.5 + 112 y                                                            |
| sqrt                   | 2.5 + 2.5 y + 1.53 y^2                                                 |
| tanh                   | 17                                                                     |
| sine, cosine           | 15; where it takes one turn more or less by rounding, 2e-4 2^frac more |
| power                  | 1.5 + (17 |exponent| + 4 + 8.6e-5 2^frac) y                            |
| atan2                  | 9.5 (11) + 1.5 / the larger operand                                    |
| erf                    | 21.5 (24) + 2.7e-5 2^frac (1.5e-9 2^frac); 0 from |x| = 3 on           |
| logistic               | about 200, of it 785 y (1 - y); + as erf                               |
| remainder              | 1.5; |divisor| more where the quotient is near a whole number          |
"""
