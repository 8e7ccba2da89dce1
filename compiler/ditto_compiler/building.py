"""Ops of StableHLO put right before another one, at its location; like `ir.insert_op`, which they call."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ditto_compiler.encoding import Int
from ditto_compiler.ir import encode_type, encoding_of, insert_op, ir
from ditto_compiler.op_attributes import comparison_attributes, shape_of
from ditto_compiler.structure import splat_attribute


def splat(number: float, type_: ir.Type, *, before: ir.Operation) -> ir.Value:
    """A constant with one number in every element."""
    return insert_op("constant", type_, before=before, value=splat_attribute(number, type_))


def spread(value: ir.Value, like: ir.Type, *, before: ir.Operation) -> ir.Value:
    """A scalar in every element of a tensor of the type `like`."""
    if value.type == like:
        return value
    return insert_op(
        "broadcast_in_dim", like, value, before=before, broadcast_dimensions=ir.DenseI64ArrayAttr.get([])
    )


def typed(value: ir.Value, shape: Sequence[int]) -> ir.Type:
    """The type of a value, in another shape."""
    tensor = ir.RankedTensorType(value.type)
    return ir.RankedTensorType.get(list(shape), tensor.element_type, tensor.encoding)


def booleans(like: ir.Value) -> ir.Type:
    """The type of booleans in the shape of another value, and in its ring if it has one."""
    encoding, context = encoding_of(like), like.type.context
    bit = ir.IntegerType.get_signless(1, context)
    plain = ir.RankedTensorType.get(shape_of(like), bit, loc=ir.Location.unknown(context))
    return plain if encoding is None else encode_type(plain, Int(encoding.ring))


def comparison(
    direction: str, x: ir.Value, y: ir.Value, *, before: ir.Operation, kind: str | None = None
) -> ir.Value:
    """A comparison; see `comparison_attributes`."""
    attributes = comparison_attributes(direction, kind)
    return insert_op("compare", booleans(x), x, y, before=before, **attributes)


def reshaped(x: ir.Value, shape: Sequence[int], *, before: ir.Operation) -> ir.Value:
    """The same elements in another shape."""
    if shape_of(x) == list(shape):
        return x
    return insert_op("reshape", typed(x, shape), x, before=before)


def sliced(
    x: ir.Value, start: Sequence[int], limit: Sequence[int], strides: Sequence[int], *, before: ir.Operation
) -> ir.Value:
    """Every so many elements of each axis."""
    bounds = {"start_indices": start, "limit_indices": limit, "strides": strides}
    attributes = {key: ir.DenseI64ArrayAttr.get(list(value)) for key, value in bounds.items()}
    shape = [math.ceil((b - a) / s) for a, b, s in zip(start, limit, strides, strict=True)]
    return insert_op("slice", typed(x, shape), x, before=before, **attributes)


def joined(parts: Sequence[ir.Value], *, before: ir.Operation) -> ir.Value:
    """Tensors one after the other along the first axis."""
    _, *rest = shape_of(parts[0])
    extent = sum(shape_of(part)[0] for part in parts)
    dimension = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0)
    type_ = typed(parts[0], [extent, *rest])
    return insert_op("concatenate", type_, *parts, before=before, dimension=dimension)
