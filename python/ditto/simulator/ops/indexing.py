"""Ops that move elements to and from places that indices say."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from ditto.simulator.ops.movement import register_move
from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import (
    dimension_field,
    get_i64s,
)

_GATHER = ("offset_dims", "collapsed_slice_dims", "start_index_map")
_BATCHED_GATHER = ("operand_batching_dims", "start_indices_batching_dims")


def _gather(op: ir.Operation, x: Sequence[Array]) -> Array:
    operand, starts = x
    numbers = op.attributes["dimension_numbers"]
    index_dimension = (dimension_field(numbers, "index_vector_dim") or [0])[0]
    # JAX wants index vectors in the last dimension; StableHLO may leave out one of extent 1.
    starts = (
        starts[..., None] if index_dimension == starts.ndim else jnp.moveaxis(starts, index_dimension, -1)
    )
    fields = {name: tuple(dimension_field(numbers, name)) for name in (*_GATHER, *_BATCHED_GATHER)}
    # JAX 0.4.34 does not know batching dimensions, nor does it use any.
    dimensions = lax.GatherDimensionNumbers(
        **{name: field for name, field in fields.items() if field or name in _GATHER}
    )
    return lax.gather(
        operand, starts, dimensions, tuple(get_i64s(op, "slice_sizes")), mode=lax.GatherScatterMode.CLIP
    )


def _starts(starts: Sequence[Array], whole: Sequence[int], part: Sequence[int]) -> list[Array]:
    """Where a part of this shape starts; JAX would count negative numbers from the end."""
    found = []
    for start, extent, size in zip(starts, whole, part, strict=True):
        last = min(extent - size, int(jnp.iinfo(start.dtype).max))
        found.append(jnp.clip(start, 0, last).astype(jnp.int32))
    return found


def _dynamic_slice(op: ir.Operation, x: Sequence[Array]) -> Array:
    sizes = get_i64s(op, "slice_sizes")
    return lax.dynamic_slice(x[0], _starts(x[1:], x[0].shape, sizes), sizes)


def _dynamic_update_slice(op: ir.Operation, x: Sequence[Array]) -> Array:
    return lax.dynamic_update_slice(x[0], x[1], _starts(x[2:], x[0].shape, x[1].shape))


register_move("stablehlo.dynamic_slice", _dynamic_slice, moved=1)
register_move("stablehlo.dynamic_update_slice", _dynamic_update_slice, moved=2)
register_move("stablehlo.gather", _gather, moved=1)
