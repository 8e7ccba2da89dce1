"""Bitwise ops and shifts of integers and booleans."""

from __future__ import annotations

from ditto_compiler.ir import ir
from ditto_compiler.ops.base import (
    OPS,
    Kind,
    Op,
    Share,
    Values,
    fixed_scale,
    register,
    unknown_range,
)
from ditto_compiler.ops.emitter import Emitter, as_arithmetic, on_whole_words, same


def _shift_right(e: Emitter, op: ir.Operation) -> Values:
    is_logical = op.name == "stablehlo.shift_right_logical"
    (shifted,) = same("shift_right_logical")(e, op) if is_logical else on_whole_words(e, op)
    users = {use.owner.operation.name for use in op.results[0].uses}
    reads_numbers = any(name not in OPS or not OPS[name].reads_bits for name in users)
    # The bits are converted back once, not by each op that calculates with them.
    return [as_arithmetic(e, shifted) if e.is_secret(op.results[0]) and reads_numbers else shifted]


_BITWISE = Op(
    "stablehlo.and",
    __name__,
    Kind.ARITHMETIC,
    fixed_scale,
    unknown_range,
    same("and"),
    share=Share.BITWISE,
    reads_bits=True,
)

register(
    _BITWISE,
    _BITWISE.named("stablehlo.or", emit=same("or")),
    _BITWISE.named("stablehlo.xor", emit=same("xor")),
    _BITWISE.named("stablehlo.not", emit=same("not")),
    _BITWISE.named("stablehlo.shift_left", emit=same("shift_left")),
    _BITWISE.named("stablehlo.shift_right_arithmetic", emit=_shift_right),
    _BITWISE.named("stablehlo.shift_right_logical", emit=_shift_right),
    _BITWISE.named("stablehlo.popcnt", emit=same("popcnt"), reads_bits=False),
)
