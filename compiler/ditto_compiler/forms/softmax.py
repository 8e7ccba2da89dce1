"""Forms of softmax and log-softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ditto_compiler.encoding import Fxp
from ditto_compiler.forms import octaves
from ditto_compiler.forms.builder import Tensor
from ditto_compiler.forms.exponential import LARGEST, Exponential

NARROW = Fxp(32, 10)
"""Where scores are compared: |x| < 2^20, for half the bytes of ring 64."""

FINE = Fxp(32, 14)
"""Where weights are computed: those in [0, 1] still have a square in ring 32."""

WIDE = Fxp(64, 18)
"""Where the engine divides."""


@dataclass(frozen=True)
class Rows:
    """What softmax is taken of.

    Attributes:
        x: the scores.
        axes: over which weights sum up to 1.
        mask: where it is false, the weight is 0; None for no mask.
        visible: the same for a mask that was added to the scores, of fewer elements, as far as one can see.
    """

    x: Tensor
    axes: tuple[int, ...]
    mask: Tensor | None = None
    visible: Callable[[], Tensor] | None = None

    def masked(self, weights: Tensor) -> Tensor:
        """Weights with what the mask hides set to 0."""
        return weights if self.mask is None else weights.where(self.mask)

    def row(self, statistic: Tensor) -> Tensor:
        """A statistic of each row, repeated to the shape of `x`."""
        return statistic.along(self.x, self.axes)

    def inverse(self, sums: Tensor) -> Tensor:
        """1/sum of each row's weights: from 1, the maximum's, to how many there are; less where masked."""
        largest = math.prod(self.x.shape[axis] for axis in self.axes) * LARGEST
        return octaves.reciprocal(sums, 0 if self.mask is None else -8, math.floor(math.log2(largest)))

    def below_max(self) -> Tensor:
        """x minus its row's maximum."""
        return self.x - self.row(self.x.max(self.axes))


def plain(rows: Rows, exp: Exponential) -> Tensor:
    """exp(x - max) times the reciprocal of its row's sum, where the policy puts them."""
    weights = rows.masked(exp(rows.below_max()))
    return (weights * rows.row(weights.sum(rows.axes).reciprocal())).within(LARGEST)


def ditto(rows: Rows, exp: Exponential) -> Tensor:
    """The same: the maximum and the clip in ring 32, everything else in ring 64."""
    builder = rows.x.builder
    with builder.pinned(NARROW):
        below = rows.below_max()
    with builder.pinned(WIDE):
        weights = rows.masked(exp(below, NARROW, WIDE))
        return (weights * rows.row(weights.sum(rows.axes).reciprocal())).within(LARGEST)


def narrow(rows: Rows, exp: Exponential) -> Tensor:
    """The same: everything in ring 32 but the reciprocal of each row's sum."""
    builder = rows.x.builder
    with builder.pinned(NARROW):
        below = rows.below_max()
    with builder.pinned(FINE):
        weights = rows.masked(exp(below, NARROW, FINE))
        sums = weights.sum(rows.axes)
    with builder.pinned(WIDE):
        inverse = rows.inverse(sums).within(LARGEST)
    with builder.pinned(FINE):
        return (weights * rows.row(inverse)).within(LARGEST)


def two_quad(rows: Rows, exp: Exponential) -> Tensor:
    """(x + 5)^2 / sum((x + 5)^2): no exp, no maximum.

    It does not fall for small x, so an added mask must be told from the scores: what a smaller tensor
    takes more than 64 from has weight 0.
    """
    shifted = rows.x + 5.0
    weights = rows.masked(shifted * shifted)
    if rows.visible is not None:
        weights = weights.where(rows.visible())
    return weights * rows.row(weights.sum(rows.axes).reciprocal())


def two_relu(rows: Rows, exp: Exponential) -> Tensor:
    """relu(x) / sum(relu(x)): no exp, no maximum; 0 for a row that has nothing positive."""
    weights = rows.masked(rows.x.where(rows.x > 0.0))
    return weights * rows.row(weights.sum(rows.axes).reciprocal())


def log_plain(rows: Rows, exp: Exponential) -> Tensor:
    """x - max - log(sum(exp(x - max))), one logarithm per row."""
    below = rows.below_max()
    return below - rows.row(rows.masked(exp(below)).sum(rows.axes).log())


def log_narrow(rows: Rows, exp: Exponential) -> Tensor:
    """The same: everything in ring 32 but the logarithm of each row's sum."""
    builder = rows.x.builder
    with builder.pinned(NARROW):
        below = rows.below_max()
    with builder.pinned(FINE):
        sums = rows.masked(exp(below, NARROW, FINE)).sum(rows.axes)
    with builder.pinned(WIDE):
        logarithm = sums.log()
    with builder.pinned(NARROW):
        return below - rows.row(logarithm)
