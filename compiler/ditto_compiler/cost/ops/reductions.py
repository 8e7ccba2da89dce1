"""Reductions, of whole axes and of windows."""

from __future__ import annotations

import math

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import Forms, Rules, extents, register
from ditto_compiler.ir import ir, numel


def _reduce(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    dimensions = list(ir.DenseI64ArrayAttr(op.attributes["dimensions"]))
    shape = extents(op.operands[0])
    reduced = math.prod(shape[d] for d in dimensions)
    rows = copies * numel(op.operands[0]) // max(reduced, 1)
    # The engine leaves out the initial value unless dimension 0 is reduced.
    return _tree(rules, op, forms, rows, reduced, with_initial=0 in dimensions)


def _reduce_window(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    window = math.prod(ir.DenseI64ArrayAttr(op.attributes["window_dimensions"]))
    windows = numel(op.results[0])
    dilations = list(ir.DenseI64ArrayAttr(op.attributes["window_dilations"]))
    if any(dilation != 1 for dilation in dilations):
        # Then the engine reduces one window after the other.
        cost, results = _tree(rules, op, forms, copies, window, with_initial=False)
        return cost.times(windows), results
    return _tree(rules, op, forms, copies * windows, window, with_initial=False)


def _tree(
    rules: Rules, op: ir.Operation, forms: Forms, rows: int, length: int, *, with_initial: bool
) -> tuple[Cost, Forms]:
    """Reduces `rows` rows of `length`: halves against halves; odd ends, put aside, one by one afterwards."""
    count = len(forms) // 2
    block = op.regions[0].blocks[0]
    cost, held, ends = FREE, forms[:count], 0
    while length > 1:
        half = length // 2
        ends += length % 2
        step, held = rules.block(block, [*held, *held], rows * half)
        cost += step
        length = half
    for _ in range(ends):
        step, held = rules.block(block, [*held, *forms[:count]], rows)
        cost += step
    if with_initial:
        step, held = rules.block(block, [*held, *forms[count:]], rows)
        cost += step
    return cost, held


register(_reduce, "reduce")
register(_reduce_window, "reduce_window")
