"""Bitwise ops and shifts of integers and booleans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jax import lax
from numpy.typing import ArrayLike, NDArray

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    Exact,
    Tensor,
    integers_of,
    result_encoding,
)
from ditto.simulator.interpreter import (
    Rule,
)
from ditto.simulator.ops.base import held, register
from ditto_compiler.ir import element_type, ir


def _bitwise(function: Callable[..., ArrayLike]) -> Rule[Tensor]:
    def rule(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        raw = rings.of_integers(function(*integers_of(op, x)), result_encoding(op).ring)
        unsure = np.sum([np.broadcast_to(tensor.error, raw.shape) for tensor in x], axis=0) > 0
        worst = 1.0 if element_type(op.results[0]) == "i1" else np.inf
        return [Tensor(raw, np.where(unsure, worst, 0.0))]

    return rule


def _left(x: NDArray[Any], amount: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[Any]:
    return np.where(inside, np.left_shift(x, amount), x.dtype.type(0))


def _right_logical(x: NDArray[Any], amount: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[Any]:
    unsigned = np.dtype(f"u{x.itemsize}")
    return np.where(inside, np.right_shift(x.view(unsigned), amount.view(unsigned)), unsigned.type(0))


def _right_arithmetic(x: NDArray[Any], amount: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[Any]:
    signed = np.dtype(f"i{x.itemsize}")
    amount = np.where(inside, amount, 8 * x.itemsize - 1).astype(signed)
    return np.right_shift(x.view(signed), amount)


def _shift(function: Callable[..., NDArray[Any]]) -> Rule[Tensor]:
    """A shift; amounts that are negative, or not below the width, leave nothing but signs."""

    def shifted(x: NDArray[Any], amount: NDArray[Any]) -> NDArray[Any]:
        inside = np.asarray((amount >= 0) & (amount < 8 * x.itemsize))
        return function(x, np.where(inside, amount, 0).astype(x.dtype), inside).astype(x.dtype)

    return _bitwise(shifted)


def _popcnt(x: NDArray[Any]) -> NDArray[Any]:
    mask = (1 << 8 * x.itemsize) - 1
    return np.asarray(np.vectorize(lambda v: (int(v) & mask).bit_count(), otypes=[np.int64])(x))


register("stablehlo.and", exact=_bitwise(np.bitwise_and), fast=held(lax.bitwise_and))
register("stablehlo.or", exact=_bitwise(np.bitwise_or), fast=held(lax.bitwise_or))
register("stablehlo.xor", exact=_bitwise(np.bitwise_xor), fast=held(lax.bitwise_xor))
register("stablehlo.not", exact=_bitwise(np.invert), fast=held(lax.bitwise_not))
register("stablehlo.shift_left", exact=_shift(_left), fast=held(lax.shift_left))
register(
    "stablehlo.shift_right_arithmetic",
    exact=_shift(_right_arithmetic),
    fast=held(lax.shift_right_arithmetic),
)
register("stablehlo.shift_right_logical", exact=_shift(_right_logical), fast=held(lax.shift_right_logical))
register("stablehlo.popcnt", exact=_bitwise(_popcnt), fast=held(lax.population_count))
