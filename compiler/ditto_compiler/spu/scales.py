"""What each op does to fraction bits, once rescaling is explicit."""

from __future__ import annotations

import enum

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.encoding import Fxp, Int
from ditto_compiler.ir import defining_op, encoding_of, ir
from ditto_compiler.spu.op_table import OP_TABLE, Kind, reducer


class Scale(enum.Enum):
    """How the fraction bits of an op's result follow from those of its operands."""

    PRODUCT = "the sum of the operands': an exact integer product"
    ANY = "those that all operands have: the op adds, compares or moves integers"
    FIXED = "the engine runtime's own: the op is a fixed-point function"


PRODUCTS: frozenset[str] = frozenset(
    ("stablehlo.multiply", "stablehlo.dot", "stablehlo.dot_general", "stablehlo.convolution", "chlo.square")
)

_LINEAR: frozenset[str] = frozenset(
    f"stablehlo.{name}"
    for name in [
        "add",
        "subtract",
        "negate",
        "abs",
        "maximum",
        "minimum",
        "select",
        "clamp",
        "compare",
        "sort",
        "is_finite",
    ]
)


def scale_of(op: ir.Operation) -> Scale:
    """How `op` treats fraction bits. Casts and terminators are not asked."""
    if op.name in PRODUCTS:
        return Scale.PRODUCT
    if op.name in _LINEAR or OP_TABLE[op.name].kind in (Kind.LAYOUT, Kind.SOURCE):
        return Scale.ANY
    if op.name in ("stablehlo.reduce", "stablehlo.reduce_window"):
        exact = reducer(op) in ("add", "maximum", "minimum")
        return Scale.ANY if exact or not any(_is_fxp(v) for v in op.results) else Scale.FIXED
    if op.name == "stablehlo.convert" and isinstance(encoding_of(op.results[0]), Fxp):
        return Scale.ANY
    return Scale.FIXED


def _is_fxp(value: ir.Value) -> bool:
    return isinstance(encoding_of(value), Fxp)


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
    row = OP_TABLE.get(op.name)
    if row is None:
        return False
    return row.kind is Kind.SOURCE or (_keeps_elements(op) and all(map(is_free, op.operands)))


def is_constant(value: ir.Value) -> bool:
    """Whether `value` is a constant, through layout ops."""
    op = defining_op(value)
    if op is None:
        return False
    row = OP_TABLE.get(op.name)
    if row is None:
        return False
    return row.kind is Kind.SOURCE or (_keeps_elements(op) and all(map(is_constant, op.operands)))


def _keeps_elements(op: ir.Operation) -> bool:
    """Whether `op` is a layout op, or a conversion between float dtypes, which changes no number either."""
    if op.name == "stablehlo.convert":
        return all(isinstance(encoding_of(value), Fxp) for value in (*op.operands, *op.results))
    return OP_TABLE[op.name].kind is Kind.LAYOUT


def from_integer(op: ir.Operation) -> bool:
    """Whether `op` converts integers or booleans to fixed point."""
    return op.name == "stablehlo.convert" and isinstance(encoding_of(op.operands[0]), Int)
