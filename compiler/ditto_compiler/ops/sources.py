"""Ops that make public values: constants and counters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from ditto_compiler.encoding import Fxp
from ditto_compiler.intervals import NOTHING, Range
from ditto_compiler.ir import defining_op, element_type, encoding_of, ir
from ditto_compiler.op_attributes import get_i64, get_i64s, shape_of
from ditto_compiler.ops.base import Kind, Op, Ranges, Values, always, any_scale, register
from ditto_compiler.ops.emitter import LITERAL_BITS, Emitter, i64, i64s, ring_elements, shift_left
from ditto_compiler.spu.literals import held, on_grid
from ditto_compiler.structure import constant_numbers, is_float


def _emit_constant(e: Emitter, op: ir.Operation) -> Values:
    return [constant_of(e, op, lambda x: x)]


def constant_of(e: Emitter, op: ir.Operation, function: Callable[[float], float]) -> ir.Value:
    """A constant, `function` applied to floats."""
    result = op.results[0]
    encoding = encoding_of(result)
    if not isinstance(encoding, Fxp):
        return _integers(e, op)
    element = e.element(result)
    numbers = [function(float(x)) for x in constant_numbers(op)]
    shape = shape_of(result)
    if element != e.integer:
        return e.constant(e.dense([on_grid(x, encoding, element) for x in numbers], shape, element))
    integers = [held(x, encoding) for x in numbers]
    # Ring 128 holds integers that no literal does.
    beyond = max(0, max((abs(x).bit_length() for x in integers), default=0) - LITERAL_BITS)
    literals = [round(Fraction(x, 2**beyond)) for x in integers]
    return shift_left(e, e.constant(e.dense(literals, shape, element)), beyond)


def _integers(e: Emitter, op: ir.Operation) -> ir.Value:
    """A constant of integers or booleans, as ring elements."""
    result = op.results[0]
    shape = shape_of(result)
    if element_type(result) == "i1":
        text = str(op.attributes["value"])
        plain = e.type(shape, "i1", False)
        return e.constant(ir.Attribute.parse(f"{text[: text.rindex(' : ')]} : {plain}"))
    return ring_elements(e, [int(x) for x in constant_numbers(op)], shape)


def reciprocal_of(e: Emitter, value: ir.Value) -> ir.Value:
    """1/c for a constant seen through layout ops, with the same layout."""
    op = defining_op(value)
    assert op is not None
    if op.name == "stablehlo.constant":
        return constant_of(e, op, lambda x: 1.0 / x if x else math.inf)
    inner = reciprocal_of(e, op.operands[0])
    if op.name == "stablehlo.reshape":
        return e.one("reshape", e.type_of(op.results[0]), inner)
    dimensions = i64s(get_i64s(op, "broadcast_dimensions"))
    return e.one("broadcast", e.type_of(op.results[0]), inner, broadcast_dimensions=dimensions)


def _constant_range(_: Ranges, op: ir.Operation) -> Sequence[Range]:
    numbers = constant_numbers(op)
    if is_float(op.results[0]):
        return [Range.of_constants(map(float, numbers))]
    integers = list(map(int, numbers))
    return [Range(min(integers), max(integers)) if integers else NOTHING]


def _emit_iota(e: Emitter, op: ir.Operation) -> Values:
    (result,) = op.results
    dimension = i64(ir.IntegerAttr(op.attributes["iota_dimension"]).value)
    numbers = e.one("iota", e.type_of(result), iota_dimension=dimension)
    encoding = encoding_of(result)
    is_integer = isinstance(encoding, Fxp) and e.element(result) == e.integer
    return [shift_left(e, numbers, encoding.frac) if is_integer and encoding else numbers]


def _iota_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    extent = shape_of(op.results[0])[get_i64(op, "iota_dimension")]
    return [ranges.fitted(Range(0, extent - 1), op.results[0]) if extent else NOTHING]


register(
    Op("stablehlo.constant", __name__, Kind.SOURCE, any_scale, _constant_range, _emit_constant),
    Op("stablehlo.iota", __name__, Kind.SOURCE, any_scale, _iota_range, _emit_iota, modular=always),
)
