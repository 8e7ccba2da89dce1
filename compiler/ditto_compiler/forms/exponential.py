"""Forms of exp on x <= 0, for softmax: a polynomial, squared several times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ditto_compiler.dialect.encoding import Fxp
from ditto_compiler.forms.builder import Tensor


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
                x = x.where(near, self.limit if self.beyond == "clip" else 0.0)
        with builder.pinned(work):
            weight = self.base(x)
            for _ in range(self.squarings):
                weight = weight * weight
            return weight.where(near) if near is not None and self.beyond == "zero" else weight


def taylor(squarings: int) -> Exponential:
    """(1 + x/2^t)^(2^t), x clipped at -14, where exp is 8e-7."""
    return Exponential(lambda x: x * 2.0**-squarings + 1.0, squarings, -14.0)


def _quadratic(x: Tensor) -> Tensor:
    y = x * 0.080620 + 0.768192
    return y * y + 0.409770


ENGINE = Exponential(lambda x: x.exponential(), 0, None)
"""The engine's own, (1 + x/2^8)^(2^8), which grows again below -512."""

QUADRATIC8 = Exponential(_quadratic, 3, -8.0, "zero")
"""((k x + b)^2 + c)^8, fitted to exp as a whole, and 0 below -8.

What is far below the maximum counts exactly nothing, so masked elements do not add up.
"""

EXPONENTIALS: dict[str, Exponential] = {
    "engine": ENGINE,
    **{f"taylor{t}": taylor(t) for t in range(4, 9)},
    "quadratic8": QUADRATIC8,
}
"""What the option `exp` offers."""
