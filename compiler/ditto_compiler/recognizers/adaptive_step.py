"""The step of Adam and its kin: a gradient's mean over the root of its square's.

    x / (sqrt(v) + eps),  x / sqrt(v + eps),  x * rsqrt(v + eps)

v has an element for each of x: with one for a whole row this is a norm, and v is far from 0.
"""

from __future__ import annotations

import math

from ditto_compiler.ir import numel
from ditto_compiler.matcher import Match, Var, View, op, product, total
from ditto_compiler.recognizers.base import Recognizer

LARGEST_EPS = 0.05
"""With 18 fraction bits roots near 0 are off by 2^-9, which changes quotients by 2^-9 / (4 eps), or 1 %."""

_SQUARE = total("root", Var("v"))
_DEVIATION = op("sqrt", _SQUARE)

_REDUCING = (
    *("stablehlo.reduce", "stablehlo.reduce_window", "stablehlo.dot", "stablehlo.dot_general"),
    "stablehlo.convolution",
)


def _is_a_step(view: View, match: Match) -> bool:
    v = match.views["v"]
    eps = match.numbers.get("eps", 0.0) + math.sqrt(max(match.numbers.get("root", 0.0), 0.0))
    is_statistic = v.op is not None and v.op.name in _REDUCING
    return 0.0 < eps < LARGEST_EPS and numel(v.value) == numel(view.value) and not is_statistic


ADAPTIVE_STEP = Recognizer(
    "adaptive_step",
    ("stablehlo.divide", "stablehlo.multiply"),
    (
        op("divide", Var("x"), total("eps", _DEVIATION)),
        op("divide", Var("x"), _DEVIATION),
        product("gain", Var("x"), op("rsqrt", _SQUARE)),
    ),
    _is_a_step,
)
