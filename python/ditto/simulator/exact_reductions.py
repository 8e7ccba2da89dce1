"""Reductions and sorting in the exact domain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from ditto.simulator import ring as rings
from ditto.simulator.exact import Exact, Tensor, rearrange, result_encoding, window_numbers
from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import get_i64, get_i64s, get_padding
from ditto_compiler.spu.op_table import reducer, sort_key

_UFUNCS: Mapping[str, np.ufunc] = {
    "add": np.add,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
}


def reduce(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """Moves the reduced dimensions to the end, and makes them one."""
    dimensions = get_i64s(op, "dimensions")
    kept = [d for d in range(x[0].raw.ndim) if d not in dimensions]
    inner = [x[0].raw.shape[d] for d in kept]
    count = math.prod(x[0].raw.shape[d] for d in dimensions)
    half = len(x) // 2
    lines = [t.each(lambda v: v.transpose([*kept, *dimensions]).reshape([*inner, count])) for t in x[:half]]
    return _reduce_lines(e, op, lines, x[half:])


def reduce_window(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """Puts each window in a dimension at the end."""
    rank = x[0].raw.ndim
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
    # The engine's order, for the errors of a product depend on it: halves of the line, odd elements at last.
    while count > 1:
        half = count // 2
        if count % 2:
            tails.append(_part(lines, 2 * half, count))
        lines = e.run(block, [*_part(lines, 0, half), *_part(lines, half, 2 * half)])
        count = half
    while tails:
        lines = e.run(block, [*lines, *tails.pop()])
    if not count:
        shape = lines[0].raw.shape[:-1]
        return [start.each(lambda v: np.broadcast_to(v, shape)) for start in initial]
    return e.run(block, [*(line.each(lambda v: v[..., 0]) for line in lines), *initial])


def _part(lines: Sequence[Tensor], start: int, stop: int) -> list[Tensor]:
    return [line.each(lambda v: v[..., start:stop]) for line in lines]


def _reduce_by(e: Exact, op: ir.Operation, name: str, line: Tensor, initial: Tensor) -> Tensor:
    ring = result_encoding(op).ring
    if name == "add":
        raw = line.raw.sum(-1) + initial.raw
        wide = rings.to_float(line.raw).sum(-1) + rings.to_float(initial.raw)
        return e.hold(op, raw, wide, line.error.sum(-1) + initial.error)
    start = initial.each(lambda v: np.broadcast_to(v, (*line.raw.shape[:-1], 1)))
    raw = np.concatenate([line.raw, start.raw], -1)
    error = np.concatenate([line.error, start.error], -1)
    found = rings.as_raw(_UFUNCS[name].reduce(raw, axis=-1), ring)
    return Tensor(found, np.asarray(error.max(-1)))


def sort(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
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
