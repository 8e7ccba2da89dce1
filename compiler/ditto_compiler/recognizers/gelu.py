"""GeLU, in the forms that JAX, Flax and Hugging Face's models give it.

    x/2 (1 + erf(x/sqrt 2)),  x/2 erfc(-x/sqrt 2),  x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))

The last is an approximation of the first two, by at most 5e-4, so all are one function here.
"""

from __future__ import annotations

import math

from ditto_compiler.ir import ir
from ditto_compiler.matcher import Pattern, Var, either, op, product, total
from ditto_compiler.recognizers.base import Recognizer
from ditto_compiler.recognizers.logistic import logistic

_X = Var("x")
_CUBIC = 0.044715
_OUTER = math.sqrt(2.0 / math.pi)


def _is_erf(call: ir.Operation) -> bool:
    target: str = ir.StringAttr(call.attributes["call_target_name"]).value
    return target == "mhlo.erf"


def _erf(of: Pattern) -> Pattern:
    return either(op("chlo.erf", of), op("custom_call", of, where=_is_erf))


def _tanh_argument(scale: float) -> Pattern:
    """scale sqrt(2/pi) (x + 0.044715 x^3), with the constants anywhere."""
    return either(
        product(scale * _OUTER, total(0.0, _X, product(_CUBIC, _X, _X, _X))),
        product(scale * _OUTER, _X, total(1.0, product(_CUBIC, _X, _X))),
        total(0.0, product(scale * _OUTER, _X), product(scale * _OUTER * _CUBIC, _X, _X, _X)),
    )


_SIGNED = either(_erf(product(math.sqrt(0.5), _X)), op("tanh", _tanh_argument(1.0)))
"""What goes from -1 to 1."""

GELU = Recognizer(
    "gelu",
    ("stablehlo.multiply", "stablehlo.add", "stablehlo.divide"),
    (
        product(0.5, _X, total(1.0, _SIGNED)),
        product(1.0, _X, total(0.5, product(0.5, _SIGNED))),
        product(0.5, _X, op("chlo.erfc", product(-math.sqrt(0.5), _X))),
        product(1.0, _X, logistic(_tanh_argument(2.0))),
        total(0.0, product(0.5, _X), product(0.5, _X, _SIGNED)),
    ),
)
