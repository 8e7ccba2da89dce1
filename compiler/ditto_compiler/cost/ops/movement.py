"""Ops that move elements."""

from __future__ import annotations

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import Forms, Rules, free, joined_form, register
from ditto_compiler.ir import ir, numel


def _gathered(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    """Values put into one tensor: concatenate, pad, dynamic_update_slice."""
    values = 2 if op.name == "pphlo.dynamic_update_slice" else len(forms)
    form = joined_form(forms[:values])
    cost = rules.row("copy", "aa", copies * numel(op.results[0]) // 2) if form != "p" else FREE
    for operand, held in list(zip(op.operands, forms, strict=True))[:values]:
        elements = copies * numel(operand)
        if held == "p" and form != "p":
            cost += rules.row("seal", "p", elements)
        elif held != form:
            cost += rules.arithmetic(held, elements)
    return cost, [form]


register(
    free(),
    "free",
    "reshape",
    "transpose",
    "broadcast",
    "slice",
    "reverse",
    "bitcast_convert",
    "dynamic_slice",
)
register(_gathered, "concatenate", "pad", "dynamic_update_slice")
