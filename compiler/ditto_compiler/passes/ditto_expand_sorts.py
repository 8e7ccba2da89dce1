"""The pass `ditto-expand-sorts`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import folds
from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.ir import element_type, entry_function, erase_unused, ir, nested_ops, numel, ops_of
from ditto_compiler.op_attributes import get_i64, get_i64s, shape_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import keeps_order, sort_key


@dataclass(frozen=True)
class DittoExpandSorts(Pass):
    """Sort by counting: all pairs of a row are compared at once, and all rows at once.

    Where an element goes is the number of those before it: of earlier ones that are not behind it, and of
    later ones that the comparator wants before it. So the sort is stable, and every comparator of elements
    will do: several keys, absolute values, descending. What is at place p is then the sum of the elements
    that go there. That is two comparisons and a sum of selections, whatever the length, for 2 n^2 comparisons
    a row; the engine's radix sort has hundreds of rounds, and takes row after row. Of results of which only
    some places are used, as in top_k, only these are computed.

    Sorts of public values stay, and so do those by one key with more than `max_pairs` pairs.

    Requires: calls inlined, ops checked, no encodings yet. Keeps: everything else.

    Before:

        %0 = "stablehlo.sort"(%x) ... LT ... : (tensor<4x64xf32>) -> tensor<4x64xf32>

    After (some ops left out; %l is true below the diagonal):

        %0 = stablehlo.compare LT, %left, %right, FLOAT : ... -> tensor<4x64x64xi1>
        %1 = stablehlo.and %0, %l : tensor<4x64x64xi1>
        ...
        %2 = stablehlo.compare EQ, %rank, %place, FLOAT : ... -> tensor<4x64x64xi1>
        %3 = stablehlo.select %2, %elements, %zero : tensor<4x64x64xi1>, tensor<4x64x64xf32>
        %4 = stablehlo.reduce(%3 init: %cst) applies stablehlo.add across dimensions = [2] : ...

    Errors: an annotated module; a sort by several keys of so many elements that it has more pairs.
    """

    name: ClassVar[str] = "ditto-expand-sorts"
    max_pairs: int = 1 << 22
    """Of all rows together; a party holds some 100 bytes for each."""

    def __post_init__(self) -> None:
        if self.max_pairs < 0:
            raise DittoError(f"max_pairs must be at least 0, got {self.max_pairs}")

    def run(self, module: ir.Module) -> None:
        self.check_before("ditto-annotate", module, has_run=names.has_reached(module, "annotated"))
        entry = entry_function(module)
        if entry is None:
            return
        errors, visibility, ranges = self.errors(), VisibilityAnalysis(module), RangeAnalysis(entry)
        for op in [op for op in nested_ops(entry.operation) if op.name == "stablehlo.sort"]:
            by_one_key = sort_key(op) is not None
            if not numel(op.results[0]) or (by_one_key and not visibility.is_secret(op.results[0])):
                continue
            length = shape_of(op.results[0])[_axis(op)]
            pairs = numel(op.results[0]) * length
            if pairs <= self.max_pairs:
                _expand(op, ranges)
            elif not by_one_key:
                errors.add(
                    op,
                    f"a sort by several keys compares all pairs, which are {pairs} here, more than the "
                    f"{self.max_pairs} that max-pairs allows; sort by one key at a time, the last one first: "
                    "sorts are stable",
                )
        errors.raise_if_any()


def _axis(op: ir.Operation) -> int:
    dimension = get_i64(op, "dimension", -1)
    return dimension % len(shape_of(op.results[0]))


def _expand(op: ir.Operation, ranges: RangeAnalysis) -> None:
    axis, shape = _axis(op), shape_of(op.results[0])
    others = [extent for number, extent in enumerate(shape) if number != axis]
    rows, length = math.prod(others), shape[axis]
    first, last = _used_places(op, axis, length)
    builder = Builder.before(op)
    order = [*(number for number in range(len(shape)) if number != axis), axis]
    operands = [builder.tensor(x).transposed(order).reshaped((rows, length)) for x in op.operands]
    if length > 1:
        goes = _one_hot(builder, _places(op, builder, operands), first, last)
    back = [order.index(number) for number in range(len(shape))]
    for result, x, old in zip(op.results, operands, op.operands, strict=True):
        if not list(result.uses):
            continue
        found = _chosen(goes, x, ranges.of(old).largest) if length > 1 else x
        found = found.reshaped((*others, last - first)).transposed(back)
        _replace(result, found, axis, first, whole=last - first == length)
    op.erase()


def _places(op: ir.Operation, builder: Builder, operands: list[Tensor]) -> Tensor:
    """Where each element goes, as floats: [rows, length]."""
    rows, length = operands[0].shape
    square = (rows, length, length)
    sides = [x.spread(square, [0, axis]).value for x in operands for axis in (1, 2)]
    block = op.regions[0].blocks[0]
    _simplify(block)
    (before,) = folds.lifted(block, op)(sides, [])
    number = ir.F32Type.get()
    i, j = (builder.iota((length, length), axis, number) for axis in (0, 1))
    below = (i > j).spread(square, [1, 2])
    # Of each pair, the later element moves to the front of the earlier one, or does not.
    passes = builder.tensor(before).both(below).converted(number)
    place = builder.iota((rows, length), 1, number)
    return place - passes.sum([2]) + passes.sum([1])


def _one_hot(builder: Builder, place: Tensor, first: int, last: int) -> Tensor:
    """[rows, places from `first` until `last`, length]: whether an element goes to a place."""
    rows, length = place.shape
    shape = (rows, last - first, length)
    wanted = builder.iota(shape, 1, place.type.element_type)
    return place.spread(shape, [0, 2]).compare("EQ", wanted + float(first) if first else wanted)


def _chosen(goes: Tensor, x: Tensor, bound: float) -> Tensor:
    """At each place the element that goes there: [rows, places]."""
    elements = x.spread(goes.shape, [0, 2])
    if element_type(x.value) == "i1":
        return goes.both(elements).any([2])
    found = elements.where(goes).sum([2])
    return found.within(float(bound)) if bound < math.inf else found


def _simplify(block: ir.Block) -> None:
    """Leaves out of a comparator what only NaNs and negative zeros need."""
    for op in ops_of(block):
        if op.name == "stablehlo.select" and keeps_order(op):
            op.results[0].replace_all_uses_with(op.operands[2])
    erase_unused([op for op in ops_of(block)[:-1] if not any(list(r.uses) for r in op.results)])
    for op in ops_of(block):
        if "compare_type" in op.attributes and "TOTALORDER" in str(op.attributes["compare_type"]):
            op.attributes["compare_type"] = ir.Attribute.parse("#stablehlo<comparison_type FLOAT>")


def _used_places(op: ir.Operation, axis: int, length: int) -> tuple[int, int]:
    """From which place to before which one something is used: not all, if all users are slices."""
    users = [use.owner.operation for result in op.results for use in result.uses]
    if not users or any(user.name != "stablehlo.slice" or not numel(user.results[0]) for user in users):
        return 0, length
    starts = [get_i64s(user, "start_indices")[axis] for user in users]
    return min(starts), max(get_i64s(user, "limit_indices")[axis] for user in users)


def _replace(result: ir.Value, found: Tensor, axis: int, first: int, *, whole: bool) -> None:
    """Puts places from `first` on in the place of all: slices of these start earlier."""
    if whole:
        result.replace_all_uses_with(found.value)
        return
    for use in list(result.uses):
        user = use.owner.operation
        for name in ("start_indices", "limit_indices"):
            bounds = get_i64s(user, name)
            bounds[axis] -= first
            user.attributes[name] = ir.DenseI64ArrayAttr.get(bounds)
        user.operands[0] = found.value
