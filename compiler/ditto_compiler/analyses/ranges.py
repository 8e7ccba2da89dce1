"""How large values can get: proved where the program allows it, measured where it was calibrated.

Each float value has an interval [lo, hi]. The transfer functions are those of interval arithmetic on real
numbers; what is not known is (-inf, inf). Two facts sharpen it: the attribute `ditto.max_abs`,
which calibration puts on ops and arguments, and the shape of a softmax (e / sum(e) for e >= 0 lies in
[0, 1]). Rounding of fixed point is not part of it; fraction assignment leaves a margin.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import defining_op, element_type, func, ir, numel, ops_of
from ditto_compiler.spu.op_table import FLOAT_TYPES, contracting_dimensions, reducer

Interval = tuple[float, float]

INFINITE = 2.0**24
"""Magnitudes from here on stand for infinity, as in attention masks: they are held saturated."""

UNKNOWN: Interval = (-math.inf, math.inf)


class RangeAnalysis:
    """Intervals of the values in a function's entry block.

    A pass that goes on asking erases ops by `erase`.
    """

    def __init__(self, entry: func.FuncOp) -> None:
        self._intervals: dict[ir.Value, Interval] = {}
        for argument, attributes in zip(entry.arguments, names.argument_attributes(entry), strict=True):
            self._intervals[argument] = _measured(attributes.get(names.MAX_ABS))
        for op in ops_of(entry.entry_block):
            self.visit(op)

    def visit(self, op: ir.Operation) -> None:
        """Finds the intervals of an op's results, from its operands'."""
        is_float = len(op.results) > 0 and element_type(op.results[0]) in FLOAT_TYPES
        proved = _TRANSFER.get(op.name, _unknown)(self, op) if is_float else UNKNOWN
        measured = names.get_attribute(op, names.MAX_ABS)
        for index, result in enumerate(op.results):
            interval = proved if index == 0 else UNKNOWN
            if measured is not None:
                entry = measured[index] if isinstance(measured, ir.ArrayAttr) else measured
                interval = _intersect(interval, _measured(entry))
            self._intervals[result] = interval

    def interval(self, value: ir.Value) -> Interval:
        """[lo, hi] of a value; of one that is made later, that of the op it is made from."""
        if value not in self._intervals:
            op = defining_op(value)
            if op is not None:
                self.visit(op)
        return self._intervals.get(value, UNKNOWN)

    def erase(self, op: ir.Operation) -> None:
        """Erases `op` and forgets its results: values are known by address, which a later op may get."""
        for result in op.results:
            self._intervals.pop(result, None)
        op.erase()

    def bound(self, value: ir.Value) -> float:
        """The largest |x|; inf when unknown."""
        low, high = self.interval(value)
        return max(abs(low), abs(high))


def _measured(attribute: ir.Attribute | None) -> Interval:
    if attribute is None:
        return UNKNOWN
    bound = ir.FloatAttr(attribute).value
    return (-bound, bound) if bound < INFINITE else UNKNOWN


def _intersect(a: Interval, b: Interval) -> Interval:
    low, high = max(a[0], b[0]), min(a[1], b[1])
    # Rounding can make a proof and a measurement miss each other by a hair.
    return (low, high) if low <= high else b


def _hull(*intervals: Interval) -> Interval:
    return min(i[0] for i in intervals), max(i[1] for i in intervals)


def _times(a: float, b: float) -> float:
    return 0.0 if 0.0 in (a, b) else a * b


def _product(a: Interval, b: Interval) -> Interval:
    ends = [_times(x, y) for x in a for y in b]
    return min(ends), max(ends)


def _scaled(a: Interval, count: int) -> Interval:
    return _times(a[0], count), _times(a[1], count)


Transfer = Callable[[RangeAnalysis, ir.Operation], Interval]


def _unknown(_: RangeAnalysis, __: ir.Operation) -> Interval:
    return UNKNOWN


def _first(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    return analysis.interval(op.operands[0])


def _all(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    return _hull(*(analysis.interval(v) for v in op.operands if element_type(v) in FLOAT_TYPES))


def _constant(_: RangeAnalysis, op: ir.Operation) -> Interval:
    if element_type(op.results[0]) not in FLOAT_TYPES:
        return UNKNOWN
    value = ir.DenseElementsAttr(op.attributes["value"])
    if value.is_splat:
        numbers = [float(value.get_splat_value().value)]
    else:
        numbers = [float(x) for x in ir.DenseFPElementsAttr(value)]
    if not numbers or any(math.isnan(x) or abs(x) >= INFINITE for x in numbers):
        return UNKNOWN
    return min(numbers), max(numbers)


def _iota(_: RangeAnalysis, op: ir.Operation) -> Interval:
    return 0.0, float(max(numel(op.results[0]) - 1, 0))


def _add(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    a, b = (analysis.interval(v) for v in op.operands)
    return a[0] + b[0], a[1] + b[1]


def _subtract(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    a, b = (analysis.interval(v) for v in op.operands)
    low, high = a[0] - b[1], a[1] - b[0]
    # Pattern: x - max(x) <= 0
    shifted = _through_broadcast(op.operands[1])
    reduced = defining_op(shifted)
    if reduced is not None and reduced.name == "stablehlo.maximum":
        candidates = [defining_op(v) for v in reduced.operands]
        reduced = next((c for c in candidates if c is not None and c.name == "stablehlo.reduce"), reduced)
    is_maximum = reduced is not None and reduced.name == "stablehlo.reduce" and reducer(reduced) == "maximum"
    if is_maximum and reduced is not None and reduced.operands[0] == op.operands[0]:
        high = min(high, 0.0)
    return low, high


def _multiply(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    if op.operands[0] == op.operands[1]:
        return _square(analysis, op)
    return _product(*(analysis.interval(v) for v in op.operands))


def _square(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    low, high = analysis.interval(op.operands[0])
    largest = max(_times(low, low), _times(high, high))
    smallest = 0.0 if low <= 0 <= high else min(low * low, high * high)
    return smallest, largest


def _dot(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    left = ir.RankedTensorType(op.operands[0].type).shape
    if op.name == "stablehlo.dot":
        terms = left[-1]
    else:
        dimensions = contracting_dimensions(op)
        terms = math.prod(left[d] for d in dimensions)
    return _scaled(_product(*(analysis.interval(v) for v in op.operands)), terms)


def _divide(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    # Pattern: e / sum(e) in [0, 1]   [e >= 0]
    summed = defining_op(_through_broadcast(op.operands[1]))
    numerator = analysis.interval(op.operands[0])
    is_share = (
        summed is not None
        and summed.name == "stablehlo.reduce"
        and reducer(summed) == "add"
        and summed.operands[0] == op.operands[0]
        and numerator[0] >= 0
    )
    if is_share:
        return 0.0, 1.0
    low, high = analysis.interval(op.operands[1])
    if low <= 0 <= high:
        return UNKNOWN
    return _product(numerator, (1 / high, 1 / low))


def _through_broadcast(value: ir.Value) -> ir.Value:
    op = defining_op(value)
    while op is not None and op.name in ("stablehlo.broadcast_in_dim", "stablehlo.reshape"):
        value = op.operands[0]
        op = defining_op(value)
    return value


def _negate(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    low, high = analysis.interval(op.operands[0])
    return -high, -low


def _abs(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    low, high = analysis.interval(op.operands[0])
    return (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


def _maximum(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    a, b = (analysis.interval(v) for v in op.operands)
    return max(a[0], b[0]), max(a[1], b[1])


def _minimum(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    a, b = (analysis.interval(v) for v in op.operands)
    return min(a[0], b[0]), min(a[1], b[1])


def _clamp(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    low, x, high = (analysis.interval(v) for v in op.operands)
    return min(max(x[0], low[0]), high[1]), max(min(x[1], high[1]), low[0])


def _select(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    return _hull(analysis.interval(op.operands[1]), analysis.interval(op.operands[2]))


def _monotone(function: Callable[[float], float]) -> Transfer:
    def transfer(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
        low, high = analysis.interval(op.operands[0])
        return function(low), function(high)

    return transfer


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def _fixed(low: float, high: float) -> Transfer:
    return lambda _, __: (low, high)


def _reduce(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    if len(op.results) != 1:
        return UNKNOWN
    inside = analysis.interval(op.operands[0])
    name = reducer(op)
    if name in ("maximum", "minimum"):
        return inside
    if name != "add" or not numel(op.results[0]):
        return UNKNOWN
    if op.name == "stablehlo.reduce_window":
        return _scaled(inside, math.prod(op.attributes["window_dimensions"]))
    return _scaled(inside, numel(op.operands[0]) // numel(op.results[0]))


def _convert(analysis: RangeAnalysis, op: ir.Operation) -> Interval:
    if element_type(op.operands[0]) == "i1":
        return 0.0, 1.0
    return analysis.interval(op.operands[0]) if element_type(op.operands[0]) in FLOAT_TYPES else UNKNOWN


_TRANSFER: dict[str, Transfer] = {
    "stablehlo.constant": _constant,
    "stablehlo.iota": _iota,
    **{
        f"stablehlo.{name}": _first
        for name in [
            "broadcast_in_dim",
            "reshape",
            "reverse",
            "slice",
            "transpose",
            "optimization_barrier",
            "reduce_precision",
            "dynamic_slice",
            "gather",
            "sort",
        ]
    },
    **{f"ditto.{name}": _first for name in ("downcast", "upcast", "rescale")},
    "stablehlo.concatenate": _all,
    "stablehlo.pad": _all,
    "stablehlo.dynamic_update_slice": _all,
    "stablehlo.add": _add,
    "stablehlo.subtract": _subtract,
    "stablehlo.multiply": _multiply,
    "chlo.square": _square,
    "stablehlo.dot": _dot,
    "stablehlo.dot_general": _dot,
    "stablehlo.divide": _divide,
    "stablehlo.negate": _negate,
    "stablehlo.abs": _abs,
    "stablehlo.maximum": _maximum,
    "stablehlo.minimum": _minimum,
    "stablehlo.clamp": _clamp,
    "stablehlo.select": _select,
    "stablehlo.exponential": _monotone(_exp),
    "stablehlo.tanh": _fixed(-1.0, 1.0),
    "stablehlo.logistic": _fixed(0.0, 1.0),
    "stablehlo.sine": _fixed(-1.0, 1.0),
    "stablehlo.cosine": _fixed(-1.0, 1.0),
    "stablehlo.sign": _fixed(-1.0, 1.0),
    "chlo.erf": _fixed(-1.0, 1.0),
    "chlo.erfc": _fixed(0.0, 2.0),
    "stablehlo.reduce": _reduce,
    "stablehlo.reduce_window": _reduce,
    "stablehlo.convert": _convert,
}
