"""Ops that move elements to and from places that indices say."""

from __future__ import annotations

from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import dimension_field, get_i64s, shape_of
from ditto_compiler.ops.base import (
    IsSecret,
    Kind,
    Op,
    Share,
    Values,
    always,
    any_scale,
    joined_range,
    register,
    same_range,
)
from ditto_compiler.ops.emitter import Emitter, i64, i64s


def _dynamic_slice(e: Emitter, op: ir.Operation) -> Values:
    sizes = i64s(get_i64s(op, "slice_sizes"))
    return [e.one("dynamic_slice", e.type_of(op.results[0]), *e.operands(op), slice_sizes=sizes)]


def _dynamic_update_slice(e: Emitter, op: ir.Operation) -> Values:
    values = e.operands(op)
    if e.is_secret(op.results[0]):
        values[:2] = [e.secret(value) for value in values[:2]]
    return [e.one("dynamic_update_slice", e.type_of(op.results[0]), *values)]


def _gather(e: Emitter, op: ir.Operation) -> Values:
    numbers = op.attributes["dimension_numbers"]
    attributes = {
        "collapsed_slice_dims": i64s(dimension_field(numbers, "collapsed_slice_dims")),
        "index_vector_dim": i64((dimension_field(numbers, "index_vector_dim") or [0])[0]),
        "offset_dims": i64s(dimension_field(numbers, "offset_dims")),
        "slice_sizes": i64s(get_i64s(op, "slice_sizes")),
        "start_index_map": i64s(dimension_field(numbers, "start_index_map")),
    }
    extra = {"pphlo.attributes": ir.DictAttr.get(attributes)}
    target = ir.StringAttr.get("spu.gather")
    return [e.one("custom_call", e.type_of(op.results[0]), *e.operands(op), call_target_name=target, **extra)]


def _slice_of_tensor(op: ir.Operation, _: IsSecret) -> str | None:
    if not shape_of(op.operands[0]):
        return "a slice of a scalar is the scalar, and MLIR cannot read what it prints for it; leave it out"
    return None


_LOOKUP = Op("", __name__, Kind.LAYOUT, any_scale, same_range, _gather, share=Share.MOVED, modular=always)

register(
    _LOOKUP.named("stablehlo.dynamic_slice", emit=_dynamic_slice, unsupported=_slice_of_tensor),
    _LOOKUP.named("stablehlo.dynamic_update_slice", emit=_dynamic_update_slice, range=joined_range),
    _LOOKUP.named("stablehlo.gather"),
)
