"""The pass `ditto-expand-gather`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import building
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.forms import places as reading
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.forms.gather import windows
from ditto_compiler.forms.scatter import at_computed_places, at_known_places
from ditto_compiler.ir import entry_function, ir, nested_ops, numel
from ditto_compiler.op_attributes import dimension_field, get_i64s, index_operands, is_lookup
from ditto_compiler.pass_base import Pass
from ditto_compiler.recognizers.embedding import filled_gather
from ditto_compiler.supported import are_shared


@dataclass(frozen=True)
class DittoExpandGather(Pass):
    """Read and write at secret places by comparing every place with the index.

    `gather`, `dynamic_slice` and `dynamic_update_slice` whose indices are secret become products with, or
    selections by, one-hot matrices: `x[i]`, `x[jnp.arange(n), i]`, `take_along_axis`, the loss of integer
    labels, a window that starts at a secret place. Everything that could be meant is read, so the work grows
    with the number of places; nobody learns which was. Along dimensions whose indices constants decide,
    elements are only moved. An index that is out of range means the nearest place that is not, as in
    StableHLO. Where JAX fills what is out of range with NaN, results are 0: fixed point has no NaN.

    Indices are limited first unless their range is proved, so that equalities need few bits. From 64 places
    on an index is compared in two digits. Lookups of whole rows by secret ids are left to ditto-approximate,
    which has forms of them; public indices, to the engine, which moves elements by them. Of gathers with
    batching dimensions it has none: these become dimensions that are indexed by their own position.

    Requires: calls inlined. Keeps: everything else.

    Before:

        %0 = stablehlo.dynamic_slice %x, %i, sizes = [1] : (tensor<4xf32>, tensor<i32>) -> tensor<1xf32>

    After:

        %0 = stablehlo.clamp %zero, %i, %three : tensor<1xi32>
        %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<1xi32>) -> tensor<1x4xi32>
        %2 = stablehlo.compare EQ, %1, %iota : (tensor<1x4xi32>, tensor<1x4xi32>) -> tensor<1x4xi1>
        %3 = stablehlo.select %2, %ones, %zeros : tensor<1x4xi1>, tensor<1x4xf32>
        %4 = stablehlo.dot_general %3, %x, contracting_dims = [1] x [0] : ... -> tensor<1x1xf32>

    Errors: an annotated module.
    """

    name: ClassVar[str] = "ditto-expand-gather"

    def run(self, module: ir.Module) -> None:
        self.check_before("ditto-annotate", module, has_run=names.has_reached(module, "annotated"))
        entry = entry_function(module)
        if entry is None:
            return
        ops = [op for op in nested_ops(entry.operation) if op.name in _OPS and are_shared(op)]
        for op in nested_ops(entry.operation):
            gather = filled_gather(op)
            if gather is not None and not is_lookup(gather):
                op.operands[2] = building.splat(0, op.operands[2].type, before=op)
        if not ops:
            return
        visibility, ranges = VisibilityAnalysis(module), RangeAnalysis(entry)
        secret = [any(map(visibility.is_secret, index_operands(op))) for op in ops]
        for op, is_secret in zip(ops, secret, strict=True):
            if is_secret and not is_lookup(op):
                found = _OPS[op.name](op, ranges).value
            elif op.name == "stablehlo.gather" and dimension_field(
                op.attributes["dimension_numbers"], "operand_batching_dims"
            ):
                found = _without_batches(op)
            else:
                continue
            op.results[0].replace_all_uses_with(found)
            ranges.erase(op)


def _gather(op: ir.Operation, ranges: RangeAnalysis) -> Tensor:
    builder = Builder.before(op)
    places = reading.of_gather(op, builder)
    found = windows(builder.tensor(op.operands[0]), places, ranges)
    rank, dropped = len(places.shape), reading.gather_dropped(op)
    kept = [extent for d, extent in enumerate(found.shape) if d - rank not in dropped]
    found = found.reshaped(kept)
    offsets = dimension_field(op.attributes["dimension_numbers"], "offset_dims")
    vectors, parts = iter(range(rank)), iter(range(rank, len(kept)))
    return found.transposed([next(parts if d in offsets else vectors) for d in range(len(kept))])


def _dynamic_slice(op: ir.Operation, ranges: RangeAnalysis) -> Tensor:
    builder = Builder.before(op)
    places = reading.of_slice(op, builder, get_i64s(op, "slice_sizes"), first=1)
    return windows(builder.tensor(op.operands[0]), places, ranges)


def _dynamic_update_slice(op: ir.Operation, ranges: RangeAnalysis) -> Tensor:
    builder = Builder.before(op)
    x, update = (builder.tensor(operand) for operand in list(op.operands)[:2])
    if not numel(op.operands[1]):
        return x
    places = reading.of_slice(op, builder, update.shape, first=2).limited()
    if not places.computed:
        return at_known_places(x, update, places, None, associative=True)
    return at_computed_places(x, update, places, None, ranges, unique=True, clamps=True)


_OPS = {
    "stablehlo.gather": _gather,
    "stablehlo.dynamic_slice": _dynamic_slice,
    "stablehlo.dynamic_update_slice": _dynamic_update_slice,
}


def _without_batches(op: ir.Operation) -> ir.Value:
    """A gather whose batching dimensions are indexed by their positions, like any other dimension."""
    builder = Builder.before(op)
    numbers = op.attributes["dimension_numbers"]

    def field(name: str) -> list[int]:
        return dimension_field(numbers, name)

    indices = builder.tensor(op.operands[1])
    (depth,) = field("index_vector_dim") or [0]
    if depth == len(indices.shape):
        indices = indices.reshaped((*indices.shape, 1))
    shape = (*indices.shape[:depth], 1, *indices.shape[depth + 1 :])
    element = indices.type.element_type
    columns = [builder.iota(shape, axis, element) for axis in field("start_indices_batching_dims")]
    fields = {
        "offset_dims": field("offset_dims"),
        "collapsed_slice_dims": sorted(field("collapsed_slice_dims") + field("operand_batching_dims")),
        "start_index_map": field("operand_batching_dims") + field("start_index_map"),
        "index_vector_dim": depth,
    }
    text = ", ".join(f"{name} = {value}" for name, value in fields.items())
    attributes = {
        "dimension_numbers": ir.Attribute.parse(f"#stablehlo.gather<{text}>"),
        "slice_sizes": op.attributes["slice_sizes"],
    }
    operands = [op.operands[0], builder.joined([*columns, indices], depth).value]
    return builder.op("gather", [op.results[0].type], operands, attributes).results[0]
