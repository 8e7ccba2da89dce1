"""Reductions, of whole axes and of windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ditto_compiler import intervals
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.folds import ASSOCIATIVE, IDEMPOTENT, identity, starts_from_identity
from ditto_compiler.intervals import NOTHING, UNKNOWN, Range, join, widened
from ditto_compiler.ir import defining_op, element_type, encoding_of, ir, numel, ops_of
from ditto_compiler.matcher import row_statistic
from ditto_compiler.op_attributes import get_i64s, get_padding, shape_of
from ditto_compiler.ops.base import OPS, IsSecret, Kind, Op, Ranges, Scale, Share, Values, register
from ditto_compiler.ops.emitter import Emitter, i64s
from ditto_compiler.ops.movement import pad
from ditto_compiler.structure import constant, is_float, reducer


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
    for inner in ops_of(op.regions[0].blocks[0]):
        if inner.name in OPS and OPS[inner.name].domain is not None and is_float(inner.results[0]):
            return (
                f"its reducer calls '{inner.name}', which is right for some arguments only, and combines "
                "initial values too; use jax.lax.associative_scan, or a maximum and a sum"
            )
    name = reducer(op)
    if name is None or len(op.results) > 1:
        return None
    if name not in ASSOCIATIVE:
        return f"a reduction by {name} depends on the order of the elements; loop over them instead"
    if op.name == "stablehlo.reduce_window" and name not in IDEMPOTENT and _adds_elements(op):
        start = identity(name, element_type(op.operands[1]))
        if not starts_from_identity(op, name):
            return (
                f"a reduction by {name} over windows with padding or gaps must start from the constant "
                f"{start:g}: whether others count once for each element put in is not defined"
            )
    return None


def _adds_elements(op: ir.Operation) -> bool:
    """Whether a `reduce_window` puts initial values between or beside the elements."""
    rank = len(shape_of(op.operands[0]))
    low, high = get_padding(op, rank)
    return max([*low, *high], default=0) > 0 or any(d > 1 for d in get_i64s(op, "base_dilations", [1] * rank))


def _is_modular(op: ir.Operation) -> bool:
    return reducer(op) in ("add", "multiply", "and", "or", "xor")


def _scale(op: ir.Operation) -> Scale:
    exact = reducer(op) in ("add", "maximum", "minimum")
    return Scale.ANY if exact or not any(isinstance(encoding_of(v), Fxp) for v in op.results) else Scale.FIXED


def _range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    half = len(op.operands) // 2
    cells = [ranges.of(v) for v in list(op.operands)[:half]]
    initial = [ranges.of(v) for v in list(op.operands)[half:]]
    if op.name == "stablehlo.reduce":
        count = math.prod(shape_of(op.operands[0])[d] for d in get_i64s(op, "dimensions"))
        if not numel(op.results[0]):
            return [NOTHING] * half
    else:
        count = math.prod(get_i64s(op, "window_dimensions"))
        # Padding and dilation put initial values into the windows.
        cells = [join(x, start) for x, start in zip(cells, initial, strict=True)]
    rule = _BY_REDUCER.get(reducer(op) or "") if half == 1 else None
    if half == 1 and count and element_type(op.results[0]) == "i1":
        rule = _OF_BITS.get(reducer(op) or "", rule)
    if rule is not None:
        found = rule(cells[0], count, initial[0])
        least = _largest_term(ranges, op)
        if least is not None and cells[0].low >= 0 and found.high >= least:
            found = found.numbers(max(found.low, least), found.high)
        slack = names.get_float(op, names.SLACK)
        if slack is not None:
            found = intervals.add(found, Range(0.0, slack))
        return [ranges.fitted(found, op.results[0])]
    return _fixed_point(
        ranges, op.regions[0].blocks[0], [join(*pair) for pair in zip(cells, initial, strict=True)]
    )


def _largest_term(ranges: Ranges, op: ir.Operation) -> float | None:
    """What one term of each sum is at least, where that is known by how the terms came about.

    Pattern: sum(exp(x - max(x))) >= 1   [along the same axes]

    If the maximum has slack, it may be less; and the argument may be clipped below, from where on exp is a
    one-shot function.
    """
    weights = defining_op(op.operands[0])
    if op.name != "stablehlo.reduce" or reducer(op) != "add" or weights is None:
        return None
    if weights.name not in ("stablehlo.exponential", names.ONESHOT):
        return None
    shifted = defining_op(weights.operands[0])
    if shifted is not None and shifted.name == "stablehlo.maximum":
        lowest = constant(shifted.operands[1])
        shifted = defining_op(shifted.operands[0]) if lowest is not None and lowest <= 0 else None
    if shifted is None or shifted.name != "stablehlo.subtract":
        return None
    statistic = row_statistic(shifted.results[0], *shifted.operands)
    if statistic is None or statistic[:2] != ("maximum", tuple(sorted(get_i64s(op, "dimensions")))):
        return None
    if weights.name == "stablehlo.exponential":
        return math.exp(-statistic.slack)
    function = ir.FlatSymbolRefAttr(weights.attributes[names.FUNCTION]).value
    found = ranges.call(function, [Range(-statistic.slack, 0.0)])
    return None if found is None else found[0].low


def _fixed_point(ranges: Ranges, body: ir.Block, start: list[Range]) -> Sequence[Range]:
    """What any tree of applications of the reducer's body can give."""
    found = start
    while True:
        results = ranges.run(body, [*found, *found])
        grown = [widened(old, join(old, new)) for old, new in zip(found, results, strict=True)]
        if grown == found:
            return found
        found = grown


def _product_of(x: Range, count: int, start: Range) -> Range:
    """Of `count` factors and the initial value."""
    if not x.is_numeric or not x.has_numbers:
        return UNKNOWN if count else start
    most = _power(x.largest, count)
    least = _power(x.low, count) if x.low >= 0 else -most
    return intervals.multiply(Range(least, most), start)


def _power(base: float, count: int) -> float:
    try:
        return base**count
    except OverflowError:
        return math.inf


_BY_REDUCER: Mapping[str, Callable[[Range, int, Range], Range]] = {
    "add": lambda x, count, start: intervals.add(intervals.scaled(x, count), start),
    "multiply": _product_of,
    "maximum": lambda x, count, start: intervals.maximum(x, start) if count else start,
    "minimum": lambda x, count, start: intervals.minimum(x, start) if count else start,
}
"""Of `count` elements and the initial value, by the reducer."""

_OF_BITS: Mapping[str, Callable[[Range, int, Range], Range]] = {
    "and": lambda x, count, start: intervals.minimum(x, start),
    "or": lambda x, count, start: intervals.maximum(x, start),
}
"""The same of one boolean or more."""


_REDUCTION = Op(
    "stablehlo.reduce",
    __name__,
    Kind.ARITHMETIC,
    _scale,
    _range,
    _reduce,
    unsupported=_plain_reduction,
    share=Share.REDUCED,
    modular=_is_modular,
)

register(_REDUCTION, _REDUCTION.named("stablehlo.reduce_window", emit=_reduce_window))
