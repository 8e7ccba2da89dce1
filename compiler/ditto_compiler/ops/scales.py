"""Questions about rings and fraction bits."""

from __future__ import annotations

import math
from fractions import Fraction

from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.ir import clone_op, defining_op, encoding_of, insert_op, ir
from ditto_compiler.ops.base import OPS, Kind, Scale, is_layout, is_source, product_scale
from ditto_compiler.structure import constant_numbers, constant_through_layout, is_float, splat_of

CONSTANT_BITS = 24
"""Significant bits kept of a constant: those of a single-precision float."""


def scale_of(op: ir.Operation) -> Scale:
    """How `op` treats fraction bits. Casts and terminators are not asked."""
    return OPS[op.name].scale(op)


def is_product(op: ir.Operation) -> bool:
    """Whether `op` multiplies, so that its exact result has more fraction bits than its operands."""
    return op.name in OPS and OPS[op.name].scale is product_scale


def home_scale(op: ir.Operation) -> Fxp | None:
    """The one scale of an op's fixed-point operands and results before rescaling is explicit."""
    for value in (*op.results, *op.operands):
        encoding = encoding_of(value)
        if isinstance(encoding, Fxp):
            return encoding
    return None


def adds_bits(op: ir.Operation) -> bool:
    """Whether `op` is a `ditto.rescale` that only shifts left: local, so not a boundary between regions."""
    if op.name != "ditto.rescale":
        return False
    source, target = encoding_of(op.operands[0]), encoding_of(op.results[0])
    assert source is not None and target is not None
    return target.frac > source.frac


def is_free(value: ir.Value) -> bool:
    """Whether `value` can be had at any scale: an argument or constant, through layout ops and casts."""
    op = defining_op(value)
    if op is None:
        return True
    if op.name in names.CASTS:
        return is_free(op.operands[0])
    return is_source(op) or (keeps_elements(op) and all(map(is_free, op.operands)))


def is_constant(value: ir.Value) -> bool:
    """Whether `value` is a constant, through layout ops."""
    op = defining_op(value)
    if op is None:
        return False
    return is_source(op) or (keeps_elements(op) and all(map(is_constant, op.operands)))


def keeps_elements(op: ir.Operation) -> bool:
    """Whether `op` is a layout op, or a conversion between float dtypes, which changes no number either."""
    if op.name == "stablehlo.convert":
        return all(isinstance(encoding_of(value), Fxp) for value in (*op.operands, *op.results))
    return is_layout(op)


def from_integer(op: ir.Operation) -> bool:
    """Whether `op` converts integers or booleans to fixed point."""
    return op.name == "stablehlo.convert" and isinstance(encoding_of(op.operands[0]), Int)


def working_scale(op: ir.Operation) -> Fxp | None:
    """The ring and scale that `op` works in; for an op on integers only, the scale is arbitrary."""
    if OPS[op.name].kind is Kind.TERMINATOR:
        holder = op.parent
        assert holder is not None
        return working_scale(holder.operation)
    results = [e for e in map(encoding_of, op.results) if e is not None]
    fxp = next((e for e in results if isinstance(e, Fxp)), None)
    if fxp is not None:
        return fxp
    operands = [e for e in map(encoding_of, op.operands) if isinstance(e, Fxp)]
    ring = results[0].ring if results else None
    if ring is None:
        return None
    frac = names.get_int(op, names.FRAC)
    if frac is None:
        frac = next((e.frac for e in operands if e.ring == ring), 0)
    return Fxp(ring, frac)


def multiply_by_reciprocal(op: ir.Operation) -> ir.Operation:
    """The product that a division is replaced by, or the division.

    Pattern: x / c -> x * (1/c)   [c a float constant, seen through layout ops]
    """
    if not is_float(op.results[0]) or constant_through_layout(op.operands[1]) is None:
        return op
    inverse = _reciprocal(op.operands[1], ir.InsertionPoint(op))
    known = {name: op.attributes[name] for name in (names.MAX_ABS, names.RANGE) if name in op.attributes}
    product = insert_op("multiply", op.results[0].type, op.operands[0], inverse, before=op, **known)
    op.results[0].replace_all_uses_with(product)
    op.erase()
    made = defining_op(product)
    assert made is not None
    return made


def _reciprocal(value: ir.Value, ip: ir.InsertionPoint) -> ir.Value:
    op = defining_op(value)
    assert op is not None
    if op.name != "stablehlo.constant":
        return clone_op(op, {op.operands[0]: _reciprocal(op.operands[0], ip)}, ip).results[0]
    clone = clone_op(op, {}, ip)
    type_ = ir.RankedTensorType(op.results[0].type)
    inverted = [
        ir.FloatAttr.get(type_.element_type, 1.0 / float(x) if x else float("inf"), loc=op.location)
        for x in constant_numbers(op)
    ]
    clone.attributes["value"] = (
        ir.DenseElementsAttr.get_splat(type_, inverted[0])
        if splat_of(op) is not None
        else ir.DenseElementsAttr.get(inverted, type_)
    )
    return clone.results[0]


def dyadic_bits(value: ir.Value, ring: int) -> int:
    """Fraction bits that hold a constant exactly, or `CONSTANT_BITS` of each number; else no limit."""
    constant = constant_through_layout(value)
    if constant is None:
        return ring - 2
    numbers = [float(x) for x in constant_numbers(constant)]
    finite = [Fraction(x) for x in numbers if math.isfinite(x) and x]
    if not finite:
        return 0
    exact = max(x.denominator.bit_length() - 1 for x in finite)
    leading = CONSTANT_BITS - 1 - math.floor(math.log2(min(abs(x) for x in finite)))
    return max(0, min(exact, leading, ring - 2))
