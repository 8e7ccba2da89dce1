"""The pass `ditto-assign-rings`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.ranges import RangeAnalysis
from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.beside.functions import MOST_FRAC, fitted_terms, largest_value
from ditto_compiler.beside.placement import FRACTION_BITS, Effect, effect_of
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dialect.cast_ops import constant_at, insert_casts
from ditto_compiler.encoding import Fxp
from ditto_compiler.errors import DittoError
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.intervals import Interval
from ditto_compiler.ir import (
    attributes_of,
    defining_op,
    drop_unused_functions,
    encoding_of,
    func,
    ir,
    is_tensor,
    nested_ops,
    numel,
    ops_of,
    set_encoding,
    set_function_type,
    top_level_ancestor,
)
from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.op_attributes import dot_dimensions, first_index, shape_of
from ditto_compiler.ops import OPS, is_layout, is_source
from ditto_compiler.ops.scales import (
    dyadic_bits,
    is_constant,
    is_free,
    is_product,
    multiply_by_reciprocal,
    working_scale,
)
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import is_float, through_repeating


@dataclass(frozen=True)
class DittoAssignRings(Pass):
    """Move what can run on shares beside the engine, and give its numbers the narrowest rings they fit.

    Beside the engine (docs/protocols.md) a ring may have any width up to 64 bits, a product truncates for
    nothing, and widening costs by the bit. So each number gets as many fraction bits as make
    `significant_bits` of its magnitude, or `fraction_bits` if that is more, and a ring of just the bits that
    its magnitude needs, with `margin_bits` to spare; where nothing is known of its magnitude, what the policy
    gives it in the engine. Ops that run there get the attribute `ditto.beside`.

    - a product of numbers with a and b fraction bits in ring k has a result with f in ring k - (a + b - f):
      the dropped bits and their place in the ring go together
    - a number is widened (`ditto.upcast`) once, to what its most demanding use needs, where that costs
      fewest bits: after a sum rather than before, before a broadcast rather than after
    - operands of large matrix products give up fraction bits, down to `least_bits` significant ones, to stay
      in words of 32 bits
    - a function (`ditto.oneshot`) is fitted here, for the rings that its argument and result have
    - what is returned is shifted left into a ring of 32 or 64 bits, which is free; in place of an argument
      (`tf.aliasing_output`: JAX's donated ones) it is as that

    Every other op stays in the engine, in the ring and at the scale that it has; casts lead there and back.

    Requires: casts inserted, reductions and comparisons expanded. Ensures: c2, c6.

    Before:

        %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] {ditto.range = array<f64: -5.0, 5.0>}
          : (tensor<2x8xf32, #ditto.fxp<64, 18>>, tensor<8x4xf32, #ditto.fxp<64, 18>>)
          -> tensor<2x4xf32, #ditto.fxp<64, 18>>

    After:

        %0 = stablehlo.dot_general %1, %2, contracting_dims = [1] x [0] {ditto.beside, ...}
          : (tensor<2x8xf32, #ditto.fxp<32, 13>>, tensor<8x4xf32, #ditto.fxp<32, 13>>)
          -> tensor<2x4xf32, #ditto.fxp<19, 13>>

    Errors: numbers that do not fit 64 bits at any useful scale; a function that cannot be fitted (both name
    the op and what to do); a module without explicit casts.
    """

    name: ClassVar[str] = "ditto-assign-rings"
    significant_bits: int = 15
    """Bits of each number, from that of its largest magnitude on, that are worth keeping."""
    fraction_bits: int = FRACTION_BITS
    """Fraction bits that measured numbers keep, however large, where the policy gives as many."""
    margin_bits: int = 1
    """Bits kept free above the known magnitude of every number."""
    least_bits: int = 11
    """Significant bits that an operand of a large product keeps at least."""
    large: int = 1 << 10
    """Multiplications from which on a matrix product is large."""
    round_bits: int = 1 << 17
    """How many bits are sent rather than wait for another round."""

    def __post_init__(self) -> None:
        for name in ("significant_bits", "fraction_bits", "least_bits"):
            if not 1 <= getattr(self, name) <= MOST_FRAC:
                raise DittoError(f"{name} must be from 1 to {MOST_FRAC}, got {getattr(self, name)}")
        if not 0 <= self.margin_bits <= MOST_FRAC:
            raise DittoError(f"margin_bits must be from 0 to {MOST_FRAC}, got {self.margin_bits}")
        for name in ("large", "round_bits"):
            if getattr(self, name) < 0:
                raise DittoError(f"{name} must be at least 0, got {getattr(self, name)}")

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-insert-casts")
        for op in ops_of(entry.entry_block):
            if op.name == "stablehlo.divide":
                multiply_by_reciprocal(op)
        _drop_casts(entry)
        _merge_arguments(entry)
        _Assigner(module, entry, self, errors).run()
        errors.raise_if_any()
        set_function_type(entry)
        drop_unused_functions(module)


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


@dataclass
class _Number:
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
    """

    home: Fxp
    bound: float
    frac: int
    least: int
    made: int
    is_known: bool
    wanted: int = 0
    needed: int = 0

    @property
    def significant(self) -> int:
        """Bits from its largest magnitude to its last place."""
        return self.frac + _magnitude(self.bound)


ROUNDING = 2.0**-10
"""By how much, relatively, a value may exceed how large it gets."""

FEW = 1 << 11
"""Elements up to which rounds matter more than bytes."""

EVERYTHING: Interval = (-math.inf, math.inf)

DEPTH = 6
"""How far up the cost of widening operands is estimated."""


class _Assigner:
    def __init__(
        self, module: ir.Module, entry: func.FuncOp, options: DittoAssignRings, errors: ErrorCollector
    ) -> None:
        self._module = module
        self._entry = entry
        self._options = options
        self._errors = errors
        self._secret = VisibilityAnalysis(module)
        self._ranges = RangeAnalysis(entry)
        self._ops = ops_of(entry.entry_block)
        # By first result: newer bindings hash an op by its content, which changes here.
        self._effects = {
            op.results[0]: effect for op in self._ops[:-1] if (effect := effect_of(op)) is not None
        }
        # Before operands change: an engine's op without fixed-point results works as its operands are.
        self._homes = {
            user.results[0]: working_scale(user)
            for op in self._ops[:-1]
            if self._effect(op) is None
            for user in (op, *nested_ops(op))
            if len(user.results) and user.name in OPS
        }
        self._numbers: dict[ir.Value, _Number] = {}
        self._whole = self._find_whole()
        self._reaches: dict[ir.Value, float] = {}
        """How large values get that may be larger than their numbers."""
        self._scales: dict[ir.Value, tuple[int, int]] = {}
        self._terms: dict[ir.Value, Terms] = {}
        self._cast: dict[tuple[ir.Value, Fxp], ir.Value] = {}
        self._donated: dict[ir.Value, ir.Value] = {}
        """Arguments by what is returned in their place."""
        self._returned: dict[ir.Value, int] = {}
        """Fraction bits that it keeps, for the next run."""

    def run(self) -> None:
        for argument in self._entry.arguments:
            self._describe(argument, None)
        for op in self._ops[:-1]:
            for result in op.results:
                self._describe(result, op)
        self._donated = self._find_donated()
        for returned, argument in self._donated.items():
            # In the next run, the one is the other.
            number, next_one = self._numbers[argument], self._numbers[returned]
            number.bound = max(number.bound, next_one.bound)
            number.least = number.made = max(number.least, next_one.least)
            number.frac = min(max(number.frac, next_one.frac), WIDEST - number.least)
        for op in reversed(self._ops):
            self._limit_fractions(op)
        for op in reversed(self._ops):
            self._decide(op)
        if self._errors.diagnostics:
            return
        for argument in self._entry.arguments:
            self._read_alike(argument)
        self._shorten_all()
        for returned, argument in self._donated.items():
            self._keep_alike(argument, returned)
        self._write()

    def _effect(self, op: ir.Operation) -> Effect | None:
        """What `op` does beside the engine; None for the engine's."""
        return self._effects.get(op.results[0]) if len(op.results) else None

    # What is known of each number.

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
                min(home.frac, self._enough_fraction(op)), self._options.significant_bits - _magnitude(bound)
            )
        least = max(2, _magnitude(bound) + 2 + self._options.margin_bits * is_known)
        if not is_known:
            least = min(least, home.ring - home.frac)
        reach = None if op is None else self._reach_of(op)
        if reach is not None:
            self._reaches[value] = reach
            # It is less than a quarter of the ring, for it may be widened.
            least = max(least, min(_magnitude(reach * (1 + ROUNDING)) + 2, WIDEST - home.frac))
        frac = max(0, min(frac, WIDEST - least, max(MOST_FRAC, home.frac)))
        if value in self._whole:
            frac = 0
        if op is None and not all(self._effect(use.owner.operation) for use in value.uses):
            # The engine reads it as it would alone.
            frac = max(frac, min(home.frac, WIDEST - least))
        self._numbers[value] = _Number(home, bound, frac, least, least, is_known)

    def _enough_fraction(self, op: ir.Operation | None) -> int:
        """Fraction bits that a number of known magnitude may do with.

        What only a form or a proof bounds may be much smaller, and so may what is right relative to itself.
        """
        if op is None or names.RANGE in op.attributes:
            return self._options.fraction_bits
        if op.name == names.ONESHOT and names.RELATIVE not in op.attributes:
            return self._options.fraction_bits
        if self._effect(op) in (Effect.LOCAL, Effect.SELECT) and names.MAX_ABS not in op.attributes:
            numbers = [
                self._numbers[v].frac for v in op.operands if v in self._numbers and not is_constant(v)
            ]
            return max(numbers, default=MOST_FRAC)
        return MOST_FRAC

    def _selected(self, value: ir.Value, x: ir.Value | None, among: Interval) -> Interval:
        """Where a value lies if x lies `among` some numbers: clips are selections by comparisons."""
        op = defining_op(value)
        if value == x or op is None or op.name != "stablehlo.select":
            low, high = self._ranges.interval(value)
            return (max(low, among[0]), min(high, among[1])) if value == x else (low, high)
        predicate = through_repeating(op.operands[0])
        less = defining_op(predicate)
        if less is None or less.name != names.LESS:
            return self._ranges.interval(value)
        compared, number = less.operands[0], self._numbers.get(less.operands[0])
        threshold = ir.DenseI64ArrayAttr(less.attributes[names.THRESHOLDS])[
            list(less.results).index(predicate)
        ]
        if number is None or names.SLACK in less.attributes:
            return self._ranges.interval(value)
        end = threshold * 2.0**-number.home.frac
        low, high = among if compared == x else EVERYTHING
        below = self._selected(op.operands[1], compared, (low, min(high, end)))
        above = self._selected(op.operands[2], compared, (max(low, end), high))
        return min(below[0], above[0]), max(below[1], above[1])

    def _find_whole(self) -> set[ir.Value]:
        """Numbers without a fraction, made of booleans and integers, that only products read."""
        whole: set[ir.Value] = set()
        for op in self._ops[:-1]:
            numbers = [v for v in op.operands if isinstance(encoding_of(v), Fxp)]
            moves = self._effect(op) in (Effect.LOCAL, Effect.SELECT) and bool(numbers)
            if is_constant(op.results[0]):
                found = dyadic_bits(op.results[0], WIDEST) == 0
            elif op.name == "stablehlo.convert" and not numbers:
                found = self._effect(op) is Effect.NUMBER
            else:
                found = moves and whole.issuperset(numbers)
            if found and isinstance(encoding_of(op.results[0]), Fxp):
                whole.add(op.results[0])
        for op in reversed(self._ops[:-1]):
            users = [use.owner.operation for use in op.results[0].uses] if len(op.results) else []
            if not all(
                is_product(user) or (len(user.results) and user.results[0] in whole) for user in users
            ):
                whole.difference_update(op.results)
        return whole

    def _find_donated(self) -> dict[ir.Value, ir.Value]:
        """Arguments by what is returned in their place: JAX says so of those that its caller donates."""
        returned = list(self._ops[-1].operands)
        found: dict[ir.Value, ir.Value] = {}
        attributes = names.argument_attributes(self._entry)
        for argument, entries in zip(self._entry.arguments, attributes, strict=True):
            place = entries.get(names.ALIASING)
            number = place.value if isinstance(place, ir.IntegerAttr) else -1
            if 0 <= number < len(returned) and argument in self._numbers:
                value = returned[number]
                if value in self._numbers and shape_of(value) == shape_of(argument):
                    found.setdefault(value, argument)
        return found

    def _reach_of(self, op: ir.Operation) -> float | None:
        """How large the result of an op gets, if that may be more than its numbers do.

        Then a guard tests it, or elements stand for infinity.
        """
        stated, effect = names.get_float(op, names.REACH), self._effect(op)
        is_masked = names.INFINITY in op.attributes
        carries = effect in (Effect.LOCAL, Effect.SELECT) and any(v in self._reaches for v in op.operands)
        if not is_masked and (stated is not None or not carries):
            return stated
        each = [self._reaches.get(v, self._numbers[v].bound) for v in op.operands if v in self._numbers]
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
        effect = None if op is None else self._effect(op)
        if op is None or effect not in (Effect.LOCAL, Effect.PRODUCT, Effect.SELECT):
            return whole
        if effect is Effect.PRODUCT:
            bound = 2.0 ** (home.ring - 2 - 2 * home.frac)
            known = [self._ranges.bound(v) for v in op.operands]
            if op.name == "stablehlo.multiply" and min(known) < math.inf:
                # As safe as the other operand, if there is room for all fraction bits.
                possible = min(known) * self._numbers[op.operands[0 if known[1] < math.inf else 1]].bound
                room = 2.0 ** (WIDEST - 2 - sum(self._operand_frac(v) for v in _factors(op)))
                bound = min(possible, max(bound, room))
            room = 2.0 ** (WIDEST - 2 - sum(self._least_frac(v, home.frac) for v in _factors(op)))
            return min(whole, bound, room)
        bounds = [self._numbers[v].bound for v in op.operands if v in self._numbers]
        if op.name in ("stablehlo.add", "stablehlo.subtract"):
            return min(whole, sum(bounds))
        terms = numel(op.operands[0]) / max(1, numel(value)) if op.name == "stablehlo.reduce" else 1.0
        return min(whole, max(1.0, terms) * max(bounds, default=whole))

    def _limit_fractions(self, op: ir.Operation) -> None:
        """Takes fraction bits from results that no use has a use for, and adds what functions ask for."""
        if self._effect(op) is Effect.FUNCTION:
            self._need(op.operands[0], _needed_bits(op))
        for result in op.results:
            number = self._numbers.get(result)
            if number is None or self._effect(op) is None:
                continue
            worth = [self._worth(use.owner.operation, result) for use in result.uses]
            if worth:
                number.frac = min(number.frac, max(worth))
            number.frac = min(max(number.frac, number.needed), WIDEST - number.least)
            if self._effect(op) in (Effect.LOCAL, Effect.SELECT):
                for operand in op.operands:
                    self._need(operand, number.needed)

    def _need(self, value: ir.Value, bits: int) -> None:
        number = self._numbers.get(value)
        if number is not None:
            number.needed = max(number.needed, bits)

    def _worth(self, user: ir.Operation, value: ir.Value) -> int:
        """The most fraction bits of `value` that `user` reads."""
        effect = self._effect(user)
        if effect in (Effect.LOCAL, Effect.SELECT):
            return self._numbers[user.results[0]].frac
        return self._numbers[value].frac

    # Rings, from the last op to the first: each use says how many integer bits it needs.

    def _decide(self, op: ir.Operation) -> None:
        effect = self._effect(op)
        if len(op.results) and is_constant(op.results[0]):
            # Written again wherever it is used.
            return
        if effect is None:
            # The engine's op takes its operands as it is, and what is returned just as it was made.
            if op is not self._ops[-1]:
                self._want_for_engine(op)
            return
        numbers = [self._numbers[r] for r in op.results if r in self._numbers]
        if effect is Effect.LESS:
            self._want_for_comparison(op)
        elif effect is Effect.FUNCTION:
            self._fit(op, numbers[0])
        elif effect is Effect.PRODUCT and numbers:
            self._decide_product(op, numbers[0])
        elif effect in (Effect.LOCAL, Effect.SELECT) and numbers and not is_source(op):
            self._decide_local(op, numbers[0], effect)
        elif effect is Effect.NUMBER and numbers:
            numbers[0].made = min(max(numbers[0].least, numbers[0].wanted), WIDEST - numbers[0].frac)
        for number in numbers:
            if number.made + number.frac > WIDEST or number.wanted > WIDEST:
                self._too_large(op, number)
                return

    def _decide_local(self, op: ir.Operation, result: _Number, effect: Effect) -> None:
        operands = [v for v in dict.fromkeys(op.operands) if v in self._numbers]
        extra = result.wanted - result.least
        result.made = result.least
        if extra > 0:
            push = sum(self._cost(v, result.wanted) for v in operands)
            if effect is Effect.SELECT and self._is_secret(op.operands[0]):
                push += 4 * extra * numel(op.results[0])
            if (
                push < self._widening(extra, op.results[0]) + self._options.round_bits
                and result.wanted + result.frac <= WIDEST
            ):
                result.made = result.wanted
        for value in operands:
            self._want(value, result.made)

    def _decide_product(self, op: ir.Operation, result: _Number) -> None:
        left, right = _factors(op)
        result.made = result.least
        fracs = self._product_scales(op, result.made)
        if fracs is None:
            self._too_large(op, result)
            return
        extra = result.wanted - result.made
        if extra > 0 and result.wanted + sum(fracs) <= self._room(op):
            push = self._cost(left, result.wanted + fracs[1])
            if right != left:
                push += self._cost(right, result.wanted + fracs[0])
            if self._is_secret(left) and self._is_secret(right):
                push += 3 * extra * numel(op.results[0])
            if push < self._widening(extra, op.results[0]) + self._options.round_bits:
                result.made = result.wanted
        result.frac = min(result.frac, sum(fracs))
        self._scales[op.results[0]] = fracs
        self._want(left, result.made + fracs[1])
        self._want(right, result.made + fracs[0])

    def _room(self, op: ir.Operation) -> int:
        return 32 if _multiplications(op) >= self._options.large else WIDEST

    def _product_scales(self, op: ir.Operation, made: int) -> tuple[int, int] | None:
        """Fraction bits of a product's operands, so that the exact product fits; None if there are none."""
        values = _factors(op)
        for room in dict.fromkeys((self._room(op), WIDEST)):
            fracs = [self._operand_frac(value) for value in values]
            home = self._numbers[op.results[0]].home
            least = [self._least_frac(value, home.frac) for value in values]
            if 0 in fracs:
                # Then nothing has to be truncated.
                fracs = [min(frac, self._numbers[op.results[0]].frac) for frac in fracs]
            while made + sum(fracs) > room:
                able = [i for i in (0, 1) if fracs[i] > least[i]]
                if not able:
                    break
                widest = max(able, key=lambda i: fracs[i] + _magnitude(self._numbers[values[i]].bound))
                fracs[widest] -= 1
                if values[0] == values[1]:
                    fracs = [min(fracs)] * 2
            if made + sum(fracs) <= room:
                return fracs[0], fracs[1]
        return None

    def _operand_frac(self, value: ir.Value) -> int:
        number = self._numbers[value]
        if not is_constant(value):
            return number.frac
        # A constant is as exact as its own digits; two bits less than a number is worth are enough.
        worth = self._options.significant_bits - 2 - _magnitude(number.bound)
        return max(0, min(dyadic_bits(value, WIDEST), worth))

    def _least_frac(self, value: ir.Value, in_engine: int) -> int:
        """Fraction bits that a product's operand keeps at least; as in the engine if it may be large."""
        number, frac = self._numbers[value], self._operand_frac(value)
        if not number.is_known:
            return min(frac, number.home.frac, in_engine)
        return min(frac, max(0, self._options.least_bits - _magnitude(number.bound)))

    def _want(self, value: ir.Value, bits: int) -> None:
        number = self._numbers.get(value)
        if number is not None:
            number.wanted = max(number.wanted, bits)

    def _want_for_engine(self, op: ir.Operation) -> None:
        for user in (op, *nested_ops(op)):
            scale = self._home(user)
            for value in user.operands:
                if scale is not None and value in self._numbers and value not in self._of_engine(value):
                    if scale.ring > WIDEST:
                        scale = self._numbers[value].home
                    self._want(value, scale.ring - scale.frac)

    def _home(self, op: ir.Operation) -> Fxp | None:
        """The ring and scale that an op of the engine, or what ends a region of one, works in."""
        if not len(op.results) and op.parent is not None:
            op = op.parent.operation
        return self._homes.get(op.results[0]) if len(op.results) else None

    def _of_engine(self, value: ir.Value) -> Sequence[ir.Value]:
        """The value, if it is the engine's own: that has no widening to ask for."""
        op = defining_op(value)
        return [value] if op is not None and self._effect(op) is None else []

    def _want_for_comparison(self, op: ir.Operation) -> None:
        number = self._numbers[op.operands[0]]
        thresholds = ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS])
        largest = max(abs(t) for t in thresholds) * 2.0**-number.home.frac
        self._want(op.operands[0], self._comparable(number, largest))

    def _comparable(self, number: _Number, threshold: float) -> int:
        """Integer bits in which the difference of a number and a threshold does not wrap around."""
        bits = max(number.least, _magnitude(number.bound + threshold) + 2)
        # Of what nothing is known the engine asks no more either.
        return min(bits, max(number.least, number.home.ring - number.home.frac))

    def _fit(self, op: ir.Operation, result: _Number) -> None:
        argument = self._numbers[op.operands[0]]
        # Of few numbers, what a wider ring adds to every word is less than two more rounds.
        few = numel(op.results[0]) <= FEW
        terms: Terms | str = ""
        for made in dict.fromkeys((max(result.least, result.wanted) if few else result.least, result.least)):
            terms = fitted_terms(op, argument.frac, Fxp(made + result.frac, result.frac))
            if isinstance(terms, Terms):
                result.made, result.frac = made, terms.result_frac
                self._terms[op.results[0]] = terms
                self._want(op.operands[0], terms.ring - terms.frac)
                return
        self._errors.add(op, str(terms))

    def _cost(self, value: ir.Value, bits: int, depth: int = DEPTH) -> int:
        """About how many bits it takes to have a value with so many integer bits."""
        number = self._numbers.get(value)
        if number is None or not self._is_secret(value) or is_constant(value):
            return 0
        extra = bits - max(number.least, number.wanted)
        op = defining_op(value)
        if extra <= 0 or op is None:
            return 0
        effect = self._effect(op)
        # What is widened anyway, or can be made so, takes no rounds of its own.
        is_made = effect is Effect.SELECT or (effect is Effect.PRODUCT and self._room(op) == WIDEST)
        is_wide = number.wanted > number.least
        here = 4 * extra * numel(value) if is_made or is_wide else self._widening(extra, value)
        if effect is Effect.LOCAL and depth:
            operands = [v for v in dict.fromkeys(op.operands) if v in self._numbers]
            return min(here, sum(self._cost(v, bits, depth - 1) for v in operands))
        return here

    def _widening(self, extra: int, value: ir.Value) -> int:
        """Bits that it takes to widen a value: 4 words of each element, in two rounds."""
        return 4 * extra * numel(value) + 2 * self._options.round_bits

    def _is_secret(self, value: ir.Value) -> bool:
        return self._secret.is_secret(value)

    def _too_large(self, op: ir.Operation, number: _Number) -> None:
        known = f"reach {number.bound:.3g}, which" if number.is_known else "are of unknown magnitude, and"
        self._errors.add(
            op,
            f"its numbers {known} with their fraction bits, and those of what they are multiplied by, do not "
            f"fit {WIDEST} bits; calibrate, or give it a rule with fewer frac bits",
        )

    def _read_alike(self, argument: ir.Value) -> None:
        """Products that read the same argument at different scales read it at the least of them.

        Then it is supplied just as they take it, and not cast in every run: a model's table of words is its
        first and its last matrix.
        """
        readers = self._products_of(argument)
        if numel(argument) <= FEW or not readers:
            return
        least = min(self._scales[op.results[0]][place] for op, place in readers)
        scales = dict(self._scales)
        for op, place in readers:
            left, right = scales[op.results[0]]
            scales[op.results[0]] = (least, right) if place == 0 else (left, least)
        if all(self._numbers[op.results[0]].frac <= sum(scales[op.results[0]]) for op, _ in readers):
            self._scales = scales

    def _products_of(self, value: ir.Value) -> list[tuple[ir.Operation, int]] | None:
        """Products that read a value, or just its elements moved, and as which operand; None if others do."""
        found = []
        for use in value.uses:
            user = use.owner.operation
            if self._effect(user) is Effect.PRODUCT and user.results[0] in self._scales:
                found.append((user, min(use.operand_number, 1)))
            elif len(user.results) and is_free(user.results[0]) and self._effect(user) is Effect.LOCAL:
                further = self._products_of(user.results[0])
                if further is None:
                    return None
                found += further
            else:
                return None
        return found

    def _shorten_all(self) -> None:
        """`_shorten` for all; what is returned for the next run keeps the bits that the next run reads."""
        before = {value: number.frac for value, number in self._numbers.items()}
        while True:
            for op in reversed(self._ops[:-1]):
                self._shorten(op, op.results)
            self._shorten(None, self._entry.arguments)
            short = {
                returned: min(self._numbers[argument].frac, before[returned])
                for returned, argument in self._donated.items()
                if self._numbers[returned].frac < min(self._numbers[argument].frac, before[returned])
            }
            if not short:
                return
            self._returned.update(short)
            for value, frac in before.items():
                self._numbers[value].frac = frac

    def _keep_alike(self, argument: ir.Value, returned: ir.Value) -> None:
        """Has an argument, and what the next run is given in its place, in one ring, if that is free."""
        mine, number = self._numbers[argument], self._numbers[returned]
        if mine.frac != number.frac:
            return
        whole = max(mine.least, mine.wanted, number.made)
        mine.wanted = (32 if whole + mine.frac <= 32 else 64) - mine.frac
        self._remake(returned, mine.wanted)

    def _remake(self, value: ir.Value, made: int) -> None:
        """Has a value, and of what its elements were moved, in a wider ring."""
        op = defining_op(value)
        if op is None or value not in self._numbers or self._effect(op) is None or not self._moves(op):
            return
        self._numbers[value].made = max(self._numbers[value].made, made)
        for operand in op.operands:
            if operand in self._numbers and self._numbers[operand].frac == self._numbers[value].frac:
                self._remake(operand, made)

    def _moves(self, op: ir.Operation) -> bool:
        """Whether the elements of the result are elements of operands, and who is which is public."""
        chooses = op.name == "stablehlo.select" and not self._is_secret(op.operands[0])
        return chooses or is_layout(op)

    def _shorten(self, op: ir.Operation | None, values: Sequence[ir.Value]) -> None:
        """Takes the fraction bits from arguments, and what moves them, that products then had no room for.

        What is computed is rounded where it is used, once, and not before it is added to something.
        """
        if op is not None and self._effect(op) is None:
            return
        for value in values:
            number = self._numbers.get(value) if is_free(value) else None
            uses = [] if number is None else [use.owner.operation for use in value.uses]
            if value in self._donated and any(user is not self._ops[-1] for user in uses):
                uses.remove(self._ops[-1])
            if number is not None and uses:
                read = max(self._read(user, value) for user in uses)
                number.frac = min(number.frac, max(read, self._returned.get(value, 0)))

    def _read(self, user: ir.Operation, value: ir.Value) -> int:
        """The fraction bits of `value` that `user` does read."""
        effect, number = self._effect(user), self._numbers[value]
        if effect is Effect.PRODUCT:
            places = [i for i, operand in enumerate(user.operands) if operand == value]
            return max(self._scales[user.results[0]][min(i, 1)] for i in places)
        if effect is Effect.FUNCTION:
            return self._terms[user.results[0]].frac
        if effect in (Effect.LOCAL, Effect.SELECT):
            return self._numbers[user.results[0]].frac
        return number.frac

    # Writing it down, from the first op to the last.

    def _write(self) -> None:
        for argument in self._entry.arguments:
            self._write_argument(argument)
        unit = ir.UnitAttr.get(self._module.context)
        for op in self._ops:
            effect = self._effect(op)
            if effect is None:
                self._write_engine(op)
                continue
            if is_constant(op.results[0]):
                continue
            self._write_operands(op, effect)
            op.attributes[names.BESIDE] = unit
            for result in op.results:
                self._write_result(op, result)
        last = self._ops[-1]
        for index, value in enumerate(last.operands):
            donated, encoding = self._donated.get(value), encoding_of(value)
            if donated is not None:
                target = encoding_of(donated)
                assert isinstance(target, Fxp)
                last.operands[index] = self._at(value, target, last)
            elif isinstance(encoding, Fxp) and encoding.ring not in (32, 64, 128):
                ring = 32 if encoding.ring <= 32 else 64
                last.operands[index] = self._at(value, Fxp(ring, encoding.frac + ring - encoding.ring), last)

    def _write_argument(self, argument: ir.Value) -> None:
        """An argument is supplied in a ring of whole words, at the scale that it is read at.

        So it is exact where it is compared: bits that were dropped on shares would be off by one at times.
        """
        number = self._numbers.get(argument)
        if number is None or not any(self._effect(use.owner.operation) for use in argument.uses):
            return
        whole = max(number.least, number.wanted)
        ring = 32 if whole + number.frac <= 32 else 64
        set_encoding(argument, Fxp(ring, number.frac))

    def _write_operands(self, op: ir.Operation, effect: Effect) -> None:
        if effect in (Effect.LOCAL, Effect.SELECT) and op.results[0] in self._numbers:
            result = self._numbers[op.results[0]]
            for index, value in enumerate(op.operands):
                if value in self._numbers:
                    op.operands[index] = self._at(value, Fxp(result.made + result.frac, result.frac), op)
            _write_blocks(op, Fxp(result.made + result.frac, result.frac))
        elif effect is Effect.PRODUCT and op.results[0] in self._scales:
            made, fracs = self._numbers[op.results[0]].made, self._scales[op.results[0]]
            ring = made + sum(fracs)
            last = len(op.operands) - 1
            for index, frac in ((0, fracs[0]), (last, fracs[1])):
                op.operands[index] = self._at(op.operands[index], Fxp(ring, frac), op)
        elif effect is Effect.FUNCTION:
            terms = self._terms[op.results[0]]
            op.operands[0] = self._at(op.operands[0], Fxp(terms.ring, terms.frac), op)
            of = ir.FlatSymbolRefAttr(op.attributes[names.FUNCTION]).value
            for name in attributes_of(op):
                if not name.startswith("ditto."):
                    del op.attributes[name]
            op.attributes[names.MAX_ABS] = ir.FloatAttr.get_f64(self._numbers[op.results[0]].bound)
            op.attributes[names.OF] = ir.StringAttr.get(of)
            op.attributes[names.TERMS] = ir.DictAttr.get(terms_attributes(terms))
        elif effect is Effect.LESS:
            self._write_comparison(op)

    def _write_comparison(self, op: ir.Operation) -> None:
        value = op.operands[0]
        number = self._numbers[value]
        thresholds = list(ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS]))
        largest = max(abs(t) for t in thresholds) * 2.0**-number.home.frac
        whole = self._comparable(number, largest)
        frac = number.frac
        if names.SLACK in op.attributes:
            slack = ir.FloatAttr(op.attributes[names.SLACK]).value
            # Dropping bits is off by 3/2 of the last place, and the threshold by half of it.
            frac = min(frac, max(0, 1 - math.floor(math.log2(slack))))
        op.operands[0] = self._at(value, Fxp(whole + frac, frac), op)
        shift = frac - number.home.frac
        rescale = _nearest if names.SLACK in op.attributes else _next
        scaled = [rescale(t, shift) for t in thresholds]
        op.attributes[names.THRESHOLDS] = ir.DenseI64ArrayAttr.get(scaled)

    def _write_result(self, op: ir.Operation, result: ir.Value) -> None:
        number = self._numbers.get(result)
        if number is not None:
            set_encoding(result, Fxp(number.made + number.frac, number.frac))

    def _write_engine(self, op: ir.Operation) -> None:
        if op is self._ops[-1]:
            return
        for user in (op, *nested_ops(op)):
            scale = self._home(user)
            for index, value in enumerate(user.operands):
                if scale is None or not is_tensor(value.type) or index >= first_index(user):
                    continue
                if isinstance(encoding_of(value), Fxp) and encoding_of(value) != scale:
                    user.operands[index] = self._at(value, scale, top_level_ancestor(user))

    def _at(self, value: ir.Value, target: Fxp, before: ir.Operation) -> ir.Value:
        """`value` in another ring or scale, made right before `before` unless it was made earlier."""
        if encoding_of(value) == target:
            return value
        key = (value, target)
        if key not in self._cast:
            if is_constant(value):
                self._cast[key] = made = constant_at(value, target, before=before)
                if self._effect(before) is not None:
                    _mark(made)
            else:
                source = value
                number = self._numbers.get(value)
                if target.ring > WIDEST and number is not None and self._is_secret(value):
                    # The engine casts from a ring of its own.
                    source = self._at(value, number.home, before)
                self._cast[key] = insert_casts(self._widened(source, target, before), target, before=before)
        return self._cast[key]

    def _widened(self, value: ir.Value, target: Fxp, before: ir.Operation) -> ir.Value:
        """`value` with the integer bits of its most demanding use, if the target needs more than it has."""
        number, held = self._numbers.get(value), encoding_of(value)
        assert isinstance(held, Fxp)
        if number is None or target.ring - target.frac <= held.ring - held.frac or not self._is_secret(value):
            return value
        whole = max(number.wanted, target.ring - target.frac)
        if whole + held.frac > WIDEST:
            # Which only fits without some of the fraction.
            return value
        wide = Fxp(whole + held.frac, held.frac)
        key = (value, wide)
        if key not in self._cast:
            self._cast[key] = insert_casts(value, wide, before=before)
        return self._cast[key]


def _mark(value: ir.Value) -> None:
    """Says that a constant, written for an op beside the engine, is there."""
    op = defining_op(value)
    while op is not None and names.BESIDE not in op.attributes:
        op.attributes[names.BESIDE] = ir.UnitAttr.get(op.context)
        op = defining_op(op.operands[0]) if len(op.operands) else None


def _magnitude(bound: float) -> int:
    """The least e with bound <= 2^e."""
    return math.ceil(math.log2(bound)) if bound > 2.0**-MOST_FRAC else -MOST_FRAC


def _needed_bits(op: ir.Operation) -> int:
    """Fraction bits of a function's argument that leave the least of its arguments as exact as its result."""
    low, error = names.get_float(op, names.LOW), names.get_float(op, names.ERROR)
    if names.RELATIVE not in op.attributes or low is None or error is None or low <= 0:
        return 0
    return max(0, 2 - math.floor(math.log2(low * error)))


def _factors(op: ir.Operation) -> tuple[ir.Value, ir.Value]:
    """The operands of a product; a square has one."""
    return op.operands[0], op.operands[len(op.operands) - 1]


def _multiplications(op: ir.Operation) -> int:
    """Of a matrix product or convolution; 0 for one element by element."""
    if op.name in ("stablehlo.dot", "stablehlo.dot_general"):
        contracted = dot_dimensions(op).left_contracted
        shape = shape_of(op.operands[0])
        return numel(op.results[0]) * math.prod(shape[axis] for axis in contracted)
    if op.name == "stablehlo.convolution":
        return numel(op.results[0]) * numel(op.operands[1])
    return 0


def _next(threshold: int, shift: int) -> int:
    """A threshold on another grid: there x < t just where x < ceil(t), so ties stay what they are."""
    return threshold << shift if shift >= 0 else -(-threshold >> -shift)


def _nearest(threshold: int, shift: int) -> int:
    """A threshold on another grid, off by half of its last place at most."""
    return threshold << shift if shift >= 0 else (threshold + (1 << (-shift - 1))) >> -shift


def _write_blocks(op: ir.Operation, encoding: Fxp) -> None:
    """The regions of a reduction, which say what it does to two elements."""
    for region in op.regions:
        for block in region.blocks:
            for inner in (*block.arguments, *(r for o in ops_of(block) for r in o.results)):
                set_encoding(inner, encoding)


def terms_attributes(terms: Terms) -> dict[str, ir.Attribute]:
    """A fitted function as attributes of its op."""
    made: dict[str, ir.Attribute] = {}
    for name, value in terms.to_attributes().items():
        if isinstance(value, str):
            made[name] = ir.StringAttr.get(value)
        elif isinstance(value, int):
            made[name] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)
        else:
            made[name] = ir.DenseI64ArrayAttr.get(list(value))
    return made
