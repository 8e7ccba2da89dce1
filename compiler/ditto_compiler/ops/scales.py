"""Questions about fraction bits, once rescaling is explicit."""

from __future__ import annotations

from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.ir import defining_op, encoding_of, ir
from ditto_compiler.ops.base import OPS, Scale, is_layout, is_source, product_scale


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
    return is_source(op) or (_keeps_elements(op) and all(map(is_free, op.operands)))


def is_constant(value: ir.Value) -> bool:
    """Whether `value` is a constant, through layout ops."""
    op = defining_op(value)
    if op is None:
        return False
    return is_source(op) or (_keeps_elements(op) and all(map(is_constant, op.operands)))


def _keeps_elements(op: ir.Operation) -> bool:
    """Whether `op` is a layout op, or a conversion between float dtypes, which changes no number either."""
    if op.name == "stablehlo.convert":
        return all(isinstance(encoding_of(value), Fxp) for value in (*op.operands, *op.results))
    return is_layout(op)


def from_integer(op: ir.Operation) -> bool:
    """Whether `op` converts integers or booleans to fixed point."""
    return op.name == "stablehlo.convert" and isinstance(encoding_of(op.operands[0]), Int)
