"""Reductions, of whole axes and of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ditto_compiler.dtypes import FLOAT_TYPES
from ditto_compiler.encoding import Fxp
from ditto_compiler.intervals import UNKNOWN, Interval, scaled
from ditto_compiler.ir import element_type, encoding_of, ir, numel
from ditto_compiler.op_attributes import get_i64s, get_padding, shape_of
from ditto_compiler.ops.base import IsSecret, Kind, Op, Ranges, Scale, Values, register
from ditto_compiler.ops.emitter import Emitter, i64s
from ditto_compiler.ops.movement import pad
from ditto_compiler.structure import IDENTITIES, constant_through_layout, reducer, splat_of


def _reduce(e: Emitter, op: ir.Operation) -> Values:
    dimensions = get_i64s(op, "dimensions")
    x = op.operands[0]
    is_fxp = isinstance(encoding_of(x), Fxp)
    if is_fxp and reducer(op) == "add" and e.is_secret(x) and numel(x) and not e.in_reducer:
        return [_sum(e, op, dimensions)]
    return _generic(e, op, "reduce", dimensions=i64s(dimensions))


def _sum(e: Emitter, op: ir.Operation, dimensions: Sequence[int]) -> ir.Value:
    """A sum as the product with a vector of ones: local, and ten times faster than the engine's reduction."""
    shape = shape_of(op.operands[0])
    kept = [axis for axis in range(len(shape)) if axis not in dimensions]
    rows, columns = math.prod(shape[axis] for axis in kept), math.prod(shape[axis] for axis in dimensions)
    x = e.as_integer(e.values[op.operands[0]])
    x = e.transpose(x, [*kept, *dimensions], e.integer, True)
    x = e.reshape(x, [rows, columns], e.integer, True)
    total = e.one("dot", e.type([rows, 1], e.integer, True), x, e.splat(1, [columns, 1], e.integer))
    total = e.reshape(total, shape_of(op.results[0]), e.integer, True)
    return e.bitcast(total, e.element(op.results[0]))


def _reduce_window(e: Emitter, op: ir.Operation) -> Values:
    rank = len(shape_of(op.operands[0]))
    ones = [1] * rank
    low, high = get_padding(op, rank)
    interior = [d - 1 for d in get_i64s(op, "base_dilations", ones)]
    half = len(op.operands) // 2
    values = e.operands(op)
    secret = e.is_secret(op.results[0])
    inits = [e.secret(v) if secret else v for v in values[half:]]
    inputs = [e.secret(v) if secret else v for v in values[:half]]
    inputs = [pad(e, x, init, low, high, interior, secret) for x, init in zip(inputs, inits, strict=True)]
    return _generic(
        e,
        op,
        "reduce_window",
        [*inputs, *inits],
        window_dimensions=i64s(get_i64s(op, "window_dimensions")),
        window_strides=i64s(get_i64s(op, "window_strides", ones)),
        window_dilations=i64s(get_i64s(op, "window_dilations", ones)),
    )


def _generic(
    e: Emitter, op: ir.Operation, name: str, operands: Values | None = None, **attributes: ir.Attribute
) -> Values:
    secret = e.is_secret(op.results[0])
    values = e.operands(op) if operands is None else operands
    if secret:
        values = [e.secret(value) for value in values]
    types = [e.type_of(result) for result in op.results]
    reduction = e.op(name, types, values, regions=1, **attributes)
    e.reducer(op.regions[0].blocks[0], reduction.regions[0], [secret] * len(op.results))
    return list(reduction.results)


def _plain_reduction(op: ir.Operation, _: IsSecret) -> str | None:
    # The engine drops the initial value of a reduction that leaves dimension 0 alone.
    name = reducer(op)
    if name is None:
        return None
    initial = constant_through_layout(op.operands[1])
    if initial is None:
        return "the initial value must be a constant"
    found = splat_of(initial)
    value = math.nan if found is None else float(found)
    dtype = element_type(op.operands[0])
    if name in ("maximum", "minimum") and dtype not in FLOAT_TYPES:
        return None
    if name in IDENTITIES and value not in IDENTITIES[name]:
        return (
            f"a reduction by {name} must start from {IDENTITIES[name][0]:g}, found {value:g}; "
            "combine the other value with the result instead"
        )
    return None


def _scale(op: ir.Operation) -> Scale:
    exact = reducer(op) in ("add", "maximum", "minimum")
    return Scale.ANY if exact or not any(isinstance(encoding_of(v), Fxp) for v in op.results) else Scale.FIXED


def _range(ranges: Ranges, op: ir.Operation) -> Interval:
    if len(op.results) != 1:
        return UNKNOWN
    inside = ranges.interval(op.operands[0])
    name = reducer(op)
    if name in ("maximum", "minimum"):
        return inside
    if name != "add" or not numel(op.results[0]):
        return UNKNOWN
    if op.name == "stablehlo.reduce_window":
        return scaled(inside, math.prod(op.attributes["window_dimensions"]))
    return scaled(inside, numel(op.operands[0]) // numel(op.results[0]))


_REDUCTION = Op(
    "stablehlo.reduce", __name__, Kind.ARITHMETIC, _scale, _range, _reduce, unsupported=_plain_reduction
)

register(_REDUCTION, _REDUCTION.named("stablehlo.reduce_window", emit=_reduce_window))
