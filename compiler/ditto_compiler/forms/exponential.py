"""Forms of exp on x <= 0, for softmax: a polynomial, squared several times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ditto_compiler.encoding import Fxp
from ditto_compiler.forms.builder import Tensor
from ditto_compiler.forms.sources import OURS, PUMA, SPU

WIDE = Fxp(64, 18)
"""Where there is an exponential that is no form."""

LARGEST = 1.01
"""exp(0), with its error."""


@dataclass(frozen=True)
class Exponential:
    """exp(x) for x <= 0 as base(x)^(2^squarings).

    Attributes:
        formula: as text.
        source: who proposed it.
        max_error: largest absolute error, in exact arithmetic.
        base: the polynomial that is squared.
        squarings: how often.
        limit: where the formula ends; None if it is used for all x.
        clips: below the limit, take its value at the limit; otherwise 0.
    """

    formula: str
    source: str
    max_error: float
    base: Callable[[Tensor], Tensor]
    squarings: int
    limit: float | None
    clips: bool = False

    def __call__(self, x: Tensor, compare: Fxp | None = None, work: Fxp | None = None) -> Tensor:
        """exp(x); x is compared with the limit in one encoding, the rest is computed in the other."""
        builder = x.builder
        near: Tensor | None = None
        with builder.pinned(compare):
            if self.limit is not None:
                near = x > self.limit
                x = x.where(near, self.limit if self.clips else 0.0).within(-self.limit)
        weight = self.unlimited(x, work)
        with builder.pinned(work):
            return weight.where(near) if near is not None and not self.clips else weight

    def unlimited(self, x: Tensor, work: Fxp | None = None) -> Tensor:
        """exp(x) of what is not below the limit."""
        with x.builder.pinned(WIDE if self.squarings == 0 and work is not None else work):
            weight = self.base(x)
        with x.builder.pinned(work):
            for _ in range(self.squarings):
                weight = (weight.within(LARGEST) * weight).within(LARGEST)
            return weight


def _taylor(squarings: int, max_error: float) -> Exponential:
    """(1 + x/2^t)^(2^t), clipped at -14, where exp is 8e-7."""

    def base(x: Tensor) -> Tensor:
        return x * 2.0**-squarings + 1.0

    formula = f"(1 + max(x, -14)/{2**squarings})^{2**squarings}"
    return Exponential(formula, PUMA, max_error, base, squarings, -14.0, clips=True)


def _quadratic(
    slope: float, shift: float, offset: float, squarings: int, limit: float, max_error: float
) -> Exponential:
    """((slope x + shift)^2 + offset)^(2^t), and 0 below the limit.

    Fitted as a whole, the error weighted by 1 / (exp(x) + 0.03): a row of softmax has many small
    terms, and what matters is that their sum is right. Below the limit nothing adds up at all.
    """

    def base(x: Tensor) -> Tensor:
        y = x * slope + shift
        return y * y + offset

    formula = f"(({slope} x + {shift})² + {offset})^{2**squarings}, 0 below {limit:g}"
    return Exponential(formula, OURS, max_error, base, squarings, limit)


EXPONENTIALS: dict[str, Exponential] = {
    # It grows again below -512.
    "engine": Exponential("(1 + x/256)^256", SPU, 0.00107, Tensor.exponential, 0, None),
    "taylor4": _taylor(4, 0.0175),
    "taylor5": _taylor(5, 0.0086),
    "taylor6": _taylor(6, 0.0043),
    "taylor7": _taylor(7, 0.0022),
    "taylor8": _taylor(8, 0.00107),
    "quadratic8": _quadratic(0.075483, 0.803213, 0.353810, 3, -8.0, 0.0084),
    "quadratic16": _quadratic(0.041009, 0.756419, 0.427715, 4, -9.0, 0.0019),
}
"""What the option `exp` offers."""
