"""Functions of one number that the parties compute beside the engine, in one go."""

from __future__ import annotations

from collections.abc import Sequence

from ditto_compiler.dialect import attributes as names
from ditto_compiler.intervals import Range
from ditto_compiler.ir import ir
from ditto_compiler.ops.base import Kind, Op, Ranges, fixed_scale, register, unknown_range


def _range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    """The image under the function; what the fit errs by is rounding."""
    if names.FUNCTION not in op.attributes:
        return unknown_range(ranges, op)
    name = ir.FlatSymbolRefAttr(op.attributes[names.FUNCTION]).value
    found = ranges.call(name, [ranges.of(op.operands[0])])
    return unknown_range(ranges, op) if found is None else found


# The engine has none of them: ditto-choose-functions leaves only those that run beside it.
register(Op(names.ONESHOT, __name__, Kind.ARITHMETIC, fixed_scale, _range, emit=None, rings=(32, 64)))
