"""The pass `ditto-expand-rescale`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import insert_cast_after
from ditto_compiler.encoding import EncodingError, Fxp
from ditto_compiler.ir import (
    encoding_of,
    ir,
    ops_of,
    set_encoding,
)
from ditto_compiler.ops.scales import from_integer, is_product, multiply_by_reciprocal
from ditto_compiler.pass_base import Pass


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
                op = multiply_by_reciprocal(op)
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
