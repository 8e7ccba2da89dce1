"""How the engine is told constants: what it would round badly, and what it computes better than it looks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from ditto_compiler.encoding import Encoding, EncodingError, Fxp
from ditto_compiler.ir import element_type, ir
from ditto_compiler.structure import constant_through_layout, is_float, splat_of


def fits(value: float, encoding: Fxp) -> bool:
    """Whether |x| * 2^frac, rounded, is below 2^(ring-2)."""
    return math.isfinite(value) and abs(_rounded(value, encoding)) < 1 << (encoding.ring - 2)


def _rounded(value: float, encoding: Fxp) -> int:
    integer: int = round(Fraction(value) * 2**encoding.frac)
    return integer


def outermost(ring: int) -> int:
    """The integer that holds infinity: eight leading bits, which are exact in every dtype."""
    return 255 << (ring - 10)


def held(value: float, encoding: Fxp) -> int:
    """The integer that holds a constant: x * 2^frac, rounded to nearest, ties to even.

    Infinity is only compared, see ditto-legalize-constants: it is held beyond every number, at any scale.

    Raises:
        EncodingError: it does not fit.
    """
    if math.isinf(value):
        return outermost(encoding.ring) if value > 0 else -outermost(encoding.ring)
    if not fits(value, encoding):
        raise EncodingError(
            f"the constant {value:.6g} does not fit {encoding}, whose magnitudes stay below "
            f"{2.0 ** (encoding.ring - 2 - encoding.frac):.6g}; use a wider ring or fewer fraction bits"
        )
    return _rounded(value, encoding)


def on_grid(value: float, encoding: Fxp, dtype: str) -> float:
    """The number that `held` gives, as a literal of `dtype` holds it; the engine truncates literals."""
    number = math.ldexp(held(value, encoding), -encoding.frac)
    return number if dtype == "f64" else float(np.float32(number))


def tiny_factor(value: ir.Value, encoding: Encoding, *, reciprocal: bool = False) -> float | None:
    """The number that a float constant holds everywhere, or its reciprocal, if it is as small as a few units.

    On the grid of `encoding` a number below 2^(2-frac) has two bits or none. But the engine multiplies
    by such a literal exactly: x * (c * 2^k), and then it truncates k bits more, for the largest 2^k < 1/c.
    """
    constant = constant_through_layout(value)
    if constant is None or not is_float(value):
        return None
    found = splat_of(constant)
    if found is None:
        return None
    number = float(found)
    if reciprocal:
        number = 1 / number if number else math.inf
    if element_type(value) != "f64":
        number = float(np.float32(number))
    if not 0 < abs(number) < 2.0 ** (2 - encoding.frac):
        return None
    # Beyond, every product is below one unit in the last place.
    return number if encoding.frac - math.log2(abs(number)) < encoding.ring - 2 else None
