"""Ops that move elements to places that the program says."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ditto_compiler.intervals import Range, join
from ditto_compiler.ir import ir, numel
from ditto_compiler.op_attributes import get_i64, get_i64s, shape_of
from ditto_compiler.ops.base import (
    IsSecret,
    Kind,
    Op,
    Ranges,
    Share,
    Values,
    always,
    any_scale,
    joined_range,
    register,
    same_range,
)
from ditto_compiler.ops.emitter import Emitter, forward, i64, i64s, plain_element


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
    """Pads; negative edges, which the engine does not take, are cut off afterwards.

    Around nothing, where the engine's own padding crashes, there is the padding alone.
    """
    element = plain_element(x)
    old = shape_of(x)
    grown = [max(p, 0) for p in low], [max(p, 0) for p in high]
    inner = [n + max(n - 1, 0) * p for n, p in zip(old, interior, strict=True)]
    shape = [n + a + b for n, a, b in zip(inner, *grown, strict=True)]
    if not math.prod(old):
        x = e.laid_out(
            e.one("broadcast", e.type(shape, element, secret), value, broadcast_dimensions=i64s([]))
        )
    elif any(grown[0]) or any(grown[1]) or any(interior):
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


def _pad_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x, value = (ranges.of(operand) for operand in op.operands)
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    grows = any(amount > 0 for name in names for amount in get_i64s(op, name))
    return [join(x, value) if grows else x]


LEAST_MANTISSA = 7
"""Mantissa bits of bf16, the least precise of the floats."""


def _too_coarse(op: ir.Operation, _: IsSecret) -> str | None:
    """Fixed point keeps its own fraction bits, whatever is asked for: results are more exact than that."""
    bits = get_i64(op, "mantissa_bits")
    if bits >= LEAST_MANTISSA:
        return None
    return (
        f"numbers of {bits} mantissa bits are coarser than any float, and fixed point does not round "
        "to them; leave it out"
    )


_MOVE = Op("", __name__, Kind.LAYOUT, any_scale, same_range, forward, share=Share.MOVED, modular=always)

register(
    _MOVE.named("stablehlo.broadcast_in_dim", emit=_broadcast),
    _MOVE.named("stablehlo.concatenate", emit=_concatenate, range=joined_range),
    _MOVE.named("stablehlo.optimization_barrier"),
    _MOVE.named("stablehlo.pad", emit=_pad, range=_pad_range),
    _MOVE.named("stablehlo.reduce_precision", unsupported=_too_coarse),
    _MOVE.named("stablehlo.reshape", emit=_reshape),
    _MOVE.named("stablehlo.reverse", emit=_reverse),
    _MOVE.named("stablehlo.slice", emit=_slice),
    _MOVE.named("stablehlo.transpose", emit=_transpose),
)
