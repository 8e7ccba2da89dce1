"""The pass `ditto-expand-functions`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.forms import range_reduction
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.intervals import Range, add, exactly
from ditto_compiler.ir import defining_op, element_type, encoding_of, ir, nested_ops
from ditto_compiler.pass_base import Pass
from ditto_compiler.recognizers import WHOLE
from ditto_compiler.structure import constant, constant_through_layout

SINGLE_BITS = 22
"""Fraction bits that constants of up to 2 have in single precision."""


@dataclass(frozen=True)
class DittoExpandFunctions(Pass):
    """Write secret functions, and all remainders, out where the engine's own would be wrong.

    - `exponential`, `exponential_minus_one` and `logistic` always: the engine's (1 + x/256)^256 errs by
      x^2/512 of the result, and below -512, as under an attention mask, it is any number. Ours is a quartic
      that is squared a few times, for less bytes; what is so small that exp of it is 0 in fixed point is
      clipped, unless range analysis proves that there is nothing.
    - `remainder` always: the engine's quotient of 16 by 8 falls just short of 2, and its remainder is 8. Ours
      is exact but that what is within 2 units in the last place of a multiple of the divisor counts as that.
    - `rsqrt`, `sqrt`, `log`, `log_plus_one` and `divide` whose arguments are known to be too large: such
      arguments are scaled by a power of two, and the result is scaled back.

    It runs where encodings are known, since formulas and domains depend on them, and before products are made
    exact, so that the policy's rescaling and comparisons apply to what it writes; and the simulator and the
    cost model see what runs. What a reduction's body computes stays.
    [Functions](functions.md) has the errors.

    Requires: casts inserted, rescaling not explicit yet. Keeps: c2.

    Before:

        %0 = stablehlo.log %x {ditto.range = array<f64: 1.0, 1.0e6>} : tensor<4xf32, #ditto.fxp<64, 18>>

    After (types left out):

        %0 = stablehlo.compare GE, %x, %cut
        %1 = stablehlo.multiply %x, %scale
        %2 = stablehlo.select %0, %1, %x
        %3 = stablehlo.log %2
        %4 = stablehlo.add %3, %shift
        %5 = stablehlo.select %0, %4, %3

    Errors: a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-expand-functions"

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        visibility, ranges = VisibilityAnalysis(module), RangeAnalysis(entry)
        wanted = [op for op in nested_ops(entry.operation, skip=WHOLE) if op.name in _EXPANSIONS]
        for op in wanted:
            encoding = encoding_of(op.results[0])
            if not isinstance(encoding, Fxp):
                continue
            if not visibility.is_secret(op.results[0]) and op.name != "stablehlo.remainder":
                continue
            builder = Builder.before(op)
            operands = [_wide_enough(builder.tensor(value), encoding) for value in op.operands]
            result = _EXPANSIONS[op.name](op, operands, encoding, ranges)
            if result is None:
                for made in reversed(builder.ops):
                    made.erase()
                continue
            result = result.converted(ir.RankedTensorType(op.results[0].type).element_type)
            last = defining_op(result.value)
            assert last is not None
            for name in (names.MAX_ABS, names.RANGE):
                if name in op.attributes:
                    last.attributes[name] = op.attributes[name]
            op.results[0].replace_all_uses_with(result.value)
            ranges.erase(op)


def _wide_enough(x: Tensor, encoding: Fxp) -> Tensor:
    """The same numbers in a dtype whose constants have the encoding's fraction bits."""
    if encoding.frac > SINGLE_BITS:
        return x.converted(ir.F64Type.get())
    return x.converted(ir.F32Type.get()) if element_type(x.value) in ("f16", "bf16") else x


Expansion = Callable[[ir.Operation, list[Tensor], Fxp, RangeAnalysis], Tensor | None]


def _of_range(write: Callable[[Tensor, Fxp, Range], Tensor | None]) -> Expansion:
    def expand(op: ir.Operation, x: list[Tensor], encoding: Fxp, ranges: RangeAnalysis) -> Tensor | None:
        return write(x[0], encoding, ranges.of(op.operands[0]))

    return expand


def _scaled(write: Callable[[Tensor, range_reduction.Scaling], Tensor]) -> Expansion:
    function = write.__name__

    def expand(op: ir.Operation, x: list[Tensor], encoding: Fxp, ranges: RangeAnalysis) -> Tensor | None:
        by = range_reduction.scaling(function, encoding, ranges.of(op.operands[0]))
        return None if by is None else write(x[0], by)

    return expand


def _log_plus_one(op: ir.Operation, x: list[Tensor], encoding: Fxp, ranges: RangeAnalysis) -> Tensor | None:
    by = range_reduction.scaling("log", encoding, add(ranges.of(op.operands[0]), exactly(1)))
    return None if by is None else range_reduction.log(x[0] + 1.0, by)


def _divide(op: ir.Operation, x: list[Tensor], encoding: Fxp, ranges: RangeAnalysis) -> Tensor | None:
    if constant_through_layout(op.operands[1]) is not None:
        return None
    by = range_reduction.scaling("divide", encoding, ranges.of(op.operands[1]))
    return None if by is None else range_reduction.divide(x[0], x[1], by)


def _remainder(op: ir.Operation, x: list[Tensor], encoding: Fxp, ranges: RangeAnalysis) -> Tensor | None:
    result = range_reduction.remainder(x[0], x[1], encoding, constant(op.operands[1]))
    bound = ranges.of(op.results[0]).largest
    return result.within(bound) if bound < math.inf else result


_EXPANSIONS: Mapping[str, Expansion] = {
    "stablehlo.divide": _divide,
    "stablehlo.exponential": _of_range(range_reduction.exponential),
    "stablehlo.exponential_minus_one": _of_range(range_reduction.exponential_minus_one),
    "stablehlo.log": _scaled(range_reduction.log),
    "stablehlo.log_plus_one": _log_plus_one,
    "stablehlo.logistic": _of_range(range_reduction.logistic),
    "stablehlo.remainder": _remainder,
    "stablehlo.rsqrt": _scaled(range_reduction.rsqrt),
    "stablehlo.sqrt": _scaled(range_reduction.sqrt),
}
