"""Loops and branches."""

from __future__ import annotations

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import Forms, Rules, joined_form, register
from ditto_compiler.ir import ir, ops_of

MAX_ITERATIONS = 1_000_000


def _if(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    # The condition is public, but not known here: the more expensive branch counts.
    sides = [rules.block(region.blocks[0], [], copies) for region in op.regions]
    cost = max((cost for cost, _ in sides), key=lambda c: (c.bytes, c.rounds))
    return cost, [joined_form(pair) for pair in zip(*(results for _, results in sides), strict=True)]


def _while(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    condition, body = (region.blocks[0] for region in op.regions)
    held = forms
    constants = [rules.constant(operand) for operand in op.operands]
    cost = FREE
    for _ in range(MAX_ITERATIONS):
        rules.set_constants(condition.arguments, constants)
        step, _ = rules.block(condition, held, copies)
        cost += step
        goes_on = rules.constant(ops_of(condition)[-1].operands[0])
        if goes_on == 0:
            return cost, held
        rules.set_constants(body.arguments, constants)
        step, held = rules.block(body, held, copies)
        cost += step
        constants = [rules.constant(value) for value in ops_of(body)[-1].operands]
        if goes_on is None:
            break
    rules.unknown.add("while of unknown length (counted once)")
    return cost, held


register(_if, "if")
register(_while, "while")
