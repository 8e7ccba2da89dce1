"""Plans and modules: what there is to decide of one, and how decisions stand in it."""

from __future__ import annotations

from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import copy_module, entry_function, ir
from ditto_compiler.planning.keys import by_key
from ditto_compiler.planning.objective import Objective
from ditto_compiler.planning.problem import Decided, Problem
from ditto_compiler.policy import BesideChoice
from ditto_compiler.rings.numbers import Limits, Numbers, ops_with_results, prepare


def problem_of(
    module: ir.Module,
    objective: Objective,
    *,
    tie: bool = True,
    loose: int = 64,
    margin_bits: int = Limits.margin_bits,
    large: int = Limits.large,
) -> Problem:
    """What there is to decide of a module whose divisions by constants are products.

    Raises:
        PlanError: as for `Problem`.
    """
    copy = copy_module(module)
    entry = entry_function(copy)
    assert entry is not None
    prepare(entry)
    limits = Limits(margin_bits=margin_bits, large=large)
    return Problem(Numbers(copy, entry, limits), objective, tie=tie, loose=loose)


def write(module: ir.Module, decided: Decided, loose: int) -> None:
    """Puts decisions on the ops of the module that they are about."""
    entry = entry_function(module)
    assert entry is not None
    ops = by_key(ops_with_results(entry))
    for key, decision in decided.decisions.items():
        state(
            ops[key],
            BesideChoice(
                decision.frac,
                decision.spare or None,
                decision.factors,
                decision.error,
                None if decision.error is None else loose,
            ),
        )


def state(op: ir.Operation, said: BesideChoice) -> None:
    """Puts what was decided of an op on it."""
    for name, value in ((names.FRACTION, said.fraction), (names.SPARE, said.spare)):
        if value is not None:
            op.attributes[name] = names.int_attribute(value, op.context)
    if said.factors is not None:
        op.attributes[names.FACTORS] = ir.DenseI64ArrayAttr.get(list(said.factors), op.context)
    if said.loose is not None:
        op.attributes[names.LOOSE] = names.int_attribute(said.loose, op.context)
    if said.error is not None:
        op.attributes[names.ERROR] = ir.FloatAttr.get(ir.F64Type.get(op.context), said.error, op.location)
