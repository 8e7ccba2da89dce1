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
)
from ditto.simulator.fast import Fast
from ditto.simulator.ops.base import register
from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import (
    get_i64,
)
from ditto_compiler.structure import sort_key


def _exact_sort(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """By one operand; what the engine does with equal keys is not known."""
    key = sort_key(op)
    assert key is not None
    axis = get_i64(op, "dimension", -1)
    keys = x[key[0]]
    order = np.argsort(keys.raw if key[1] == "LT" else ~keys.raw, axis, kind="stable")
    moved = [tensor.each(lambda v: np.take_along_axis(v, order, axis)) for tensor in x]
    # Equal keys, or keys that the parties' errors may reorder, leave the order of all else open.
    error = keys.error.max(axis, keepdims=True, initial=0.0)
    gaps = np.abs(np.diff(rings.to_float(moved[key[0]].raw), axis=axis))
    open_order = (gaps <= 2 * error).any(axis, keepdims=True)
    results = []
    for index, tensor in enumerate(moved):
        unsure = error if index == key[0] else np.where(open_order, np.inf, 0.0)
        results.append(Tensor(tensor.raw, np.maximum(tensor.error, unsure)))
    return results


def _fast_sort(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    key = sort_key(op)
    assert key is not None and key[0] == 0, "ditto-check-supported lets no other sorts pass"
    reverse = lax.neg if jnp.issubdtype(x[0].dtype, jnp.floating) else lax.bitwise_not
    descending = key[1] == "GT"
    first = reverse(x[0]) if descending else x[0]
    first, *rest = lax.sort((first, *x[1:]), get_i64(op, "dimension", -1), num_keys=1)
    return [reverse(first) if descending else first, *rest]


register("stablehlo.sort", exact=_exact_sort, fast=_fast_sort)
