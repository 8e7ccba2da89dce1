"""Ops that move elements to places that the program says; the exact domain moves the numbers of elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ditto.simulator.exact import (
    Exact,
    Tensor,
    integers_of,
    rearrange,
)
from ditto.simulator.ops.base import forward, register
from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import (
    get_i64,
    get_i64s,
    shape_of,
)

Move = Callable[[ir.Operation, Sequence[Array]], Array]
"""Moves elements of the operands, in JAX."""


def register_move(name: str, move: Move, moved: int | None = None) -> None:
    """Registers an op that moves elements.

    Args:
        name: of the op.
        move: does so.
        moved: how many operands, from the first on, have their elements moved, where the others say whither;
            by default all.
    """

    def exact(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
        count = len(x) if moved is None else moved
        limits = np.iinfo(np.int32)
        indices = integers_of(op, x)[count:] if count < len(x) else []
        where = [jnp.asarray(np.clip(v, limits.min, limits.max), np.int32) for v in indices]
        return [rearrange(x[:count], lambda numbers: move(op, [*numbers, *where]))]

    register(name, exact=exact, fast=lambda f, op, x: [move(op, x)])


def _broadcast(op: ir.Operation, x: Sequence[Array]) -> Array:
    """JAX wants the dimensions to rise, StableHLO does not."""
    dimensions = get_i64s(op, "broadcast_dimensions")
    order = np.argsort(dimensions).tolist()
    return lax.broadcast_in_dim(lax.transpose(x[0], order), shape_of(op.results[0]), sorted(dimensions))


def _pad(op: ir.Operation, x: Sequence[Array]) -> Array:
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    return lax.pad(x[0], x[1], list(zip(*(get_i64s(op, name) for name in names), strict=True)))


_MOVES: Mapping[str, Move] = {
    "stablehlo.broadcast_in_dim": _broadcast,
    "stablehlo.concatenate": lambda op, x: lax.concatenate(list(x), get_i64(op, "dimension")),
    "stablehlo.pad": _pad,
    "stablehlo.reshape": lambda op, x: lax.reshape(x[0], shape_of(op.results[0])),
    "stablehlo.reverse": lambda op, x: lax.rev(x[0], get_i64s(op, "dimensions")),
    "stablehlo.slice": lambda op, x: lax.slice(
        x[0], *(get_i64s(op, name) for name in ("start_indices", "limit_indices", "strides"))
    ),
    "stablehlo.transpose": lambda op, x: lax.transpose(x[0], get_i64s(op, "permutation")),
}


for _name, _move in _MOVES.items():
    register_move(_name, _move)
for _name in ("optimization_barrier", "reduce_precision"):
    register(f"stablehlo.{_name}", exact=forward, fast=forward)
