"""The pass `ditto-fold-ranges`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import building
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.ir import defining_op, element_type, entry_function, insert_op, ir, nested_ops
from ditto_compiler.op_attributes import direction_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.remarks import Category
from ditto_compiler.structure import IDENTITIES, constant
from ditto_compiler.supported import result_problem

REDUCERS: tuple[str, ...] = ("stablehlo.reduce", "stablehlo.reduce_window", "stablehlo.sort")


@dataclass(frozen=True)
class DittoFoldRanges(Pass):
    """Drop what the ranges of values decide: tests for NaN and infinity, mostly.

    Inputs are numbers, so most of what front ends write for the sake of NaN and infinity has one answer.
    Fixed point has neither, so no answer is left to it:

    - a predicate that is the same for every element that the ranges allow -> a constant
    - `select` by a known predicate -> what it selects
    - `max(x, -inf)`, `min(x, inf)` -> x
    - `is_finite(x)` -> `-inf < x`, `x < inf` where only what stands for infinity is in question

    Whether a quotient, a logarithm or a root is a number cannot be told on shares: there `is_finite` is
    taken to be true, with a warning, and `x != x` to be false.

    Requires: calls inlined. Keeps: everything else.

    Before:

        %0 = stablehlo.is_finite %x : (tensor<4xf32>) -> tensor<4xi1>
        %1 = stablehlo.select %0, %x, %zero : tensor<4xi1>, tensor<4xf32>

    After:

        (%1 is %x)

    Errors: none.
    """

    name: ClassVar[str] = "ditto-fold-ranges"

    def run(self, module: ir.Module) -> None:
        entry = entry_function(module)
        if entry is None:
            return
        analysis = RangeAnalysis(entry)
        for op in nested_ops(entry.operation):
            if len(op.results) != 1 or result_problem(op) or op.name == "stablehlo.constant":
                continue
            found = self._folded(op, analysis)
            if found is not None:
                op.results[0].replace_all_uses_with(found)
                if not len(op.regions):
                    analysis.erase(op)

    def _folded(self, op: ir.Operation, analysis: RangeAnalysis) -> ir.Value | None:
        """What gives the same as `op`, or None."""
        if op.name in ("stablehlo.and", "stablehlo.or") and element_type(op.results[0]) == "i1":
            neutral = op.name == "stablehlo.and"
            for index in (0, 1):
                if _known(op.operands[index], analysis) is neutral:
                    return op.operands[1 - index]
        if op.name == "stablehlo.select":
            chosen = _known(op.operands[0], analysis)
            return None if chosen is None else op.operands[1 if chosen else 2]
        if op.name in ("stablehlo.maximum", "stablehlo.minimum"):
            identity = IDENTITIES[op.name.removeprefix("stablehlo.")]
            return next((op.operands[1 - i] for i in (1, 0) if constant(op.operands[i]) in identity), None)
        # The engine runs reducers on whole tensors, which constants in them would not match.
        if element_type(op.results[0]) != "i1" or _in_reducer(op):
            return None
        known = _known(op.results[0], analysis)
        if known is None:
            return self._is_finite(op, analysis)
        self.note("remark", op, f"is always {str(known).lower()}, whatever the inputs", Category.FOLD)
        return building.splat(known, op.results[0].type, before=op)

    def _is_finite(self, op: ir.Operation, analysis: RangeAnalysis) -> ir.Value | None:
        """Comparisons with infinity, in the place of `is_finite`."""
        if op.name != "stablehlo.is_finite":
            return None
        x = op.operands[0]
        range_ = analysis.of(x)
        if range_.nan:
            self.note(
                "warning",
                op,
                "whether a quotient, a logarithm or a root is a number cannot be told on shares; it is "
                "taken to be. Make its argument safe before (jnp.where on the divisor), or drop the test",
            )
            return building.splat(True, op.results[0].type, before=op)
        wanted = [("GT", -math.inf)] if range_.below else []
        wanted += [("LT", math.inf)] if range_.above else []
        tests = [
            building.comparison(
                direction, x, building.splat(limit, x.type, before=op), before=op, kind="FLOAT"
            )
            for direction, limit in wanted
        ]
        return tests[0] if len(tests) == 1 else insert_op("and", op.results[0].type, *tests, before=op)


def _known(value: ir.Value, analysis: RangeAnalysis) -> bool | None:
    """What every element of a boolean tensor is, or None."""
    op = defining_op(value)
    if op is not None and op.name == "stablehlo.compare" and op.operands[0] == op.operands[1]:
        # Pattern: x != x, which is how front ends ask for NaN
        return direction_of(op) in ("EQ", "LE", "GE")
    range_ = analysis.of(value)
    return bool(range_.low) if range_.low == range_.high else None


def _in_reducer(op: ir.Operation) -> bool:
    return op.parent is not None and op.parent.name in REDUCERS
