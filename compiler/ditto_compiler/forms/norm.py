"""Forms of LayerNorm and RMSNorm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from ditto_compiler.encoding import Fxp
from ditto_compiler.forms import octaves
from ditto_compiler.forms.builder import Tensor

WIDE = Fxp(64, 18)
"""Where squares of what ring 32 holds can be summed."""

FINE = Fxp(64, 24)
"""Where means of squares lose nothing that the sums have."""

RSQRT_ERROR = 1e-4
"""Of 1/sqrt as a one-shot function, relative."""

ROUGH_RSQRT_ERROR = 1e-3
"""The same where variances differ so much that no one-shot function is better."""

OCTAVES = (-17, 16)
"""Of variances: with 18 fraction bits the least is 2^-18; in ring 64 sums of squares are below 2^26."""


@dataclass(frozen=True)
class Normalized:
    """What is normalised.

    Attributes:
        x: the rows.
        axes: the axes of a row.
        eps: what is added to the variance.
        gain: a number that the result is multiplied by.
        scale: a tensor that it is multiplied by, or None.
    """

    x: Tensor
    axes: tuple[int, ...]
    eps: float
    gain: float
    scale: Tensor | None

    @property
    def count(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.x.shape[axis] for axis in self.axes)


Rsqrt = Callable[[Tensor], Tensor]


def layer_norm(of: Normalized, rsqrt: Rsqrt = Tensor.rsqrt) -> Tensor:
    """c rsqrt(mean(c^2) + eps) scale, c = x - mean(x): one rsqrt and no division.

    The variance as mean(x^2) - mean(x)^2 would lose in fixed point what cancels. A gain goes into the
    factor of the row.
    """
    return _scaled(of, of.x - _mean(of.x, of).along(of.x, of.axes), rsqrt)


def rms_norm(of: Normalized, rsqrt: Rsqrt = Tensor.rsqrt) -> Tensor:
    """x rsqrt(mean(x^2) + eps) scale."""
    return _scaled(of, of.x, rsqrt)


def wide(
    norm: Callable[[Normalized, Rsqrt], Tensor], rsqrt: Rsqrt = Tensor.rsqrt
) -> Callable[[Normalized], Tensor]:
    """`norm` with the statistics in ring 64, whatever ring x is in: sums of squares do not fit ring 32."""

    def build(of: Normalized) -> Tensor:
        with of.x.builder.pinned(WIDE):
            normalized = norm(replace(of, scale=None), rsqrt)
        return normalized if of.scale is None else normalized * of.scale

    return build


def oneshot_layer_norm(of: Normalized) -> Tensor:
    """The same, with sums of squares as products of rows, and 1/sqrt as a one-shot function."""
    return _scaled_first(of, of.x - _mean(of.x, of).along(of.x, of.axes))


def oneshot_rms_norm(of: Normalized) -> Tensor:
    """The same for x as it is."""
    return _scaled_first(of, of.x)


def _scaled_first(of: Normalized, centred: Tensor) -> Tensor:
    """The scale comes first, at the same time as the statistics."""

    def by_octaves(variance: Tensor) -> Tensor:
        with variance.builder.pinned(WIDE):
            return octave_rsqrt(variance)

    def roughly(variance: Tensor) -> Tensor:
        with variance.builder.pinned(WIDE):
            name, error = "rsqrt_roughly", ROUGH_RSQRT_ERROR
            return variance.oneshot(name, Tensor.rsqrt, by_octaves, error, relative=True)

    with of.x.builder.pinned(WIDE):
        squares = centred.row_squares(of.axes)
    with of.x.builder.pinned(FINE):
        variance = squares * (1.0 / of.count) + of.eps
    with of.x.builder.pinned(WIDE):
        factor = variance.oneshot("rsqrt", Tensor.rsqrt, roughly, RSQRT_ERROR, relative=True)
        if of.gain != 1.0:
            factor = factor * of.gain
    scaled = centred if of.scale is None else centred * of.scale
    return scaled * factor.along(of.x, of.axes)


def octave_rsqrt(x: Tensor) -> Tensor:
    """1/sqrt of a variance, by octaves."""
    return octaves.rsqrt(x, *OCTAVES)


def _scaled(of: Normalized, centred: Tensor, rsqrt: Rsqrt) -> Tensor:
    factor = rsqrt(_mean(centred * centred, of) + of.eps)
    if of.gain != 1.0:
        factor = factor * of.gain
    result = centred * factor.along(of.x, of.axes)
    return result if of.scale is None else result * of.scale


def _mean(x: Tensor, of: Normalized) -> Tensor:
    return x.sum(of.axes) * (1.0 / of.count)
