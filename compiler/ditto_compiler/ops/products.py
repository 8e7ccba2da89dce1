"""Products: element by element, of matrices, and convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ditto_compiler import intervals
from ditto_compiler.encoding import Fxp
from ditto_compiler.intervals import Range, exactly, join
from ditto_compiler.ir import encoding_of, ir
from ditto_compiler.op_attributes import (
    convolution_layout,
    dot_dimensions,
    get_i64s,
    get_padding,
    shape_of,
    terms_of,
)
from ditto_compiler.ops.base import (
    IsSecret,
    Kind,
    Op,
    Ranges,
    Share,
    Values,
    always,
    product_scale,
    register,
)
from ditto_compiler.ops.emitter import Emitter, i64s
from ditto_compiler.ops.movement import pad
from ditto_compiler.spu.literals import tiny_factor


def product_operands(e: Emitter, op: ir.Operation) -> tuple[Values, str]:
    """Operands of a product, and its pphlo element type: integers when it is to be exact.

    The engine truncates products of fixed-point values and leaves those of integers alone.
    """
    scales = {encoding_of(value) for value in (*op.operands, *op.results)}
    if len(scales) == 1 or not isinstance(encoding_of(op.results[0]), Fxp):
        return e.operands(op), e.element(op.results[0])
    return [e.as_integer(value) for value in e.operands(op)], e.integer


def _multiply(e: Emitter, op: ir.Operation) -> Values:
    operands, element = product_operands(e, op)
    result = op.results[0]
    encoding = encoding_of(result)
    if len(operands) == 2 and isinstance(encoding, Fxp) and element != e.integer:
        for index in (1, 0):
            factor = tiny_factor(op.operands[index], encoding)
            if factor is not None:
                return [times_tiny(e, op, operands[1 - index], factor)]
    left, right = operands if len(operands) == 2 else operands * 2
    product = e.one("multiply", e.type(shape_of(result), element, e.is_secret(result)), left, right)
    return [e.bitcast(product, e.element(result))]


def times_tiny(e: Emitter, op: ir.Operation, value: ir.Value, factor: float) -> ir.Value:
    """A product with a constant that is too small for the grid, see `tiny_factor`."""
    # The engine wants the literal as the operand itself, and takes its magnitude.
    type_ = e.type_of(op.results[0])
    magnitude = e.constant(e.dense([abs(factor)], shape_of(op.results[0]), e.element(op.results[0])))
    product = e.one("multiply", type_, value, magnitude)
    return product if factor > 0 else e.one("negate", type_, product)


def _dot_general(e: Emitter, op: ir.Operation) -> Values:
    """As [m, k] x [k, n], or [b, m, k] x [b, k, n] when there are batching dimensions."""
    lb, rb, lc, rc = dot_dimensions(op)
    (lhs, rhs), element = product_operands(e, op)
    sl, sr = shape_of(op.operands[0]), shape_of(op.operands[1])
    left_secret, right_secret = (e.is_secret(v) for v in op.operands)
    lm = [d for d in range(len(sl)) if d not in (*lb, *lc)]
    rn = [d for d in range(len(sr)) if d not in (*rb, *rc)]
    b = [math.prod(sl[d] for d in lb)] if lb else []
    m, k, n = math.prod(sl[d] for d in lm), math.prod(sl[d] for d in lc), math.prod(sr[d] for d in rn)
    left_order, right_order = [*lb, *lm, *lc], [*rb, *rc, *rn]
    lhs = e.transpose(lhs, left_order, element, left_secret)
    rhs = e.transpose(rhs, right_order, element, right_secret)
    if lb:
        lhs = lhs if left_order == sorted(left_order) else e.laid_out(lhs)
        rhs = rhs if right_order == sorted(right_order) else e.laid_out(rhs)
    lhs = e.reshape(lhs, [*b, m, k], element, left_secret)
    rhs = e.reshape(rhs, [*b, k, n], element, right_secret)
    secret = e.is_secret(op.results[0])
    type_ = e.type([*b, m, n], element, secret)
    if lb:
        dims = ir.Attribute.parse(
            "#pphlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], "
            "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]>"
        )
        product = e.one("dot_general", type_, lhs, rhs, dot_dimension_numbers=dims)
    else:
        product = e.one("dot", type_, lhs, rhs)
    product = e.reshape(product, shape_of(op.results[0]), element, secret)
    return [e.bitcast(product, e.element(op.results[0]))]


def _convolution(e: Emitter, op: ir.Operation) -> Values:
    """As NHWC x HWIO -> NHWC, with padding and dilation made explicit."""
    lhs_spec, rhs_spec, out_spec = convolution_layout(op)
    rank = len(lhs_spec)
    spatial = [str(d) for d in range(rank - 2)]
    (lhs, rhs), element = product_operands(e, op)
    left_secret, right_secret = (e.is_secret(v) for v in op.operands)
    lhs = e.transpose(lhs, [lhs_spec.index(d) for d in ("b", *spatial, "f")], element, left_secret)
    rhs = e.transpose(rhs, [rhs_spec.index(d) for d in (*spatial, "i", "o")], element, right_secret)
    ones = [1] * (rank - 2)
    low, high = get_padding(op, rank - 2)
    lhs_dilation, rhs_dilation = get_i64s(op, "lhs_dilation", ones), get_i64s(op, "rhs_dilation", ones)
    zero = e.splat(0, [], element)

    def padded(
        x: ir.Value, lo: list[int], hi: list[int], dilation: list[int], edge: tuple[int, int], secret: bool
    ) -> ir.Value:
        before, after = [0] * edge[0], [0] * edge[1]
        return pad(
            e,
            x,
            e.secret(zero) if secret else zero,
            [*before, *lo, *after],
            [*before, *hi, *after],
            [*before, *(d - 1 for d in dilation), *after],
            secret,
        )

    lhs = padded(lhs, low, high, lhs_dilation, (1, 1), left_secret)
    rhs = padded(rhs, [0] * (rank - 2), [0] * (rank - 2), rhs_dilation, (0, 2), right_secret)
    if "window_reversal" in op.attributes and any(ir.DenseBoolArrayAttr(op.attributes["window_reversal"])):
        flags = list(ir.DenseBoolArrayAttr(op.attributes["window_reversal"]))
        dims = [d for d, flag in enumerate(flags) if flag]
        rhs = e.one("reverse", rhs.type, rhs, dimensions=i64s(dims))
    out_shape = shape_of(op.results[0])
    order = [out_spec.index(d) for d in ("b", *spatial, "f")]
    names = ", ".join(spatial)
    dims_attr = ir.Attribute.parse(f"#pphlo.conv<[b, {names}, f]x[{names}, i, o]->[b, {names}, f]>")
    secret = e.is_secret(op.results[0])
    result = e.one(
        "convolution",
        e.type([out_shape[d] for d in order], element, secret),
        lhs,
        rhs,
        dimension_numbers=dims_attr,
        window_strides=i64s(get_i64s(op, "window_strides", ones)),
    )
    result = e.transpose(result, [order.index(d) for d in range(rank)], element, secret)
    return [e.bitcast(result, e.element(op.results[0]))]


def _plain_convolution(op: ir.Operation, _: IsSecret) -> str | None:
    spatial = len(shape_of(op.results[0])) - 2
    if spatial not in (1, 2):
        return f"the engine has 1 or 2 spatial dimensions, this one has {spatial}; run ditto-expand-ops"
    for name in ("feature_group_count", "batch_group_count"):
        if name in op.attributes and ir.IntegerAttr(op.attributes[name]).value != 1:
            return f"{name} must be 1; run ditto-expand-ops"
    return None


def _multiply_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    if op.operands[0] == op.operands[-1]:
        found = intervals.square(ranges.of(op.operands[0]))
    else:
        found = intervals.multiply(*(ranges.of(v) for v in op.operands))
    return [ranges.fitted(found, op.results[0])]


def _dot_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    product = intervals.multiply(*(ranges.of(v) for v in op.operands))
    return [ranges.fitted(intervals.scaled(product, terms_of(op)), op.results[0])]


def _convolution_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    image, weights = (ranges.of(v) for v in op.operands)
    # Padding and dilation put zeros in.
    product = intervals.multiply(join(image, exactly(0)), weights)
    return [ranges.fitted(intervals.scaled(product, terms_of(op)), op.results[0])]


_PRODUCT = Op(
    "stablehlo.multiply",
    __name__,
    Kind.ARITHMETIC,
    product_scale,
    _multiply_range,
    _multiply,
    share=Share.PRODUCT,
    modular=always,
)
_SUM_OF_PRODUCTS = _PRODUCT.named(
    "stablehlo.dot_general", emit=_dot_general, range=_dot_range, share=Share.ARITHMETIC
)

register(
    _PRODUCT,
    _SUM_OF_PRODUCTS,
    _SUM_OF_PRODUCTS.named("stablehlo.dot"),
    _SUM_OF_PRODUCTS.named(
        "stablehlo.convolution", emit=_convolution, range=_convolution_range, unsupported=_plain_convolution
    ),
)
