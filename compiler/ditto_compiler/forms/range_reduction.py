"""Functions for arguments that the engine's own are wrong for.

Exponentials are not left to the engine at all: its (1 + x/256)^256 errs by x^2/512 of the result and grows
again below -512, and ours costs less. Roots, logarithms and quotients are the engine's, of arguments that a
power of two brings into their domains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ditto_compiler.encoding import Fxp
from ditto_compiler.forms.activations import fold, odd
from ditto_compiler.forms.builder import Tensor
from ditto_compiler.forms.octaves import unit_reciprocal
from ditto_compiler.intervals import Range
from ditto_compiler.quartic_exp import NEAR_ZERO, QuarticExp, quartic_exp
from ditto_compiler.spu.domains import domain, largest_product

LEAST_ULPS = 2.0**10
"""What a power of two makes of an argument is at least this large, so that rounding loses 2^-10 of it."""

SLACK = 1.02
"""What rounding may add to a bound."""


def exponential(x: Tensor, encoding: Fxp, known: Range) -> Tensor | None:
    """exp(x), of arguments that are in the range `known`, by `quartic_exp`; None if that has no formula.

    Where `known` does not say that no argument is too small, those that are count as the lowest one.
    """
    least, most = known.ends
    near_zero = most <= NEAR_ZERO
    formula = quartic_exp(encoding.ring, encoding.frac, near_zero=near_zero)
    if formula is None:
        return None
    if least < formula.lowest:
        x = x.larger(formula.lowest)
    return _exponential(x, formula, most)


def _exponential(x: Tensor, formula: QuarticExp, most: float) -> Tensor:
    """exp of what is not too small, and at most `most`, which bounds every number on the way."""

    def bounded(number: Tensor, bound: float) -> Tensor:
        return number if math.isinf(most) else number.within(bound)

    a0, a1, a2, a3 = formula.constants
    largest = formula.largest
    u = bounded(x * formula.slope, largest)
    y = bounded(u * (u + a0), 2 * largest) + a1
    power = bounded(y * bounded(y + u + a2, largest), 2 * largest) + a3
    for squaring in range(1 - formula.squarings, 1):
        power = bounded(power * power, SLACK * math.exp(most * 2.0**squaring))
    return power


def exponential_minus_one(x: Tensor, encoding: Fxp, known: Range) -> Tensor | None:
    """exp(x) - 1."""
    power = exponential(x, encoding, known)
    return None if power is None else power - 1.0


def logistic(x: Tensor, encoding: Fxp, known: Range) -> Tensor | None:
    """1 / (1 + exp(-x)): with a = |x| and r = 1 / (1 + exp(-a)), it is r or 1 - r; 0 or 1 for large a.

    1 + exp(-a) is in [1, 2], where the inverse takes no comparison.
    """
    formula = quartic_exp(encoding.ring, encoding.frac, near_zero=True)
    if formula is None:
        return None
    x_ = fold(x, (encoding.frac + 1) * math.log(2))
    inverse = unit_reciprocal((_exponential(-x_.size, formula, 0.0) + 1.0).within(2 * SLACK))
    return odd(x_, inverse - 0.5, 0.5) + 0.5


@dataclass(frozen=True)
class Scaling:
    """How arguments are brought into a domain: those from `cut` on are multiplied by 2^-shift.

    Attributes:
        cut: a power of two, half of the domain at the most.
        shift: even, so that its half is the shift of a root.
        folds: whether it is the magnitude that is compared with `cut`.
    """

    cut: float
    shift: int
    folds: bool


def scaling(function: str, encoding: Fxp, known: Range) -> Scaling | None:
    """The scaling for arguments of a function of the engine's that are in `known`; None if there is none.

    There is none where nothing is known, where nothing leaves the domain, and where small arguments would
    lose too much.
    """
    found = domain(function, encoding.ring, encoding.frac)
    low, high = known.ends
    limit = min(
        found.divisor if function == "divide" else found.high, largest_product(encoding.ring, encoding.frac)
    )
    largest = max(high, -low) if function == "divide" else high
    if found.is_empty or limit < 1 or not limit <= largest < math.inf:
        return None
    if function == "sqrt" and 2 * math.sqrt(largest) > largest_product(encoding.ring, encoding.frac):
        return None
    cut = 2.0 ** (math.frexp(limit)[1] - 2)
    shift = 2 * math.ceil(math.log2(largest / cut) / 2 + 1e-9)
    if math.ldexp(cut, encoding.frac - shift) < LEAST_ULPS:
        return None
    return Scaling(cut, shift, function == "divide" and low < 0)


def _split(x: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Which arguments are large, and all arguments, the large ones scaled."""
    size = x.magnitude() if scaling.folds else x
    large = size.compare("GE", scaling.cut)
    scaled = (x * 2.0**-scaling.shift).within(scaling.cut)
    return large, scaled.where(large, x).within(scaling.cut)


def _unscaled(result: Tensor, large: Tensor, bits: int) -> Tensor:
    return (result * 2.0**bits).where(large, result)


def rsqrt(x: Tensor, by: Scaling) -> Tensor:
    """1/sqrt(x) = 2^-s / sqrt(x 2^-2s)."""
    large, scaled = _split(x, by)
    return _unscaled(scaled.rsqrt(), large, -by.shift // 2)


def sqrt(x: Tensor, by: Scaling) -> Tensor:
    """sqrt(x) = 2^s sqrt(x 2^-2s)."""
    large, scaled = _split(x, by)
    return _unscaled(scaled.sqrt(), large, by.shift // 2)


def log(x: Tensor, by: Scaling) -> Tensor:
    """log(x) = log(x 2^-s) + s log(2)."""
    large, scaled = _split(x, by)
    logarithm = scaled.log()
    return (logarithm + by.shift * math.log(2)).where(large, logarithm)


def divide(x: Tensor, y: Tensor, by: Scaling) -> Tensor:
    """x / y = 2^-s (x / (y 2^-s))."""
    large, scaled = _split(y, by)
    return _unscaled(x / scaled, large, -by.shift)


CLOSE_ULPS = 2.0
"""So many units in the last place from a multiple of the divisor, a number counts as that multiple."""


def remainder(x: Tensor, y: Tensor, encoding: Fxp, divisor: float | None) -> Tensor:
    """x - y trunc(x / y), by magnitudes.

    The quotient errs relatively, so what is left of the dividend is divided once more; the whole number that
    the two make is wrong by 1 at the most, and a multiple of the divisor that falls just short is one still.

    Args:
        x: dividend.
        y: divisor.
        encoding: of both.
        divisor: the number that y is, or None.
    """
    size, close = x.magnitude(), CLOSE_ULPS * 2.0**-encoding.frac
    by: Tensor | float = y.magnitude()
    # Where the inverse on the grid is precise enough for two rounds.
    if divisor is not None and abs(divisor) < 2.0 ** (4 * encoding.frac - encoding.ring + 3):
        by = abs(divisor)
    whole = (size / by).floor()
    whole = whole + ((size - whole * by) / by).floor()
    rest = size - whole * by
    rest = (rest + by).where(rest < -close, rest)
    # Not `by - close`, which the dtype may round.
    rest = (rest - by).where((rest + close).compare("GE", by), rest)
    return (-rest).where(x < 0.0, rest)
