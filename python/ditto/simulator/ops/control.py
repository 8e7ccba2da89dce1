"""Loops and branches."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ditto.simulator.exact import (
    Exact,
    Tensor,
)
from ditto.simulator.fast import Fast
from ditto.simulator.ops.base import register
from ditto_compiler.ir import ir


def _exact_while(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    condition, body = (region.blocks[0] for region in op.regions)
    while e.run(condition, x)[0].raw != 0:
        x = e.run(body, x)
    return x


def _fast_while(f: Fast, op: ir.Operation, x: list[Array]) -> list[Array]:
    condition, body = (region.blocks[0] for region in op.regions)
    # JAX differentiates no loop in reverse, so one whose length is known while JAX traces is unrolled.
    while not isinstance(holds := f.run(condition, x)[0], jax.core.Tracer):
        if not holds:
            return x
        x = f.run(body, x)
    return list(lax.while_loop(lambda state: f.run(condition, state)[0], lambda state: f.run(body, state), x))


def _exact_branch(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """`if` and `case`; an index out of range chooses the last branch."""
    blocks = [region.blocks[0] for region in op.regions]
    index = int(x[0].raw)
    if op.name == "stablehlo.if":
        index = 0 if index else 1
    chosen = e.run(blocks[index if 0 <= index < len(blocks) else -1], [])
    if x[0].error > 0:
        return [Tensor(tensor.raw, np.full(tensor.raw.shape, np.inf)) for tensor in chosen]
    return chosen


def _fast_branch(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    """`if` and `case`; an index out of range chooses the last branch."""
    blocks = [region.blocks[0] for region in op.regions]
    if op.name == "stablehlo.if":
        blocks.reverse()
    last = len(blocks) - 1
    index = x[0].astype(jnp.int32)
    index = jnp.where((index < 0) | (index > last), last, index)
    return list(lax.switch(index, [functools.partial(f.run, block, []) for block in blocks]))


register("stablehlo.while", exact=_exact_while, fast=_fast_while)
for _name in ("stablehlo.case", "stablehlo.if"):
    register(_name, exact=_exact_branch, fast=_fast_branch)
