"""Reductions and sorting."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ditto_compiler.dialect.encoding import Fxp
from ditto_compiler.ir import encoding_of, ir, numel
from ditto_compiler.op_attributes import get_i64s, get_padding, shape_of
from ditto_compiler.spu.emit.emitter import EmitRule, Emitter, Values, i64, i64s
from ditto_compiler.spu.emit.layout import pad
from ditto_compiler.spu.op_table import reducer, sort_key


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


def _sort(e: Emitter, op: ir.Operation) -> Values:
    key = sort_key(op)
    assert key is not None
    direction = "ASC" if key[1] == "LT" else "DES"
    types = [e.type_of(result) for result in op.results]
    secret = e.is_secret(op.results[0])
    values = [e.secret(v) if secret else v for v in e.operands(op)]
    dimension = ir.IntegerAttr(op.attributes["dimension"]).value if "dimension" in op.attributes else -1
    if dimension < 0:
        dimension += len(shape_of(op.results[0]))
    sort = e.op(
        "simple_sort",
        types,
        values,
        dimension=i64(dimension),
        num_keys=i64(1),
        sort_direction=ir.Attribute.parse(f"#pphlo<sort_direction {direction}>"),
    )
    return list(sort.results)


EMITTERS: dict[str, EmitRule] = {
    "stablehlo.reduce": _reduce,
    "stablehlo.reduce_window": _reduce_window,
    "stablehlo.sort": _sort,
}
