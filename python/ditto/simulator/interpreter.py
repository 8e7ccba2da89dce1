"""Walking an annotated program: what the value domains have in common."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.diagnostics import place_of
from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import (
    Encoding,
    Fxp,
    defining_op,
    element_type,
    encoding_of,
    entry_function,
    ir,
    nested_ops,
    ops_of,
    parse_module,
)
from ditto_compiler.ops import is_layout
from ditto_compiler.program import Program
from ditto_compiler.spu.literals import on_grid, tiny_factor
from ditto_compiler.structure import constant_numbers, constant_through_layout, is_float

V = TypeVar("V")

Rule = Callable[[Any, ir.Operation, list[V]], list[V]]
"""Computes the results of an op, given the interpreter and the values of the operands."""


class SimulationError(DittoError):
    """A program that cannot be simulated."""


class Interpreter(Generic[V], abc.ABC):
    """Executes the ops of a program one by one on values of some domain.

    A domain is a subclass and a rule for each op.
    """

    def __init__(self, rules: Mapping[str, Rule[V]]) -> None:
        self.rules = rules
        self._values: dict[ir.Value, V] = {}

    @abc.abstractmethod
    def literal(self, op: ir.Operation, numbers: Sequence[float]) -> V:
        """What a constant op with these numbers gives: one for every element, or one for all."""

    def reciprocal(self, value: ir.Value) -> V:
        """1/c for a float constant c, seen through layout ops."""
        op = defining_op(value)
        assert op is not None
        if op.name != "stablehlo.constant":
            return self.rules[op.name](self, op, [self.reciprocal(op.operands[0])])[0]
        encoding, dtype = value_encoding(value), element_type(value)
        assert isinstance(encoding, Fxp)
        inverses = [1 / number if number else math.inf for number in constant_numbers(op)]
        return self.literal(op, [on_grid(inverse, encoding, dtype) for inverse in inverses])

    def finished(self, op: ir.Operation, results: list[V]) -> list[V]:
        """What an op gives, after its rule has computed it."""
        return results

    def _rule(self, op: ir.Operation) -> Rule[V]:
        if op.name not in self.rules:
            raise SimulationError(
                f"{place_of(op)}: '{op.name}' op: the simulator has no rule for it; if a plugin gives one, "
                "install it here, too: programs do not bring plugins along"
            )
        return self.rules[op.name]

    def run(self, block: ir.Block, arguments: Sequence[V]) -> list[V]:
        """What `block` returns, given its arguments. It may read values of the blocks around it."""
        self._values.update(zip(block.arguments, arguments, strict=True))
        ops = ops_of(block)
        for op, last_used in zip(ops, _last_uses(ops), strict=True):
            operands = [self._values[operand] for operand in op.operands]
            if op is ops[-1]:
                return operands
            results = self.finished(op, self._rule(op)(self, op, operands))
            self._values.update(zip(op.results, results, strict=True))
            for value in last_used:
                del self._values[value]
        return []


def value_encoding(value: ir.Value) -> Encoding:
    """The encoding of a value of an annotated program: each has one."""
    encoding = encoding_of(value)
    assert encoding is not None
    return encoding


def is_beside(op: ir.Operation) -> bool:
    """Whether an op runs on shares beside the engine, where its results have rings of their own."""
    return names.BESIDE in op.attributes


def spare_bits(op: ir.Operation) -> int:
    """Bits of its ring that the result of an op must leave free: the sign's, and one more in the engine.

    Casts ask for that bit themselves where they widen the ring.
    """
    if not is_beside(op) and op.name not in names.CASTS:
        return 2
    users = (use.owner.operation for use in op.results[0].uses)
    of_engine = any(not is_beside(user) and user.name not in (*names.CASTS, "func.return") for user in users)
    return 2 if of_engine else 1


def moved(value: ir.Value) -> tuple[ir.Value, list[ir.Operation]]:
    """What a value has the elements of, and the ops that move and repeat them, the first one first."""
    chain: list[ir.Operation] = []
    while (op := defining_op(value)) is not None and is_layout(op) and len(op.operands) == 1:
        chain.insert(0, op)
        value = op.operands[0]
    return value, chain


def call_target(op: ir.Operation) -> str:
    """The name of what a custom call calls."""
    return str(ir.StringAttr(op.attributes["call_target_name"]).value)


def dropped_bits(op: ir.Operation) -> int:
    """Fraction bits that are truncated from a product or quotient where there is no rescale."""
    left, right = (value_encoding(op.operands[index]) for index in (0, len(op.operands) - 1))
    return left.frac + right.frac - value_encoding(op.results[0]).frac


def divides_by_constant(op: ir.Operation) -> bool:
    """Pattern: x / c -> x * (1/c)   [c a public float constant], as the program is lowered"""
    return is_float(op.results[0]) and constant_through_layout(op.operands[1]) is not None


class TinyOperand(NamedTuple):
    """An operand that the engine is told exactly, see `tiny_factor`."""

    position: int
    number: float


def tiny_operand(op: ir.Operation) -> TinyOperand | None:
    """The tiny factor in a product that the engine truncates, or in a division by a constant."""
    if is_beside(op):
        return None
    encoding = value_encoding(op.results[0])
    if op.name == "stablehlo.divide":
        number = tiny_factor(op.operands[1], encoding, reciprocal=True)
        return None if number is None else TinyOperand(1, number)
    for index in (1, 0) if len(op.operands) == 2 and dropped_bits(op) else ():
        number = tiny_factor(op.operands[index], encoding)
        if number is not None:
            return TinyOperand(index, number)
    return None


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
        is_secret: whether one of its values is secret.

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
        self.is_secret = VisibilityAnalysis(self._module).is_secret
