"""Bitwise ops and shifts of integers and booleans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jax import lax
from numpy.typing import ArrayLike

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    Exact,
    Tensor,
    result_encoding,
)
from ditto.simulator.interpreter import (
    Rule,
)
from ditto.simulator.ops.base import held, register
from ditto_compiler.ir import element_type, ir


def _bitwise(function: Callable[..., ArrayLike]) -> Rule[Tensor]:
    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        raw = rings.wrap(function(*(tensor.raw for tensor in x)), result_encoding(op).ring)
        unsure = np.sum([np.broadcast_to(tensor.error, raw.shape) for tensor in x], axis=0) > 0
        worst = 1.0 if element_type(op.results[0]) == "i1" else np.inf
        return [Tensor(raw, np.where(unsure, worst, 0.0))]

    return rule


def _not(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    return _bitwise((lambda v: 1 - v) if element_type(op.results[0]) == "i1" else np.invert)(e, op, x)


def _shift_right_logical(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    # As unsigned numbers of the ring's width, whatever the dtype's: so does the engine.
    mask = (1 << result_encoding(op).ring) - 1
    return _bitwise(lambda v, bits: (v.astype(object) & mask) >> bits.astype(object))(e, op, x)


def _popcnt(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    width = int(element_type(op.results[0]).lstrip("ui"))
    count = np.vectorize(lambda v: (int(v) & ((1 << width) - 1)).bit_count(), otypes=[np.int64])
    return _bitwise(count)(e, op, x)


register("stablehlo.and", exact=_bitwise(np.bitwise_and), fast=held(lax.bitwise_and))
register("stablehlo.or", exact=_bitwise(np.bitwise_or), fast=held(lax.bitwise_or))
register("stablehlo.xor", exact=_bitwise(np.bitwise_xor), fast=held(lax.bitwise_xor))
register("stablehlo.not", exact=_not, fast=held(lax.bitwise_not))
register("stablehlo.shift_left", exact=_bitwise(np.left_shift), fast=held(lax.shift_left))
register(
    "stablehlo.shift_right_arithmetic",
    exact=_bitwise(np.right_shift),
    fast=held(lax.shift_right_arithmetic),
)
register("stablehlo.shift_right_logical", exact=_shift_right_logical, fast=held(lax.shift_right_logical))
register("stablehlo.popcnt", exact=_popcnt, fast=held(lax.population_count))
