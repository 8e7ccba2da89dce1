"""Reductions, of whole axes and of windows."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    Exact,
    Tensor,
    is_integral,
    rearrange,
    result_dtype,
    result_encoding,
    window_numbers,
)
from ditto.simulator.fast import Fast
from ditto.simulator.ops.base import register
from ditto_compiler.ir import ir, numel, ops_of
from ditto_compiler.op_attributes import (
    get_i64s,
    get_padding,
    shape_of,
)
from ditto_compiler.structure import reducer

_UFUNCS: Mapping[str, np.ufunc] = {
    "add": np.add,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def _exact_reduce(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """Moves the reduced dimensions to the end, and makes them one."""
    dimensions = get_i64s(op, "dimensions")
    kept = [d for d in range(x[0].raw.ndim) if d not in dimensions]
    inner = [x[0].raw.shape[d] for d in kept]
    count = math.prod(x[0].raw.shape[d] for d in dimensions)
    half = len(x) // 2
    lines = [t.each(lambda v: v.transpose([*kept, *dimensions]).reshape([*inner, count])) for t in x[:half]]
    return _reduce_lines(e, op, lines, x[half:])


def _exact_reduce_window(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """Puts each window in a dimension at the end."""
    rank = x[0].raw.ndim
    if not numel(op.results[0]):
        return [t.each(lambda v: np.zeros(shape_of(op.results[0]), v.dtype)) for t in x[: len(op.results)]]
    ones = [1] * rank
    extents = get_i64s(op, "window_dimensions")
    strides = get_i64s(op, "window_strides", ones)
    dilations = get_i64s(op, "window_dilations", ones)
    gaps = [d - 1 for d in get_i64s(op, "base_dilations", ones)]
    padding = list(zip(*get_padding(op, rank), gaps, strict=True))

    def windows(numbers: list[Array]) -> NDArray[np.int32]:
        padded = np.asarray(lax.pad(numbers[0], numbers[1], padding))
        found = window_numbers(padded, extents, strides, dilations)
        return found.reshape([*found.shape[:rank], math.prod(extents)])

    half = len(x) // 2
    lines = [rearrange([x[i], x[half + i]], windows) for i in range(half)]
    return _reduce_lines(e, op, lines, x[half:])


def _reduce_lines(e: Exact, op: ir.Operation, lines: list[Tensor], initial: Sequence[Tensor]) -> list[Tensor]:
    """Reduces the last dimension, and the initial values."""
    name = reducer(op)
    if len(lines) == 1 and name in _UFUNCS:
        return [_reduce_by(e, op, str(name), lines[0], initial[0])]
    block = op.regions[0].blocks[0]
    count = lines[0].raw.shape[-1]
    tails: list[list[Tensor]] = []
    # As ditto-expand-reductions has it: neighbours, odd elements at last. Products are left to the engine,
    # which combines halves of the line.
    by_halves = any(inner.name == "stablehlo.multiply" for inner in ops_of(block))
    while count > 1:
        half = count // 2
        if count % 2:
            tails.append(_part(lines, slice(2 * half, count)))
        left, right = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
        if by_halves:
            left, right = slice(0, half), slice(half, 2 * half)
        lines = e.run(block, [*_part(lines, left), *_part(lines, right)])
        count = half
    while tails:
        lines = e.run(block, [*lines, *tails.pop()])
    if not count:
        shape = lines[0].raw.shape[:-1]
        return [start.each(lambda v: np.broadcast_to(v, shape)) for start in initial]
    return e.run(block, [*(line.each(lambda v: v[..., 0]) for line in lines), *initial])


def _part(lines: Sequence[Tensor], places: slice) -> list[Tensor]:
    return [line.each(lambda v: v[..., places]) for line in lines]


def _reduce_by(e: Exact, op: ir.Operation, name: str, line: Tensor, initial: Tensor) -> Tensor:
    ring = result_encoding(op).ring
    if name == "add":
        raw = line.raw.sum(-1) + initial.raw
        wide = rings.to_float(line.raw).sum(-1) + rings.to_float(initial.raw)
        return e.hold(op, raw, wide, line.error.sum(-1) + initial.error)
    start = initial.each(lambda v: np.broadcast_to(v, (*line.raw.shape[:-1], 1)))
    elements = np.concatenate([line.raw, start.raw], -1)
    if is_integral(op):
        elements = rings.to_integers(elements, result_dtype(op))
    error = np.concatenate([line.error, start.error], -1)
    found = rings.of_integers(_UFUNCS[name].reduce(elements, axis=-1), ring)
    return Tensor(found, np.asarray(error.max(-1)))


_MONOIDS: Mapping[str, tuple[Callable[..., Array], float]] = {
    "add": (lax.add, 0.0),
    "multiply": (lax.mul, 1.0),
    "maximum": (lax.max, -math.inf),
    "minimum": (lax.min, math.inf),
}
"""Reducers that JAX differentiates, if it sees that they start from their identity."""


def _fast_reduce(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    dimensions = get_i64s(op, "dimensions")
    return _reduction(f, op, x, lambda xs, start, combine: lax.reduce(xs, start, combine, dimensions))


def _fast_reduce_window(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    ones = [1] * x[0].ndim
    reduce = functools.partial(
        lax.reduce_window,
        window_dimensions=get_i64s(op, "window_dimensions"),
        window_strides=get_i64s(op, "window_strides", ones),
        padding=list(zip(*get_padding(op, x[0].ndim), strict=True)),
        base_dilation=get_i64s(op, "base_dilations", ones),
        window_dilation=get_i64s(op, "window_dilations", ones),
    )
    return _reduction(f, op, x, reduce)


def _reduction(f: Fast, op: ir.Operation, x: Sequence[Array], reduce: Callable[..., Any]) -> list[Array]:
    half = len(x) // 2
    operands, initial = tuple(x[:half]), tuple(x[half:])
    name = reducer(op)
    if half == 1 and name in _MONOIDS and jnp.issubdtype(x[0].dtype, jnp.floating):
        combine, identity = _MONOIDS[str(name)]
        result = reduce(operands[0], np.asarray(identity, x[0].dtype), combine)
        return [f.hold(op.results[0], combine(result, initial[0]))]
    block = op.regions[0].blocks[0]
    return list(reduce(operands, initial, lambda a, b: tuple(f.run(block, [*a, *b]))))


register("stablehlo.reduce", exact=_exact_reduce, fast=_fast_reduce)
register("stablehlo.reduce_window", exact=_exact_reduce_window, fast=_fast_reduce_window)
