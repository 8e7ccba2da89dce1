"""Fixed-point functions, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Function = Callable[..., NDArray[Any]]

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])

FUNCTIONS: Mapping[str, Function] = {
    "stablehlo.atan2": np.arctan2,
    "stablehlo.cosine": np.cos,
    "stablehlo.divide": np.divide,
    "stablehlo.exponential": np.exp,
    "stablehlo.exponential_minus_one": np.expm1,
    "stablehlo.log": np.log,
    "stablehlo.log_plus_one": np.log1p,
    "stablehlo.logistic": lambda x: 1 / (1 + np.exp(-x)),
    "stablehlo.power": np.power,
    "stablehlo.remainder": np.fmod,
    "stablehlo.rsqrt": lambda x: 1 / np.sqrt(x),
    "stablehlo.sine": np.sin,
    "stablehlo.sqrt": np.sqrt,
    "stablehlo.tanh": np.tanh,
    "stablehlo.custom_call": _erf,
    "chlo.erf": _erf,
    "chlo.erfc": _erfc,
}
"""Functions that the engine approximates: it promises no error bound for them."""

INTEGER_FUNCTIONS: Mapping[str, Function] = {
    "stablehlo.divide": lambda x, y: np.trunc(x / y),
    "stablehlo.power": np.power,
    "stablehlo.remainder": np.fmod,
}
"""The same names on integers, which the engine computes exactly where they are defined."""
