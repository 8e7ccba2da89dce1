"""Constants and counters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax import Array, lax

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    Exact,
    Tensor,
    exactly,
    result_encoding,
)
from ditto.simulator.fast import Fast, working_dtype
from ditto.simulator.ops.base import register
from ditto.simulator.ops.elementwise import scaled
from ditto_compiler.ir import element_type, ir
from ditto_compiler.op_attributes import (
    get_i64,
    shape_of,
)
from ditto_compiler.structure import constant_numbers


def _exact_constant(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    return [e.literal(op, constant_numbers(op))]


def _fast_constant(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    return [f.literal(op, constant_numbers(op))]


def _exact_iota(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    encoding, shape, dimension = result_encoding(op), shape_of(op.results[0]), get_i64(op, "iota_dimension")
    line = np.arange(shape[dimension]).reshape([-1 if d == dimension else 1 for d in range(len(shape))])
    numbers = np.broadcast_to(line, shape)
    return [scaled(e, op, exactly(rings.as_raw(numbers, encoding.ring)), encoding.frac)]


def _fast_iota(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    result = op.results[0]
    dtype = working_dtype(element_type(result))
    return [f.hold(result, lax.broadcasted_iota(dtype, shape_of(result), get_i64(op, "iota_dimension")))]


register("stablehlo.constant", exact=_exact_constant, fast=_fast_constant)
register("stablehlo.iota", exact=_exact_iota, fast=_fast_iota)
