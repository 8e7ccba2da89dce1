"""Functions that the engine approximates."""

from __future__ import annotations

from ditto_compiler.cost.measured import FREE, Cost
from ditto_compiler.cost.ops.base import Forms, Rule, Rules, is_float, register, unary
from ditto_compiler.ir import ir, numel


def _binary(row: str) -> Rule:
    """An op with a row for each combination of secret and public operands, and others for integers."""

    def rule(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
        if forms == ["p", "p"]:
            return FREE, ["p"]
        elements = copies * numel(op.results[0])
        cost = FREE
        for form in forms:
            cost += rules.arithmetic(form, elements)
        combination = "".join("p" if form == "p" else "a" for form in forms)
        name = row if is_float(op.results[0]) else f"{row}_integer"
        return cost + rules.row(name, combination, elements), ["a"]

    return rule


def _custom_call(rules: Rules, op: ir.Operation, forms: Forms, copies: int) -> tuple[Cost, Forms]:
    target = ir.StringAttr(op.attributes["call_target_name"]).value
    if target == "mhlo.erf":
        return unary("erf")(rules, op, forms, copies)
    if target == "spu.prefer_a":
        form = "p" if forms[0] == "p" else "a"
        return rules.arithmetic(forms[0], copies * numel(op.operands[0])), [form]
    if target != "spu.gather":
        rules.unknown.add(f"custom_call @{target}")
    return FREE, [forms[0]] * len(op.results)


register(unary("exponential"), "exponential", "exponential_minus_one")
register(unary("log"), "log", "log_plus_one")
for _name in ("cosine", "logistic", "reciprocal", "rsqrt", "sine", "sqrt", "tanh"):
    register(unary(_name), _name)
for _name in ("atan2", "divide", "power", "remainder"):
    register(_binary(_name), _name)
register(_custom_call, "custom_call")
