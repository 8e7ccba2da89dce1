"""The pass `ditto-normalize-late`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.forms.builder import Builder, Tensor
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
      dimensions, the product has fewer elements than e, and nothing else uses e * r; likewise on the right,
      and through a reshape of rows

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
                old = defining_op(dot.operands[side])
                if found is not None and old is not None:
                    found.scale_after(dot)
                    idle.append(old)
        # Not before, for visibility is known by address, which a later op may get.
        erase_unused(idle)


@dataclass(frozen=True)
class _Scaled:
    """An operand of a dot product whose rows are scaled.

    Attributes:
        side: which one.
        product: what scales it.
        index: the number of the factor among the product's operands.
        factor: the factor, seen in the product's shape.
        reshaped: whether the product is reshaped between, with what is contracted last and as it was.
    """

    side: int
    product: ir.Operation
    index: int
    factor: View
    reshaped: bool

    def scale_after(self, dot: ir.Operation) -> None:
        """Puts the product after the dot product."""
        (result,) = dot.results
        users = [(use.owner, use.operand_number) for use in result.uses]
        builder = Builder(ir.InsertionPoint(dot), self.product.location)
        rows = builder.tensor(self.product.operands[1 - self.index])
        shape = shape_of(dot.operands[self.side])
        if self.reshaped:
            rows = rows.reshaped(shape)
        factor, places = self._of_rows(builder, dot, shape)
        dot.operands[self.side] = rows.value
        # What was emitted so far is used before the dot product, or by its scaling.
        emitted = len(builder.ops)
        plain = builder.tensor(result)
        scaled = plain * factor.converted(plain.type.element_type).spread(plain.shape, places)
        last = dot
        for op in builder.ops[emitted:]:
            op.move_after(last)
            last = op
        for user, number in users:
            user.operands[number] = scaled.value

    def _of_rows(self, builder: Builder, dot: ir.Operation, shape: list[int]) -> tuple[Tensor, list[int]]:
        """The factor without dimensions of extent 1, and those of the dot's result that it runs along."""
        factor = builder.tensor(self.factor.value)
        small = [extent for extent in factor.shape if extent != 1]
        if small != list(factor.shape):
            factor = factor.reshaped(small)
        axes = {dim: axis for axis, dim in enumerate(self.factor.dims) if dim is not None}
        along = [axes[dim] for dim in sorted(axes)]
        places = _places(dot, self.side)
        if self.reshaped:
            count = len(places)
            rows = len(self.factor.shape) - (len(shape) - count)
            factor = factor.spread(self.factor.shape[:rows], along).reshaped(shape[:count])
            along = list(range(count))
        return factor, [places[axis] for axis in along]


def _row_factor(dot: ir.Operation, side: int, visibility: VisibilityAnalysis) -> _Scaled | None:
    value = dot.operands[side]
    product = defining_op(value)
    scaled = set(_places(dot, side))
    reshaped = product is not None and product.name == "stablehlo.reshape"
    if product is not None and reshaped:
        old, new = shape_of(product.operands[0]), shape_of(value)
        contracted = len(new) - len(scaled)
        if scaled != set(range(len(scaled))) or old[len(old) - contracted :] != new[len(scaled) :]:
            return None
        if not _is_used_once(value):
            return None
        value = product.operands[0]
        product = defining_op(value)
        scaled = set(range(len(old) - contracted))
    if product is None or product.name != "stablehlo.multiply" or names.RING in product.attributes:
        return None
    if not _is_used_once(value) or numel(dot.results[0]) >= numel(value):
        return None
    for index in (0, 1):
        factor = View.of(value).operand(index)
        varies = {axis for axis, dim in enumerate(factor.dims) if dim is not None}
        if varies <= scaled and numel(factor.value) < numel(value) and visibility.is_secret(factor.value):
            return _Scaled(side, product, index, factor, reshaped)
    return None


def _is_used_once(value: ir.Value) -> bool:
    return len(list(value.uses)) == 1


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
