"""Convolutions by groups, or along more or fewer than one or two axes, as one product of matrices."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.ir import element_type, ir, numel
from ditto_compiler.op_attributes import convolution_layout, get_i64, get_i64s, get_padding, shape_of
from ditto_compiler.written.base import Function


def convolution(op: ir.Operation) -> Function | None:
    """The product of each group's patches with its kernel; None where the engine has the convolution itself.

    Patches are slices of the input, one for each element of the window or one for each place of the result,
    whichever are fewer: in the gradient by the kernel, the window is as large as an image.
    """
    image, kernel, result = convolution_layout(op)
    axes = [str(axis) for axis in range(len(image) - 2)]
    by_feature, by_batch = get_i64(op, "feature_group_count", 1), get_i64(op, "batch_group_count", 1)
    if by_feature == by_batch == 1 and len(axes) in (1, 2):
        return None
    ones = [1] * len(axes)
    low, high = get_padding(op, len(axes))
    strides = get_i64s(op, "window_strides", ones)
    gaps, holes = get_i64s(op, "lhs_dilation", ones), get_i64s(op, "rhs_dilation", ones)
    reversed_ = (
        list(ir.DenseBoolArrayAttr(op.attributes["window_reversal"]))
        if "window_reversal" in op.attributes
        else [False] * len(axes)
    )
    places = [shape_of(op.results[0])[result.index(axis)] for axis in axes]
    dtype: Any = numpy_dtype(element_type(op.results[0]))
    groups = max(by_feature, by_batch)
    if not all(map(numel, (op.operands[1], op.results[0]))):
        return lambda x, k: jnp.zeros(shape_of(op.results[0]), dtype)

    def write(x: Array, k: Array) -> Array:
        x = lax.transpose(x, [image.index(name) for name in ("b", *axes, "f")])
        k = lax.transpose(k, [kernel.index(name) for name in (*axes, "i", "o")])
        k = lax.rev(k, [axis for axis, flag in enumerate(reversed_) if flag])
        edges = [(a, b, gap - 1) for a, b, gap in zip(low, high, gaps, strict=True)]
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
        # [window, batch, places, features]
        x = _patches(x, k.shape[:-2], places, strides, holes)
        window, batch, count, _ = x.shape
        _, inputs, outputs = k.shape[-3:] if axes else (1, *k.shape)
        k = k.reshape(window, inputs, groups, outputs // groups)
        if by_batch > 1:
            x = x.reshape(window, groups, batch // groups, count, inputs)
        else:
            x = x.reshape(window, batch, count, groups, inputs).transpose(0, 3, 1, 2, 4)
        # [window, groups, batch, places, inputs] times [window, inputs, groups, outputs]
        numbers = (((0, 4), (0, 1)), ((1,), (2,)))
        y = lax.dot_general(x, k, numbers, preferred_element_type=dtype)
        y = y.transpose(1, 2, 0, 3).reshape(y.shape[1], *places, outputs)
        made = ("b", *axes, "f")
        return lax.transpose(y, [made.index(name) for name in result])

    return write


def _patches(
    x: Array, window: tuple[int, ...], places: list[int], strides: list[int], holes: list[int]
) -> Array:
    """[batch, axes, features] as [elements of the window, batch, places of the result, features]."""
    batch, features = x.shape[0], x.shape[-1]
    by_place = math.prod(places) < math.prod(window)
    if by_place:
        starts, step, extents, apart = places, strides, window, holes
    else:
        starts, step, extents, apart = list(window), holes, tuple(places), strides
    slices = []
    for at in itertools.product(*map(range, starts)):
        start = [i * s for i, s in zip(at, step, strict=True)]
        limit = [a + (n - 1) * s + 1 for a, n, s in zip(start, extents, apart, strict=True)]
        part = lax.slice(x, (0, *start, 0), (batch, *limit, features), (1, *apart, 1))
        slices.append(part.reshape(1, batch, math.prod(extents), features))
    found = lax.concatenate(slices, 0)
    return found.transpose(2, 1, 0, 3) if by_place else found
