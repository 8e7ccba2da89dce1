"""Deciding rings and fraction bits, op by op, from what is known of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ditto_compiler.beside.functions import fitted_terms, least_error, terms_for
from ditto_compiler.beside.placement import Effect
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.ir import (
    defining_op,
    ir,
    nested_ops,
    numel,
)
from ditto_compiler.oneshot.terms import Terms
from ditto_compiler.ops import is_source
from ditto_compiler.ops.functions import is_approximated
from ditto_compiler.ops.scales import (
    dyadic_bits,
    is_constant,
    is_free,
)
from ditto_compiler.rings.numbers import (
    Number,
    Numbers,
    balancing_bits,
    factors,
    is_continuous,
    magnitude,
    multiplications,
    needed_bits,
    product_readers,
    summing_bits,
)

FEW = 1 << 11
"""Elements up to which rounds matter more than bytes."""

LARGER = (2.0, 4.0, 8.0)
"""Times by which a planned function's error may be larger, if it cannot be fitted otherwise."""

DEPTH = 6
"""How far up the cost of widening operands is estimated."""


class Decider:
    """Decides of each number which ring it has, and with how many fraction bits.

    Attributes:
        scales: fraction bits with which products, by their first result, read their factors.
        terms: what one-shot functions were fitted as, likewise.
    """

    def __init__(self, known: Numbers, errors: ErrorCollector) -> None:
        self._known = known
        self._errors = errors
        self._numbers = known.of
        self.scales: dict[ir.Value, tuple[int, int]] = {}
        self.terms: dict[ir.Value, Terms] = {}
        self._returned: dict[ir.Value, int] = {}
        """Fraction bits that what is returned in an argument's place keeps, for the next run."""

    def run(self) -> None:
        """Decides, or adds to the errors why that cannot be."""
        for op in reversed(self._known.ops):
            self._limit_fractions(op)
        for op in reversed(self._known.ops):
            self._decide(op)
        if self._errors.diagnostics:
            return
        for argument in self._known.entry.arguments:
            self._read_alike(argument)
        self._shorten_all()
        for returned, argument in self._known.donated.items():
            self._keep_alike(argument, returned)

    def _limit_fractions(self, op: ir.Operation) -> None:
        """Takes fraction bits from results that no use has a use for, and adds what functions ask for."""
        if self._known.effect(op) is Effect.FUNCTION:
            self._need(op.operands[0], needed_bits(op))
        if self._known.effect(op) is Effect.LESS and not is_continuous(op):
            # What is cut off two equal numbers apart is not the same; so `x == x.max()` has all bits of x.
            self._need(op.operands[0], max(self._chosen_fracs(op.operands[0]), default=0))
        if self._known.effect(op) is None and is_approximated(op):
            self._read_whole(op)
        if self._known.effect(op) is Effect.PRODUCT and op.results[0] in self._numbers:
            self._need_digits(op)
        for result in op.results:
            number = self._numbers.get(result)
            if number is None:
                continue
            if self._known.effect(op) is None:
                number.frac = max(number.frac, min(number.needed, number.home.frac))
                continue
            worth = [self._worth(use.owner.operation, result) for use in result.uses]
            if worth and number.spare is None:
                number.frac = min(number.frac, max(worth))
            number.frac = min(max(number.frac, number.needed), WIDEST - number.least)
            if self._known.effect(op) in (Effect.LOCAL, Effect.SELECT):
                for operand in op.operands:
                    self._need(operand, number.needed)
                    self._quieten(operand, number.quiet)

    def _need_digits(self, op: ir.Operation) -> None:
        """Asks for the digits of factors that have more than their largest numbers tell."""
        for value, bits in zip(factors(op), balancing_bits(op, self._numbers), strict=True):
            if not self._known.is_whole(value):
                self._need(value, bits)
                self._quieten(value, bits)
        for value, bits in zip(factors(op), summing_bits(op, self._numbers), strict=True):
            self._need(value, bits)

    def _read_whole(self, op: ir.Operation) -> None:
        """The engine's functions are right for arguments with all the bits that they read."""
        scale = self._known.home(op)
        if scale is not None:
            for value in op.operands:
                self._need(value, scale.frac)

    def _chosen_fracs(self, value: ir.Value) -> Iterator[int]:
        """Fraction bits of the numbers that a value, or a difference, was chosen from."""
        # Chains of choices between two values each would have as many paths as choices have outcomes.
        seen, pending = {value}, [value]
        while pending:
            value = pending.pop()
            op = defining_op(value)
            effect = None if op is None else self._known.effect(op)
            if op is not None and (
                op.name == "stablehlo.subtract" or effect is Effect.SELECT or self._known.moves(op)
            ):
                pending += [operand for operand in op.operands if operand not in seen]
                seen.update(op.operands)
            elif value in self._numbers and not is_constant(value):
                yield self._numbers[value].frac

    def _need(self, value: ir.Value, bits: int) -> None:
        number = self._numbers.get(value)
        if number is not None:
            number.needed = max(number.needed, bits)

    def _quieten(self, value: ir.Value, bits: int) -> None:
        number = self._numbers.get(value)
        if number is not None:
            number.quiet = max(number.quiet, bits)

    def _worth(self, user: ir.Operation, value: ir.Value) -> int:
        """The most fraction bits of `value` that `user` reads."""
        effect = self._known.effect(user)
        if effect in (Effect.LOCAL, Effect.SELECT):
            return self._numbers[user.results[0]].frac
        return self._numbers[value].frac

    def _decide(self, op: ir.Operation) -> None:
        effect = self._known.effect(op)
        if len(op.results) and is_constant(op.results[0]):
            # Written again wherever it is used.
            return
        if effect is None:
            # The engine's op takes its operands as it is, and what is returned just as it was made.
            if op is not self._known.ops[-1]:
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

    def _decide_local(self, op: ir.Operation, result: Number, effect: Effect) -> None:
        operands = [v for v in dict.fromkeys(op.operands) if v in self._numbers]
        extra = result.wanted - result.least if result.spare is None else 0
        result.made = result.least + (result.spare or 0)
        if extra > 0:
            push = sum(self._cost(v, result.wanted) for v in operands)
            if effect is Effect.SELECT and self._known.is_secret(op.operands[0]):
                push += 4 * extra * numel(op.results[0])
            if (
                push < self._widening(extra, op.results[0]) + self._known.limits.round_bits
                and result.wanted + result.frac <= WIDEST
            ):
                result.made = result.wanted
        for value in operands:
            self._want(value, result.made)

    def _decide_product(self, op: ir.Operation, result: Number) -> None:
        left, right = factors(op)
        result.made = result.least + (result.spare or 0)
        fracs = self._stated_scales(op, result.made) or self._product_scales(op, result.made)
        if fracs is None:
            self._too_large(op, result)
            return
        extra = result.wanted - result.made if result.spare is None else 0
        if extra > 0 and result.wanted + sum(fracs) <= self._room(op):
            push = self._cost(left, result.wanted + fracs[1])
            if right != left:
                push += self._cost(right, result.wanted + fracs[0])
            if self._known.is_secret(left) and self._known.is_secret(right):
                push += 3 * extra * numel(op.results[0])
            if push < self._widening(extra, op.results[0]) + self._known.limits.round_bits:
                result.made = result.wanted
        result.frac = min(result.frac, sum(fracs))
        self.scales[op.results[0]] = fracs
        self._want(left, result.made + fracs[1])
        self._want(right, result.made + fracs[0])

    def _room(self, op: ir.Operation) -> int:
        return 32 if multiplications(op) >= self._known.limits.large else WIDEST

    def _stated_scales(self, op: ir.Operation, made: int) -> tuple[int, int] | None:
        """Fraction bits of a product's operands as `ditto.factors` says, if the exact product fits."""
        if names.FACTORS not in op.attributes:
            return None
        fracs = []
        stated = ir.DenseI64ArrayAttr(op.attributes[names.FACTORS])
        for value, frac in zip(factors(op), stated, strict=True):
            number = self._numbers[value]
            if defining_op(value) is None:
                # It is supplied as it is read.
                number.frac = max(number.frac, min(frac, WIDEST - number.least))
            fracs.append(min(frac, dyadic_bits(value, WIDEST) if is_constant(value) else number.frac))
        return (fracs[0], fracs[1]) if made + sum(fracs) <= WIDEST else None

    def _product_scales(self, op: ir.Operation, made: int) -> tuple[int, int] | None:
        """Fraction bits of a product's operands, so that the exact product fits; None if there are none."""
        values = factors(op)
        quiet = summing_bits(op, self._numbers)
        # At last as exact as it can be had: ditto-check-digits says what that is worth.
        for room, kept in dict.fromkeys(((self._room(op), quiet), (WIDEST, quiet), (WIDEST, (0, 0)))):
            fracs = [self._known.operand_frac(value) for value in values]
            home = self._numbers[op.results[0]].home
            least = [
                self._known.least_frac(value, home.frac, bits)
                for value, bits in zip(values, kept, strict=True)
            ]
            if 0 in fracs:
                # Bits that a whole number does not lift into the result are dropped before.
                lifts = [max(0, magnitude(self._numbers[value].bound)) for value in reversed(values)]
                most = self._numbers[op.results[0]].frac
                fracs = [min(frac, most + lift) for frac, lift in zip(fracs, lifts, strict=True)]
            while made + sum(fracs) > room:
                able = [i for i in (0, 1) if fracs[i] > least[i]]
                if not able:
                    break
                widest = max(able, key=lambda i: fracs[i] + magnitude(self._numbers[values[i]].bound))
                fracs[widest] -= 1
                if values[0] == values[1]:
                    fracs = [min(fracs)] * 2
            if made + sum(fracs) <= room:
                return fracs[0], fracs[1]
        return None

    def _want(self, value: ir.Value, bits: int) -> None:
        number = self._numbers.get(value)
        if number is not None:
            number.wanted = max(number.wanted, bits)

    def _want_for_engine(self, op: ir.Operation) -> None:
        for user in (op, *nested_ops(op)):
            scale = self._known.home(user)
            for value in user.operands:
                if scale is not None and value in self._numbers and value not in self._of_engine(value):
                    if scale.ring > WIDEST:
                        scale = self._numbers[value].home
                    self._want(value, scale.ring - scale.frac)

    def _of_engine(self, value: ir.Value) -> Sequence[ir.Value]:
        """The value, if it is the engine's own: that has no widening to ask for."""
        op = defining_op(value)
        return [value] if op is not None and self._known.effect(op) is None else []

    def _want_for_comparison(self, op: ir.Operation) -> None:
        number = self._numbers[op.operands[0]]
        thresholds = ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS])
        largest = max(abs(t) for t in thresholds) * 2.0**-number.home.frac
        self._want(op.operands[0], self._known.comparable(number, largest))

    def _fit(self, op: ir.Operation, result: Number) -> None:
        argument = self._numbers[op.operands[0]]
        # Of few numbers, what a wider ring adds to every word is less than two more rounds.
        widest = max(result.least, result.wanted) if numel(op.results[0]) <= FEW else result.least
        choices = [widest, result.least] if result.spare is None else [result.least + result.spare]
        terms: Terms | str = ""
        best: tuple[int, Terms] | None = None
        for made in dict.fromkeys(choices):
            encoding, core = Fxp(made + result.frac, result.frac), self._known.seen(op.operands[0])
            terms = fitted_terms(op, argument.frac, encoding, core)
            if isinstance(terms, str) and result.spare is not None:
                # A plan's error may be out of reach on ranges that were measured since.
                error = ir.FloatAttr(op.attributes[names.ERROR]).value
                tried = (terms_for(op, error * more, argument.frac, encoding, core) for more in LARGER)
                terms = next((found for found in tried if isinstance(found, Terms)), terms)
            if isinstance(terms, Terms) and (best is None or terms.result_frac > best[1].result_frac):
                best = made, terms
                # A wider ring is not worth fraction bits that show: rounding is a fraction of the last one.
                if terms.result_frac == result.frac or 2.0 ** -(terms.result_frac + 2) <= least_error(op):
                    break
        if best is None:
            self._errors.add(op, str(terms))
            return
        result.made, chosen = best
        result.frac = chosen.result_frac
        self.terms[op.results[0]] = chosen
        self._want(op.operands[0], chosen.ring - chosen.frac)

    def _cost(self, value: ir.Value, bits: int, depth: int = DEPTH) -> int:
        """About how many bits it takes to have a value with so many integer bits."""
        number = self._numbers.get(value)
        if number is None or not self._known.is_secret(value) or is_constant(value):
            return 0
        extra = bits - max(number.least, number.wanted)
        op = defining_op(value)
        if extra <= 0 or op is None:
            return 0
        effect = self._known.effect(op)
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
        return 4 * extra * numel(value) + 2 * self._known.limits.round_bits

    def _too_large(self, op: ir.Operation, number: Number) -> None:
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
        readers = product_readers(argument)
        if numel(argument) <= FEW or not readers:
            return
        if any(names.FACTORS in op.attributes or op.results[0] not in self.scales for op, _ in readers):
            return
        least = min(self.scales[op.results[0]][place] for op, place in readers)
        scales = dict(self.scales)
        for op, place in readers:
            left, right = scales[op.results[0]]
            scales[op.results[0]] = (least, right) if place == 0 else (left, least)
        if all(self._numbers[op.results[0]].frac <= sum(scales[op.results[0]]) for op, _ in readers):
            self.scales = scales

    def _shorten_all(self) -> None:
        """`_shorten` for all; what is returned for the next run keeps the bits that the next run reads."""
        before = {value: number.frac for value, number in self._numbers.items()}
        while True:
            for op in reversed(self._known.ops[:-1]):
                self._shorten(op, op.results)
            self._shorten(None, self._known.entry.arguments)
            short = {
                returned: min(self._numbers[argument].frac, before[returned])
                for returned, argument in self._known.donated.items()
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
        if (
            op is None
            or value not in self._numbers
            or self._known.effect(op) is None
            or not self._known.moves(op)
        ):
            return
        self._numbers[value].made = max(self._numbers[value].made, made)
        for operand in op.operands:
            if operand in self._numbers and self._numbers[operand].frac == self._numbers[value].frac:
                self._remake(operand, made)

    def _shorten(self, op: ir.Operation | None, values: Sequence[ir.Value]) -> None:
        """Takes the fraction bits from arguments, and what moves them, that products then had no room for.

        What is computed is rounded where it is used, once, and not before it is added to something.
        """
        if op is not None and self._known.effect(op) is None:
            return
        for value in values:
            number = self._numbers.get(value) if is_free(value) else None
            uses = [] if number is None else [use.owner.operation for use in value.uses]
            if value in self._known.donated and any(user is not self._known.ops[-1] for user in uses):
                uses.remove(self._known.ops[-1])
            if number is not None and uses:
                read = max(self._read(user, value) for user in uses)
                number.frac = min(number.frac, max(read, self._returned.get(value, 0)))

    def _read(self, user: ir.Operation, value: ir.Value) -> int:
        """The fraction bits of `value` that `user` does read."""
        effect, number = self._known.effect(user), self._numbers[value]
        if effect is Effect.PRODUCT:
            places = [i for i, operand in enumerate(user.operands) if operand == value]
            return max(self.scales[user.results[0]][min(i, 1)] for i in places)
        if effect is Effect.FUNCTION:
            return self.terms[user.results[0]].frac
        if effect in (Effect.LOCAL, Effect.SELECT):
            return self._numbers[user.results[0]].frac
        return number.frac
