"""Bitwise ops and shifts."""

from __future__ import annotations

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import BOOLEAN, Forms, Rule, Rules, free, register, unary
from ditto_compiler.ir import element_type, ir, numel


def _bitwise(conversions: int, ands: int, narrowest: bool) -> Rule:
    """`and`, `or`, `xor`: conversions of each operand, `and`s, and which operand's width the result has."""

    def rule(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
        if forms == ["p", "p"]:
            return FREE, ["p"]
        elements = copies * numel(op.results[0])
        cost = FREE
        for form in forms:
            cost += rules.boolean(form, elements).times(conversions)
        # What was an arithmetic share is one of all bits now; a public bit is one bit.
        public = "b" if element_type(op.results[0]).endswith("i1>") else "w"
        widths = sorted(BOOLEAN.index({"a": "w", "p": public}.get(form, form)) for form in forms)
        if "p" not in forms:
            cost += rules.row("and", "ww" if BOOLEAN[widths[0]] == "w" else "bb", elements).times(ands)
        return cost, [BOOLEAN[widths[0] if narrowest else widths[1]]]

    return rule


def _shift_right(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms == ["p", "p"]:
        return FREE, ["p"]
    if forms[1] != "p":
        rules.unknown.add(f"{op.name.removeprefix('pphlo.')} by a secret amount")
    return rules.boolean(forms[0], copies * numel(op.results[0])), ["w"]


def _shift_left(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    if forms[1] != "p":
        rules.unknown.add("shift_left by a secret amount")
    return FREE, ["w" if forms[0] in BOOLEAN else forms[0]]


register(_bitwise(conversions=1, ands=1, narrowest=True), "and")
register(_bitwise(conversions=2, ands=1, narrowest=False), "or")
register(_bitwise(conversions=1, ands=0, narrowest=False), "xor")
register(free(), "not")
register(_shift_right, "shift_right_logical", "shift_right_arithmetic")
register(_shift_left, "shift_left")
register(unary("popcnt"), "popcnt")
