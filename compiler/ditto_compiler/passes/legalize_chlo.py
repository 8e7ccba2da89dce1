"""The pass `legalize-chlo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.ir import PassManager, clone_op, func, ir, nested_ops, new_module, ops_of
from ditto_compiler.ops import OPS
from ditto_compiler.pass_base import Pass
from ditto_compiler.supported import type_problem

EXPANSION = "builtin.module(func.func(chlo-legalize-to-stablehlo))"


@dataclass(frozen=True)
class LegalizeChlo(Pass):
    """Expand the CHLO ops that the engine has no implementation of into StableHLO.

    JAX gives `asin`, `sinh`, `top_k`, ... as single CHLO ops; the expansions are MLIR's own. The ops that
    the engine runs as they are (`chlo.erf`, `chlo.erfc`) stay, because an expansion would cost more and
    compute less exactly. An expansion keeps the location of the op it replaces. An op on
    what cannot be shared anyway, such as complex numbers, stays for ditto-check-supported to report.

    Requires: nothing.

    Before:

        %0 = chlo.sinh %x : tensor<4xf32> -> tensor<4xf32>
        %1 = chlo.erf %0 : tensor<4xf32> -> tensor<4xf32>

    After (some ops left out):

        %0 = stablehlo.exponential %x : tensor<4xf32>
        ...
        %9 = stablehlo.select %8, %6, %7 : tensor<4xi1>, tensor<4xf32>
        %10 = chlo.erf %9 : tensor<4xf32> -> tensor<4xf32>

    Errors: an op whose operands do not fit each other or its result.
    """

    name: ClassVar[str] = "legalize-chlo"

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        for op in nested_ops(module.operation):
            if op.name.startswith("chlo.") and op.name not in OPS and _is_plain(op):
                try:
                    _expand(op)
                except ir.MLIRError as error:
                    reasons = "; ".join(diagnostic.message for diagnostic in error.error_diagnostics)
                    errors.add(op, f"it cannot be expanded: {reasons}")
        errors.raise_if_any()


def _is_plain(op: ir.Operation) -> bool:
    """Whether all values of `op` can be shared; MLIR's expansions end the process over some others."""
    types = [value.type for value in (*op.operands, *op.results)]
    return all(type_problem(type_) is None and type_.encoding is None for type_ in types)


def _expand(op: ir.Operation) -> None:
    """Replaces `op` by what MLIR makes of it in a module of its own."""
    alone, block = new_module([v.type for v in op.operands], [v.type for v in op.results])
    inside = ir.InsertionPoint(block)
    results = clone_op(op, dict(zip(op.operands, block.arguments, strict=True)), inside).results
    func.ReturnOp(list(results), ip=inside)
    PassManager.parse(EXPANSION).run(alone.operation)
    (function,) = alone.body.operations
    mapping = dict(zip(function.entry_block.arguments, op.operands, strict=True))
    *expansion, end = ops_of(function.entry_block)
    here = ir.InsertionPoint(op)
    for inner in expansion:
        clone_op(inner, mapping, here)
    for old, new in zip(op.results, end.operands, strict=True):
        old.replace_all_uses_with(mapping[new])
    op.erase()
