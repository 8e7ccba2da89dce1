"""What integers need that are held in more bits than their type has, and division without rounding errors.

These ops are of our own dialect: ditto-legalize-integers puts them where ring arithmetic alone would not do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import is_unsigned, width
from ditto_compiler.intervals import Range
from ditto_compiler.ir import element_type, ir
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.ops.base import Kind, Op, Ranges, Share, Values, any_scale, register
from ditto_compiler.ops.emitter import (
    Emitter,
    aligned,
    as_arithmetic,
    bits_for_users,
    i64s,
    region_result,
    ring_elements,
    shift_left,
)


def _wrap(e: Emitter, op: ir.Operation) -> Values:
    (operand,), (result,) = op.operands, op.results
    dtype, drop = element_type(operand), names.get_int(op, names.DROP) or 0
    type_, spare = e.type_of(result), e.ring - width(dtype)
    if is_unsigned(dtype) and not drop:
        mask = ring_elements(e, [(1 << width(dtype)) - 1], shape_of(result))
        return [bits_for_users(e, op, e.one("and", type_, e.values[operand], mask))]
    # The engine shifts nothing but whole words arithmetically.
    x = e.values[operand] if is_unsigned(dtype) else region_result(e, operand)
    name = "shift_right_logical" if is_unsigned(dtype) else "shift_right_arithmetic"
    amount = e.splat(spare + drop, shape_of(result), e.integer)
    return [bits_for_users(e, op, e.one(name, type_, aligned(e, x, spare), amount))]


def _wrap_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x, drop = ranges.of(op.operands[0]), names.get_int(op, names.DROP) or 0
    return [Range(int(x.low) >> drop, int(x.high) >> drop) if x.has_numbers else x]


def _quotient(e: Emitter, op: ir.Operation) -> Values:
    divisor = names.get_attribute(op, names.DIVISOR)
    if divisor is None:
        return [_long_division(e, op)]
    return [_by_constant(e, op, unsigned_value(divisor), unsigned_value(op.attributes[names.LIMIT]))]


def unsigned_value(attribute: ir.Attribute) -> int:
    """The number in a `ui64` attribute."""
    return int(ir.IntegerAttr(attribute).value) % (1 << 64)


def _long_division(e: Emitter, op: ir.Operation) -> ir.Value:
    """A loop over the bits of the quotient, from the top: at each, the divisor is subtracted if it fits.

    In ring 64 a bit takes 164 bytes per element in about 10 rounds.
    """
    bits = names.get_int(op, names.BITS)
    assert bits is not None
    shape, secret = shape_of(op.results[0]), e.is_secret(op.results[0])
    numbers, booleans = e.type(shape, e.integer, secret), e.type(shape, "i1", secret)
    scalar, flag = e.type([], e.integer, False), e.type([], "i1", False)
    x, y = (e.values[operand] for operand in op.operands)
    zeros = e.splat(0, shape, e.integer)
    start = shift_left(e, e.splat(1, [], e.integer), bits - 1)
    values = [x, zeros] if not secret else [e.secret(x), e.secret(zeros)]
    counter, one, count = (e.splat(number, [], e.integer) for number in (0, 1, bits))
    types = [scalar, scalar, numbers, numbers]
    loop = e.op("while", types, [counter, start, *values], regions=2)
    outer = e.ip
    condition, body = (region.blocks.append(*types, arg_locs=[e.loc] * 4) for region in loop.regions)
    e.ip = ir.InsertionPoint(condition)
    e.op("return", [], [e.one("less", flag, condition.arguments[0], count)])
    e.ip = ir.InsertionPoint(body)
    done, weight, rest, quotient = body.arguments
    weights = e.one("broadcast", e.type(shape, e.integer, False), weight, broadcast_dimensions=i64s([]))
    scaled = e.one("multiply", e.type(shape, e.integer, e.is_secret(op.operands[1])), y, weights)
    negative = e.one("less", booleans, e.one("subtract", numbers, rest, scaled), zeros)
    fits = e.one("not", booleans, negative)
    fits = e.one("convert", numbers, as_arithmetic(e, fits) if secret else fits)
    rest = e.one("subtract", numbers, rest, e.one("multiply", numbers, fits, scaled))
    quotient = e.one("add", numbers, quotient, e.one("multiply", numbers, fits, weights))
    done = e.one("add", scalar, done, one)
    e.op("return", [], [done, e.one("shift_right_logical", scalar, weight, one), rest, quotient])
    e.ip = outer
    return loop.results[3]


def _by_constant(e: Emitter, op: ir.Operation, divisor: int, limit: int) -> ir.Value:
    """x / c by a product and a shift (Granlund and Montgomery, PLDI 1994).

    With m = ceil(2^s / c) and d = m c - 2^s, the quotient floor(x m / 2^s) is right for all x of which
    x d < 2^s. Where x m is too large for the ring, m is rounded down to a number for which it is not: then
    the quotient may be one too small, which the remainder tells.
    """
    (operand,), (result,) = op.operands, op.results
    shape, type_ = shape_of(result), e.type_of(result)
    x = e.values[operand]
    shift = next(s for s in range(2 * e.ring) if (-(1 << s)) % divisor * limit < 1 << s)
    factor = -(-(1 << shift) // divisor)
    is_exact = limit * factor < 1 << e.ring
    if not is_exact:
        shift = e.ring // 2 - 1 + divisor.bit_length() - 1
        factor = (1 << shift) // divisor
        assert limit * factor < 1 << e.ring and limit <= 1 << shift, (
            "ditto-annotate finds a ring that is wide enough"
        )
    product = e.one("multiply", type_, x, ring_elements(e, [factor], shape)) if factor > 1 else x
    amount = e.splat(shift, shape, e.integer)
    quotient = e.one("shift_right_logical", type_, product, amount) if shift else product
    if e.is_secret(result):
        quotient = as_arithmetic(e, quotient)
    if is_exact:
        return quotient
    multiple = e.one("multiply", type_, quotient, ring_elements(e, [divisor], shape))
    rest = e.one("subtract", type_, x, multiple)
    booleans = e.type(shape, "i1", e.is_secret(result))
    short = e.one("greater_equal", booleans, rest, ring_elements(e, [divisor], shape))
    if e.is_secret(result):
        short = as_arithmetic(e, short)
    return e.one("add", type_, quotient, e.one("convert", type_, short))


def _quotient_range(ranges: Ranges, op: ir.Operation) -> Sequence[Range]:
    x = ranges.of(op.operands[0])
    if not x.has_numbers:
        return [x]
    divisor = names.get_attribute(op, names.DIVISOR)
    if divisor is not None:
        c = unsigned_value(divisor)
        return [Range(int(x.low) // c, int(x.high) // c)]
    y, bits = ranges.of(op.operands[1]), names.get_int(op, names.BITS)
    assert bits is not None
    # Every multiple of 0 fits.
    most = (1 << bits) - 1 if y.low <= 0 else int(x.high) // int(y.low)
    return [Range(0, most)]


DIVISIONS: tuple[str, ...] = ("stablehlo.divide", "stablehlo.remainder")


@dataclass(frozen=True)
class Division:
    """What a division of integers takes, by what is known of them.

    Attributes:
        dividend: its largest magnitude.
        divisor: likewise.
        least: the smallest magnitude of a divisor other than 0.
        constant: the divisor, where it is one number and not 0.
    """

    dividend: int
    divisor: int
    least: int
    constant: int | None

    @staticmethod
    def of(x: Range, y: Range) -> Division:
        """For integers in these ranges."""
        constant = int(y.low) if y.low == y.high != 0 else None
        ends = [abs(int(end)) for end in (y.low, y.high)] if y.has_numbers else [1]
        least = min(ends) if y.low > 0 or y.high < 0 else 1
        return Division(int(x.largest), max(ends), least, constant)

    @property
    def bits(self) -> int:
        """Of the quotient's magnitude."""
        return max((self.dividend // self.least).bit_length(), 1)

    @property
    def ring_bits(self) -> int:
        """Of the narrowest ring in which `ditto.quotient` is right."""
        if self.constant is not None:
            return 2 * self.dividend.bit_length()
        return 1 + max(self.dividend.bit_length(), self.divisor.bit_length() + self.bits - 1)


_WRAP = Op(
    names.WRAP, __name__, Kind.ARITHMETIC, any_scale, _wrap_range, _wrap, share=Share.BITWISE, reads_bits=True
)

register(
    _WRAP,
    _WRAP.named(
        names.QUOTIENT, range=_quotient_range, emit=_quotient, share=Share.ARITHMETIC, reads_bits=False
    ),
)
