"""The logistic function and tanh, where they stand alone."""

from __future__ import annotations

from ditto_compiler.matcher import Number, Pattern, Var, either, op, product, total
from ditto_compiler.recognizers.base import Recognizer


def logistic(of: Pattern) -> Pattern:
    """1 / (1 + exp(-x)), as one op, spelled out, or as (1 + tanh(x/2)) / 2."""
    return either(
        op("logistic", of),
        op("divide", Number(1.0), total(1.0, op("exponential", product(-1.0, of)))),
        product(0.5, total(1.0, op("tanh", product(0.5, of)))),
    )


LOGISTIC = Recognizer(
    "logistic",
    ("stablehlo.logistic", "stablehlo.divide", "stablehlo.multiply"),
    (logistic(Var("x")),),
)

TANH = Recognizer("tanh", ("stablehlo.tanh",), (op("tanh", Var("x")),))
