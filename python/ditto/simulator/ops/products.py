"""Products: element by element, of matrices, and convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from ditto.simulator import ring as rings
from ditto.simulator.exact import (
    Exact,
    Tensor,
    exactly,
    product_ring,
    rearrange,
    result_encoding,
    window_numbers,
)
from ditto.simulator.fast import Fast
from ditto.simulator.interpreter import (
    dropped_bits,
    tiny_operand,
)
from ditto.simulator.ops.base import register
from ditto.simulator.ops.elementwise import logical
from ditto.simulator.ring import Floats
from ditto_compiler.ir import ir
from ditto_compiler.op_attributes import (
    convolution_layout,
    dot_dimensions,
    get_i64s,
    get_padding,
    shape_of,
)


def _times(left: Floats, right: Floats, product: Callable[[Floats, Floats], Floats]) -> Floats:
    """A product of error bounds: what is unknown times 0 is unknown still."""
    return np.nan_to_num(product(left, right), nan=np.inf, posinf=np.inf)


def product_error(a: Tensor, b: Tensor, product: Callable[[Floats, Floats], Floats]) -> Floats:
    """|xy - x'y'| <= |x| dy + |y| dx + dx dy, where dx and dy bound the errors of x and y."""
    x, y = np.abs(rings.to_float(a.raw)), np.abs(rings.to_float(b.raw))
    error: Floats = np.zeros(())
    if b.error.any():
        error = error + _times(x, b.error, product)
    if a.error.any():
        error = error + _times(a.error, y + b.error, product)
    return error


def _exact_multiply(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """`_exact_multiply` and `square`."""
    factor = tiny_operand(op)
    if factor is not None:
        return [times_tiny(e, op, x[1 - factor.position], factor.number)]
    return [product(e, op, x[0], x[-1])]


def _fast_multiply(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    factor = tiny_operand(op)
    if factor is not None:
        return [f.hold(op.results[0], x[1 - factor.position] * factor.number)]
    return [f.hold(op.results[0], logical(lax.mul, lax.bitwise_and)(x[0], x[-1]))]


def product(e: Exact, op: ir.Operation, a: Tensor, b: Tensor) -> Tensor:
    """Element by element."""
    wide = rings.to_float(a.raw) * rings.to_float(b.raw)
    error = product_error(a, b, np.multiply)
    return e.hold(op, a.raw * b.raw, wide, error, dropped=dropped_bits(op))


def times_tiny(e: Exact, op: ir.Operation, x: Tensor, factor: float) -> Tensor:
    """As the engine does: x * (factor * 2^k), and k bits more to truncate, for the largest 2^k < 1/factor."""
    encoding = result_encoding(op)
    k = -math.floor(math.log2(abs(factor))) - 1
    scaled = int(math.copysign(math.ldexp(abs(factor), k + encoding.frac), factor))
    wide = rings.to_float(x.raw) * scaled
    return e.hold(op, x.raw * scaled, wide, x.error * abs(scaled), dropped=encoding.frac + k)


def _exact_dot(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """`_exact_dot` and `dot_general`, as [batch..., m, k] x [batch..., k, n]."""
    lb, rb, lc, rc = dot_dimensions(op)
    left, right = (shape_of(operand) for operand in op.operands)
    lm = [d for d in range(len(left)) if d not in (*lb, *lc)]
    rn = [d for d in range(len(right)) if d not in (*rb, *rc)]
    m, k, n = (
        math.prod(extents)
        for extents in ([left[d] for d in lm], [left[d] for d in lc], [right[d] for d in rn])
    )
    batch = [left[d] for d in lb]
    a = x[0].each(lambda v: v.transpose([*lb, *lm, *lc]).reshape([*batch, m, k]))
    b = x[1].each(lambda v: v.transpose([*rb, *rc, *rn]).reshape([*batch, k, n]))
    return [_matrix_product(e, op, a, b).each(lambda v: v.reshape(shape_of(op.results[0])))]


def _fast_dot(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    lb, rb, lc, rc = dot_dimensions(op)
    product = lax.dot_general(x[0], x[1], ((lc, rc), (lb, rb)), precision=lax.Precision.HIGHEST)
    return [f.hold(op.results[0], product)]


def _matrix_product(e: Exact, op: ir.Operation, a: Tensor, b: Tensor) -> Tensor:
    integers, wide = rings.matmul(a.raw, b.raw, product_ring(op))
    return e.hold(op, integers, wide, product_error(a, b, np.matmul), dropped=dropped_bits(op))


def _exact_convolution(e: Exact, op: ir.Operation, x: Sequence[Tensor]) -> list[Tensor]:
    """As a product of the matrices [places, window] and [window, features]."""
    layout = convolution_layout(op)
    rank = len(layout.input)
    spatial = [str(d) for d in range(rank - 2)]
    ones = [1] * (rank - 2)
    low, high = get_padding(op, rank - 2)
    lhs_dilation, rhs_dilation = get_i64s(op, "lhs_dilation", ones), get_i64s(op, "rhs_dilation", ones)
    strides = get_i64s(op, "window_strides", ones)
    image = x[0].each(lambda v: v.transpose([layout.input.index(d) for d in ("b", *spatial, "f")]))
    kernel = x[1].each(lambda v: v.transpose([layout.kernel.index(d) for d in (*spatial, "i", "o")]))
    if "window_reversal" in op.attributes:
        flags = list(ir.DenseBoolArrayAttr(op.attributes["window_reversal"]))
        kernel = kernel.each(lambda v: np.flip(v, [d for d, flag in enumerate(flags) if flag]))
    *extents, features, outputs = kernel.raw.shape
    gaps = [d - 1 for d in lhs_dilation]
    padding = [(0, 0, 0), *zip(low, high, gaps, strict=True), (0, 0, 0)]

    def patches(numbers: list[Array]) -> NDArray[np.int32]:
        padded = np.asarray(lax.pad(numbers[0], numbers[1], padding))
        return window_numbers(padded, [1, *extents, features], [1, *strides, 1], [1, *rhs_dilation, 1])

    zero = exactly(rings.as_raw(0, result_encoding(op).ring))
    rows = rearrange([image, zero], patches)
    places = rows.raw.shape[: rank - 1]
    columns = math.prod(extents) * features
    a = rows.each(lambda v: v.reshape(math.prod(places), columns))
    b = kernel.each(lambda v: v.reshape(columns, outputs))
    order = [layout.output.index(d) for d in ("b", *spatial, "f")]
    back = [order.index(d) for d in range(rank)]
    return [_matrix_product(e, op, a, b).each(lambda v: v.reshape([*places, outputs]).transpose(back))]


def _fast_convolution(f: Fast, op: ir.Operation, x: Sequence[Array]) -> list[Array]:
    image, kernel = x
    layout = convolution_layout(op)
    spatial = [str(d) for d in range(image.ndim - 2)]
    ones = [1] * len(spatial)
    if "window_reversal" in op.attributes:
        flags = list(ir.DenseBoolArrayAttr(op.attributes["window_reversal"]))
        kernel = lax.rev(
            kernel, [layout.kernel.index(d) for d, flag in zip(spatial, flags, strict=True) if flag]
        )
    product = lax.conv_general_dilated(
        image,
        kernel,
        window_strides=get_i64s(op, "window_strides", ones),
        padding=list(zip(*get_padding(op, len(spatial)), strict=True)),
        lhs_dilation=get_i64s(op, "lhs_dilation", ones),
        rhs_dilation=get_i64s(op, "rhs_dilation", ones),
        dimension_numbers=lax.ConvDimensionNumbers(
            tuple(layout.input.index(d) for d in ("b", "f", *spatial)),
            tuple(layout.kernel.index(d) for d in ("o", "i", *spatial)),
            tuple(layout.output.index(d) for d in ("b", "f", *spatial)),
        ),
        precision=lax.Precision.HIGHEST,
    )
    return [f.hold(op.results[0], product)]


register("stablehlo.multiply", exact=_exact_multiply, fast=_fast_multiply)
for _name in ("stablehlo.dot", "stablehlo.dot_general"):
    register(_name, exact=_exact_dot, fast=_fast_dot)
register("stablehlo.convolution", exact=_exact_convolution, fast=_fast_convolution)
