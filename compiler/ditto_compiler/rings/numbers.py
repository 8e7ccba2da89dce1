"""What is known of a program's numbers before their rings are decided."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.beside.functions import MOST_FRAC, largest_value
from ditto_compiler.beside.placement import FRACTION_BITS, Effect, effect_of
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.intervals import Interval
from ditto_compiler.ir import (
    defining_op,
    encoding_of,
    func,
    ir,
    nested_ops,
    numel,
    ops_of,
    set_encoding,
)
from ditto_compiler.op_attributes import shape_of, terms_of
from ditto_compiler.ops import OPS, is_layout
from ditto_compiler.ops.scales import (
    dyadic_bits,
    is_constant,
    is_free,
    is_product,
    keeps_elements,
    multiply_by_reciprocal,
    working_scale,
)
from ditto_compiler.structure import REPEATING, constant, is_float, through_repeating


@dataclass
class Number:
    """What is decided of a fixed-point value.

    Attributes:
        home: what it would be in the engine.
        bound: its largest magnitude, known or assumed.
        frac: fraction bits.
        least: integer bits, sign and margin included, that its magnitude needs.
        made: integer bits of the ring that it is made in.
        wanted: integer bits that its most demanding use needs.
        is_known: whether its magnitude is, so that it may do with fewer fraction bits than the policy says.
        needed: fraction bits that it has at least, whatever its magnitude.
        quiet: the same of what it is computed from: its own say nothing if its operands' are cut off.
        spare: integer bits that its ring is to have beyond `least`; None where that is still to be decided.
    """

    home: Fxp
    bound: float
    frac: int
    least: int
    made: int
    is_known: bool
    wanted: int = 0
    needed: int = 0
    quiet: int = 0
    spare: int | None = None


PRODUCT_BITS = 8
"""Significant bits of a product of two numbers, of which one is small where the other is large."""

CANCELLED_BITS = 3
"""By so many fewer does what a sum of products is made of: its roundings partly cancel."""

ROUNDING = 2.0**-10
"""By how much, relatively, a value may exceed how large it gets."""

EVERYTHING: Interval = (-math.inf, math.inf)


@dataclass(frozen=True)
class Limits:
    """The options of ditto-assign-rings, which documents them."""

    significant_bits: int = 15
    fraction_bits: int = FRACTION_BITS
    margin_bits: int = 1
    least_bits: int = 11
    large: int = 1 << 10
    round_bits: int = 1 << 17


class Numbers:
    """The fixed-point values of an entry function without casts of numbers.

    Attributes:
        of: each value's number.
        ops: of the entry, in order.
        donated: arguments, by what is returned in their place.
    """

    def __init__(self, module: ir.Module, entry: func.FuncOp, limits: Limits) -> None:
        self.module = module
        self.entry = entry
        self.limits = limits
        self._secret = VisibilityAnalysis(module)
        self._ranges = RangeAnalysis(entry)
        self.ops = ops_of(entry.entry_block)
        # By first result: newer bindings hash an op by its content, which changes here.
        self._effects = {
            op.results[0]: effect for op in self.ops[:-1] if (effect := effect_of(op)) is not None
        }
        # Before operands change: an engine's op without fixed-point results works as its operands are.
        self._homes = {
            user.results[0]: working_scale(user)
            for op in self.ops[:-1]
            if self.effect(op) is None
            for user in (op, *nested_ops(op))
            if len(user.results) and user.name in OPS
        }
        self.of: dict[ir.Value, Number] = {}
        self._whole = self._find_whole()
        self._supplied: set[ir.Value] = set(entry.arguments)
        """What is made of arguments and constants alone, without products."""
        self._reaches: dict[ir.Value, float] = {}
        """How large values get that may be larger than their numbers."""
        for argument in entry.arguments:
            self._describe(argument, None)
        for op in self.ops[:-1]:
            for result in op.results:
                self._describe(result, op)
        self.donated: dict[ir.Value, ir.Value] = self._find_donated()
        for returned, argument in self.donated.items():
            # In the next run, the one is the other.
            number, next_one = self.of[argument], self.of[returned]
            number.bound = max(number.bound, next_one.bound)
            number.least = number.made = max(number.least, next_one.least)
            number.frac = min(max(number.frac, next_one.frac), WIDEST - number.least)

    def effect(self, op: ir.Operation) -> Effect | None:
        """What `op` does beside the engine; None for the engine's."""
        return self._effects.get(op.results[0]) if len(op.results) else None

    def home(self, op: ir.Operation) -> Fxp | None:
        """The ring and scale that an op of the engine, or what ends a region of one, works in."""
        if not len(op.results) and op.parent is not None:
            op = op.parent.operation
        return self._homes.get(op.results[0]) if len(op.results) else None

    def seen(self, value: ir.Value) -> Interval:
        """Where a value is known to be, or was measured to be, without a margin."""
        return self._ranges.interval(value)

    def is_secret(self, value: ir.Value) -> bool:
        """Whether a value is, or anything that it comes from."""
        return self._secret.is_secret(value)

    def operand_frac(self, value: ir.Value) -> int:
        """Fraction bits that a product's operand has: a constant's are those that are worth it."""
        number = self.of[value]
        if not is_constant(value):
            return number.frac
        # A constant is as exact as its own digits; two bits less than a number is worth are enough.
        worth = self.limits.significant_bits - 2 - magnitude(number.bound)
        return max(0, min(dyadic_bits(value, WIDEST), worth))

    def least_frac(self, value: ir.Value, in_engine: int, quiet: int) -> int:
        """Fraction bits that a product's operand keeps at least; as in the engine if it may be large."""
        number, frac = self.of[value], self.operand_frac(value)
        if not number.is_known:
            return min(frac, number.home.frac, in_engine)
        return min(frac, max(0, quiet, self.limits.least_bits - magnitude(number.bound)))

    def is_whole(self, value: ir.Value) -> bool:
        """Whether a number has no fraction, so that none of it is ever rounded."""
        return value in self._whole

    def moves(self, op: ir.Operation) -> bool:
        """Whether the elements of the result are elements of operands, and who is which is public."""
        chooses = op.name == "stablehlo.select" and not self.is_secret(op.operands[0])
        return chooses or is_layout(op)

    def comparable(self, number: Number, threshold: float) -> int:
        """Integer bits in which the difference of a number and a threshold does not wrap around."""
        bits = max(number.least, magnitude(number.bound + threshold) + 2)
        # Of what nothing is known the engine asks no more either.
        return min(bits, max(number.least, number.home.ring - number.home.frac))

    def _describe(self, value: ir.Value, op: ir.Operation | None) -> None:
        home = encoding_of(value)
        if not isinstance(home, Fxp):
            return
        known = self._ranges.bound(value)
        if op is not None:
            stated = names.get_attribute(op, names.MAX_ABS)
            if isinstance(stated, ir.FloatAttr):
                # What a form proves of its numbers holds whatever may stand beside numbers.
                known = min(known, stated.value)
            if op.name == names.ONESHOT:
                known = min(known, largest_value(op))
            if op.name == "stablehlo.select":
                known = min(known, max(map(abs, self._selected(value, None, EVERYTHING))))
        # Of what was always 0 nobody can tell how large it gets, unless it is a constant.
        is_known = known < math.inf and (known > 0 or is_constant(value))
        bound = known if is_known else self._assumed(value, op, home)
        frac = home.frac
        if is_known:
            frac = max(
                min(home.frac, self._enough_fraction(op)), self.limits.significant_bits - magnitude(bound)
            )
        least = max(2, magnitude(bound) + 2 + self.limits.margin_bits * is_known)
        if not is_known:
            least = min(least, home.ring - home.frac)
        reach = None if op is None else self._reach_of(op)
        if reach is not None:
            self._reaches[value] = reach
            # It is less than a quarter of the ring, for it may be widened.
            least = max(least, min(magnitude(reach * (1 + ROUNDING)) + 2, WIDEST - home.frac))
        frac = max(0, min(frac, WIDEST - least, max(MOST_FRAC, home.frac)))
        stated_frac = None if op is None else names.get_int(op, names.FRACTION)
        if stated_frac is not None:
            frac = min(stated_frac, WIDEST - least)
        if value in self._whole:
            frac = 0
        if op is None and not all(self.effect(use.owner.operation) for use in value.uses):
            # The engine reads it as it would alone.
            frac = max(frac, min(home.frac, WIDEST - least))
        number = Number(home, bound, frac, least, least, is_known)
        if op is not None and stated_frac is not None:
            number.spare = names.get_int(op, names.SPARE) or 0
        elif op is not None:
            self._inherit(op, number)
        self.of[value] = number

    def _inherit(self, op: ir.Operation, number: Number) -> None:
        """Of numbers that were decided on, sums and moves have as many fraction bits."""
        if self.effect(op) not in (Effect.LOCAL, Effect.SELECT):
            return
        operands = [v for v in op.operands if v in self.of and v not in self._supplied]
        if not operands:
            self._supplied.update(op.results)
        elif all(self.of[v].spare is not None for v in operands):
            number.frac = min(max(self.of[v].frac for v in operands), WIDEST - number.least)
            number.spare = names.get_int(op, names.SPARE) or 0

    def _enough_fraction(self, op: ir.Operation | None) -> int:
        """Fraction bits that a number of known magnitude may do with.

        What only a form or a proof bounds may be much smaller, and so may what is right relative to itself.
        """
        if op is None or names.RANGE in op.attributes:
            return self.limits.fraction_bits
        if op.name == names.ONESHOT and names.RELATIVE not in op.attributes:
            return self.limits.fraction_bits
        if self.effect(op) in (Effect.LOCAL, Effect.SELECT) and names.MAX_ABS not in op.attributes:
            numbers = [self.of[v].frac for v in op.operands if v in self.of and not is_constant(v)]
            return max(numbers, default=MOST_FRAC)
        return MOST_FRAC

    def _selected(self, value: ir.Value, x: ir.Value | None, among: Interval) -> Interval:
        """Where a value lies if x lies `among` some numbers: clips are selections by comparisons."""
        op = defining_op(value)
        is_x = x is not None and value == x
        if is_x or op is None or op.name != "stablehlo.select":
            low, high = self._ranges.interval(value)
            return (max(low, among[0]), min(high, among[1])) if is_x else (low, high)
        predicate = through_repeating(op.operands[0])
        less = defining_op(predicate)
        if less is None or less.name != names.LESS:
            return self._ranges.interval(value)
        compared, number = less.operands[0], self.of.get(less.operands[0])
        threshold = ir.DenseI64ArrayAttr(less.attributes[names.THRESHOLDS])[
            list(less.results).index(predicate)
        ]
        if number is None or names.SLACK in less.attributes:
            return self._ranges.interval(value)
        end = threshold * 2.0**-number.home.frac
        low, high = among if x is not None and compared == x else EVERYTHING
        below = self._selected(op.operands[1], compared, (low, min(high, end)))
        above = self._selected(op.operands[2], compared, (max(low, end), high))
        return min(below[0], above[0]), max(below[1], above[1])

    def _find_whole(self) -> set[ir.Value]:
        """Numbers without a fraction, made of booleans and integers, that only products read."""
        whole: set[ir.Value] = set()
        for op in self.ops[:-1]:
            numbers = [v for v in op.operands if isinstance(encoding_of(v), Fxp)]
            moves = self.effect(op) in (Effect.LOCAL, Effect.SELECT) and bool(numbers)
            if is_constant(op.results[0]):
                found = dyadic_bits(op.results[0], WIDEST) == 0
            elif op.name == "stablehlo.convert" and not numbers:
                found = self.effect(op) is Effect.NUMBER
            else:
                found = moves and whole.issuperset(numbers)
            if found and isinstance(encoding_of(op.results[0]), Fxp):
                whole.add(op.results[0])
        count = -1
        while count != len(whole):
            count = len(whole)
            for op in reversed(self.ops[:-1]):
                users = [use.owner.operation for use in op.results[0].uses] if len(op.results) else []
                if not all(
                    is_product(user) or (len(user.results) and user.results[0] in whole) for user in users
                ):
                    whole.difference_update(op.results)
            # What is moved has a fraction if that has which it is moved from: nothing is to be cut off.
            for op in self.ops[:-1]:
                numbers = [v for v in op.operands if isinstance(encoding_of(v), Fxp)]
                if len(op.results) and not whole.issuperset(numbers):
                    whole.difference_update(op.results)
        return whole

    def _find_donated(self) -> dict[ir.Value, ir.Value]:
        """Arguments by what is returned in their place: JAX says so of those that its caller donates."""
        returned = list(self.ops[-1].operands)
        found: dict[ir.Value, ir.Value] = {}
        attributes = names.argument_attributes(self.entry)
        for argument, entries in zip(self.entry.arguments, attributes, strict=True):
            place = entries.get(names.ALIASING)
            number = place.value if isinstance(place, ir.IntegerAttr) else -1
            if 0 <= number < len(returned) and argument in self.of:
                value = returned[number]
                if value in self.of and shape_of(value) == shape_of(argument):
                    found.setdefault(value, argument)
        return found

    def _reach_of(self, op: ir.Operation) -> float | None:
        """How large the result of an op gets, if that may be more than its numbers do.

        Then a guard tests it, or elements stand for infinity.
        """
        stated, effect = names.get_float(op, names.REACH), self.effect(op)
        is_masked = names.INFINITY in op.attributes
        carries = effect in (Effect.LOCAL, Effect.SELECT) and any(v in self._reaches for v in op.operands)
        if not is_masked and (stated is not None or not carries):
            return stated
        each = [self._reaches.get(v, self.of[v].bound) for v in op.operands if v in self.of]
        if effect is Effect.PRODUCT:
            found = math.prod(each)
        elif op.name in ("stablehlo.add", "stablehlo.subtract"):
            found = sum(each)
        else:
            found = max(each, default=0.0)
        return max(found, stated or 0.0)

    def _assumed(self, value: ir.Value, op: ir.Operation | None, home: Fxp) -> float:
        """The largest magnitude of a value of which nothing is known: what the engine would take."""
        whole = 2.0 ** (home.ring - 2 - home.frac)
        effect = None if op is None else self.effect(op)
        if op is None or effect not in (Effect.LOCAL, Effect.PRODUCT, Effect.SELECT):
            return whole
        if effect is Effect.PRODUCT:
            bound = 2.0 ** (home.ring - 2 - 2 * home.frac)
            known = [self._ranges.bound(v) for v in op.operands]
            if op.name == "stablehlo.multiply" and min(known) < math.inf:
                # As safe as the other operand, if there is room for all fraction bits.
                possible = min(known) * self.of[op.operands[0 if known[1] < math.inf else 1]].bound
                room = 2.0 ** (WIDEST - 2 - sum(self.operand_frac(v) for v in factors(op)))
                bound = min(possible, max(bound, room))
            room = 2.0 ** (WIDEST - 2 - sum(self.least_frac(v, home.frac, 0) for v in factors(op)))
            return min(whole, bound, room)
        bounds = [self.of[v].bound for v in op.operands if v in self.of]
        if op.name in ("stablehlo.add", "stablehlo.subtract"):
            return min(whole, sum(bounds))
        terms = numel(op.operands[0]) / max(1, numel(value)) if op.name == "stablehlo.reduce" else 1.0
        return min(whole, max(1.0, terms) * max(bounds, default=whole))


def magnitude(bound: float) -> int:
    """The least e with bound <= 2^e."""
    return math.ceil(math.log2(bound)) if bound > 2.0**-MOST_FRAC else -MOST_FRAC


def needed_bits(op: ir.Operation) -> int:
    """Fraction bits of a function's argument that leave the least of its arguments as exact as its result."""
    low, error = names.get_float(op, names.LOW), names.get_float(op, names.ERROR)
    if names.RELATIVE not in op.attributes or low is None or error is None or low <= 0:
        return 0
    return max(0, 2 - math.floor(math.log2(low * error)))


def balancing_bits(op: ir.Operation, numbers: Mapping[ir.Value, Number]) -> tuple[int, int]:
    """Fraction bits of two factors that keep the digits of a product smaller than theirs would be.

    Where one factor is large the other is small, so both need digits where their largest numbers have none:
    in x / norm(x), small rows are multiplied by the inverses of small norms. What rounding takes from one
    factor, the other makes larger by its own largest number.
    """
    if op.name != "stablehlo.multiply" or len(op.operands) != 2 or op.operands[0] == op.operands[1]:
        return 0, 0
    result, left, right = (numbers[value] for value in (op.results[0], *op.operands))
    if not (result.is_known and left.is_known and right.is_known) or result.spare is not None:
        return 0, 0
    size = magnitude(result.bound)
    return PRODUCT_BITS + magnitude(right.bound) - size, PRODUCT_BITS + magnitude(left.bound) - size


def summing_bits(op: ir.Operation, numbers: Mapping[ir.Value, Number]) -> tuple[int, int]:
    """Fraction bits of the factors of a matrix product that keep its result as quiet as it is to be."""
    result = numbers[op.results[0]]
    left, right = (numbers[value] for value in factors(op))
    quiet = result.quiet - CANCELLED_BITS
    known = left.is_known and right.is_known and result.spare is None
    if quiet <= 0 or not known or not multiplications(op):
        return 0, 0
    # Roundings add up like the steps of a random walk.
    bits = quiet + math.ceil(math.log2(terms_of(op)) / 2)
    return bits + magnitude(right.bound), bits + magnitude(left.bound)


def factors(op: ir.Operation) -> tuple[ir.Value, ir.Value]:
    """The operands of a product; a square has one."""
    return op.operands[0], op.operands[len(op.operands) - 1]


def source_of(value: ir.Value) -> ir.Value:
    """What a value has just the elements of, moved: an argument, a constant, or what an op computes."""
    while (op := defining_op(value)) is not None and keeps_elements(op) and len(op.operands) == 1:
        value = op.operands[0]
    return value


def product_readers(value: ir.Value) -> list[tuple[ir.Operation, int]] | None:
    """Products that read a value, or just its elements moved, and as which factor; None if others do."""
    found = []
    for use in value.uses:
        user = use.owner.operation
        if is_product(user):
            found.append((user, min(use.operand_number, 1)))
        elif len(user.results) and is_free(user.results[0]):
            further = product_readers(user.results[0])
            if further is None:
                return None
            found += further
        else:
            return None
    return found


def multiplications(op: ir.Operation) -> int:
    """Of a matrix product or convolution; 0 for one element by element."""
    if op.name in ("stablehlo.dot", "stablehlo.dot_general", "stablehlo.convolution"):
        return numel(op.results[0]) * terms_of(op)
    return 0


def is_continuous(less: ir.Operation) -> bool:
    """Whether it matters little if a comparison is wrong about numbers near its thresholds.

    So it is where slack is allowed, of clips, which choose between a number and the threshold, and of maxima
    and minima, which choose between two by their difference.
    """
    if names.SLACK in less.attributes:
        return True
    compared = less.operands[0]
    encoding, made = encoding_of(compared), defining_op(compared)
    assert isinstance(encoding, Fxp)
    thresholds = ir.DenseI64ArrayAttr(less.attributes[names.THRESHOLDS])
    for result, threshold in zip(less.results, thresholds, strict=True):
        for select in _choosing(result):
            if select is None:
                return False
            branches = [select.operands[1], select.operands[2]]
            if compared in branches:
                other = constant(branches[1 - branches.index(compared)])
                if other is None or abs(other - threshold * 2.0**-encoding.frac) > 2.0 ** -(
                    encoding.frac - 1
                ):
                    return False
            elif (
                made is None
                or made.name != "stablehlo.subtract"
                or threshold
                or {*branches} != {*made.operands}
            ):
                return False
    return True


def _choosing(predicate: ir.Value) -> Iterator[ir.Operation | None]:
    """The selections that a boolean decides, also as its copies; None for any other use."""
    for use in predicate.uses:
        user = use.owner.operation
        if user.name in REPEATING:
            yield from _choosing(user.results[0])
        else:
            yield user if user.name == "stablehlo.select" and user.operands[0] == predicate else None


def prepare(entry: func.FuncOp) -> None:
    """Makes of an annotated entry function with casts one whose numbers can be described."""
    divisions_to_products(entry)
    _drop_casts(entry)
    _merge_arguments(entry)


def divisions_to_products(entry: func.FuncOp) -> None:
    """Divisions by constants are products."""
    for op in ops_of(entry.entry_block):
        if op.name == "stablehlo.divide":
            multiply_by_reciprocal(op)


def ops_with_results(entry: func.FuncOp) -> list[ir.Operation]:
    """All but the return."""
    return [op for op in ops_of(entry.entry_block)[:-1] if len(op.results)]


def _drop_casts(entry: func.FuncOp) -> None:
    """Takes the casts of numbers out: each op keeps the ring and scale that it would work in."""
    for op in ops_of(entry.entry_block):
        if op.name in names.CASTS and is_float(op.results[0]):
            op.results[0].replace_all_uses_with(op.operands[0])
            op.erase()


def _merge_arguments(entry: func.FuncOp) -> None:
    """What the engine would take in several encodings is one number here, if its magnitude is known."""
    first: dict[int, ir.Value] = {}
    for argument, attributes in zip(entry.arguments, names.argument_attributes(entry), strict=True):
        home = encoding_of(argument)
        moved = all(effect_of(use.owner.operation) for use in argument.uses)
        if names.INPUT in attributes and names.RANGE in attributes and isinstance(home, Fxp) and moved:
            kept = first.setdefault(attributes[names.INPUT].value, argument)
            other = encoding_of(kept)
            if kept != argument and isinstance(other, Fxp):
                set_encoding(kept, home if home.frac > other.frac else other)
                argument.replace_all_uses_with(kept)
