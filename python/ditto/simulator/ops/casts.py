"""The casts of our own dialect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax import Array

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    CAST_ULPS,
    Exact,
    Tensor,
    integers_of,
    operand_encoding,
    result_encoding,
)
from ditto.simulator.fast import Fast
from ditto.simulator.ops.base import register
from ditto.simulator.ops.elementwise import scaled
from ditto_compiler.dialect.attributes import CASTS
from ditto_compiler.encoding import Cast, Int
from ditto_compiler.ir import ir


def _exact_cast(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    cast = Cast(operand_encoding(op), result_encoding(op))
    if isinstance(cast.source, Int):
        # What is too large for the cast itself is taken apart, see ditto-legalize-integers.
        return [Tensor(rings.of_integers(integers_of(op, x)[0], cast.target.ring), x[0].error)]
    if not cast.shift_right:
        return [scaled(e, op, x[0], cast.shift_left)]
    raw = rings.shift_right(x[0].raw, cast.shift_right)
    error = np.ldexp(x[0].error, -cast.shift_right) + CAST_ULPS
    return [e.hold(op, raw, rings.to_float(raw), error)]


def _fast_cast(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    return [f.hold(op.results[0], x[0])]


for _name in CASTS:
    register(_name, exact=_exact_cast, fast=_fast_cast)
