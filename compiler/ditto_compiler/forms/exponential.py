"""Forms of exp on x <= 0, for softmax: a polynomial, squared several times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ditto_compiler.dialect.encoding import Fxp
from ditto_compiler.forms.builder import Tensor


LARGEST = 1.01
"""exp(0), with its error."""


@dataclass(frozen=True)
class Exponential:
    """exp(x) for x <= 0 as base(x)^(2^squarings).

    Attributes:
        base: the polynomial that is squared.
        squarings: how often.
        limit: where the formula ends; None if it holds for all that the engine can represent.
        beyond: the value below the limit: "zero", or "clip" for the value at the limit.
    """

    base: Callable[[Tensor], Tensor]
    squarings: int
    limit: float | None
    beyond: str = "clip"

    def __call__(self, x: Tensor, compare: Fxp | None = None, work: Fxp | None = None) -> Tensor:
        """exp(x); x is compared with the limit in one encoding, the rest is computed in the other."""
        builder = x.builder
        near: Tensor | None = None
        with builder.pinned(compare):
            if self.limit is not None:
                near = x > self.limit
                x = x.where(near, self.limit if self.beyond == "clip" else 0.0).within(-self.limit)
        with builder.pinned(work):
            weight = self.base(x)
            for _ in range(self.squarings):
                weight = (weight.within(LARGEST) * weight).within(LARGEST)
            return weight.where(near) if near is not None and self.beyond == "zero" else weight


def taylor(squarings: int) -> Exponential:
    """(1 + x/2^t)^(2^t), x clipped at -14, where exp is 8e-7."""
    return Exponential(lambda x: x * 2.0**-squarings + 1.0, squarings, -14.0)


def quadratic(slope: float, shift: float, offset: float, squarings: int, limit: float) -> Exponential:
    """((slope x + shift)^2 + offset)^(2^t), and 0 below the limit.

    Fitted as a whole, the error weighted by 1 / (exp(x) + 0.03): a row of softmax has many small
    terms, and what matters is that their sum is right. Below the limit nothing adds up at all.
    """

    def base(x: Tensor) -> Tensor:
        y = x * slope + shift
        return y * y + offset

    return Exponential(base, squarings, limit, "zero")


ENGINE = Exponential(lambda x: x.exponential(), 0, None)
"""The engine's own, (1 + x/2^8)^(2^8), which grows again below -512."""

EXPONENTIALS: dict[str, Exponential] = {
    "engine": ENGINE,
    **{f"taylor{t}": taylor(t) for t in range(4, 9)},
    "quadratic8": quadratic(0.075483, 0.803213, 0.353810, 3, -8.0),
    "quadratic16": quadratic(0.041009, 0.756419, 0.427715, 4, -9.0),
}
"""What the option `exp` offers."""
