"""Ops that only move elements, for both value domains, in JAX.

The exact domain applies them to the numbers of elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
from jax import Array, lax

from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import dimension_field, get_i64, get_i64s, shape_of

Move = Callable[[ir.Operation, Sequence[Array]], Array]


def _pad(op: ir.Operation, x: Sequence[Array]) -> Array:
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    return lax.pad(x[0], x[1], list(zip(*(get_i64s(op, name) for name in names), strict=True)))


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


MOVES: Mapping[str, Move] = {
    "stablehlo.broadcast_in_dim": lambda op, x: lax.broadcast_in_dim(
        x[0], shape_of(op.results[0]), get_i64s(op, "broadcast_dimensions")
    ),
    "stablehlo.concatenate": lambda op, x: lax.concatenate(list(x), get_i64(op, "dimension")),
    "stablehlo.dynamic_slice": lambda op, x: lax.dynamic_slice(x[0], x[1:], get_i64s(op, "slice_sizes")),
    "stablehlo.dynamic_update_slice": lambda op, x: lax.dynamic_update_slice(x[0], x[1], x[2:]),
    "stablehlo.gather": _gather,
    "stablehlo.pad": _pad,
    "stablehlo.reshape": lambda op, x: lax.reshape(x[0], shape_of(op.results[0])),
    "stablehlo.reverse": lambda op, x: lax.rev(x[0], get_i64s(op, "dimensions")),
    "stablehlo.slice": lambda op, x: lax.slice(
        x[0], *(get_i64s(op, name) for name in ("start_indices", "limit_indices", "strides"))
    ),
    "stablehlo.transpose": lambda op, x: lax.transpose(x[0], get_i64s(op, "permutation")),
}

MOVED_OPERANDS: Mapping[str, int] = {
    "stablehlo.dynamic_slice": 1,
    "stablehlo.dynamic_update_slice": 2,
    "stablehlo.gather": 1,
}
"""How many operands, from the first on, have their elements moved, where the others say whither."""
