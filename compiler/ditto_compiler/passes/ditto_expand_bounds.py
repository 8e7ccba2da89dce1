"""The pass `ditto-expand-bounds`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.calibration import wider
from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.intervals import Interval
from ditto_compiler.ir import entry_function, ir, ops_of
from ditto_compiler.op_attributes import get_i64s
from ditto_compiler.pass_base import Pass
from ditto_compiler.remarks import Category


@dataclass(frozen=True)
class DittoExpandBounds(Pass):
    """Find a number that is somewhat larger than all of a row by a few public thresholds.

    A maximum that any number up to `ditto.slack` larger may stand for, as in softmax, needs no tournament.
    Where calibration saw maxima from a to b, thresholds a slack apart are compared with all numbers at once,
    coarsely: the bound is the first threshold that no number of the row reaches. That is one comparison and
    a tree of disjunctions of single bits. Where all maxima are within a slack, the bound is a constant. Both
    ends are taken further out by `margin` - 1 of the larger magnitude; a maximum below them is bounded too,
    but by more.

    Maxima of which nothing was measured, or that need more than `most` thresholds, stay.

    Requires: ranges applied, no encodings yet. Keeps: everything else.

    Before, with maxima measured from 1 to 2:

        %0 = stablehlo.reduce(%x init: %least) applies stablehlo.maximum across dimensions = [1]
          {ditto.slack = 2.0 : f64} : (tensor<4x8xf32>, tensor<f32>) -> tensor<4xf32>

    After:

        %0 = stablehlo.compare GE, %x, %t {ditto.slack = 0.125 : f64} : ... -> tensor<4x8xi1>   // t = 1.0
        %1 = stablehlo.reduce(%0 init: %false) applies stablehlo.or across dimensions = [1]
          : ... -> tensor<4xi1>
        %2 = stablehlo.convert %1 : (tensor<4xi1>) -> tensor<4xf32>
        %3 = stablehlo.multiply %2, %slack : tensor<4xf32>
        %4 = stablehlo.add %3, %first : tensor<4xf32>                                  // 1.125

    Errors: an annotated module.
    """

    name: ClassVar[str] = "ditto-expand-bounds"
    margin: float = 2.0
    """How much larger than measured maxima may be; 1 or more."""
    most: int = 24
    """Thresholds beyond which a tournament costs less."""

    def __post_init__(self) -> None:
        if not 1 <= self.margin < math.inf:
            raise DittoError(f"margin must be a number from 1 on, got {self.margin}")
        if self.most < 0:
            raise DittoError(f"most must be at least 0, got {self.most}")

    def run(self, module: ir.Module) -> None:
        self.remarks.clear()
        self.check_before("ditto-annotate", module, has_run=names.has_reached(module, "annotated"))
        entry = entry_function(module)
        if entry is None:
            return
        visibility, ranges = VisibilityAnalysis(module), RangeAnalysis(entry)
        reductions = [op for op in ops_of(entry.entry_block) if op.name == "stablehlo.reduce"]
        wanted = [op for op in reductions if names.SLACK in op.attributes]
        found = [(op, ranges.of(op.results[0])) for op in wanted if visibility.is_secret(op.results[0])]
        for op, seen in found:
            if not seen.is_bounded:
                continue
            slack = names.get_float(op, names.SLACK)
            assert slack is not None
            # Calibration saw maxima with their slack too.
            low, high = wider((seen.low, max(seen.low, seen.high - slack)), self.margin - 1)
            # The bound is above the maximum by a step, and by what comparisons are off both ways.
            count = max(0, math.ceil((high - low) / (slack * (1 - 2 * COARSE))) - 1)
            if count > self.most:
                self.note(
                    "remark", op, f"its {count} thresholds would cost more than a tournament", Category.FORM
                )
                continue
            bound = _bound(op, (low, high), count, slack)
            op.results[0].replace_all_uses_with(bound.value)
            self.note(
                "remark", op, f"is bounded by {count} thresholds from {low:.4g} to {high:.4g}", Category.FORM
            )
            op.erase()


COARSE = 1 / 16
"""By how much of the slack a comparison may be off."""


def _bound(op: ir.Operation, interval: Interval, count: int, slack: float) -> Tensor:
    """The least threshold that is above the row; above the last one there is nothing."""
    builder = Builder.before(op)
    x, result = builder.tensor(op.operands[0]), builder.tensor(op.results[0])
    low, high = interval
    step = (high - low) / (count + 1)
    # What is compared to be below a threshold may be above it by as much as the comparison is off.
    above = slack * COARSE
    bound = builder.full(low + step + above, result.shape, result.type.element_type)
    axes = get_i64s(op, "dimensions")
    for number in range(count):
        reached = x.compare("GE", low + (number + 1) * step).loosely(above)
        (any_,) = builder.reduction([reached], [0.0], axes, lambda a, b: [a[0].either(b[0])])
        bound = bound + any_.converted(result.type.element_type) * step
    return bound
