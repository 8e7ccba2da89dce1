"""How large values can get: proved where the program allows it, measured where it was calibrated.

Each float value has an interval [lo, hi]. The transfer functions are those of interval arithmetic on real
numbers, and stand in the homes of the ops; what is not known is (-inf, inf). Two facts sharpen it: the
attribute `ditto.max_abs`, which calibration puts on ops and arguments, and the shape of a softmax
(e / sum(e) for e >= 0 lies in [0, 1]). Rounding of fixed point is not part of it; fraction assignment leaves
a margin.
"""

from __future__ import annotations

from ditto_compiler.dialect import attributes as names
from ditto_compiler.intervals import INFINITE, UNKNOWN, Interval, intersection
from ditto_compiler.ir import defining_op, func, ir, ops_of
from ditto_compiler.ops import OPS
from ditto_compiler.structure import is_float


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
        proved = self._proved(op) if len(op.results) and is_float(op.results[0]) else UNKNOWN
        measured = names.get_attribute(op, names.MAX_ABS)
        for index, result in enumerate(op.results):
            interval = proved if index == 0 else UNKNOWN
            if measured is not None:
                entry = measured[index] if isinstance(measured, ir.ArrayAttr) else measured
                interval = intersection(interval, _measured(entry))
            self._intervals[result] = interval

    def _proved(self, op: ir.Operation) -> Interval:
        if op.name in names.CASTS:
            return self.interval(op.operands[0])
        entry = OPS.get(op.name)
        return UNKNOWN if entry is None else entry.range(self, op)

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
