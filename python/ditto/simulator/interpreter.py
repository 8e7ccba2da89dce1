"""Walking an annotated program: what the value domains have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import entry_function, ir, nested_ops, ops_of, parse_module
from ditto_compiler.program import Program

V = TypeVar("V")

Rule = Callable[[Any, ir.Operation, list[V]], list[V]]
"""Computes the results of an op, given the interpreter and the values of the operands."""


class SimulationError(DittoError):
    """A program that cannot be simulated."""


class Interpreter(Generic[V]):
    """Executes the ops of a program one by one on values of some domain.

    A domain is a subclass with a rule for each op.
    """

    rules: ClassVar[Mapping[str, Rule[Any]]]

    def __init__(self) -> None:
        self._values: dict[ir.Value, V] = {}

    def run(self, block: ir.Block, arguments: Sequence[V]) -> list[V]:
        """What `block` returns, given its arguments. It may read values of the blocks around it."""
        self._values.update(zip(block.arguments, arguments, strict=True))
        ops = ops_of(block)
        for op, last_used in zip(ops, _last_uses(ops), strict=True):
            operands = [self._values[operand] for operand in op.operands]
            if op is ops[-1]:
                return operands
            results = self.rules[op.name](self, op, operands)
            self._values.update(zip(op.results, results, strict=True))
            for value in last_used:
                del self._values[value]
        return []


def _last_uses(ops: Sequence[ir.Operation]) -> list[list[ir.Value]]:
    """For each op, the results of earlier ops in the block that neither later ops nor their regions read."""
    last: dict[ir.Value, int] = {}
    results = {result for op in ops for result in op.results}
    for index, op in enumerate(ops):
        for user in (op, *(nested_ops(op) if len(op.regions) else ())):
            last.update((operand, index) for operand in user.operands if operand in results)
    dead: list[list[ir.Value]] = [[] for _ in ops]
    for value, index in last.items():
        dead[index].append(value)
    return dead


class Entry:
    """The entry function of an annotated program.

    Attributes:
        block: its body.
        arguments: each argument, with the number of the caller's input that it holds.
        results: what it returns.

    Raises:
        SimulationError: the program has no annotated StableHLO.
    """

    def __init__(self, program: Program) -> None:
        self._module = parse_module(program.annotated)
        entry = entry_function(self._module)
        if entry is None:
            raise SimulationError(
                f"program '{program.name}' holds no StableHLO to simulate; compile it again"
            )
        self.block: ir.Block = entry.entry_block
        numbers = [
            attributes[names.INPUT].value if names.INPUT in attributes else position
            for position, attributes in enumerate(names.argument_attributes(entry))
        ]
        self.arguments: list[tuple[ir.Value, int]] = list(zip(entry.arguments, numbers, strict=True))
        self.results: list[ir.Value] = list(ops_of(self.block)[-1].operands)
