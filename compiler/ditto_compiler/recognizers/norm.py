"""LayerNorm and RMSNorm, over any axes, up to the bias.

    c / sqrt(mean(c^2) + eps) * scale,   c = x - mean(x) for LayerNorm, c = x for RMSNorm

The variance may also be computed as mean(x^2) - mean(x)^2, cut off at 0, as Flax does.
"""

from __future__ import annotations

from ditto_compiler.matcher import Match, Number, Pattern, Var, View, either, mean, op, product, square, total
from ditto_compiler.recognizers.base import Recognizer

_X = Var("x")
_CENTRED = op("subtract", _X, mean(_X))
_DIFFERENCE = total(0.0, mean(square(_X)), product(-1.0, mean(_X), mean(_X)))
_VARIANCE = either(
    mean(square(_CENTRED)),
    _DIFFERENCE,
    op("maximum", Number(0.0), _DIFFERENCE),
)


def _normalized(centred: Pattern, variance: Pattern) -> tuple[Pattern, ...]:
    shifted = either(total("eps", variance), variance)
    deviation = op("sqrt", shifted)
    inverse = either(
        op("rsqrt", shifted),
        op("divide", Number(1.0), deviation),
        op("power", shifted, Number(-0.5)),
    )
    return (
        product("gain", centred, inverse, Var("scale")),
        product("gain", centred, inverse),
        op("divide", product("gain", centred), deviation),
    )


def _is_a_norm(view: View, match: Match) -> bool:
    # With a scale that is computed from each row, the statistics may be of something else.
    return match.axes is not None and match.numbers.get("eps", 0.0) >= 0.0


LAYER_NORM = Recognizer(
    "layer_norm", ("stablehlo.multiply", "stablehlo.divide"), _normalized(_CENTRED, _VARIANCE), _is_a_norm
)

RMS_NORM = Recognizer(
    "rms_norm", ("stablehlo.multiply", "stablehlo.divide"), _normalized(_X, mean(square(_X))), _is_a_norm
)
