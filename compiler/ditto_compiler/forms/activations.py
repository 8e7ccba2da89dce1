"""Forms of the elementwise functions: GeLU, SiLU, tanh, logistic.

All of ours rest on one idea. With a = |x|, GeLU and SiLU are relu(x) + r(a), and tanh and the logistic
function are odd but for a constant: what is left is a function of a >= 0 alone that is soon constant. So
two comparisons suffice, one for the sign and one for the end of the polynomial's range, and a polynomial
in a with odd and even powers is far better than one in x^2 of the same degree. The polynomial's argument is
set to 0 beyond its range, where it is exactly 0: no intermediate value grows with x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ditto_compiler.forms.builder import Tensor, combination


@dataclass(frozen=True)
class Folded:
    """x, split for a function that is symmetric but for a simple part.

    Attributes:
        negative: whether x < 0.
        positive: relu(x).
        inside: whether |x| is below the limit.
        size: |x| inside, 0 outside.
    """

    negative: Tensor
    positive: Tensor
    inside: Tensor
    size: Tensor


def fold(x: Tensor, limit: float) -> Folded:
    """Splits x; what is at least `limit` in magnitude is outside."""
    negative = x < 0.0
    below = x.where(negative)
    positive = x - below
    size = positive - below
    inside = size < limit
    return Folded(negative, positive, inside, size.where(inside).within(limit))


def _sextic(size: Tensor, coefficients: Sequence[float], limit: float, scale: float) -> Tensor:
    """c1 a + ... + c6 a^6 for 0 <= a <= limit, by three products of powers of a / scale."""
    t = (size * (1.0 / scale)).within(limit / scale)
    square = (t * t).within((limit / scale) ** 2)
    cube = (square * t).within((limit / scale) ** 3)
    powers = (t, square, cube)
    scaled = [coefficient * scale**power for power, coefficient in enumerate(coefficients, start=1)]
    return combination(scaled[:3], powers) + cube * combination(scaled[3:], powers)


def _quartic(t: Tensor, k: float, b: float, c: float, d: float) -> Tensor:
    """k ((y + t + d - c) y - c d), y = t (t + b) + c: any quartic that is 0 at 0, by two products.

    That is Knuth's preconditioning. The constants are multiples of 2^-10, and c d is too, so that the value
    at 0 is exactly 0 in fixed point.
    """
    y = (t * (t + b) + c).within(8.0)
    z = (y + t + (d - c)).within(5.0)
    return ((z * y).within(17.0) - c * d).within(9.0) * k


def gelu_quartic(x: Tensor) -> Tensor:
    """relu(x) + a quartic in a = |x| < 3.25; relu(x) beyond."""
    x_ = fold(x, 3.25)
    return x_.positive + _quartic(x_.size, 21 / 1024, -5011 / 1024, 8087 / 1024, -1.0)


def gelu_sextic(x: Tensor) -> Tensor:
    """relu(x) + a sextic in a = |x| < 3.5; relu(x) beyond."""
    x_ = fold(x, 3.5)
    coefficients = (-0.51026949, 0.44487599, -0.056893006, -0.055214634, 0.021067457, -0.0021788926)
    return x_.positive + _sextic(x_.size, coefficients, 3.5, 2.0)


def gelu_puma(x: Tensor) -> Tensor:
    """0 | cubic | sextic | x, with cuts at -4, -1.95 and 3.

    The three comparisons are one op, and each polynomial is one product with its coefficients. Unlike in
    PUMA's own code x is set to 0 outside of [-4, 3] first, so that x^6 cannot overflow.
    """
    cuts = x.builder.vector((-4.0, -1.95, 3.0), x)
    below = x.spread((3, *x.shape), range(1, len(x.shape) + 1)) < cuts.spread((3, *x.shape), (0,))
    low, middle, high = (below.part(index) for index in range(3))
    t = x.where(high).unless(low).within(4.0)
    square = t * t
    cube = (square * t).within(64.0)
    fourth, sixth = square * square, cube * cube
    cubic = combination(
        (-0.42226581151983866, -0.11807612951181953, -0.011034134030615728), (t, square, cube)
    )
    sextic = combination(
        (0.5, 0.3603292692789629, -0.037688200365904236, 0.0018067462606141187), (t, square, fourth, sixth)
    )
    inner = (cubic - 0.5054031199708174).where(middle, sextic + 0.008526321541038084)
    return inner.where(high, x).unless(low)


def gelu_quad(x: Tensor) -> Tensor:
    """0.125 x^2 + 0.25 x + 0.5, as ((x + 1)^2 + 3) / 8."""
    shifted = x + 1.0
    return (shifted * shifted + 3.0) * 0.125


def silu_quartic(x: Tensor) -> Tensor:
    """relu(x) + a quartic in a = |x| < 6.375; relu(x) beyond."""
    x_ = fold(x, 6.375)
    half = (x_.size * 0.5).within(3.1875)
    return x_.positive + _quartic(half, 51 / 1024, -4576 / 1024, 6240 / 1024, -0.4375)


def silu_sextic(x: Tensor) -> Tensor:
    """relu(x) + a sextic in a = |x| < 8; relu(x) beyond."""
    x_ = fold(x, 8.0)
    coefficients = (-0.52904452, 0.33890021, -0.085830384, 0.010419502, -0.00057905018, 1.0598433e-05)
    return x_.positive + _sextic(x_.size, coefficients, 8.0, 4.0)


def tanh_cubic(x: Tensor) -> Tensor:
    """sign(x) times a cubic in a = |x| < 2.625, k a ((a + b)^2 + c); sign(x) beyond."""
    # On the grid of 10 fraction bits, so that ring 32 rounds nothing.
    k, b, c = 54 / 1024, -4107 / 1024, 5318 / 1024
    x_ = fold(x, 2.625)
    a = x_.size
    shifted = a + b
    return odd(x_, ((shifted * shifted + c).within(22.0) * a).within(22.0) * k)


def tanh_sextic(x: Tensor) -> Tensor:
    """sign(x) times a sextic in a = |x| < 3.625; sign(x) beyond."""
    x_ = fold(x, 3.625)
    coefficients = (1.0153911, -0.038349301, -0.39167223, 0.22160198, -0.049654628, 0.0040969713)
    return odd(x_, _sextic(x_.size, coefficients, 3.625, 2.0))


def logistic_sextic(x: Tensor) -> Tensor:
    """1/2 + sign(x) times a sextic in a = |x| < 7.25; 0 or 1 beyond."""
    x_ = fold(x, 7.25)
    coefficients = (0.25384772, -0.0047935334, -0.024479601, 0.0069250863, -0.00077585664, 3.2007729e-05)
    return odd(x_, _sextic(x_.size, coefficients, 7.25, 4.0), 0.5) + 0.5


def gelu_oneshot(x: Tensor) -> Tensor:
    """x/2 + an even function: the odd part of GeLU is linear."""

    def even(x: Tensor) -> Tensor:
        return x * 0.5 * (x * math.sqrt(0.5)).erf()

    return _with_even_part(x, "gelu_even", even, gelu_quartic, 4e-4, end=3.75)


def silu_oneshot(x: Tensor) -> Tensor:
    """x/2 + an even function."""

    def even(x: Tensor) -> Tensor:
        return x * (x.logistic() - 0.5)

    return _with_even_part(x, "silu_even", even, silu_quartic, 4e-4, end=10.0)


ROUGH = 0.25
"""By how much a comparison may be off where a function is about linear."""

EVEN_WORDS = 14
"""Words of an even part; two comparisons and selections cost less than more."""


def _with_even_part(
    x: Tensor,
    name: str,
    even: Callable[[Tensor], Tensor],
    whole: Callable[[Tensor], Tensor],
    error: float,
    end: float,
) -> Tensor:
    """x/2 + even(x), or in a window around 0 only, if x is larger; beyond `end` it is about relu(x)."""

    def windowed(x: Tensor) -> Tensor:
        left = x.where(x.compare("LT", -end).loosely(ROUGH))
        right = x.unless(x.compare("LT", end).loosely(ROUGH))
        inside = (x - left - right).within(end + ROUGH)
        part = inside.oneshot(f"{name}_inside", even, lambda x: whole(x) - x * 0.5, error)
        return inside * 0.5 + part + right - x * 0.5

    return x * 0.5 + x.oneshot(name, even, windowed, error, words=EVEN_WORDS)


def tanh_oneshot(x: Tensor) -> Tensor:
    """tanh as it is, up to where it is within 2.5e-4 of 1."""
    return x.clamped(-4.5, 4.5).oneshot("tanh", Tensor.tanh, tanh_cubic, 7e-4)


def logistic_oneshot(x: Tensor) -> Tensor:
    """The logistic function as it is, up to where it is within 2.1e-4 of 0 or 1."""
    return x.clamped(-8.5, 8.5).oneshot("logistic", Tensor.logistic, logistic_sextic, 7e-4)


def odd(x: Folded, inside: Tensor, limit: float = 1.0) -> Tensor:
    """sign(x) times `inside` where the polynomial holds, and times `limit` beyond."""
    size = inside.where(x.inside, limit).within(limit + 0.02)
    flipped = size.where(x.negative)
    return size - flipped - flipped
