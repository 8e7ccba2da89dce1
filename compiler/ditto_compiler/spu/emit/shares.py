"""How the engine may hold a value, and what leaves a region."""

from __future__ import annotations

from ditto_compiler.ir import defining_op, element_type, ir
from ditto_compiler.spu.emit.emitter import Emitter, as_arithmetic
from ditto_compiler.spu.op_table import OP_TABLE, Kind

BITWISE: frozenset[str] = frozenset(
    f"stablehlo.{name}"
    for name in ["and", "or", "xor", "not", "shift_left", "shift_right_arithmetic", "shift_right_logical"]
)
"""Ops that take boolean shares as they are."""


LEAVES_BOOLEAN_SHARES: frozenset[str] = frozenset(
    f"stablehlo.{name}"
    for name in [
        "and",
        "or",
        "xor",
        "not",
        "ceil",
        "floor",
        "round_nearest_afz",
        "round_nearest_even",
        "shift_left",
        "shift_right_arithmetic",
        "shift_right_logical",
        "popcnt",
        "convert",
        "while",
        "case",
        "if",
        "select",
        "sort",
    ]
)
"""Ops after which the engine may hold the result bitwise."""


def _is_layout(op: ir.Operation) -> bool:
    row = OP_TABLE.get(op.name)
    return row is not None and row.kind is Kind.LAYOUT


def region_result(e: Emitter, value: ir.Value) -> ir.Value:
    """What a region gives for a StableHLO value: an arithmetic share, which casts work on.

    Booleans may stay boolean shares: moving those between rings costs nothing.
    """
    if element_type(value) != "i1" and e.is_secret(value) and _may_be_bitwise(value):
        return as_arithmetic(e, e.values[value])
    return e.values[value]


def _may_be_bitwise(value: ir.Value) -> bool:
    """Whether the engine may hold `value` as a boolean share."""
    while (op := defining_op(value)) is not None and _is_layout(op):
        value = op.operands[0]
    if op is None:
        return False
    # A product of single bits is a conjunction.
    return op.name in LEAVES_BOOLEAN_SHARES or (
        op.name in ("stablehlo.multiply", "chlo.square") and all(map(_may_be_bitwise, set(op.operands)))
    )
