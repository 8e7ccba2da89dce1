"""The pass `ditto-expand-scatter`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import folds
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.forms import places as reading
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.forms.scatter import COMBINERS, at_computed_places, at_known_places
from ditto_compiler.ir import entry_function, ir, nested_ops, ops_of
from ditto_compiler.op_attributes import dimension_field
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import reducer
from ditto_compiler.supported import SCATTER, are_shared, scatter_problem


@dataclass(frozen=True)
class DittoExpandScatter(Pass):
    """Write at places that indices say, in the place of `scatter`, of which the engine has none.

    `x.at[i].set(y)`, `add`, `max` and the like, `segment_sum`, `bincount`, histograms, and gradients of
    lookups. Where constants decide the indices, elements are moved, and only updates that meet are combined:
    writing and adding send nothing. Otherwise, whether the indices are secret or public, each one is compared
    with every place; adding is then a product with the one-hot matrix of that, and setting a selection, in
    which the last of several updates for one place counts, as XLA has it on CPUs. Maxima, minima and products
    are tournaments over all updates, for every place.

    An update that is out of range is left out; of a window, all of it, as JAX has it.

    Requires: calls inlined. Keeps: everything else.

    Before:

        %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<
          inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
          ^bb0(%a: tensor<i32>, %b: tensor<i32>):
            %s = stablehlo.add %a, %b : tensor<i32>
            stablehlo.return %s : tensor<i32>
        }) : (tensor<4xi32>, tensor<3x1xi32>, tensor<3xi32>) -> tensor<4xi32>

    After:

        %0 = stablehlo.clamp %minus_one, %i, %four : tensor<3xi32>
        %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<3xi32>) -> tensor<3x4xi32>
        %2 = stablehlo.compare EQ, %1, %iota : (tensor<3x4xi32>, tensor<3x4xi32>) -> tensor<3x4xi1>
        %3 = stablehlo.transpose %2, dims = [1, 0] : (tensor<3x4xi1>) -> tensor<4x3xi1>
        %4 = stablehlo.select %3, %ones, %zeros : tensor<4x3xi1>, tensor<4x3xi32>
        %5 = stablehlo.dot_general %4, %u, contracting_dims = [1] x [0] : ... -> tensor<4xi32>
        %6 = stablehlo.add %x, %5 : tensor<4xi32>

    Errors: an update by something else than setting, adding, multiplying, maximum, minimum, `and` or `or` at
    places that constants do not decide; an annotated module.
    """

    name: ClassVar[str] = "ditto-expand-scatter"

    def run(self, module: ir.Module) -> None:
        self.check_before("ditto-annotate", module, has_run=names.has_reached(module, "annotated"))
        entry = entry_function(module)
        if entry is None:
            return
        found = [op for op in nested_ops(entry.operation) if op.name == SCATTER]
        # The others are errors of ditto-check-supported.
        ops = [op for op in found if are_shared(op) and scatter_problem(op) is None]
        if not ops:
            return
        errors = self.errors()
        ranges = RangeAnalysis(entry)
        for op in ops:
            result = _expanded(op, ranges, errors)
            if result is not None:
                op.results[0].replace_all_uses_with(result.value)
                ranges.erase(op)
        errors.raise_if_any()


def _expanded(op: ir.Operation, ranges: RangeAnalysis, errors: ErrorCollector) -> Tensor | None:
    builder = Builder.before(op)
    x, updates = builder.tensor(op.operands[0]), builder.tensor(op.operands[2])
    places = reading.of_scatter(op, builder)
    updates = _windows(op, updates, places)
    block = op.regions[0].blocks[0]
    sets = ops_of(block)[-1].operands[0] == block.arguments[1]
    name = reducer(op)
    if name is not None and str(x.type.element_type) == "i1":
        name = folds.BOOLEAN_NAMES.get(name, name)
    if not places.computed:
        combine = folds.lifted(block, op)
        return at_known_places(
            x,
            updates,
            places,
            None if sets else lambda old, new: builder.tensor(combine([old.value], [new.value])[0]),
            associative=name in folds.ASSOCIATIVE,
        )
    if not sets and name not in COMBINERS:
        errors.add(
            op,
            "at an index that the program computes, elements can be set, added, multiplied, or combined by "
            "maximum, minimum, `and` or `or`; compute the new elements first and set them "
            "(x.at[i].set(f(x[i]))), or make the index a constant",
        )
        return None
    unique = "unique_indices" in op.attributes and ir.BoolAttr(op.attributes["unique_indices"]).value
    return at_computed_places(x, updates, places, None if sets else name, ranges, unique=unique, clamps=False)


def _windows(op: ir.Operation, updates: Tensor, places: reading.Places) -> Tensor:
    """Updates as [*shape of the index vectors, *sizes of a window in all dimensions of the operand]."""
    windows = dimension_field(op.attributes["scatter_dimension_numbers"], "update_window_dims")
    vectors = [d for d in range(len(updates.shape)) if d not in windows]
    moved = updates.transposed([*vectors, *windows])
    return moved.reshaped((*places.shape, *(axis.size for axis in places.axes)))
