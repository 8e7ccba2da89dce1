"""The pass `ditto-check-constants`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import encoding_of, ir, nested_ops
from ditto_compiler.ops.scales import is_product
from ditto_compiler.pass_base import Pass
from ditto_compiler.spu.literals import tiny_factor
from ditto_compiler.structure import constant_numbers, constant_through_layout

ROUGH = 1 / 16
"""The part of a factor that rounding may change without a word."""

UNITS = 4
"""The units in the last place that it may change a result by, however much of the factor that is."""


@dataclass(frozen=True)
class DittoCheckConstants(Pass):
    """Look for constant factors and divisors that their encodings round to something else.

    A constant is held in steps of 2^-frac; of a divisor the reciprocal is. What is added or compared is then
    off by half a step, as any number is, but a factor of a few steps is off by a part of itself, and one
    below half a step is 0: x / [3e6, 1] would be 0 in its first column however large x is. Reports elements
    that are off by more than a sixteenth of themselves, where that can change a result by more than 4 units
    in the last place: by what range analysis knows of the other factor, or else by all that the ring has room
    for. In a matrix product the elements of a constant count together.

    - an element that becomes 0, of a divisor or where the other factor's range is known: an error
    - all elements become 0: an error
    - any other: a warning

    Requires: casts inserted and, where the policy makes rescaling explicit, fractions assigned. Keeps: the
    module as it is.

    Example, which gives a warning:

        %0 = stablehlo.constant dense<[0.0004, 1.0]> : tensor<2xf32, #ditto.fxp<32, 10>>
        %1 = stablehlo.multiply %x, %0 : tensor<2xf32, #ditto.fxp<32, 10>>

    Errors: a factor, or a divisor's reciprocal, that is 0 on its grid.
    """

    name: ClassVar[str] = "ditto-check-constants"

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        analysis = RangeAnalysis(self.entry(module, after="ditto-insert-casts"))
        for op in nested_ops(module.operation):
            if op.name == "stablehlo.divide":
                suspects = [1]
            elif is_product(op):
                suspects = list(range(len(op.operands)))
            else:
                continue
            for index in suspects:
                text, wrong = _finding(op, index, analysis)
                if wrong:
                    errors.add(op, text)
                elif text:
                    self.note("warning", op, text)
        errors.raise_if_any()


def _finding(op: ir.Operation, index: int, analysis: RangeAnalysis) -> tuple[str, bool]:
    """What there is to say of an operand, if it is a constant, and whether it is an error."""
    value = op.operands[index]
    # A product of one operand is its square.
    other = op.operands[1 - index] if len(op.operands) == 2 else value
    encoding, beside = encoding_of(value), encoding_of(other)
    constant = constant_through_layout(value)
    if constant is None or not isinstance(encoding, Fxp) or not isinstance(beside, Fxp):
        return "", False
    divides = op.name == "stablehlo.divide"
    exact = encoding == beside == encoding_of(op.results[0])
    if exact and tiny_factor(value, encoding, reciprocal=divides) is not None:
        return "", False
    numbers = np.array([float(x) for x in constant_numbers(constant)])
    numbers = numbers[np.isfinite(numbers) & (numbers != 0)]
    factors = 1 / numbers if divides else numbers
    kept = np.ldexp(np.rint(np.ldexp(factors, encoding.frac)), -encoding.frac)
    known = analysis.of(other).largest
    reach = min(known, math.ldexp(1.0, beside.ring - 2 - beside.frac))
    tolerance = math.ldexp(UNITS, -min(encoding.frac, beside.frac))
    if op.name in ("stablehlo.dot_general", "stablehlo.convolution"):
        size, lost = np.linalg.norm(factors), np.linalg.norm(factors - kept)
        if lost <= ROUGH * size or lost * reach <= tolerance:
            return "", False
        what = f"steps of 2^-{encoding.frac} change its constant operand by {lost / size:.0%}"
        wrong = not kept.any()
    else:
        off = np.abs(factors - kept)
        rough = np.flatnonzero((off > ROUGH * np.abs(factors)) & (off * reach > tolerance))
        if not rough.size:
            return "", False
        worst = rough[np.argmax(off[rough])]
        what = f"{'1/' if divides else ''}{numbers[worst]:.6g} is {kept[worst]:.6g} "
        what += f"in steps of 2^-{encoding.frac}"
        wrong = not kept[rough].all() and (divides or math.isfinite(known) or not kept.any())
        if rough.size > 1:
            what += f", and so are {rough.size - 1} other elements"
    advice = "" if math.isfinite(known) else "; calibrate, if what it meets is small"
    return f"{what}; give the op a rule with more frac bits, or scale its operands{advice}", wrong
