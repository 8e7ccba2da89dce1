"""The pass `ditto-expand-reductions`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import encoding_of, insert_op, ir, nested_ops, numel
from ditto_compiler.op_attributes import get_i64s, shape_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import reducer


@dataclass(frozen=True)
class DittoExpandReductions(Pass):
    """Write secret fixed-point reductions by maximum and minimum as rounds of a tournament.

    Each round compares one half of what is left with the other, so n elements take ceil(log2(n)) rounds, as
    in the engine. It goes along the first axis, where halves are contiguous, which takes the engine a fifth
    less time; and each round is a `maximum` or `minimum`, which ditto-expand-comparisons knows.

    Requires: casts inserted. Keeps: c2, c3.

    Before:

        %0 = stablehlo.reduce(%x init: %least) applies stablehlo.maximum across dimensions = [1]
          : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>

    After (encodings left out in both; they stay):

        %0 = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x4xf32>) -> tensor<4x2xf32>
        %1 = stablehlo.slice %0 [0:2, 0:2] : (tensor<4x2xf32>) -> tensor<2x2xf32>
        %2 = stablehlo.slice %0 [2:4, 0:2] : (tensor<4x2xf32>) -> tensor<2x2xf32>
        %3 = stablehlo.maximum %1, %2 : tensor<2x2xf32>
        %4 = stablehlo.slice %3 [0:1, 0:2] : (tensor<2x2xf32>) -> tensor<1x2xf32>
        %5 = stablehlo.slice %3 [1:2, 0:2] : (tensor<2x2xf32>) -> tensor<1x2xf32>
        %6 = stablehlo.maximum %4, %5 : tensor<1x2xf32>
        %7 = stablehlo.reshape %6 : (tensor<1x2xf32>) -> tensor<2xf32>

    Errors: a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-expand-reductions"

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        visibility = VisibilityAnalysis(module)
        reductions = [op for op in nested_ops(entry.operation) if _is_wanted(op, visibility)]
        for op in reductions:
            op.results[0].replace_all_uses_with(_tournament(op))
        for op in reductions:
            op.erase()


def _is_wanted(op: ir.Operation, visibility: VisibilityAnalysis) -> bool:
    if op.name != "stablehlo.reduce" or reducer(op) not in ("maximum", "minimum"):
        return False
    x = op.operands[0]
    return isinstance(encoding_of(x), Fxp) and visibility.is_secret(x) and numel(x) > 0


def _tournament(op: ir.Operation) -> ir.Value:
    x, name = op.operands[0], reducer(op)
    assert name is not None
    tensor = ir.RankedTensorType(x.type)
    shape, dimensions = shape_of(x), get_i64s(op, "dimensions")
    kept = [axis for axis in range(len(shape)) if axis not in dimensions]
    columns, left = math.prod(shape[axis] for axis in kept), math.prod(shape[axis] for axis in dimensions)

    def type_of(*extents: int) -> ir.Type:
        return ir.RankedTensorType.get(extents, tensor.element_type, tensor.encoding)

    def rows(start: int, stop: int) -> ir.Value:
        bounds = {"start_indices": [start, 0], "limit_indices": [stop, columns], "strides": [1, 1]}
        attributes = {key: ir.DenseI64ArrayAttr.get(value) for key, value in bounds.items()}
        return insert_op("slice", type_of(stop - start, columns), x, before=op, **attributes)

    order = [*dimensions, *kept]
    if order != sorted(order):
        moved = type_of(*(shape[axis] for axis in order))
        x = insert_op("transpose", moved, x, before=op, permutation=ir.DenseI64ArrayAttr.get(order))
    if shape_of(x) != [left, columns]:
        x = insert_op("reshape", type_of(left, columns), x, before=op)
    while left > 1:
        half, odd = divmod(left, 2)
        winners = insert_op(name, type_of(half, columns), rows(0, half), rows(half, 2 * half), before=op)
        if odd:
            dimension = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0)
            joined = type_of(half + 1, columns)
            last = rows(left - 1, left)
            winners = insert_op("concatenate", joined, winners, last, before=op, dimension=dimension)
        x, left = winners, half + odd
    return insert_op("reshape", op.results[0].type, x, before=op)
