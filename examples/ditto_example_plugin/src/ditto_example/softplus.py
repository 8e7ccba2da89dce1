"""The function softplus, log(1 + exp(x)): how programs spell it, and a form without exp and log."""

from __future__ import annotations

from ditto_compiler.forms.builder import Tensor
from ditto_compiler.forms.table import Form
from ditto_compiler.matcher import Number, Var, either, op, product, total
from ditto_compiler.recognizers import Recognizer

_X = Var("x")
_SIZE = op("abs", either(_X, total(0.0, _X)))  # jax.nn.softplus leaves an x - 0

SOFTPLUS = Recognizer(
    "softplus",
    ("stablehlo.add", "stablehlo.log_plus_one"),
    (
        # max(x, 0) + log(1 + exp(-|x|))
        total(
            0.0, op("maximum", _X, Number(0.0)), op("log_plus_one", op("exponential", product(-1.0, _SIZE)))
        ),
        op("log_plus_one", op("exponential", _X)),
    ),
)

_END = 6.0
_COEFFICIENTS = (0.69384113, -0.51068552, 0.1501373, -0.02041728, 0.00106383)
"""Least squares at Chebyshev's points of [0, 6] for log(1 + exp(-a)); the largest error is 0.0025, at 6."""


def quartic(x: Tensor) -> Tensor:
    """relu(x) + a quartic in a = |x| < 6; relu(x) beyond."""
    negative = x < 0.0
    below = x.where(negative)
    relu = x - below
    size = relu - below
    inside = size < _END
    # What `within` states is what fraction bits are chosen by.
    a = size.where(inside).within(_END)
    value = a * _COEFFICIENTS[-1]
    for coefficient in _COEFFICIENTS[-2:0:-1]:
        value = ((value + coefficient) * a).within(4.0)
    return relu + (value + _COEFFICIENTS[0]).where(inside)


QUARTIC = Form("quartic", "relu(x) + quartic(|x| < 6)", "this package", "any x", 0.0026, quartic)
