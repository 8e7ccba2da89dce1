"""SiLU, also called swish: x times the logistic function of x."""

from __future__ import annotations

from ditto_compiler.matcher import Var, op, product, total
from ditto_compiler.recognizers.base import Recognizer
from ditto_compiler.recognizers.logistic import logistic

_X = Var("x")

SILU = Recognizer(
    "silu",
    ("stablehlo.multiply", "stablehlo.divide"),
    (
        product(1.0, _X, logistic(_X)),
        op("divide", _X, total(1.0, op("exponential", product(-1.0, _X)))),
    ),
)
