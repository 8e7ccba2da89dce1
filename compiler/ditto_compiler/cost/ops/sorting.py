"""Sorting along an axis."""

from __future__ import annotations

import math

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import Forms, Rules, extents, register
from ditto_compiler.ir import ir, numel


def _sort(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms[0] == "p":
        return FREE, forms
    shape = extents(op.operands[0])
    length = shape[ir.IntegerAttr(op.attributes["dimension"]).value]
    rows = numel(op.operands[0]) // max(length, 1)
    sort = rules.table.sort[rules.ring]
    messages = sort.messages + sort.messages_per_doubling * math.log2(max(length, 1))
    payloads = len(forms) - 1
    one = Cost(
        bytes=sort.fixed_bytes + length * (sort.bytes + payloads * sort.payload_bytes),
        messages=messages + payloads * sort.payload_messages,
        rounds=messages * sort.rounds_per_message,
        seconds=(sort.us + length * sort.ns * 1e-3) * 1e-6,
    )
    cost = one.times(rows)
    for form, operand in zip(forms, op.operands, strict=True):
        cost += rules.arithmetic(form, numel(operand))
    return cost, ["a"] * len(forms)


register(_sort, "simple_sort")
