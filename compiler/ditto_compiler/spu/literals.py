"""How the engine is told constants: what it would round badly, and what it computes better than it looks."""

from __future__ import annotations

import math

import numpy as np

from ditto_compiler.dialect.encoding import Encoding
from ditto_compiler.ir import element_type, ir
from ditto_compiler.spu.op_table import FLOAT_TYPES, constant_through_layout


def on_grid(value: float, frac: int, dtype: str) -> float:
    """The multiple of 2^-frac nearest to `value` that a literal of `dtype` holds.

    The engine truncates literals toward zero. Infinities and NaN stay: it saturates the former and
    takes the latter for 0.
    """
    if not math.isfinite(value):
        return value
    rounded = np.ldexp(np.rint(np.ldexp(value, frac)), -frac)
    return float(rounded if dtype == "f64" else np.float32(rounded))


def tiny_factor(value: ir.Value, encoding: Encoding, *, reciprocal: bool = False) -> float | None:
    """The number that a float constant holds everywhere, or its reciprocal, if it is as small as a few units.

    On the grid of `encoding` a number below 2^(2-frac) has two bits or none. But the engine multiplies
    by such a literal exactly: x * (c * 2^k), and then it truncates k bits more, for the largest 2^k < 1/c.
    """
    constant = constant_through_layout(value)
    if constant is None or element_type(value) not in FLOAT_TYPES:
        return None
    elements = ir.DenseElementsAttr(constant.attributes["value"])
    if not elements.is_splat:
        return None
    number = float(elements.get_splat_value().value)
    if reciprocal:
        number = 1 / number if number else math.inf
    if element_type(value) != "f64":
        number = float(np.float32(number))
    if not 0 < abs(number) < 2.0 ** (2 - encoding.frac):
        return None
    # Beyond, every product is below one unit in the last place.
    return number if encoding.frac - math.log2(abs(number)) < encoding.ring - 2 else None
