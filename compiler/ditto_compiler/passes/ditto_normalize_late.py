"""The pass `ditto-normalize-late`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.forms.builder import Builder
from ditto_compiler.ir import defining_op, entry_function, erase_unused, ir, nested_ops, numel
from ditto_compiler.matcher import View
from ditto_compiler.op_attributes import dot_dimensions, shape_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.recognizers import WHOLE
from ditto_compiler.structure import is_float


@dataclass(frozen=True)
class DittoNormalizeLate(Pass):
    """Scale rows after a matrix product instead of before it, where there are fewer numbers then.

    A factor of each row, such as 1/sum in softmax, may as well be applied to the product: attention's has as
    many columns as a head is wide, where the weights have one for each position.

    - `dot_general(e * r, v)` -> `dot_general(e, v) * r`, where r is secret and the same along the contracted
      dimensions, the product has fewer elements than e, and nothing else uses e * r; likewise on the right

    A product with a pinned ring stays. Sums are larger before they are scaled.

    Requires: calls inlined, no encodings yet. Keeps: everything else.

    Before:

        %0 = stablehlo.broadcast_in_dim %r, dims = [0] : (tensor<128xf32>) -> tensor<128x128xf32>
        %1 = stablehlo.multiply %e, %0 : tensor<128x128xf32>
        %2 = stablehlo.dot_general %1, %v, contracting_dims = [1] x [0]
          : (tensor<128x128xf32>, tensor<128x64xf32>) -> tensor<128x64xf32>

    After:

        %0 = stablehlo.dot_general %e, %v, contracting_dims = [1] x [0]
          : (tensor<128x128xf32>, tensor<128x64xf32>) -> tensor<128x64xf32>
        %1 = stablehlo.broadcast_in_dim %r, dims = [0] : (tensor<128xf32>) -> tensor<128x64xf32>
        %2 = stablehlo.multiply %0, %1 : tensor<128x64xf32>

    Errors: a module that is annotated.
    """

    name: ClassVar[str] = "ditto-normalize-late"

    def run(self, module: ir.Module) -> None:
        self.check_before("ditto-annotate", module, has_run=names.has_reached(module, "annotated"))
        entry = entry_function(module)
        if entry is None:
            return
        visibility = VisibilityAnalysis(module)
        idle: list[ir.Operation] = []
        for dot in nested_ops(entry.operation, skip=WHOLE):
            if dot.name != "stablehlo.dot_general" or not is_float(dot.results[0]):
                continue
            for side in (0, 1):
                found = _row_factor(dot, side, visibility)
                if found is not None:
                    found.scale_after(dot)
                    idle.append(found.product)
        # Not before, for visibility is known by address, which a later op may get.
        erase_unused(idle)


@dataclass(frozen=True)
class _Scaled:
    """An operand of a dot product whose rows are scaled.

    Attributes:
        side: which one.
        product: what scales it.
        rows: what it is without the factor.
        factor: the factor, of one number for each place below.
        places: the dimensions of the dot's result that it runs along.
    """

    side: int
    product: ir.Operation
    rows: ir.Value
    factor: ir.Value
    places: tuple[int, ...]

    def scale_after(self, dot: ir.Operation) -> None:
        """Puts the product after the dot product."""
        (result,) = dot.results
        users = [(use.owner, use.operand_number) for use in result.uses]
        dot.operands[self.side] = self.rows
        builder = Builder(ir.InsertionPoint(dot), self.product.location)
        factor = builder.tensor(self.factor)
        small = [extent for extent in factor.shape if extent != 1]
        if small != list(factor.shape):
            factor = factor.reshaped(small)
        shape = builder.tensor(result).shape
        scaled = builder.tensor(result) * factor.converted(result.type.element_type).spread(
            shape, self.places
        )
        last = dot
        for op in builder.ops:
            op.move_after(last)
            last = op
        for user, number in users:
            user.operands[number] = scaled.value


def _row_factor(dot: ir.Operation, side: int, visibility: VisibilityAnalysis) -> _Scaled | None:
    product = defining_op(dot.operands[side])
    if product is None or product.name != "stablehlo.multiply" or names.RING in product.attributes:
        return None
    value = product.results[0]
    if len(list(value.uses)) != 1 or numel(dot.results[0]) >= numel(value):
        return None
    places, view = _places(dot, side), View.of(value)
    for index in (0, 1):
        factor = view.operand(index)
        kept = {dim: axis for axis, dim in enumerate(factor.dims) if dim is not None}
        is_of_rows = numel(factor.value) < numel(value) and all(axis in places for axis in kept.values())
        if is_of_rows and visibility.is_secret(factor.value):
            along = tuple(places[kept[dim]] for dim in sorted(kept))
            return _Scaled(side, product, product.operands[1 - index], factor.value, along)
    return None


def _places(dot: ir.Operation, side: int) -> dict[int, int]:
    """Where the dimensions of an operand that are not contracted are in the result."""
    found = dot_dimensions(dot)
    batches = (found.left_batch, found.right_batch)
    contracted = (found.left_contracted, found.right_contracted)
    free = [
        [d for d in range(len(shape_of(dot.operands[i]))) if d not in (*batches[i], *contracted[i])]
        for i in (0, 1)
    ]
    start = len(batches[side]) + (len(free[0]) if side else 0)
    places = {dim: place for place, dim in enumerate(batches[side])}
    return places | {dim: start + place for place, dim in enumerate(free[side])}
