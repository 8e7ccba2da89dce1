"""How large values can get: proved where the program allows it, measured where it was calibrated.

A forward dataflow analysis. What is known of a value is a `Range`: an interval of numbers, and whether
something stands beside numbers. The transfer functions stand in the homes of the ops (`ditto_compiler.ops`);
they are those of interval arithmetic on real numbers and on integers with wrap-around. Branches are joined;
loops and reducers are iterated to a fixed point, in which bounds that go on growing are widened to powers
of 16. A called function is analysed for each call.

The attributes `ditto.max_abs`, which forms set, and `ditto.range`, which calibration sets, sharpen what is
proved. A measurement that a proof rules out is a contradiction, and is believed: one of the two is wrong,
and what has been seen is possible. Rounding of fixed point is not part of it; fraction assignment leaves a
margin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ditto_compiler.dialect import attributes as names
from ditto_compiler.intervals import INFINITE, Interval, Range, join
from ditto_compiler.ir import defining_op, element_type, func, functions_beside, ir, ops_of
from ditto_compiler.ops import OPS
from ditto_compiler.ops.base import anything, fitted
from ditto_compiler.structure import is_float, reducer
from ditto_compiler.supported import SCATTER, op_problem, scatter_problem, type_problem

TOLERANCE = 1e-3
"""By how much, relatively, rounding may take a measurement out of what is proved."""

_HALF_TOLERANCE: dict[str, float] = {"f16": 4e-3, "bf16": 1.6e-2}
"""The same where a program calculates in half precision: eight of its rounding errors, 2^-11 and 2^-9."""


@dataclass(frozen=True)
class Contradiction:
    """A measurement that a proof rules out.

    Attributes:
        op: whose result it is of; the function for an argument.
        proved: what is proved.
        measured: what was measured.
    """

    op: ir.Operation
    proved: Range
    measured: Range


class RangeAnalysis:
    """Ranges of the values of a function, and of what it calls.

    A pass that goes on asking erases ops by `erase`.

    Attributes:
        contradictions: found so far.
    """

    def __init__(self, entry: func.FuncOp) -> None:
        self.contradictions: list[Contradiction] = []
        self._entry = entry
        self._ranges: dict[ir.Value, Range] = {}
        self._shared: dict[ir.Type, bool] = {}
        self._tolerance = TOLERANCE
        self._functions = {f.name.value: f for f in functions_beside(entry)}
        self._calling: list[str] = [entry.name.value]
        arguments = [
            self.fitted(self._sharpened(entry.operation, argument, anything(argument), known), argument)
            for argument, known in zip(entry.arguments, _of_arguments(entry), strict=True)
        ]
        self.run(entry.entry_block, arguments)

    def run(self, block: ir.Block, arguments: Sequence[Range]) -> list[Range]:
        """Finds the ranges of a block's values, given those of its arguments; gives those that it returns."""
        self._ranges.update(zip(block.arguments, arguments, strict=True))
        ops = ops_of(block)
        for op in ops[:-1]:
            self.visit(op)
        return [self.of(value) for value in ops[-1].operands]

    def visit(self, op: ir.Operation) -> None:
        """Finds the ranges of an op's results, from its operands'."""
        for result, proved, known in zip(op.results, self._proved(op), _of_results(op), strict=True):
            self._ranges[result] = self._sharpened(op, result, proved, known)

    def _proved(self, op: ir.Operation) -> Sequence[Range]:
        if op.name in names.CASTS:
            return [self.of(op.operands[0])]
        if op.name == "func.call":
            name = ir.FlatSymbolRefAttr(op.attributes["callee"]).value
            found = self.call(name, [self.of(operand) for operand in op.operands])
            return [anything(result) for result in op.results] if found is None else found
        if op.name == SCATTER and scatter_problem(op) is None:
            return [self._scattered(op)]
        if op_problem(op) or not all(self._is_shared(value.type) for value in (*op.operands, *op.results)):
            return [anything(result) for result in op.results]
        return OPS[op.name].range(self, op)

    def _scattered(self, op: ir.Operation) -> Range:
        """Elements and updates; of what is computed from them, no number is known."""
        old, _, new = (self.of(operand) for operand in op.operands)
        found = join(old, new)
        block = op.regions[0].blocks[0]
        sets = ops_of(block)[-1].operands[0] == block.arguments[1]
        if sets or reducer(op) in ("maximum", "minimum"):
            return found
        return self.fitted(found.numbers(-math.inf, math.inf), op.results[0])

    def _is_shared(self, type_: ir.Type) -> bool:
        """Whether values of a type can be shared, looked at once: a program has many values and few types."""
        if type_ not in self._shared:
            self._shared[type_] = type_problem(type_) is None
        return self._shared[type_]

    def call(self, name: str, arguments: Sequence[Range]) -> Sequence[Range] | None:
        """What a function of the module returns; None for one that recurs or has no body."""
        callee = self._functions.get(name)
        if callee is None or callee.is_external or name in self._calling:
            return None
        self._calling.append(name)
        before = [self._ranges.get(argument) for argument in callee.arguments]
        results = self.run(callee.entry_block, arguments)
        if None not in before:
            # What is kept of its values holds for all of its calls.
            every = [join(old, new) for old, new in zip(before, arguments, strict=True) if old is not None]
            self.run(callee.entry_block, every)
        self._calling.pop()
        return results

    def _sharpened(self, op: ir.Operation, value: ir.Value, proved: Range, known: Known) -> Range:
        """What proof, stated bound and measurement know together of a value that `op` makes."""
        found = proved
        # What was rounded coarsely before goes on into wider dtypes.
        if self._is_shared(value.type):
            self._tolerance = max(self._tolerance, _HALF_TOLERANCE.get(element_type(value), 0.0))
        if known.bound is not None:
            bound = known.bound if is_float(value) else math.floor(known.bound)
            low, high = max(found.low, -bound), min(found.high, bound)
            if low <= high:
                found = found.numbers(low, high)
            else:
                self.contradictions.append(Contradiction(op, proved, Range(-bound, bound)))
                found = found.numbers(-bound, bound)
        if known.measured is not None:
            low, high = known.measured
            slack = self._tolerance * max(-low, high, high - low) + 1e-6
            # Both ends have been seen, up to rounding.
            if found.has_numbers and not (found.low - slack <= low and high <= found.high + slack):
                self.contradictions.append(Contradiction(op, found, Range(low, high)))
            if not is_float(value):
                low, high = math.floor(low), math.ceil(high)
            found = replace(found, low=low, high=high, nan=False)
        return found

    def fitted(self, range_: Range, value: ir.Value) -> Range:
        """What a value can be that is computed to be in a range: integers wrap around in their type."""
        return fitted(range_, value)

    def of(self, value: ir.Value) -> Range:
        """What the elements of a value can be; of one that is made later, by the op it is made from."""
        if value not in self._ranges:
            op = defining_op(value)
            if op is None:
                return anything(value)
            self.visit(op)
        return self._ranges[value]

    def reads(self, value: ir.Value) -> Range:
        """What the elements are to an op that reads all of their bits."""
        return self.of(value)

    def has_seen(self, function: func.FuncOp) -> bool:
        """Whether the function analysed reaches another one."""
        return function == self._entry or any(argument in self._ranges for argument in function.arguments)

    def interval(self, value: ir.Value) -> Interval:
        """[lo, hi] of a value, see `Range.interval`."""
        return self.of(value).interval

    def bound(self, value: ir.Value) -> float:
        """The largest |x|; inf when unknown."""
        return self.of(value).bound

    def note(self, value: ir.Value, range_: Range) -> None:
        """Takes what is known of a value that was made later."""
        self._ranges[value] = range_

    def erase(self, op: ir.Operation) -> None:
        """Erases `op` and forgets its results: values are known by address, which a later op may get."""
        for result in op.results:
            self._ranges.pop(result, None)
        op.erase()


class Known(NamedTuple):
    """What attributes say of a value: a bound on its magnitude, and the least and largest number seen."""

    bound: float | None
    measured: Interval | None


_NOTHING_KNOWN = Known(None, None)


def _of_arguments(entry: func.FuncOp) -> list[Known]:
    attributes = names.argument_attributes(entry)
    return [_read(entries.get(names.MAX_ABS), entries.get(names.RANGE)) for entries in attributes]


def _of_results(op: ir.Operation) -> list[Known]:
    magnitudes, measured = names.get_attribute(op, names.MAX_ABS), names.get_attribute(op, names.RANGE)
    if magnitudes is None and measured is None:
        return [_NOTHING_KNOWN] * len(op.results)
    each = list(magnitudes) if isinstance(magnitudes, ir.ArrayAttr) else [magnitudes] * len(op.results)
    return [_read(magnitude, measured if index == 0 else None) for index, magnitude in enumerate(each)]


def _read(magnitude: ir.Attribute | None, measured: ir.Attribute | None) -> Known:
    """Attributes as numbers; a huge magnitude says nothing, for it may be that of a mask."""
    bound = None if magnitude is None else ir.FloatAttr(magnitude).value
    low, high = (0.0, 0.0) if measured is None else ir.DenseF64ArrayAttr(measured)
    return Known(
        bound if bound is not None and bound < INFINITE else None,
        (low, high) if measured is not None else None,
    )
