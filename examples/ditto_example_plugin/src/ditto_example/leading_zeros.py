"""The op `stablehlo.count_leading_zeros`, which Ditto has no home for: `jax.lax.clz`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax import lax

from ditto.simulator import ring as rings
from ditto.simulator.exact import Exact, Tensor, integers_of, result_encoding
from ditto.simulator.ops.base import held
from ditto_compiler.dtypes import width
from ditto_compiler.intervals import Range
from ditto_compiler.ir import element_type, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops import Kind, Op
from ditto_compiler.ops.base import Ranges, Values, always, any_scale
from ditto_compiler.ops.emitter import Emitter, aligned, as_arithmetic


def _emit(e: Emitter, op: ir.Operation) -> Values:
    """Sets every bit behind the first one, and counts: log2(w) disjunctions, all of them AND gates."""
    (x,), shape = e.operands(op), shape_of(op.results[0])
    bits = width(e.integer)
    spare = bits - width(element_type(op.operands[0]))
    x, type_ = aligned(e, x, spare), e.type_of(op.operands[0])
    if spare:
        # The first bit that is not the number's own, so that zero has as many leading zeros as it has bits.
        x = e.one("or", type_, x, e.splat(1 << (spare - 1), shape, e.integer))
    step = 1
    while step < bits:
        amount = e.splat(step, shape, e.integer)
        x = e.one("or", type_, x, e.one("shift_right_logical", type_, x, amount))
        step *= 2
    result = e.type_of(op.results[0])
    ones = e.one("popcnt", result, x)
    if e.is_secret(op.results[0]):
        ones = as_arithmetic(e, ones)
    return [e.one("subtract", result, e.splat(bits, shape, e.integer), ones)]


def _range(_: Ranges, op: ir.Operation) -> Sequence[Range]:
    return [Range(0, width(element_type(op.operands[0])))]


def exact(e: Exact, op: ir.Operation, x: list[Tensor]) -> list[Tensor]:
    """On ring elements; an operand that may be off by anything leaves the whole range open."""
    bits = width(element_type(op.operands[0]))
    (integers,) = integers_of(op, x)
    lengths = np.vectorize(lambda v: (int(v) % (1 << bits)).bit_length(), otypes=[np.int64])(integers)
    raw = rings.of_integers(bits - lengths, result_encoding(op).ring)
    return [Tensor(raw, np.where(x[0].error > 0, float(bits), 0.0))]


fast = held(lax.clz)

OP = Op(
    "stablehlo.count_leading_zeros",
    __name__,
    Kind.ARITHMETIC,  # in the ring of its result's dtype
    any_scale,  # integers have no fraction bits
    _range,
    _emit,  # what is left is an arithmetic share, which is what `share` says by default
    rings=(32, 64),
    modular=always,  # bits that the type does not have do not count
)
