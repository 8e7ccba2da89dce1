"""The pass `ditto-insert-guards`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import building, folds
from ditto_compiler.analyses.ranges import Known, RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.beside.placement import FRACTION_BITS
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import insert_casts
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.intervals import Interval, Range
from ditto_compiler.ir import (
    defining_op,
    encode_type,
    encoding_of,
    func,
    insert_op,
    ir,
    numel,
    ops_of,
    set_function_type,
)
from ditto_compiler.pass_base import Pass
from ditto_compiler.scopes import scope_of

ANY_FRACTION = 126
"""Fraction bits that no ring exceeds."""

SLACK = 2.0**-7
"""How far rounding may take a value out of its range, in parts of the larger end; and 16 units besides."""


@dataclass(frozen=True)
class DittoInsertGuards(Pass):
    """Compare values with the ranges that are assumed of them, and return whether all are inside.

    Calibration says in which range a value was seen; that it stays there is an assumption, on which encodings
    and formulas rest. Here each secret fixed-point value whose `ditto.range` says more than range analysis
    proves of it, given the ranges of what it is computed from, is compared with both ends, before it is
    truncated. `@main` returns one boolean more, the last: whether every element of every such value was
    inside. `ditto.guards` says which values these are. Ends are moved out by 1/128 and 16 units, for
    rounding.

    That a value left its range so far that it wrapped around is noticed for certain if the largest magnitude
    that it can have, its operands being inside of their ranges, and that of its range together do not fill
    the ring; `ditto.guards` says of which values that is so.

    With `beside`, `ditto.reach` on a value's op says how large it can get, so that ditto-assign-rings makes
    it in a ring that holds that.

    Requires: casts inserted; ranges applied with `needed_only`. Keeps: c2, c3.

    Before:

        func.func @main(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> ... {
          %0 = stablehlo.add %x, %x {ditto.range = array<f64: -3.0, 3.0>} : tensor<4xf32, #ditto.fxp<32, 10>>
          return %0
        }

    After:

        func.func @main(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> (..., tensor<i1, #ditto.int<32>>)
            attributes {ditto.guards = [":stablehlo.add in [-3, 3], certain"]} {
          %0 = stablehlo.add %x, %x ...
          %1 = stablehlo.compare LT, %0, %low ...
          %2 = stablehlo.compare LT, %0, %high ...
          %3 = stablehlo.xor %1, %2
          %4 = stablehlo.and ... (of halves, until one is left)
          return %0, %4
        }

    Errors: a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-insert-guards"
    beside: bool = False
    """Whether rings are assigned afterwards."""

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        visibility = VisibilityAnalysis(module)
        assumptions = [
            Assumption.of(value, measured, proved, FRACTION_BITS if self.beside else ANY_FRACTION)
            for value, (measured, proved) in Assumptions(entry).found.items()
            if visibility.is_secret(value) and isinstance(encoding_of(value), Fxp) and numel(value)
        ]
        if self.beside:
            for one in assumptions:
                one.note_reach()
        old = ops_of(entry.entry_block)[-1]
        returned, place = list(old.operands), old.location
        with module.context:
            # So that reports show what guards cost.
            before = func.ReturnOp(returned, loc=ir.Location.name("guard/", place), ip=ir.InsertionPoint(old))
            old.erase()
            valid = _all([one.inside(before) for one in assumptions], before)
            func.ReturnOp([*returned, valid], loc=place, ip=ir.InsertionPoint(before))
            before.operation.erase()
            entry.attributes[names.GUARDS] = ir.ArrayAttr.get(
                [ir.StringAttr.get(str(one)) for one in assumptions]
            )
            if "res_attrs" in entry.attributes:
                attributes = [*ir.ArrayAttr(entry.attributes["res_attrs"]), ir.DictAttr.get({})]
                entry.attributes["res_attrs"] = ir.ArrayAttr.get(attributes)
            set_function_type(entry)


class Assumptions(RangeAnalysis):
    """Range analysis that notes which measurements say more than it proves.

    Attributes:
        found: what was measured of results in the entry block, and what is proved of them.
    """

    def __init__(self, entry: func.FuncOp) -> None:
        self.found: dict[ir.Value, tuple[Interval, Range]] = {}
        super().__init__(entry)

    def _sharpened(self, op: ir.Operation, value: ir.Value, proved: Range, known: Known) -> Range:
        if known.measured is not None and op.name != "func.func":
            low, high = known.measured
            if not (proved.is_numeric and low <= proved.low and proved.high <= high):
                self.found[value] = known.measured, proved
        return super()._sharpened(op, value, proved, known)


@dataclass(frozen=True)
class Assumption:
    """That a value stays in a range.

    Attributes:
        value: the value.
        measured: the range.
        low, high: the ends that it is compared with.
        reach: the difference of two numbers that a comparison has to tell apart at most.
        is_certain: whether it is noticed however far the value leaves its range.
    """

    value: ir.Value
    measured: Interval
    low: float
    high: float
    reach: float
    is_certain: bool

    @staticmethod
    def of(value: ir.Value, measured: Interval, proved: Range, frac: int) -> Assumption:
        """What is assumed of a value of up to `frac` fraction bits, by what was measured and proved."""
        encoding = encoding_of(value)
        assert encoding is not None
        low, high = measured
        slack = max(-low, high) * SLACK + math.ldexp(16.0, -min(encoding.frac, frac))
        # Constants have to fit, see `held`.
        most = math.ldexp(1.0 - SLACK, encoding.ring - 2 - encoding.frac)
        low, high = max(low - slack, -most), min(high + slack, most)
        reach = proved.largest + max(-low, high)
        certain = reach < math.ldexp(1.0, encoding.ring - encoding.frac - 1)
        return Assumption(value, measured, low, high, reach, certain)

    def note_reach(self) -> None:
        """Has the value made in a ring in which it does not wrap around unnoticed."""
        op = defining_op(self.value)
        if op is not None and self.is_certain:
            op.attributes[names.REACH] = ir.FloatAttr.get_f64(self.reach)

    def __str__(self) -> str:
        op = defining_op(self.value)
        assert op is not None
        low, high = self.measured
        certain = ", certain" if self.is_certain else ""
        return f"{scope_of(op)}:{op.name} in [{low:.4g}, {high:.4g}]{certain}"

    def inside(self, before: ir.Operation) -> ir.Value:
        """Booleans in one column, in ring 32: which elements are inside."""
        flat = building.reshaped(self.value, [numel(self.value), 1], before=before)
        below = [
            building.comparison(
                "LT", flat, building.splat(end, flat.type, before=before), before=before, kind="FLOAT"
            )
            for end in (self.low, self.high)
        ]
        # Whoever is below the low end is below the high one.
        return insert_casts(insert_op("xor", below[0].type, *below, before=before), Int(32), before=before)


def _all(parts: list[ir.Value], before: ir.Operation) -> ir.Value:
    """Whether all booleans in all parts hold."""
    scalar = encode_type(ir.RankedTensorType.get([], ir.IntegerType.get_signless(1)), Int(32))
    if not parts:
        return building.splat(1, scalar, before=before)
    rows = [building.joined(parts, before=before)]
    (row,) = folds.tournament(rows, folds.by("and", before), before, in_order=False)
    return building.reshaped(row, [], before=before)
