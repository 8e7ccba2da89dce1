"""Which values are secret.

A value is `secret` (held as shares; nobody sees it) or `public` (every party sees it). The order is
public < secret and the join is the larger: a result is public only if every operand, and every
value that its regions return, is public. Entry arguments say theirs by `ditto.visibility`; one that
does not say is secret. Constants are public. Loops are iterated to a fixed point.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ditto_compiler.dialect.attributes import secret_arguments
from ditto_compiler.ir import entry_function, func, functions, ir, ops_of


class VisibilityAnalysis:
    """The visibility of every value of a module's entry function and of what it calls."""

    def __init__(self, module: ir.Module) -> None:
        self._secret: dict[ir.Value, bool] = {}
        self._functions = {f.name.value: f for f in functions(module) if not f.is_external}
        entry = entry_function(module)
        if entry is not None:
            self._visit_function(entry, secret_arguments(entry))

    def is_secret(self, value: ir.Value) -> bool:
        """Whether `value` is secret; one that the entry function does not reach counts as secret."""
        return self._secret.get(value, True)

    def _any_secret(self, values: Iterable[ir.Value]) -> bool:
        return any(self.is_secret(value) for value in values)

    def _visit_function(self, function: func.FuncOp, arguments: Sequence[bool]) -> list[bool]:
        for argument, secret in zip(function.entry_block.arguments, arguments, strict=True):
            self._secret[argument] = secret
        return [self.is_secret(value) for value in self._visit_block(function.entry_block)]

    def _visit_block(self, block: ir.Block) -> Sequence[ir.Value]:
        """Visits the operations and returns the operands of the terminator."""
        ops = ops_of(block)
        for op in ops:
            self._visit(op)
        return list(ops[-1].operands) if ops else []

    def _visit(self, op: ir.Operation) -> None:
        if op.name == "func.call":
            # A callee is left out while it is visited, for programs that recurse or lack a function are
            # reported by others.
            name = ir.FlatSymbolRefAttr(op.attributes["callee"]).value
            callee = self._functions.pop(name, None)
            if callee is not None:
                self._set(op.results, self._visit_function(callee, [self.is_secret(v) for v in op.operands]))
                self._functions[name] = callee
        elif op.name == "stablehlo.while":
            self._visit_while(op)
        elif op.name in ("stablehlo.case", "stablehlo.if"):
            chosen_secretly = self._any_secret(op.operands)
            results = [chosen_secretly] * len(op.results)
            for region in op.regions:
                for index, value in enumerate(self._visit_block(region.blocks[0])):
                    results[index] |= self.is_secret(value)
            self._set(op.results, results)
        else:
            secret = self._any_secret(op.operands)
            for block in (block for region in op.regions for block in region.blocks):
                self._set(block.arguments, [secret] * len(block.arguments))
                secret |= self._any_secret(self._visit_block(block))
            self._set(op.results, [secret] * len(op.results))

    def _visit_while(self, op: ir.Operation) -> None:
        state = [self.is_secret(value) for value in op.operands]
        while True:
            for region in op.regions:
                self._set(region.blocks[0].arguments, state)
            self._visit_block(op.regions[0].blocks[0])
            returned = self._visit_block(op.regions[1].blocks[0])
            joined = [old or self.is_secret(new) for old, new in zip(state, returned, strict=True)]
            if joined == state:
                break
            state = joined
        self._set(op.results, state)

    def _set(self, values: Iterable[ir.Value], secrets: Iterable[bool]) -> None:
        self._secret.update(zip(values, secrets, strict=True))
