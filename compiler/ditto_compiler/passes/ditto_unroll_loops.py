"""The pass `ditto-unroll-loops`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import building
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import INT_TYPES, integer_limits
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import clone_op, defining_op, element_type, func, functions, ir, nested_ops, ops_of
from ditto_compiler.op_attributes import direction_of, shape_of
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import constant


@dataclass(frozen=True)
class DittoUnrollLoops(Pass):
    """Write out loops whose trip count constants decide, so that what is in them is compiled as all else.

    A loop that stays runs in the engine as a whole, in one ring: none of its functions is computed in one go,
    and nothing in it runs beside the engine. Scans and `fori_loop`s count from one constant to another; they
    are written out, innermost first, while that adds no more than `max_ops` ops to the program. Counters
    become constants, so that slices at them are slices at known places.

    Requires: calls inlined, no encodings yet. Keeps: everything else.

    Before:

        %0:2 = stablehlo.while(%i = %zero, %y = %x) : tensor<i32>, tensor<4xf32>
         cond {
          %1 = stablehlo.compare LT, %i, %two : (tensor<i32>, tensor<i32>) -> tensor<i1>
          stablehlo.return %1 : tensor<i1>
        } do {
          %1 = stablehlo.add %i, %one : tensor<i32>
          %2 = stablehlo.tanh %y : tensor<4xf32>
          stablehlo.return %1, %2 : tensor<i32>, tensor<4xf32>
        }

    After:

        %0 = stablehlo.tanh %x : tensor<4xf32>
        %1 = stablehlo.tanh %0 : tensor<4xf32>

    Errors: an annotated module; a negative `max_ops`.
    """

    name: ClassVar[str] = "ditto-unroll-loops"
    max_ops: int = 2048
    """How many ops writing out may add to the program."""

    def __post_init__(self) -> None:
        if self.max_ops < 0:
            raise DittoError(f"max-ops must be a number of ops, 0 or more, got {self.max_ops}")

    def run(self, module: ir.Module) -> None:
        self.check_before("ditto-annotate", module, has_run=names.has_reached(module, "annotated"))
        room = self.max_ops
        for function in functions(module):
            if not function.is_external:
                room = _unroll_within(function, room)


def _unroll_within(function: func.FuncOp, room: int) -> int:
    """Unrolls loops of a function; gives how many ops may still be added."""
    changed = True
    while changed:
        changed = False
        for op in reversed(nested_ops(function.operation)):
            # Inner loops of one that was unrolled know their counters only then, so they are looked at again.
            if op.name != "stablehlo.while":
                continue
            size = sum(1 + len(nested_ops(inner)) for inner in ops_of(op.regions[1].blocks[0]))
            trips = _trip_count(op, room // size)
            if trips is not None:
                room -= _unroll(op, trips)
                changed = True
                break
    return room


@dataclass(frozen=True)
class _Counter:
    """A number that a loop adds a constant to in each trip; `step` 0 for one that stays."""

    start: int
    step: int
    dtype: str

    def at(self, trip: int) -> int:
        """Its value in a trip, integers wrapping around."""
        low, high = integer_limits(self.dtype)
        return (self.start + trip * self.step - low) % (high - low + 1) + low


_HOLDS: dict[str, Callable[[int, int], bool]] = {
    "LT": operator.lt,
    "LE": operator.le,
    "GT": operator.gt,
    "GE": operator.ge,
    "NE": operator.ne,
    "EQ": operator.eq,
}


def _trip_count(loop: ir.Operation, most: int) -> int | None:
    """How many trips a loop makes; None if constants do not decide, or for more than `most`."""
    condition = loop.regions[0].blocks[0]
    compare = defining_op(ops_of(condition)[-1].operands[0])
    if compare is None or compare.name != "stablehlo.compare":
        return None
    counters = _counters(loop)
    sides = [_as_counter(value, condition, counters) for value in compare.operands]
    left, right = sides
    if left is None or right is None:
        return None
    holds = _HOLDS[direction_of(compare)]
    return next((trip for trip in range(most + 1) if not holds(left.at(trip), right.at(trip))), None)


def _as_counter(value: ir.Value, block: ir.Block, counters: dict[int, _Counter]) -> _Counter | None:
    """A side of a comparison: what a loop counts, or a constant."""
    if not _is_integer_scalar(value):
        return None
    for index, argument in enumerate(block.arguments):
        if argument == value:
            return counters.get(index)
    number = constant(value)
    return None if number is None else _Counter(int(number), 0, element_type(value))


def _counters(loop: ir.Operation) -> dict[int, _Counter]:
    """What a loop carries that is a constant plus a multiple of the trip's number, by position."""
    body = loop.regions[1].blocks[0]
    found: dict[int, _Counter] = {}
    returned = ops_of(body)[-1].operands
    for index, (start, argument, after) in enumerate(
        zip(loop.operands, body.arguments, returned, strict=True)
    ):
        first = constant(start) if _is_integer_scalar(start) else None
        step = _step(argument, after)
        if first is not None and step is not None:
            found[index] = _Counter(int(first), step, element_type(start))
    return found


def _step(argument: ir.Value, after: ir.Value) -> int | None:
    """By how much a trip changes a number; None if that is not a constant."""
    if after == argument:
        return 0
    op = defining_op(after)
    if op is None or op.name not in ("stablehlo.add", "stablehlo.subtract"):
        return None
    sign = 1 if op.name == "stablehlo.add" else -1
    sides = (0, 1) if op.name == "stablehlo.add" else (0,)
    for side in sides:
        if op.operands[side] == argument:
            number = constant(op.operands[1 - side])
            return None if number is None else sign * int(number)
    return None


def _is_integer_scalar(value: ir.Value) -> bool:
    return not shape_of(value) and element_type(value) in INT_TYPES


def _unroll(loop: ir.Operation, trips: int) -> int:
    """Writes a loop's trips before it and erases it; gives how many ops were added."""
    body = loop.regions[1].blocks[0]
    counters = _counters(loop)
    carried = list(loop.operands)
    *inside, last = ops_of(body)
    added = 0
    at = ir.InsertionPoint(loop)
    for trip in range(trips):
        for index, counter in counters.items():
            carried[index] = building.splat(counter.at(trip), body.arguments[index].type, before=loop)
        mapping: dict[ir.Value, ir.Value] = dict(zip(body.arguments, carried, strict=True))
        for op in inside:
            added += 1 + len(nested_ops(clone_op(op, mapping, at)))
        carried = [mapping.get(value, value) for value in last.operands]
    for result, value in zip(loop.results, carried, strict=True):
        result.replace_all_uses_with(value)
    loop.erase()
    return added
