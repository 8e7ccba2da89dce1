"""Building cast ops."""

from __future__ import annotations

from ditto_compiler.encoding import Encoding, Int, plan_casts
from ditto_compiler.ir import clone_op, defining_op, encode_type, encoding_of, ir, set_encoding


def insert_casts(value: ir.Value, target: Encoding, *, before: ir.Operation) -> ir.Value:
    """Casts `value` to `target` by ops placed before `before`; returns the value in `target`.

    Raises:
        EncodingError: no protocol leads there.
    """
    source = encoding_of(value)
    assert source is not None, "casts need an annotated value"
    for cast in plan_casts(source, target):
        op = ir.Operation.create(
            f"ditto.{cast.op}",
            results=[encode_type(value.type, cast.target)],
            operands=[value],
            loc=before.location,
            ip=ir.InsertionPoint(before),
        )
        value = op.results[0]
    return value


def constant_at(value: ir.Value, target: Encoding, *, before: ir.Operation) -> ir.Value:
    """A constant, with the layout ops through which it is seen, written again in another encoding."""
    if encoding_of(value) == target:
        return value
    op = defining_op(value)
    assert op is not None, "not a constant"
    mapping = {}
    for operand in dict.fromkeys(op.operands):
        # Only what is moved has the target's scale; indices and the like have its ring.
        moved = type(encoding_of(operand)) is type(target)
        mapping[operand] = constant_at(operand, target if moved else Int(target.ring), before=before)
    clone = clone_op(op, mapping, ir.InsertionPoint(before))
    set_encoding(clone.results[0], target)
    return clone.results[0]


def insert_cast_after(op: ir.Operation, target: Encoding) -> None:
    """Casts the result of `op` to `target` right after it, for all its users."""
    result = op.results[0]
    users = [use.owner.operation for use in result.uses]
    if not users or encoding_of(result) == target:
        return
    cast = insert_casts(result, target, before=op)
    first = defining_op(cast)
    while first is not None and first.operands[0] != result:
        first = defining_op(first.operands[0])
    assert first is not None
    op.move_before(first)
    for user in users:
        for index, operand in enumerate(user.operands):
            if operand == result:
                user.operands[index] = cast
