"""The pass `ditto-expand-rescale`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import insert_cast_after
from ditto_compiler.encoding import EncodingError, Fxp
from ditto_compiler.ir import (
    clone_op,
    defining_op,
    encoding_of,
    insert_op,
    ir,
    ops_of,
    set_encoding,
)
from ditto_compiler.ops.scales import from_integer, is_product
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import constant_numbers, constant_through_layout, is_float, splat_of


@dataclass(frozen=True)
class DittoExpandRescale(Pass):
    """Make every fixed-point product exact, followed by an explicit rescale.

    The engine truncates after each product of fixed-point values, at 20 bytes per element in ring 32 and
    28 in ring 64. Here a product becomes an integer product, whose fraction bits are the sum of its
    operands', and a `ditto.rescale` back. That alone changes no value but by rounding; the gain is that
    ditto-optimize-rescale can then remove, merge, delay and fuse the rescales.

    - `x * y` -> `rescale(x * y)`, likewise dot, dot_general, convolution and square
    - `x / c` -> `x * (1/c)` for a public constant c, so that it is a product
    - an integer or boolean converted to fixed point has no fraction bits until it needs them

    Products in loops and branches stay as they are: a region that runs whole cannot stop for a rescale.

    Requires: casts inserted. Ensures: c3.

    Before:

        %0 = stablehlo.multiply %x, %y : tensor<4xf32, #ditto.fxp<64, 18>>

    After:

        %0 = stablehlo.multiply %x, %y
          : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>)
          -> tensor<4xf32, #ditto.fxp<64, 36>>
        %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 36>>) -> tensor<4xf32, #ditto.fxp<64, 18>>

    Errors: a product whose fraction bits do not fit the ring; a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-expand-rescale"

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-insert-casts")
        if names.is_explicit(module):
            return
        for op in ops_of(entry.entry_block):
            if op.name == "stablehlo.divide":
                op = _multiply_by_reciprocal(op)
            result = op.results[0] if len(op.results) == 1 else None
            home = None if result is None else encoding_of(result)
            if result is None or not isinstance(home, Fxp):
                continue
            try:
                if is_product(op):
                    fracs = [e.frac for e in map(encoding_of, op.operands) if e is not None]
                    exact = Fxp(home.ring, sum(fracs) if len(fracs) == 2 else 2 * fracs[0])
                elif from_integer(op):
                    exact = Fxp(home.ring, 0)
                else:
                    continue
            except EncodingError as error:
                errors.add(
                    op, f"an exact product does not fit: {error}; give it fewer fraction bits or a wider ring"
                )
                continue
            set_encoding(result, exact)
            insert_cast_after(op, home)
        errors.raise_if_any()
        module.operation.attributes[names.EXPLICIT] = ir.UnitAttr.get(module.context)


def _multiply_by_reciprocal(op: ir.Operation) -> ir.Operation:
    """Pattern: x / c -> x * (1/c)   [c a float constant, seen through layout ops]"""
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
        ir.FloatAttr.get(type_.element_type, 1.0 / float(x) if x else float("inf"))
        for x in constant_numbers(op)
    ]
    clone.attributes["value"] = (
        ir.DenseElementsAttr.get_splat(type_, inverted[0])
        if splat_of(op) is not None
        else ir.DenseElementsAttr.get(inverted, type_)
    )
    return clone.results[0]
