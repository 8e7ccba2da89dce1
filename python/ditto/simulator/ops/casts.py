"""The casts of our own dialect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax import Array

from ditto.simulator import ring as rings
from ditto.simulator.choices import CAST_ULPS
from ditto.simulator.exact import (
    Exact,
    Tensor,
    integers_of,
    operand_encoding,
    result_encoding,
)
from ditto.simulator.fast import Fast
from ditto.simulator.interpreter import is_beside, spare_bits
from ditto.simulator.ops.base import register
from ditto.simulator.ops.elementwise import scaled
from ditto_compiler.diagnostics import source_location
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Cast, Int
from ditto_compiler.ir import defining_op, ir


def _exact_cast(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    cast = Cast(operand_encoding(op), result_encoding(op))
    if isinstance(cast.source, Int):
        # What is too large for the cast itself is taken apart, see ditto-legalize-integers.
        return [Tensor(rings.of_integers(integers_of(op, x)[0], cast.target.ring), x[0].error)]
    value = _widened(e, op, x[0]) if cast.wrap_bits else x[0]
    wraps = cast.target.ring <= cast.source.ring and _may_wrap(op)
    if cast.shift_left and wraps and cast.source.ring <= 64:
        return [Tensor(value.raw << cast.shift_left, np.ldexp(value.error, cast.shift_left))]
    if cast.shift_left:
        return [scaled(e, op, value, cast.shift_left)]
    secret = e.is_secret(op.operands[0])
    raw = (
        e.truncated(value.raw, cast.shift_right, op.operands[0])
        if secret
        else rings.shift_right(value.raw, cast.shift_right)
    )
    error = np.ldexp(value.error, -cast.shift_right) + (CAST_ULPS if cast.shift_right else 0.0)
    if wraps and cast.op == "downcast":
        return [Tensor(raw, error)]
    return [e.hold(op, raw, rings.to_float(raw), error)]


def _may_wrap(op: ir.Operation) -> bool:
    """Whether nobody minds that a result wraps around.

    Sums and products beside the engine are right modulo the ring, whatever their operands: what they give is
    looked at. To a one-shot function it is just a place in its domain, which may be anywhere in the ring. All
    of these are given the number before it wraps around.
    """
    users = [use.owner.operation for use in op.results[0].uses]
    return all(is_beside(user) and user.name != names.LESS for user in users)


def _widened(e: Exact, op: ir.Operation, x: Tensor) -> Tensor:
    """What a cast is given for which the parties need to know how the shares wrap around.

    That asks for |x| < 2^(ring-2), as the engine does of all numbers, but ops beside it do not.
    """
    maker = defining_op(op.operands[0])
    if maker is None or spare_bits(maker) > 1 or not e.is_secret(op.operands[0]):
        return x
    location, wide = source_location(op.location), rings.to_float(x.raw)
    error = e.check((op, "wraps"), op.name, location, x.raw, wide, operand_encoding(op), x.error)
    return Tensor(x.raw, error)


def _fast_cast(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    return [f.hold(op.results[0], x[0])]


for _name in names.CASTS:
    register(_name, exact=_exact_cast, fast=_fast_cast)
