"""The gradient of max pooling."""

from __future__ import annotations

import itertools

import jax.numpy as jnp
from jax import Array, lax

from ditto_compiler.ir import ir, numel
from ditto_compiler.op_attributes import direction_of, get_i64s, get_padding, shape_of
from ditto_compiler.written.base import Function


def select_and_scatter(op: ir.Operation) -> Function | None:
    """Gives each window's number to its largest (or smallest) element, the first of equals.

    All pairs of a window are compared at once. None if it selects or scatters by anything else, or if windows
    reach beyond the tensor; JAX pads it first.
    """
    rank = len(shape_of(op.operands[0]))
    window, strides = (get_i64s(op, f"window_{name}", [1] * rank) for name in ("dimensions", "strides"))
    choice = op.regions[0].blocks[0]
    chosen = [inner for inner in choice.operations if inner.operation.name == "stablehlo.compare"]
    plain = len(choice.operations) == 2 and len(chosen) == 1
    if not plain or list(chosen[0].operation.operands) != list(choice.arguments):
        return None
    direction = direction_of(chosen[0].operation)
    if direction not in ("GE", "LE") or not _adds(op) or any(map(any, get_padding(op, rank))):
        return None
    if not numel(op.operands[1]):
        return lambda x, numbers, start: jnp.broadcast_to(start, x.shape)
    places = shape_of(op.operands[1])
    offsets = list(itertools.product(*map(range, window)))
    last = [(n - 1) * s + 1 for n, s in zip(places, strides, strict=True)]

    def write(x: Array, numbers: Array, start: Array) -> Array:
        parts = [
            lax.slice(x, at, [a + b for a, b in zip(at, last, strict=True)], strides)[None] for at in offsets
        ]
        pairs = list(itertools.combinations(range(len(parts)), 2))
        wins: list[list[Array]] = [[] for _ in parts]
        if pairs:
            left, right = (lax.concatenate([parts[pair[side]] for pair in pairs], 0) for side in (0, 1))
            keeps = left >= right if direction == "GE" else left <= right
            loses = ~keeps
            for number, (first, second) in enumerate(pairs):
                wins[first].append(keeps[number : number + 1])
                wins[second].append(loses[number : number + 1])
        total = jnp.broadcast_to(start, x.shape)
        for at, won in zip(offsets, wins, strict=True):
            given = numbers
            if won:
                all_won = lax.reduce(lax.concatenate(won, 0), True, lax.bitwise_and, (0,))
                given = lax.select(all_won, numbers, jnp.zeros_like(numbers))
            edges = [(a, n - a - e, s - 1) for a, n, e, s in zip(at, x.shape, last, strides, strict=True)]
            total = total + lax.pad(given, jnp.zeros((), numbers.dtype), edges)
        return total

    return write


def _adds(op: ir.Operation) -> bool:
    """Whether what is given to one element adds up."""
    block = op.regions[1].blocks[0]
    inner = list(block.operations)
    if len(inner) != 2 or inner[0].operation.name != "stablehlo.add":
        return False
    same = {*inner[0].operation.operands} == {*block.arguments}
    return same and bool(inner[1].operands[0] == inner[0].operation.results[0])
