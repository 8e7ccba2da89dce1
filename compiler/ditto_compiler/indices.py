"""Public indices, and what keeps StableHLO's limits on them when their ring changes."""

from __future__ import annotations

from ditto_compiler import building
from ditto_compiler.dialect.cast_ops import constant_at, insert_casts
from ditto_compiler.dtypes import integer_limits, width
from ditto_compiler.encoding import Int
from ditto_compiler.ir import element_type, encoding_of, insert_op, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.scales import is_constant
from ditto_compiler.structure import constant_numbers, constant_through_layout


def limited_index(value: ir.Value, op: ir.Operation, *, before: ir.Operation) -> ir.Value:
    """An index of `op` between 0 and its largest extent; StableHLO takes the nearest place that fits."""
    most = min(integer_limits(element_type(value))[1], max(shape_of(op.operands[0]), default=0))
    low, high = (building.splat(number, value.type, before=before) for number in (0, most))
    return insert_op("clamp", value.type, low, value, high, before=before)


def cast_index(value: ir.Value, op: ir.Operation, ring: int, *, before: ir.Operation) -> ir.Value:
    """An index of `op` in another ring; one that may lose bits there is limited first."""
    source = encoding_of(value)
    assert source is not None
    if source.ring > ring and width(element_type(value)) > ring and not _is_small(value, ring):
        value = limited_index(value, op, before=before)
    elif is_constant(value):
        return constant_at(value, Int(ring), before=before)
    return insert_casts(value, Int(ring), before=before)


def _is_small(value: ir.Value, ring: int) -> bool:
    """Whether an index is a constant that a narrower ring holds."""
    constant = constant_through_layout(value)
    return constant is not None and all(abs(int(x)) < 1 << (ring - 2) for x in constant_numbers(constant))
