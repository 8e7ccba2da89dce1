"""Reductions and sorting."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ditto_compiler.dialect.encoding import Fxp
from ditto_compiler.ir import encoding_of, ir, numel
from ditto_compiler.op_attributes import get_i64s, get_padding, shape_of
from ditto_compiler.spu.emit.emitter import EmitRule, Emitter, Values, as_arithmetic, i64, i64s
from ditto_compiler.spu.emit.layout import pad
from ditto_compiler.spu.op_table import reducer, sort_key


def _reduce(e: Emitter, op: ir.Operation) -> Values:
    dimensions = get_i64s(op, "dimensions")
    name = reducer(op)
    is_fxp = isinstance(encoding_of(op.results[0]), Fxp)
    if e.is_secret(op.operands[0]) and is_fxp and numel(op.operands[0]) and not e.in_reducer:
        if name == "add":
            return [_sum(e, op, dimensions)]
        if name in ("maximum", "minimum"):
            return [_tournament(e, op, name, dimensions)]
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


def _tournament(e: Emitter, op: ir.Operation, name: str, dimensions: Sequence[int]) -> ir.Value:
    """A maximum or minimum by halves.

    As the engine reduces, but along the first axis, where halves are contiguous: a fifth less time.
    """
    shape, element = shape_of(op.operands[0]), e.element(op.operands[0])
    kept = [axis for axis in range(len(shape)) if axis not in dimensions]
    columns, left = math.prod(shape[axis] for axis in kept), math.prod(shape[axis] for axis in dimensions)
    x = e.transpose(e.values[op.operands[0]], [*dimensions, *kept], element, True)
    x = e.reshape(x, [left, columns], element, True)

    def rows(start: int, stop: int) -> ir.Value:
        return e.slice(x, [start, 0], [stop, columns])

    if left == 1:
        # Nothing is compared, and the only element may be a boolean share.
        x = as_arithmetic(e, x)
    while left > 1:
        half, odd = divmod(left, 2)
        winners = e.one(name, e.type([half, columns], element, True), rows(0, half), rows(half, 2 * half))
        if odd:
            both = e.type([half + 1, columns], element, True)
            winners = e.one("concatenate", both, winners, rows(left - 1, left), dimension=i64(0))
        x, left = winners, half + odd
    return e.reshape(x, shape_of(op.results[0]), element, True)


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
