"""Sorting along an axis."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    Exact,
    Tensor,
    integers_of,
)
from ditto.simulator.fast import Fast
from ditto.simulator.ops.base import register
from ditto_compiler.encoding import Int
from ditto_compiler.ir import encoding_of, ir
from ditto_compiler.op_attributes import (
    get_i64,
)
from ditto_compiler.structure import sort_key


def _exact_sort(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """By one operand; equal keys keep their order, as the engine's radix sort leaves them."""
    key = sort_key(op)
    assert key is not None
    axis = get_i64(op, "dimension", -1)
    keys = x[key[0]]
    elements = integers_of(op, x)[key[0]] if isinstance(encoding_of(op.operands[key[0]]), Int) else keys.raw
    order = np.argsort(elements if key[1] == "LT" else ~elements, axis, kind="stable")
    moved = [tensor.each(lambda v: np.take_along_axis(v, order, axis)) for tensor in x]
    # Keys that the parties' errors may reorder leave the order of all else open.
    error = keys.error.max(axis, keepdims=True, initial=0.0)
    gaps = np.abs(np.diff(rings.to_float(moved[key[0]].raw), axis=axis))
    open_order = ((error > 0) & (gaps <= 2 * error)).any(axis, keepdims=True)
    results = []
    for index, tensor in enumerate(moved):
        unsure = error if index == key[0] else np.where(open_order, np.inf, 0.0)
        results.append(Tensor(tensor.raw, np.maximum(tensor.error, unsure)))
    return results


def _fast_sort(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    key = sort_key(op)
    assert key is not None
    number, direction = key
    keys = x[number]
    reverse = lax.neg if jnp.issubdtype(keys.dtype, jnp.floating) else lax.bitwise_not
    first = reverse(keys) if direction == "GT" else keys
    found: list[Array]
    _, *found = lax.sort((first, *x), get_i64(op, "dimension", -1), num_keys=1)
    return found


register("stablehlo.sort", exact=_exact_sort, fast=_fast_sort)
