"""Softmax and log-softmax, over any axes, with and without a mask.

    exp(x - r) / sum(exp(x - r)),  exp(x - r) * (1 / sum(exp(x - r))),  x - r - log(sum(exp(x - r)))

r is anything that is the same for a whole row: its maximum as a rule, which changes nothing but the
range of exp; it may be absent. With a mask, sums leave out what it hides, and the result is 0 (or -inf)
there.
"""

from __future__ import annotations

import math

from ditto_compiler.matcher import Match, Number, Pattern, Reduced, Var, View, either, op, product, total
from ditto_compiler.recognizers.base import Recognizer

_X = Var("x")
_MASK = Var("mask")
_ZERO = Number(0.0)
_MINUS_INFINITY = Number(-math.inf)

_SHIFTED = either(op("subtract", _X, Var("shift")), _X)
_EXP = op("exponential", _SHIFTED)


def _masked(of: Pattern, otherwise: Pattern) -> Pattern:
    return op("select", _MASK, of, otherwise)


def _quotient(numerator: Pattern, sum_of: Pattern) -> Pattern:
    denominator = Reduced("add", sum_of)
    return either(
        op("divide", numerator, denominator),
        product(1.0, numerator, op("divide", Number(1.0), denominator)),
    )


def _log_quotient(exp: Pattern) -> Pattern:
    weight = Reduced("add", exp)
    # jax.nn.logsumexp takes the absolute value, for it can also weigh terms.
    log = op("log", either(weight, op("abs", weight)))
    return either(
        op("subtract", _SHIFTED, log),
        total(0.0, _X, product(-1.0, Var("shift")), product(-1.0, log)),
    )


def _shift_is_of_the_row(_: View, match: Match) -> bool:
    shift = match.views.get("shift")
    return match.axes is not None and (shift is None or not shift.varies_along(match.axes))


SOFTMAX = Recognizer(
    "softmax",
    ("stablehlo.divide", "stablehlo.multiply", "stablehlo.select"),
    (
        _masked(_quotient(_EXP, _masked(_EXP, _ZERO)), _ZERO),
        _quotient(_masked(_EXP, _ZERO), _masked(_EXP, _ZERO)),
        _quotient(_EXP, _EXP),
    ),
    _shift_is_of_the_row,
)

LOG_SOFTMAX = Recognizer(
    "log_softmax",
    ("stablehlo.subtract", "stablehlo.select"),
    (
        _masked(_log_quotient(_masked(_EXP, _ZERO)), _MINUS_INFINITY),
        _log_quotient(_EXP),
    ),
    _shift_is_of_the_row,
)
