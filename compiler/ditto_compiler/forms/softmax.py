"""Forms of softmax and log-softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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

SLACK = 2.0
"""How much more than a row's maximum does as well: weights are smaller by e^2 then, and their sum too."""

LOWEST = -15.9
"""Arguments of exp as a one-shot function end here, where it is 1.2e-7: a little before a power of two, which
leaves room for what rounding adds."""

HIGHEST = 2.0**-9
"""They end here: the maximum may be rounded otherwise than what it is taken from."""

SUM_ERROR = 1.5e-3
"""Of what is done with the sum of a row, absolute for the logarithm and relative for the reciprocal."""

WEIGHTS_ERROR = 6.4e-4
"""Of all weights of a row: those of single ones add up, and all that are clipped have the same."""

MOST_ERROR = 1e-4
"""Of a weight."""

LEAST_SQUARES = 2.0**-10
"""Added to a sum of squares: of a row that has only scores of -5, nothing is divided by 0."""


@dataclass(frozen=True)
class Rows:
    """What softmax is taken of.

    Attributes:
        x: the scores.
        axes: over which weights sum up to 1.
        mask: where it is false, the weight is 0; None for no mask.
        bare: gives the scores without a mask that is in them, and where that leaves them visible; None if
            there is none that one can see.
    """

    x: Tensor
    axes: tuple[int, ...]
    mask: Tensor | None = None
    bare: Callable[[], tuple[Tensor, Tensor]] | None = None

    def masked(self, weights: Tensor) -> Tensor:
        """Weights with what the mask hides set to 0."""
        return weights if self.mask is None else weights.where(self.mask)

    def row(self, statistic: Tensor) -> Tensor:
        """A statistic of each row, repeated to the shape of `x`."""
        return statistic.along(self.x, self.axes)

    def inverse(self, sums: Tensor) -> Tensor:
        """1/sum of each row's weights: from 1, the maximum's, to how many there are; less where masked."""
        return octaves.reciprocal(sums, 0 if self.mask is None else -8, self.highest_octave)

    @property
    def count(self) -> int:
        """How many weights a row has."""
        return math.prod(self.x.shape[axis] for axis in self.axes)

    @property
    def highest_octave(self) -> int:
        """That of the largest sum of a row's weights."""
        return math.floor(math.log2(self.count * LARGEST))

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


def oneshot(rows: Rows, exp: Exponential) -> Tensor:
    """The same: exp and 1/sum are one-shot functions, and the maximum is one up to a constant."""

    def inverse(sums: Tensor) -> Tensor:
        low = math.floor(-SLACK / math.log(2)) - (0 if rows.mask is None else 8)
        with sums.builder.pinned(WIDE):
            return octaves.reciprocal(sums, low, rows.highest_octave)

    _, weights, sums = _clipped_weights(rows, exp)
    factor = sums.oneshot("reciprocal", Tensor.reciprocal, inverse, SUM_ERROR, relative=True)
    return (weights * rows.row(factor)).within(LARGEST)


def _clipped_weights(rows: Rows, exp: Exponential) -> tuple[Tensor, Tensor, Tensor]:
    """x minus about its row's maximum, exp of it, and its sum."""
    below = rows.x - rows.row(rows.x.row_bound(rows.axes, SLACK))
    otherwise = partial(exp.unlimited, work=FINE)
    clipped = below.larger(LOWEST)
    proved = (LOWEST, HIGHEST)
    error = min(WEIGHTS_ERROR / rows.count, MOST_ERROR)
    exps = clipped.oneshot("exp", Tensor.exponential, otherwise, error, interval=proved)
    weights = rows.masked(exps)
    return below, weights, weights.sum(rows.axes)


def two_quad(rows: Rows, exp: Exponential) -> Tensor:
    """(x + 5)^2 / (sum((x + 5)^2) + 2^-10): no exp, no maximum.

    It does not fall for small x, so a mask must be told from the scores: what it takes more than 64 from has
    weight 0.
    """
    weights, sums = _squares(rows)
    return weights * rows.row(sums.reciprocal())


def two_quad_oneshot(rows: Rows, exp: Exponential) -> Tensor:
    """The same: 1/sum is a one-shot function."""
    weights, sums = _squares(rows)
    factor = sums.oneshot("reciprocal", Tensor.reciprocal, Tensor.reciprocal, SUM_ERROR, relative=True)
    return weights * rows.row(factor)


def _squares(rows: Rows) -> tuple[Tensor, Tensor]:
    """Squares of x + 5, and the sum that they are divided by."""
    scores, visible = (rows.x, None) if rows.bare is None else rows.bare()
    shifted = scores + 5.0
    weights = rows.masked(shifted * shifted)
    if visible is not None:
        weights = weights.where(visible)
    return weights, weights.sum(rows.axes) + LEAST_SQUARES


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


def log_oneshot(rows: Rows, exp: Exponential) -> Tensor:
    """The same: exp and the logarithm are one-shot functions."""

    def logarithm(sums: Tensor) -> Tensor:
        with sums.builder.pinned(WIDE):
            return sums.log()

    below, _, sums = _clipped_weights(rows, exp)
    return below - rows.row(sums.oneshot("log", Tensor.log, logarithm, SUM_ERROR))
