"""Sums, selections and comparisons."""

from __future__ import annotations

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import Forms, Rules, register, unary
from ditto_compiler.ir import ir, numel


def _local(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if set(forms) == {"p"}:
        return FREE, ["p"]
    cost = rules.local(copies * numel(op.results[0]))
    for operand, form in zip(op.operands, forms, strict=True):
        cost += rules.arithmetic(form, copies * numel(operand))
    return cost, ["a"]


def _less(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    cost, form = rules.less(forms[0], forms[1], copies * numel(op.results[0]))
    return cost, [form]


def _equal(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms == ["p", "p"]:
        return FREE, ["p"]
    elements = copies * numel(op.results[0])
    if "a" in forms:
        cost = rules.arithmetic(forms[0], elements) + rules.arithmetic(forms[1], elements)
        return cost + rules.row("equal", "ap" if "p" in forms else "aa", elements), ["o"]
    # Pattern: x == y -> not (x < y) and not (y < x)
    cost, _ = rules.less(forms[0], forms[1], elements)
    return cost.times(2) + rules.row("and", "bb", elements), ["b"]


def _extremum(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    cost, form = _maximum(rules, forms[0], forms[1], copies * numel(op.results[0]))
    return cost, [form]


def _maximum(rules: Rules, x: str, y: str, elements: int) -> tuple[Cost, str]:
    compared, predicate = rules.less(x, y, elements)
    selected, form = rules.select(predicate, x, y, elements)
    return compared + selected, form


def _clamp(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    low, x, high = forms
    elements = copies * numel(op.results[0])
    raised, form = _maximum(rules, low, x, elements)
    lowered, form = _maximum(rules, form, high, elements)
    return raised + lowered, [form]


def _select(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    cost, form = rules.select(forms[0], forms[1], forms[2], copies * numel(op.results[0]))
    return cost, [form]


register(_local, "add", "subtract", "negate")
register(_less, "less", "less_equal", "greater", "greater_equal")
register(_equal, "equal", "not_equal")
register(_extremum, "maximum", "minimum")
register(_clamp, "clamp")
register(_select, "select")
register(unary("abs"), "abs")
register(unary("sign"), "sign")
