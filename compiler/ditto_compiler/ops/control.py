"""Loops and branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ditto_compiler.intervals import Range, join, widened
from ditto_compiler.ir import defining_op, ir, ops_of
from ditto_compiler.op_attributes import MIRRORED, direction_of
from ditto_compiler.ops.base import (
    IsSecret,
    Kind,
    Op,
    Ranges,
    Share,
    Values,
    always,
    fits,
    fixed_scale,
    register,
    unknown_range,
)
from ditto_compiler.ops.emitter import Emitter, as_arithmetic, as_secret, inline_block, plain_element
from ditto_compiler.structure import is_float


def _while(e: Emitter, op: ir.Operation) -> Values:
    secrets = [e.is_secret(result) for result in op.results]
    values = as_secret(e, e.operands(op), secrets)
    loop = e.op("while", [e.type_of(result) for result in op.results], values, regions=2)
    e.block(op.regions[0].blocks[0], loop.regions[0], [False])
    e.block(op.regions[1].blocks[0], loop.regions[1], secrets)
    return list(loop.results)


def _case(e: Emitter, op: ir.Operation) -> Values:
    # Pattern: case i [b0, b1, ..., bn] -> if i == 0 b0 else if i == 1 b1 ... else bn
    # The engine has no case. An index out of range chooses the last branch, as in StableHLO.
    return _choice(e, op, [region.blocks[0] for region in op.regions], 0)


def _choice(e: Emitter, op: ir.Operation, blocks: Sequence[ir.Block], number: int) -> Values:
    if len(blocks) == 1:
        return inline_block(e, blocks[0])
    index = e.values[op.operands[0]]
    secret = e.is_secret(op.operands[0])
    chosen = e.one("equal", e.type([], "i1", secret), index, e.splat(number, [], plain_element(index)))
    return _branch(
        e,
        op,
        chosen,
        lambda: inline_block(e, blocks[0]),
        lambda: _choice(e, op, blocks[1:], number + 1),
    )


def _if(e: Emitter, op: ir.Operation) -> Values:
    on_true, on_false = (region.blocks[0] for region in op.regions)
    (condition,) = e.operands(op)
    return _branch(e, op, condition, lambda: inline_block(e, on_true), lambda: inline_block(e, on_false))


def _branch(
    e: Emitter,
    op: ir.Operation,
    condition: ir.Value,
    on_true: Callable[[], Values],
    on_false: Callable[[], Values],
) -> Values:
    """A branch on a public condition; on a secret one, both sides and a selection."""
    if e.is_secret(op.operands[0]):
        if len(op.results) > 1:
            # As an arithmetic share the condition is converted once for all selections.
            condition = as_arithmetic(e, condition)
        sides = zip(op.results, on_true(), on_false(), strict=True)
        return [
            e.one("select", e.type_of(result), e.broadcast_scalar(condition, result, "i1", True), true, false)
            for result, true, false in sides
        ]
    secrets = [e.is_secret(result) for result in op.results]
    branch = e.op("if", [e.type_of(result) for result in op.results], [condition], regions=2)
    outer = e.ip
    for region, _side in zip(branch.regions, (on_true, on_false), strict=True):
        e.ip = ir.InsertionPoint(region.blocks.append())
        e.op("return", [], as_secret(e, _side(), secrets))
    e.ip = outer
    return list(branch.results)


def _no_secret_condition(op: ir.Operation, is_secret: IsSecret) -> str | None:
    block = op.regions[0].blocks[0]
    condition = block.operations[len(block.operations) - 1].operands[0]
    if is_secret(condition):
        return (
            "the loop condition depends on a secret, so running it would reveal the secret; "
            "loop a fixed number of times and select the result instead"
        )
    return None


def _while_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    condition, body = (region.blocks[0] for region in op.regions)
    initial = [ranges.of(operand) for operand in op.operands]

    def after_one(state: list[Range]) -> list[Range]:
        ranges.run(condition, state)
        return ranges.run(body, _while_it_holds(ranges, condition, state))

    state = initial
    while True:
        # Integers that wrap around would grow without end.
        grown = [
            ranges.fitted(widened(old, join(old, new)), argument)
            for old, new, argument in zip(state, after_one(state), body.arguments, strict=True)
        ]
        if grown == state:
            break
        state = grown
    # Widening went too far: what one more round gives still holds for every round.
    state = [join(old, new) for old, new in zip(initial, after_one(state), strict=True)]
    after_one(state)
    return state


def _while_it_holds(ranges: Ranges, condition: ir.Block, state: list[Range]) -> list[Range]:
    """The state in which the body starts: integers that the condition compares are within its bounds."""
    refined = list(state)
    pending = list(ops_of(condition)[-1].operands)
    arguments = list(condition.arguments)
    while pending:
        op = defining_op(pending.pop())
        if op is None:
            continue
        if op.name == "stablehlo.and":
            pending += op.operands
        elif op.name == "stablehlo.compare" and not is_float(op.operands[0]):
            direction = direction_of(op)
            for value, other, which in (
                (*op.operands, direction),
                (*reversed(op.operands), MIRRORED[direction]),
            ):
                if value in arguments and fits(ranges.of(other), other):
                    index = arguments.index(value)
                    if fits(refined[index], value):
                        refined[index] = _bounded(refined[index], which, ranges.of(other))
    return refined


def _bounded(x: Range, direction: str, y: Range) -> Range:
    """The integers x of which x < y, x <= y, ... for some y."""
    low, high = x.low, x.high
    if direction in ("LT", "LE", "EQ"):
        high = min(high, y.high - (direction == "LT"))
    if direction in ("GT", "GE", "EQ"):
        low = max(low, y.low + (direction == "GT"))
    return x.numbers(low, high) if low <= high else x


def _branch_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    index = ranges.of(op.operands[0])
    blocks = [region.blocks[0] for region in op.regions]
    if op.name == "stablehlo.if":
        blocks.reverse()
    results = [ranges.run(block, []) for block in blocks]
    if index.low == index.high:
        # An index out of range chooses the last branch.
        return results[int(index.low) if 0 <= index.low < len(blocks) else -1]
    return [join(*each) for each in zip(*results, strict=True)]


_CONTROL = Op(
    "", __name__, Kind.CONTROL, fixed_scale, _branch_range, _if, share=Share.BITWISE, modular=always
)
_TERMINATOR = Op("", __name__, Kind.TERMINATOR, fixed_scale, unknown_range, None, modular=always)

register(
    _CONTROL.named("stablehlo.while", emit=_while, range=_while_range, unsupported=_no_secret_condition),
    _CONTROL.named("stablehlo.case", emit=_case),
    _CONTROL.named("stablehlo.if"),
    _TERMINATOR.named("stablehlo.return"),
    _TERMINATOR.named("func.return"),
)
