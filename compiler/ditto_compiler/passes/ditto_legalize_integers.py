"""The pass `ditto-legalize-integers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler import building, folds, intervals, logic
from ditto_compiler.analyses.held import HeldRanges, is_integer, upcasts_exactly
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import integer_limits, is_unsigned, width
from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.indices import limited_index
from ditto_compiler.intervals import Range, join
from ditto_compiler.ir import (
    BARE_REGIONS,
    attributes_of,
    defining_op,
    element_type,
    encode_type,
    encoding_of,
    insert_op,
    ir,
    nested_ops,
    numel,
    ops_of,
)
from ditto_compiler.logic import Bit
from ditto_compiler.op_attributes import MIRRORED, comparison_attributes, direction_of, first_index, shape_of
from ditto_compiler.ops import OPS, Kind
from ditto_compiler.ops.elementwise import compared
from ditto_compiler.ops.integers import DIVISIONS, Division
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import reducer, sort_key


@dataclass(frozen=True)
class DittoLegalizeIntegers(Pass):
    """Make ring arithmetic give what integers of every width give, wrap-around included.

    Integers of w bits are held in a ring of k >= w bits. Sums and products are right there mod 2^w, whatever
    stands above; but the engine compares by the sign of a difference, shifts and converts all k bits, and
    divides by a rounded quotient. Where ranges do not prove that this makes no difference,

    - a comparison, and with it maximum, minimum, clamp, abs and sign, reads the top bits of x, y and
      d = x - y: x < y is d ^ ((x ^ y) & (x ^ d)) of them, fewer where a sign is known. One whose outcome is
      known becomes a constant;
    - an equality reads the low w bits (`ditto.low_bits`);
    - what reads all bits (conversions to floats and wider integers, right shifts, indices, sort keys) is
      given `ditto.wrap` of its operand;
    - shifts by amounts outside of [0, w) give what StableHLO says: zeros, or signs;
    - a quotient is that of the magnitudes by `ditto.quotient`, with its sign; a remainder is x - q y;
    - an upcast of a number beyond 2^(k-2) takes the sign apart;
    - a reduction by maximum or minimum becomes rounds of them, one over windows doublings;
    - arithmetic on booleans is logic.

    Requires: casts inserted, and no reduction of integers by several ops (ditto-expand-reductions). Ensures:
    each op gives what StableHLO says of its type. Keeps: c2, c3.

    Before:

        %0 = stablehlo.maximum %x, %y : tensor<4xi32, #ditto.int<32>>

    After, less the stacking by which the three comparisons are one:

        %d = stablehlo.subtract %x, %y : tensor<4xi32, #ditto.int<32>>
        %a = stablehlo.compare LT, %x, %zero : (tensor<4xi32, #ditto.int<32>>, ...)
        %b = stablehlo.compare LT, %y, %zero : ...
        %c = stablehlo.compare LT, %d, %zero : ...
        %0 = stablehlo.xor %a, %b : tensor<4xi1, #ditto.int<32>>
        %1 = stablehlo.xor %a, %c : tensor<4xi1, #ditto.int<32>>
        %2 = stablehlo.and %0, %1 : tensor<4xi1, #ditto.int<32>>
        %3 = stablehlo.xor %c, %2 : tensor<4xi1, #ditto.int<32>>
        %4 = stablehlo.select %3, %y, %x : tensor<4xi1, #ditto.int<32>>, tensor<4xi32, #ditto.int<32>>

    Errors: a module without explicit casts; a division in a ring that is too narrow for it.
    """

    name: ClassVar[str] = "ditto-legalize-integers"

    def run(self, module: ir.Module) -> None:
        entry = self.entry(module, after="ditto-insert-casts")
        ops = nested_ops(entry.operation, skip=BARE_REGIONS)
        if not any(_has_integers(op) for op in ops):
            return
        errors = self.errors()
        legalizer = _Legalizer(HeldRanges(entry), VisibilityAnalysis(module), errors)
        legalizer.block(entry.entry_block)
        errors.raise_if_any()
        legalizer.erase_replaced()


def _has_integers(op: ir.Operation) -> bool:
    """Whether the op reads integers or booleans, or makes them by anything but a comparison of floats."""
    return any(isinstance(encoding_of(value), Int) for value in op.operands)


class _Legalizer:
    def __init__(self, held: HeldRanges, visibility: VisibilityAnalysis, errors: ErrorCollector) -> None:
        self._held = held
        self._visibility = visibility
        self._errors = errors
        self._replaced: list[ir.Operation] = []
        self._wrapped: list[dict[ir.Value, ir.Value]] = []
        """The canonical integers made in each of the blocks around."""
        self._quotients: list[dict[tuple[ir.Value, ir.Value], ir.Value]] = []
        """Likewise the quotients."""

    def block(self, block: ir.Block) -> None:
        """Legalizes the ops of a block, and of the blocks in loops and branches."""
        self._wrapped.append({})
        self._quotients.append({})
        for op in ops_of(block):
            if op.name in OPS and OPS[op.name].kind is Kind.CONTROL:
                for region in op.regions:
                    self.block(region.blocks[0])
            result = self._legal(op)
            if result is not None:
                self._held.replace(op.results[0], result)
                self._replaced.append(op)
        self._wrapped.pop()
        self._quotients.pop()

    def erase_replaced(self) -> None:
        """Only in the end, for values are known by address."""
        for op in reversed(self._replaced):
            op.erase()

    def _legal(self, op: ir.Operation) -> ir.Value | None:
        """What to put in the place of the result of `op`; None to leave it, perhaps with other operands."""
        if not any(isinstance(encoding_of(value), Int) for value in op.operands):
            return None
        handler = _HANDLERS.get(op.name)
        if handler is not None:
            return handler(self, op)
        for number, operand in enumerate(op.operands):
            if number >= first_index(op):
                op.operands[number] = self._index(operand, op)
            elif self._is_extended(op, operand):
                op.operands[number] = self._canonical(operand, op)
        return None

    def _is_extended(self, op: ir.Operation, operand: ir.Value) -> bool:
        """Whether more than the low bits of an operand are read."""
        if op.name in names.CASTS or not is_integer(operand) or not len(op.results):
            return False
        narrower = is_integer(op.results[0]) and width(element_type(operand)) < width(
            element_type(op.results[0])
        )
        return narrower or not OPS[op.name].modular(op)

    # Emitting. What stands in `before` is legal already; `_emit` legalizes what it emits.

    def _emit(
        self, name: str, type_: ir.Type, *operands: ir.Value, before: ir.Operation, **attributes: ir.Attribute
    ) -> ir.Value:
        return self._legalized(insert_op(name, type_, *operands, before=before, **attributes))

    def _legalized(self, value: ir.Value) -> ir.Value:
        """The result of a new op, or what is put in its place."""
        op = defining_op(value)
        assert op is not None
        result = self._legal(op)
        if result is None:
            return value
        self._held.stands_for(result, value)
        self._replaced.append(op)
        return result

    def _compare(
        self, direction: str, x: ir.Value, y: ir.Value, before: ir.Operation, *, legalize: bool = True
    ) -> ir.Value:
        found = building.comparison(direction, x, y, before=before)
        return self._legalized(found) if legalize else found

    def _convert(self, x: ir.Value, dtype: str, before: ir.Operation) -> ir.Value:
        """Integers or booleans as integers of another type of as many bits or more: free."""
        if element_type(x) == dtype:
            return x
        tensor = ir.RankedTensorType(x.type)
        bits, context = width(dtype), x.type.context
        element = (ir.IntegerType.get_unsigned if is_unsigned(dtype) else ir.IntegerType.get_signless)(
            bits, context
        )
        type_ = ir.RankedTensorType.get(tensor.shape, element, tensor.encoding)
        return insert_op("convert", type_, x, before=before)

    # What is known, and made sure of.

    def _value(self, value: ir.Value) -> Range:
        return self._held.values.of(value)

    def _ring(self, value: ir.Value) -> int:
        encoding = encoding_of(value)
        assert encoding is not None
        return encoding.ring

    def _fills_ring(self, value: ir.Value) -> bool:
        """Whether there are no bits above those of the value's type."""
        return width(element_type(value)) >= self._ring(value)

    def _spans_less(self, *values: ir.Value) -> bool:
        """Whether the engine's comparison of any two of these is right: their difference fits the ring."""
        if not all(map(self._held.is_canonical, values)):
            return False
        every = join(*map(self._held.of, values))
        return not every.has_numbers or every.high - every.low < 1 << (self._ring(values[0]) - 1)

    def _sign(self, value: ir.Value) -> bool | None:
        """The top bit of an integer's type, where it is known."""
        known, dtype = self._value(value), element_type(value)
        top = 1 << (width(dtype) - 1) if is_unsigned(dtype) else 0
        below, above = known.high < top, known.low >= top
        negative, positive = (above, below) if is_unsigned(dtype) else (below, above)
        return True if negative else False if positive else None

    def _canonical(self, value: ir.Value, before: ir.Operation) -> ir.Value:
        """An integer as its own ring element; one of an unsigned type that fills the ring stays."""
        if not is_integer(value) or self._held.is_canonical(value) or self._fills_ring(value):
            return value
        for scope in self._wrapped:
            if value in scope:
                return scope[value]
        wrapped = self._wrap(value, 0, before)
        self._held.note(wrapped, self._value(value))
        self._held.values.note(wrapped, self._value(value))
        self._wrapped[-1][value] = wrapped
        return wrapped

    def _wrap(self, value: ir.Value, drop: int, before: ir.Operation) -> ir.Value:
        attributes = {names.DROP: names.int_attribute(drop)} if drop else {}
        return _dialect_op(names.WRAP, value.type, [value], attributes, before)

    def _top_bits(self, values: list[ir.Value], before: ir.Operation) -> list[ir.Value]:
        """The top bits of integers of one type and shape; those of several secret ones by one comparison."""
        signed = [self._convert(value, _signed(element_type(value)), before) for value in values]
        secret = [self._visibility.is_secret(value) for value in values]
        if sum(secret) < 2 or not numel(values[0]):
            return [self._top_bit(value, before) for value in signed]
        shape = shape_of(values[0])
        rows = [
            building.reshaped(v, [1, *shape], before=before) for v, s in zip(signed, secret, strict=True) if s
        ]
        stack = building.joined(rows, before=before)
        bits = self._top_bit(stack, before)
        found, row = [], 0
        for value, is_secret in zip(signed, secret, strict=True):
            if not is_secret:
                found.append(self._top_bit(value, before))
                continue
            zeros, ones = [0] * len(shape), [1] * (len(shape) + 1)
            part = building.sliced(bits, [row, *zeros], [row + 1, *shape], ones, before=before)
            found.append(building.reshaped(part, shape, before=before))
            row += 1
        return found

    def _top_bit(self, value: ir.Value, before: ir.Operation) -> ir.Value:
        """[x < 0] of signed integers, by their low bits."""
        zero = building.splat(0, value.type, before=before)
        bit = self._compare("LT", value, zero, before, legalize=False)
        if not self._held.is_canonical(value):
            self._read_low_bits(bit)
        return bit

    def _read_low_bits(self, comparison: ir.Value) -> None:
        op = defining_op(comparison)
        assert op is not None
        if not self._fills_ring(op.operands[0]):
            op.attributes[names.LOW_BITS] = ir.UnitAttr.get(op.context)

    def _less(self, x: ir.Value, y: ir.Value, before: ir.Operation) -> Bit:
        """[x < y]."""
        known = compared("LT", self._value(x), self._value(y), same=x == y)
        if known is not None:
            return known
        if self._spans_less(x, y):
            return self._compare("LT", x, y, before, legalize=False)
        a, b = self._sign(x), self._sign(y)
        is_zero = self._value(y).low == self._value(y).high == 0
        wanted = [value for value, sign in ((x, a), (y, b)) if sign is None]
        wanted += [] if is_zero else [insert_op("subtract", x.type, x, y, before=before)]
        bits: list[Bit] = list(self._top_bits(wanted, before))
        first: Bit = bits.pop(0) if a is None else a
        if is_zero:
            return first
        second: Bit = bits.pop(0) if b is None else b
        (difference,) = bits
        # Where the top bits differ, the difference may wrap around, and one of them is the answer.
        answer = second if is_unsigned(element_type(x)) else first
        differ = logic.differ(first, second, before=before)
        wrong = logic.both(differ, logic.differ(answer, difference, before=before), before=before)
        return logic.differ(difference, wrong, before=before)

    # Op by op.

    def compare(self, op: ir.Operation) -> ir.Value | None:
        x, y = op.operands
        if not is_integer(x):
            return None
        direction = direction_of(op)
        known = compared(direction, self._value(x), self._value(y), same=x == y)
        if known is not None:
            return building.splat(known, op.results[0].type, before=op)
        if direction in ("EQ", "NE"):
            if not (self._held.is_canonical(x) and self._held.is_canonical(y)):
                self._read_low_bits(op.results[0])
            return None
        if self._spans_less(x, y):
            return None
        if direction in ("GT", "LE"):
            x, y, direction = y, x, MIRRORED[direction]
        less = self._less(x, y, op)
        bit = less if direction == "LT" else logic.invert(less, before=op)
        return building.splat(bit, op.results[0].type, before=op) if isinstance(bit, bool) else bit

    def extremum(self, op: ir.Operation) -> ir.Value | None:
        x, y = op.operands
        is_maximum = op.name == "stablehlo.maximum"
        if element_type(x) == "i1":
            return insert_op("or" if is_maximum else "and", x.type, x, y, before=op)
        if not is_integer(x) or self._spans_less(x, y):
            return None
        less = self._less(x, y, op)
        return logic.select(less, *((y, x) if is_maximum else (x, y)), before=op)

    def clamp(self, op: ir.Operation) -> ir.Value | None:
        low, x, high = op.operands
        if isinstance(encoding_of(x), Fxp) or (is_integer(x) and self._spans_less(low, x, high)):
            return None
        low, high = (building.spread(bound, x.type, before=op) for bound in (low, high))
        above = self._emit("maximum", x.type, x, low, before=op)
        return self._emit("minimum", x.type, above, high, before=op)

    def magnitude(self, op: ir.Operation) -> ir.Value | None:
        (x,) = op.operands
        if not is_integer(x) or self._held.is_canonical(x):
            return None
        zero = building.splat(0, x.type, before=op)
        return logic.select(self._less(x, zero, op), insert_op("negate", x.type, x, before=op), x, before=op)

    def sign(self, op: ir.Operation) -> ir.Value | None:
        (x,) = op.operands
        if not is_integer(x):
            return None
        zero, two = (building.splat(number, x.type, before=op) for number in (0, 2))
        differs = insert_op("convert", x.type, self._compare("NE", x, zero, op), before=op)
        negative = self._less(x, zero, op)
        if negative is False:
            return differs
        doubled = insert_op("multiply", x.type, logic.number(negative, x, before=op), two, before=op)
        return insert_op("subtract", x.type, differs, doubled, before=op)

    def convert(self, op: ir.Operation) -> ir.Value | None:
        (x,), (result,) = op.operands, op.results
        if not is_integer(x):
            return None
        if element_type(result) == "i1":
            if self._held.is_canonical(x):
                return None
            return self._compare("NE", x, building.splat(0, x.type, before=op), op)
        if self._is_extended(op, x):
            op.operands[0] = self._canonical(x, op)
        return None

    def arithmetic(self, op: ir.Operation) -> ir.Value | None:
        """Sums and products: of booleans, logic."""
        x, y = op.operands
        if element_type(x) != "i1":
            return None
        name = folds.BOOLEAN_NAMES[op.name.removeprefix("stablehlo.")]
        return insert_op(name, x.type, x, y, before=op)

    def choose_branch(self, op: ir.Operation) -> None:
        op.operands[0] = self._canonical(op.operands[0], op)

    def shift(self, op: ir.Operation) -> ir.Value | None:
        x, amount = op.operands
        dtype, bits, known = element_type(x), width(element_type(x)), self._value(amount)
        is_arithmetic = op.name == "stablehlo.shift_right_arithmetic"
        if not known.has_numbers:
            return None
        never = known.high < 0 or known.low >= bits
        if never and not is_arithmetic:
            return building.splat(0, x.type, before=op)
        if not (known.low >= 0 and known.high < bits):
            return self._guarded_shift(op, never=never)
        signed = _signed(dtype) if is_arithmetic else _unsigned(dtype)
        if op.name == "stablehlo.shift_left" or self._is_ready(x, signed):
            op.operands[1] = self._canonical(amount, op)
            return None
        # As numbers of the kind that the shift takes them for.
        x, amount = (self._convert(v, signed, op) for v in (x, self._canonical(amount, op)))
        if known.low == known.high and not self._fills_ring(x):
            shifted = self._wrap(x, int(known.low), op)
        else:
            name = op.name.removeprefix("stablehlo.")
            shifted = insert_op(name, x.type, self._canonical(x, op), amount, before=op)
        return self._convert(shifted, dtype, op)

    def _is_ready(self, x: ir.Value, dtype: str) -> bool:
        """Whether ring elements are the integers of `dtype` that `x` has the bits of."""
        if self._fills_ring(x):
            return True
        low, high = integer_limits(dtype)
        found = self._held.of(x)
        return not found.has_numbers or (low <= found.low and found.high <= high)

    def _guarded_shift(self, op: ir.Operation, *, never: bool) -> ir.Value:
        """A shift by amounts that may be negative or too large: then nothing is left but signs."""
        x, amount = op.operands
        bits = width(element_type(x))
        zero, last = (building.splat(number, x.type, before=op) for number in (0, bits - 1))
        is_arithmetic = op.name == "stablehlo.shift_right_arithmetic"
        inside: Bit = False
        if not never:
            count = self._convert(amount, _unsigned(element_type(amount)), op)
            inside = self._less(count, building.splat(bits, count.type, before=op), op)
        amount = logic.select(inside, amount, last if is_arithmetic else zero, before=op)
        for ranges in (self._held, self._held.values):
            ranges.note(amount, Range(0, bits - 1))
        shifted = self._emit(op.name.removeprefix("stablehlo."), x.type, x, amount, before=op)
        return shifted if is_arithmetic else logic.select(inside, shifted, zero, before=op)

    def divide(self, op: ir.Operation) -> ir.Value | None:
        x, y = op.operands
        if not is_integer(x):
            return None
        quotient = self._quotient(x, y, op)
        if op.name == "stablehlo.divide":
            return quotient
        x, y = self._canonical(x, op), self._canonical(y, op)
        return insert_op(
            "subtract", x.type, x, insert_op("multiply", x.type, quotient, y, before=op), before=op
        )

    def _quotient(self, x: ir.Value, y: ir.Value, before: ir.Operation) -> ir.Value:
        for scope in self._quotients:
            if (x, y) in scope:
                return scope[x, y]
        found = self._divided(x, y, before)
        self._quotients[-1][x, y] = found
        return found

    def _divided(self, x: ir.Value, y: ir.Value, before: ir.Operation) -> ir.Value:
        """x / y toward zero, and -1 for y = 0, as XLA has it."""
        dtype, divisors = element_type(x), self._value(y)
        ones = building.splat(integer_limits(dtype)[1] if is_unsigned(dtype) else -1, x.type, before=before)
        if divisors.low == divisors.high == 0 or not divisors.has_numbers:
            return ones
        division = Division.of(self._value(x), divisors)
        if division.ring_bits > self._ring(x):
            self._errors.add(
                before,
                f"a division of these integers needs {division.ring_bits} bits, but is in ring "
                f"{self._ring(x)}; give it a rule with a wider ring, or convert them to the dtype that fits "
                "them",
            )
            return ones
        dividend, x_negative = self._magnitude(x, before)
        if division.constant is not None:
            y_negative: Bit = division.constant < 0
            numbers = {names.DIVISOR: abs(division.constant), names.LIMIT: max(1, division.dividend)}
            attributes = {
                name: ir.Attribute.parse(f"{number} : ui64", before.context)
                for name, number in numbers.items()
            }
            quotient = _dialect_op(names.QUOTIENT, dividend.type, [dividend], attributes, before)
        else:
            divisor, y_negative = self._magnitude(y, before)
            bits = {names.BITS: names.int_attribute(division.bits)}
            quotient = _dialect_op(names.QUOTIENT, dividend.type, [dividend, divisor], bits, before)
        quotient = self._convert(quotient, dtype, before)
        negative = logic.differ(x_negative, y_negative, before=before)
        if negative is not False:
            opposite = insert_op("negate", quotient.type, quotient, before=before)
            quotient = logic.select(negative, opposite, quotient, before=before)
        if 0 in divisors:
            zero = building.splat(0, y.type, before=before)
            quotient = logic.select(self._compare("EQ", y, zero, before), ones, quotient, before=before)
        return quotient

    def _magnitude(self, x: ir.Value, before: ir.Operation) -> tuple[ir.Value, Bit]:
        """|x|, of an unsigned type, and [x < 0]."""
        x = self._canonical(x, before)
        if is_unsigned(element_type(x)):
            return x, False
        negative = self._less(x, building.splat(0, x.type, before=before), before)
        size = x
        if negative is not False:
            size = logic.select(negative, insert_op("negate", x.type, x, before=before), x, before=before)
        size = self._convert(size, _unsigned(element_type(x)), before)
        known = intervals.magnitude(self._value(x))
        for ranges in (self._held, self._held.values):
            ranges.note(size, known)
        return size, negative

    def sort(self, op: ir.Operation) -> None:
        """Sorts by keys that the engine orders as the type does; the operands are carried along."""
        found = sort_key(op)
        assert found is not None
        number, direction = found
        key = op.operands[number]
        if element_type(key) == "i1":
            own = self._convert(key, "i32", op)
        elif is_integer(key) and not self._held.is_canonical(key):
            own = self._canonical(key, op)
            if own == key:
                # Unsigned, and filling the ring: with the top bit flipped, signed order is theirs.
                top = building.splat(1 << (width(element_type(key)) - 1), key.type, before=op)
                own = insert_op("add", key.type, key, top, before=op)
                own = self._convert(own, _signed(element_type(key)), op)
        else:
            return
        made = _sorted_by(own, direction, op)
        for old, new in zip(op.results, list(made.results)[1:], strict=True):
            self._held.replace(old, new)
        self._replaced.append(op)

    def upcast(self, op: ir.Operation) -> ir.Value | None:
        (x,), (result,) = op.operands, op.results
        ring = self._ring(x)
        if not is_integer(x) or not self._fills_ring(x) or upcasts_exactly(self._held.of(x), ring):
            return None
        # x = low + top * sign, of which `low` is in [0, 2^(k-1)).
        target = encoding_of(result)
        assert target is not None
        numbers = ((1 << (ring - 1)) * (1 if is_unsigned(element_type(x)) else -1), 1 << (ring - 2))
        top, half = (building.splat(number, x.type, before=op) for number in numbers)
        (bit,) = self._top_bits([x], op)
        low = insert_op("add", x.type, x, self._times(bit, top, op), before=op)
        low = insert_op("subtract", x.type, low, half, before=op)
        low = _dialect_op(op.name, result.type, [low], {}, op)
        bit = _dialect_op(op.name, encode_type(bit.type, target), [bit], {}, op)
        top, half = (building.splat(number, result.type, before=op) for number in numbers)
        low = insert_op("add", result.type, low, half, before=op)
        return insert_op("add", result.type, low, self._times(bit, top, op), before=op)

    def _times(self, bit: ir.Value, number: ir.Value, before: ir.Operation) -> ir.Value:
        return insert_op(
            "multiply", number.type, logic.number(bit, number, before=before), number, before=before
        )

    def reduction(self, op: ir.Operation) -> ir.Value | None:
        x, start = list(op.operands)[:2]
        if len(op.results) > 1 or not is_integer(x) or OPS[op.name].modular(op):
            return None
        name = str(reducer(op))
        known = self._held.of(x)
        fills_windows = op.name == "stablehlo.reduce" or folds.every_window_has_an_element(op)
        neutral = known.low if name == "maximum" else known.high
        if self._spans_less(x) and known.has_numbers:
            if self._spans_less(x, start):
                return None
            if fills_windows:
                # The type's own limit is further from the elements than a comparison reaches.
                op.operands[1] = building.splat(neutral, start.type, before=op)
                return None

        def combine(left: folds.Values, right: folds.Values) -> folds.Values:
            return [self._emit(name, left[0].type, left[0], right[0], before=op)]

        if op.name == "stablehlo.reduce":
            (row,) = folds.tournament(folds.rows_of(op), combine, op, in_order=False)
            return building.reshaped(row, shape_of(op.results[0]), before=op)
        if fills_windows and self._held.is_canonical(x):
            start = building.splat(neutral, start.type, before=op)
        return folds.doubled(op, folds.padded(op, 0, start), combine)

    def sum_of_products(self, op: ir.Operation) -> ir.Value | None:
        x, y = op.operands
        if element_type(x) != "i1":
            for number, operand in enumerate(op.operands):
                if self._is_extended(op, operand):
                    op.operands[number] = self._canonical(operand, op)
            return None
        # Of booleans: whether any product is true.
        x, y = (self._convert(v, "i32", op) for v in (x, y))
        (result,) = op.results
        type_ = ir.RankedTensorType.get(
            shape_of(result),
            ir.RankedTensorType(x.type).element_type,
            ir.RankedTensorType(result.type).encoding,
        )
        count = ir.Operation.create(
            op.name, [type_], [x, y], attributes_of(op), loc=op.location, ip=ir.InsertionPoint(op)
        ).results[0]
        return self._compare("NE", count, building.splat(0, type_, before=op), op)

    def _index(self, value: ir.Value, before: ir.Operation) -> ir.Value:
        """An index that the engine limits as StableHLO says: by comparisons, so it may not be huge."""
        known, reach = self._value(value), 1 << (self._ring(value) - 2)
        if self._held.is_canonical(value) and -reach <= known.low and known.high < reach:
            return self._canonical(value, before)
        return self._legalized(limited_index(value, before, before=before))


def _signed(dtype: str) -> str:
    return dtype.removeprefix("u")


def _unsigned(dtype: str) -> str:
    return dtype if dtype.startswith("u") else f"u{dtype}"


def _dialect_op(
    name: str,
    type_: ir.Type,
    operands: list[ir.Value],
    attributes: dict[str, ir.Attribute],
    before: ir.Operation,
) -> ir.Value:
    return ir.Operation.create(
        name, [type_], operands, attributes, loc=before.location, ip=ir.InsertionPoint(before)
    ).results[0]


def _sorted_by(key: ir.Value, direction: str, op: ir.Operation) -> ir.Operation:
    """The sort `op` with a key put first, by which it orders."""
    operands = [key, *op.operands]
    made = ir.Operation.create(
        op.name,
        [operand.type for operand in operands],
        operands,
        attributes_of(op),
        regions=1,
        loc=op.location,
        ip=ir.InsertionPoint(op),
    )
    scalars = [ir.RankedTensorType.get([], ir.RankedTensorType(v.type).element_type) for v in operands]
    types = [type_ for type_ in scalars for _ in range(2)]
    block = made.regions[0].blocks.append(*types, arg_locs=[op.location] * len(types))
    ip = ir.InsertionPoint(block)
    bit = ir.RankedTensorType.get([], ir.IntegerType.get_signless(1))
    before = ir.Operation.create(
        "stablehlo.compare",
        [bit],
        list(block.arguments)[:2],
        comparison_attributes(direction),
        loc=op.location,
        ip=ip,
    )
    ir.Operation.create("stablehlo.return", operands=[before.results[0]], loc=op.location, ip=ip)
    return made


_HANDLERS: Mapping[str, Callable[[_Legalizer, ir.Operation], ir.Value | None]] = {
    "ditto.upcast": _Legalizer.upcast,
    "stablehlo.abs": _Legalizer.magnitude,
    "stablehlo.add": _Legalizer.arithmetic,
    "stablehlo.case": _Legalizer.choose_branch,
    "stablehlo.clamp": _Legalizer.clamp,
    "stablehlo.compare": _Legalizer.compare,
    "stablehlo.convert": _Legalizer.convert,
    "stablehlo.convolution": _Legalizer.sum_of_products,
    "stablehlo.dot": _Legalizer.sum_of_products,
    "stablehlo.dot_general": _Legalizer.sum_of_products,
    "stablehlo.maximum": _Legalizer.extremum,
    "stablehlo.minimum": _Legalizer.extremum,
    "stablehlo.multiply": _Legalizer.arithmetic,
    "stablehlo.reduce": _Legalizer.reduction,
    "stablehlo.reduce_window": _Legalizer.reduction,
    "stablehlo.shift_left": _Legalizer.shift,
    "stablehlo.shift_right_arithmetic": _Legalizer.shift,
    "stablehlo.shift_right_logical": _Legalizer.shift,
    "stablehlo.sign": _Legalizer.sign,
    "stablehlo.sort": _Legalizer.sort,
    **dict.fromkeys(DIVISIONS, _Legalizer.divide),
}
"""Of ops that have integers among their operands; others that are not modular are given canonical ones."""
