"""The pass `ditto-check-digits`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import encoding_of, ir, nested_ops, numel
from ditto_compiler.op_attributes import terms_of
from ditto_compiler.ops import is_layout, is_source
from ditto_compiler.pass_base import Pass
from ditto_compiler.rings.numbers import factors, multiplications
from ditto_compiler.structure import constant_through_layout, reducer

LOST = 1 / 16
"""The part of a result's largest magnitude that may be lost without a word."""

UNLIKELY = 1 / 3
"""By what a matrix product's worst case is multiplied: all of its terms' roundings would have to meet."""

POWERS = {"stablehlo.divide": 1.0, "stablehlo.rsqrt": 0.5, "stablehlo.sqrt": 0.5}
"""Functions that are off by a part of themselves: so much of the part that their last operand is off by."""


@dataclass(frozen=True)
class DittoCheckDigits(Pass):
    """Look for products, quotients, roots and logarithms that are made of few digits.

    Numbers are held in steps of 2^-frac. Where one factor is large the other may be small, as when rows of
    very different sizes are divided by their sums: then what a step takes from the one is made large by the
    other. So is what a step takes from the argument of 1/x, 1/sqrt(x) or log(x), where that is small. Warns
    where it can be more than a sixteenth of the largest result that calibration measured; of results that it
    did not measure nothing is said, for few programs get to the ends of what can be proved. The default
    pipeline leaves it out under a plan, which has measured what each rounding does to the results.

    Changes nothing.

    Requires: casts inserted. Keeps: the module as it is.

    Example, with |%x| <= 1e4, |%y| <= 2e3 and |%0| <= 1, as measured:

        %0 = stablehlo.multiply %x, %y : tensor<2xf32, #ditto.fxp<64, 14>>
        // warning: [ditto-check-digits] 'stablehlo.multiply' op: rounding its operands can change results
        // of up to 1 by 0.31: these are large in some places and small in others, ...

    Errors: none.
    """

    name: ClassVar[str] = "ditto-check-digits"

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        ranges, visibility = RangeAnalysis(entry), VisibilityAnalysis(module)
        noise = _Noise(ranges)
        for op in nested_ops(entry.operation):
            if len(op.results) != 1 or not isinstance(encoding_of(op.results[0]), Fxp):
                continue
            noise.note(op)
            if names.RANGE not in op.attributes or not visibility.is_secret(op.results[0]):
                continue
            size = ranges.bound(op.results[0])
            off, part = noise.made_by(op)
            lost = min(off + part * size, 2 * size)
            if lost > LOST * size:
                self.note(
                    "warning",
                    op,
                    f"rounding its operands can change results of up to {size:.3g} by {lost:.2g}: these are "
                    "large in some places and small in others, where few digits are left; bring them to one "
                    "size before, give it a rule with more frac bits, or simulate (ditto.simulate)",
                )


class _Off(NamedTuple):
    """By how much numbers may be off.

    Attributes:
        most: each.
        part: of each, relative to itself, in addition.
    """

    most: float
    part: float


EXACT = _Off(0.0, 0.0)


class _Noise:
    """By how much rounding changes numbers, op by op in program order."""

    def __init__(self, ranges: RangeAnalysis) -> None:
        self._ranges = ranges
        self._since: dict[ir.Value, _Off] = {}
        """For rounding since the last product or function."""
        self._before: dict[ir.Value, _Off] = {}
        """And for what that one made of the rounding before it."""

    def made_by(self, op: ir.Operation) -> _Off:
        """How far off a product or function is for what its operands are; EXACT of other ops."""
        if op.name == "stablehlo.multiply" and op.operands[0] != op.operands[1]:
            return self._product(op, self._before)
        if op.name in ("stablehlo.divide", "stablehlo.rsqrt", "stablehlo.log"):
            return self._function(op, self._before)
        return EXACT

    def note(self, op: ir.Operation) -> None:
        """Notes how far off the result of an op is."""
        value = op.results[0]
        own = EXACT if is_source(op) or is_layout(op) else _rounding(value)
        carried = self._carried(op, self._since)
        self._since[value] = _larger(own, carried or EXACT)
        behind = self._carried(op, self._before) if carried is not None else self._computed(op)
        self._before[value] = _larger(own, behind or EXACT)

    def _carried(self, op: ir.Operation, known: Mapping[ir.Value, _Off]) -> _Off | None:
        """How far off what an op moves, chooses, adds up or scales is; None for other ops."""
        if op.name in names.CASTS or op.name == "stablehlo.select" or is_layout(op):
            return _larger(*(_of(value, known) for value in op.operands))
        if op.name == "stablehlo.reduce":
            most, part = _of(op.operands[0], known)
            terms = numel(op.operands[0]) / max(1, numel(op.results[0])) if reducer(op) == "add" else 1.0
            return _Off(most * math.sqrt(terms), part)
        if op.name == "stablehlo.multiply":
            for scaled, factor in (op.operands, reversed(op.operands)):
                if constant_through_layout(factor) is not None:
                    most, part = _of(scaled, known)
                    return _Off(most * self._ranges.bound(factor), part)
        return None

    def _computed(self, op: ir.Operation) -> _Off | None:
        """How far off a matrix product or function is; None for other ops."""
        if op.name in POWERS:
            return self._function(op, self._since)
        if multiplications(op):
            most, part = self._product(op, self._since)
            return _Off(most * UNLIKELY * math.sqrt(terms_of(op)), part)
        return None

    def _product(self, op: ir.Operation, known: Mapping[ir.Value, _Off]) -> _Off:
        left, right = factors(op)
        bounds = self._ranges.bound(left), self._ranges.bound(right)
        if math.isinf(max(bounds)):
            return EXACT
        one, other = _of(left, known), _of(right, known)
        return _Off(math.hypot(one.most * bounds[1], other.most * bounds[0]), one.part + other.part)

    def _function(self, op: ir.Operation, known: Mapping[ir.Value, _Off]) -> _Off:
        value = op.operands[len(op.operands) - 1]
        low, high = self._ranges.interval(value)
        least = low if low > 0 else -high
        if least <= 0:
            return EXACT
        most, part = _of(value, known)
        part += most / least
        if op.name == "stablehlo.log":
            return _Off(part, 0.0)
        if op.name != "stablehlo.divide":
            return _Off(0.0, part * POWERS[op.name])
        dividend = _of(op.operands[0], known)
        return _Off(dividend.most / least, dividend.part + part)


def _of(value: ir.Value, known: Mapping[ir.Value, _Off]) -> _Off:
    """How far off a value is: of arguments, and of what loops and branches give, for their own rounding."""
    found = known.get(value)
    return _rounding(value) if found is None else found


def _rounding(value: ir.Value) -> _Off:
    encoding = encoding_of(value)
    if not isinstance(encoding, Fxp) or not encoding.frac:
        return EXACT
    return _Off(math.ldexp(0.5, -encoding.frac), 0.0)


def _larger(*each: _Off) -> _Off:
    return _Off(max(one.most for one in each), max(one.part for one in each))
