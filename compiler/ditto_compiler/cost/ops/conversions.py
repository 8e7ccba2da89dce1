"""Conversions between element types, and rounding."""

from __future__ import annotations

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import BOOLEAN, Forms, Rules, is_float, register, unary
from ditto_compiler.ir import element_type, ir, numel


def _convert(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    (form,) = forms
    elements = copies * numel(op.operands[0])
    cost = FREE
    source, target = op.operands[0], op.results[0]
    if form == "p" and "!pphlo.secret<" in element_type(target):
        bit = element_type(source) == "i1"
        cost += rules.row("seal_bit" if bit else "seal", "p", elements)
        form = "b" if bit else "a"
    if form != "p" and is_float(source) and not is_float(target):
        cost += rules.arithmetic(form, elements) + rules.row("to_integer", "a", elements)
        form = "w"
    elif form in BOOLEAN and is_float(target):
        form = "w"
    return cost, [form]


def _floor(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms[0] in "pw":
        return FREE, forms
    return unary(op.name.removeprefix("pphlo."), "w")(rules, op, forms, copies)


register(_convert, "convert")
register(_floor, "floor", "ceil")
register(unary("round_nearest_afz", "w"), "round_nearest_afz")
register(unary("round_nearest_even"), "round_nearest_even")
