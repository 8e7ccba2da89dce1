"""Ops that move elements."""

from __future__ import annotations

from collections.abc import Sequence

from ditto_compiler.ir import ir, numel
from ditto_compiler.op_attributes import dimension_field, get_i64s, shape_of
from ditto_compiler.spu.emit.emitter import EmitRule, Emitter, Values, i64, i64s, plain_element


def _broadcast(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    dimensions = i64s(get_i64s(op, "broadcast_dimensions"))
    (result,) = op.results
    repeated = e.one("broadcast", e.type_of(result), x, broadcast_dimensions=dimensions)
    return [repeated if numel(result) == numel(op.operands[0]) else e.laid_out(repeated)]


def _reshape(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    return [e.one("reshape", e.type_of(op.results[0]), x)]


def _transpose(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    permutation = i64s(get_i64s(op, "permutation"))
    return [e.one("transpose", e.type_of(op.results[0]), x, permutation=permutation)]


def _reverse(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    return [e.one("reverse", e.type_of(op.results[0]), x, dimensions=i64s(get_i64s(op, "dimensions")))]


def _slice(e: Emitter, op: ir.Operation) -> Values:
    (x,) = e.operands(op)
    names = ("start_indices", "limit_indices", "strides")
    return [e.one("slice", e.type_of(op.results[0]), x, **{name: i64s(get_i64s(op, name)) for name in names})]


def _concatenate(e: Emitter, op: ir.Operation) -> Values:
    secret = e.is_secret(op.results[0])
    parts = [e.secret(part) if secret else part for part in e.operands(op)]
    dimension = ir.IntegerAttr(op.attributes["dimension"]).value
    return [e.one("concatenate", e.type_of(op.results[0]), *parts, dimension=i64(dimension))]


def _pad(e: Emitter, op: ir.Operation) -> Values:
    x, value = e.operands(op)
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    low, high, interior = (get_i64s(op, name) for name in names)
    if e.is_secret(op.results[0]):
        x, value = e.secret(x), e.secret(value)
    return [pad(e, x, value, low, high, interior, e.is_secret(op.results[0]))]


def pad(
    e: Emitter,
    x: ir.Value,
    value: ir.Value,
    low: Sequence[int],
    high: Sequence[int],
    interior: Sequence[int],
    secret: bool,
) -> ir.Value:
    """Pads; negative edges, which the engine does not take, are cut off afterwards."""
    element = plain_element(x)
    old = shape_of(x)
    grown = [max(p, 0) for p in low], [max(p, 0) for p in high]
    inner = [n + max(n - 1, 0) * p for n, p in zip(old, interior, strict=True)]
    shape = [n + a + b for n, a, b in zip(inner, *grown, strict=True)]
    if any(grown[0]) or any(grown[1]) or any(interior):
        x = e.one(
            "pad",
            e.type(shape, element, secret),
            x,
            value,
            edge_padding_low=i64s(grown[0]),
            edge_padding_high=i64s(grown[1]),
            interior_padding=i64s(interior),
        )
    if min([*low, *high], default=0) < 0:
        starts = [max(-p, 0) for p in low]
        limits = [n - max(-p, 0) for n, p in zip(shape, high, strict=True)]
        cut = [b - a for a, b in zip(starts, limits, strict=True)]
        x = e.one(
            "slice",
            e.type(cut, element, secret),
            x,
            start_indices=i64s(starts),
            limit_indices=i64s(limits),
            strides=i64s([1] * len(cut)),
        )
    return x


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


EMITTERS: dict[str, EmitRule] = {
    "stablehlo.broadcast_in_dim": _broadcast,
    "stablehlo.concatenate": _concatenate,
    "stablehlo.pad": _pad,
    "stablehlo.reshape": _reshape,
    "stablehlo.reverse": _reverse,
    "stablehlo.slice": _slice,
    "stablehlo.transpose": _transpose,
    "stablehlo.dynamic_slice": _dynamic_slice,
    "stablehlo.dynamic_update_slice": _dynamic_update_slice,
    "stablehlo.gather": _gather,
}
