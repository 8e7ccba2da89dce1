"""What there is to decide of a program: kinds of values, and what each decision adds to the noise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ditto_compiler.beside.functions import MOST_FRAC
from ditto_compiler.beside.placement import Effect
from ditto_compiler.dialect import attributes as names
from ditto_compiler.errors import DittoError
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.ir import defining_op, ir, numel
from ditto_compiler.ops.scales import dyadic_bits, is_constant
from ditto_compiler.planning.functions import NOISE, Choice, Gains, choices, least_fraction
from ditto_compiler.planning.keys import Key, counts_of, keys_of, tied
from ditto_compiler.planning.objective import Objective
from ditto_compiler.rings.numbers import (
    Number,
    Numbers,
    factors,
    is_continuous,
    needed_bits,
    ops_with_results,
    product_readers,
    source_of,
)

SHARES = 1 / 4
"""Variance of truncation on shares, in squared units of the last place: 1/12 for each of three parts."""

ROUNDED = 1 / 12
"""Of rounding where the number is known: of an input by the client, of what is public by everybody."""

FEWEST, MOST = 5, 22
"""Significant bits of a number. With fewer, noise is so large that slopes do not tell what becomes of it."""

FEWEST_OF_FEW = 9
"""Of one of few elements, whose bits cost next to nothing."""

STEP_BITS = 2
"""Binary logarithm of the arguments that a function's range has at least."""

FEW = 1 << 11
"""Elements up to which a function's result may be made in a wider ring."""


class PlanError(DittoError):
    """A program that cannot be planned, or a bound that no plan keeps."""


class Decision(NamedTuple):
    """What is decided of an op, and of those that are tied to it.

    Attributes:
        key: of the op.
        frac: fraction bits of its result; None if they follow from its operands'.
        spare: integer bits that the ring has to spare.
        factors: fraction bits of a product's factors.
        error: of a one-shot function.
        noise: mean square that it adds to all outputs together.
    """

    key: Key
    frac: int | None
    spare: int
    factors: tuple[int, int] | None
    error: float | None
    noise: float


@dataclass(frozen=True)
class Decided:
    """A solved problem.

    Attributes:
        decisions: by the key of an op; of ops that are tied, the same.
        noise: sum of mean squares that all decisions add to all outputs together.
        cost: what is minimised, of all that is decided about.
        gap: by how much, relatively, there might be something better.
    """

    decisions: Mapping[Key, Decision]
    noise: float
    cost: float
    gap: float


class Symbol(NamedTuple):
    """An integer to be chosen for an op: its fraction bits, bits to spare, or bits with which it reads."""

    what: Literal["frac", "spare", "read"]
    key: Key
    place: int = 0


class Kind(NamedTuple):
    """What is to be decided of a value.

    Attributes:
        of: "planned"; "free", if it is supplied at any scale up to `frac`; or "fixed", at `frac`.
        root: of a planned value, the one whose fraction bits it has.
        frac: of others.
    """

    of: Literal["planned", "free", "fixed"]
    root: ir.Value | None = None
    frac: int = 0


class Problem:
    """What there is to decide of a program, and what each decision costs.

    Args:
        known: the program's numbers; ops carry `ditto.gain`.
        objective: what is to be small.
        tie: decide the same for layers that are alike.
        loose: how many times as large as in the range that was measured a function's error may be in its
            margin.

    Raises:
        PlanError: an op whose gain nobody told, or nothing to decide.
    """

    def __init__(self, known: Numbers, objective: Objective, *, tie: bool = True, loose: int = 1) -> None:
        self.known = known
        self.objective = objective
        self.loose = loose
        self.ops = ops_with_results(known.entry)
        self.keys = keys_of(self.ops)
        self.counts = dict(zip(self.keys, counts_of(self.ops), strict=True))
        """How many ops each is numbered with."""
        ties = tied(self.ops, self.keys) if tie else self.keys
        self.key_of = {op.results[0]: key for op, key in zip(self.ops, ties, strict=True)}
        self.instances: defaultdict[Key, list[ir.Operation]] = defaultdict(list)
        for op in self.ops:
            self.instances[self.key_of[op.results[0]]].append(op)
        self.impossible: set[tuple[Key, float]] = set()
        """Errors that functions turned out not to reach."""
        self.arguments: defaultdict[Key, int] = defaultdict(int)
        """Fraction bits that they turned out to need of their arguments."""
        self._kinds: dict[ir.Value, Kind] = {}
        self.read_as: dict[Symbol, Symbol] = {}
        """Of readings that are to be alike, the one that stands for it."""
        self.readers: defaultdict[Symbol, list[ir.Value]] = defaultdict(list)
        """What is read with so many bits."""
        self._supplied: set[ir.Value] = set()
        """Arguments that only products read: they are supplied as they are read, which is alike."""
        for argument in known.entry.arguments:
            self._read_alike(argument)
        self.noise: defaultdict[Symbol, float] = defaultdict(float)
        self.floors: defaultdict[Symbol, int] = defaultdict(int)
        self._reads: defaultdict[ir.Value, float] = defaultdict(float)
        self.functions: defaultdict[Key, list[ir.Operation]] = defaultdict(list)
        self._gains: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for op in self.ops:
            self._weigh(op)
        for op in self.ops:
            self._weigh_result(op)
        for op in self.ops:
            self._raise_joined(op)
        if not self.noise:
            raise PlanError("there is nothing to decide: no product or function runs beside the engine")

    # What is read alike.

    def _read_alike(self, argument: ir.Value) -> None:
        readers = product_readers(argument)
        if not readers or argument not in self.known.of or not self.known.is_secret(argument):
            return
        if any(self.known.effect(op) is not Effect.PRODUCT for op, _ in readers):
            return
        self._supplied.add(argument)
        first = self.read(*readers[0])
        for op, place in readers[1:]:
            other = self.read(op, place)
            if other != first:
                self.read_as[other] = first

    def read(self, op: ir.Operation, place: int) -> Symbol:
        """The bits with which an op reads an operand; a square reads both of its factors alike."""
        if place == 1 and len(set(factors(op))) == 1:
            place = 0
        symbol = Symbol("read", self.key_of[op.results[0]], place)
        while symbol in self.read_as:
            symbol = self.read_as[symbol]
        return symbol

    # What matters how much.

    def kind(self, value: ir.Value) -> Kind:
        """What is to be decided of a value."""
        if value not in self._kinds:
            self._kinds[value] = self._kind(value)
        return self._kinds[value]

    def _kind(self, value: ir.Value) -> Kind:
        op, number = defining_op(value), self.known.of[value]
        if is_constant(value):
            return Kind("free", frac=dyadic_bits(value, WIDEST))
        if op is None:
            return Kind("free", frac=max(0, min(MOST_FRAC, WIDEST - number.least)))
        effect = self.known.effect(op)
        if number.frac == 0 and effect is not Effect.FUNCTION:
            return Kind("fixed")
        if effect in (Effect.PRODUCT, Effect.FUNCTION):
            return Kind("planned", root=value)
        if effect not in (Effect.LOCAL, Effect.SELECT):
            return Kind("fixed", frac=number.frac)
        kinds = [self.kind(v) for v in dict.fromkeys(op.operands) if v in self.known.of]
        if any(kind.of == "fixed" for kind in kinds) or not kinds:
            return Kind("fixed", frac=number.frac)
        roots = list(dict.fromkeys(kind.root for kind in kinds if kind.root is not None))
        if not roots:
            # What a secret chooses of constants is not supplied.
            chosen = effect is Effect.SELECT and self.known.is_secret(op.operands[0])
            return Kind("fixed" if chosen else "free", frac=number.frac)
        # Of what is added up, one has as many bits as the sum, and the others no more.
        return Kind("planned", root=min(roots, key=self._preference))

    def _preference(self, root: ir.Value) -> int:
        """Low for products of numbers; those of bits or constants may have no more bits to give."""
        op = defining_op(root)
        assert op is not None
        if op.name == names.ONESHOT:
            return 1
        return (
            0
            if all(self.kind(value).of == "planned" or self._is_input(value) for value in factors(op))
            else 2
        )

    def _is_input(self, value: ir.Value) -> bool:
        return self.kind(value).of == "free" and not is_constant(value)

    def frac_of(self, value: ir.Value) -> Symbol | None:
        """The fraction bits of a value, if they are planned."""
        root = self.kind(value).root
        return None if root is None else Symbol("frac", self.key_of[root])

    def _gain(self, op: ir.Operation, place: int) -> float:
        gains = names.get_attribute(op, names.GAIN)
        if gains is None:
            raise PlanError(
                f"{self.key_of[op.results[0]]}: nobody told by '{names.GAIN}' how much noise matters there"
            )
        found = list(ir.DenseF64ArrayAttr(gains))
        return float(found[place]) if place < len(found) else 0.0

    def _weigh(self, op: ir.Operation) -> None:
        """What reading operands with fewer bits adds; and which values keep what they have."""
        effect = self.known.effect(op)
        if effect is Effect.PRODUCT:
            left, right = factors(op)
            # Products of integers lose no bits.
            for place, value in enumerate((left, right) if op.results[0] in self.known.of else ()):
                if left != right or place == 0:
                    self._weigh_read(op, place, value)
        elif effect is Effect.FUNCTION:
            self._weigh_read(op, 0, op.operands[0])
            symbol = self.frac_of(op.operands[0])
            if symbol is not None:
                self.floors[symbol] = max(self.floors[symbol], needed_bits(op), steps(op))
        elif effect is None or (effect is Effect.LESS and not is_continuous(op)):
            # Where a bit decides, or the engine reads it: what is known of errors does not count there.
            for value in op.operands:
                self._keep(value)

    def _keep(self, value: ir.Value) -> None:
        symbol = self.frac_of(value) if value in self.known.of else None
        if symbol is not None:
            self.floors[symbol] = max(self.floors[symbol], self.known.of[value].frac)

    def _weigh_read(self, op: ir.Operation, place: int, value: ir.Value) -> None:
        symbol, kind = self.read(op, place), self.kind(value)
        gain = self._gain(op, 1 + place)
        if kind.of == "fixed" and kind.frac == 0:
            return
        self.readers[symbol].append(value)
        on_shares = self.known.is_secret(value) and not self._is_supplied(value)
        self.noise[symbol] += (SHARES if on_shares else ROUNDED) * gain
        if kind.root is not None:
            self._reads[kind.root] += gain

    def _is_supplied(self, value: ir.Value) -> bool:
        """Whether a value is supplied with the bits that are read: a constant, or what only products read."""
        return is_constant(value) or source_of(value) in self._supplied

    def _weigh_result(self, op: ir.Operation) -> None:
        """What having a result with fewer bits adds, beyond what those who read it add."""
        effect, value = self.known.effect(op), op.results[0]
        if effect not in (Effect.PRODUCT, Effect.FUNCTION) or value not in self.known.of:
            return
        if effect is Effect.FUNCTION:
            key = self.key_of[value]
            self.functions[key].append(op)
            # Who reads it with as many bits adds no noise of their own.
            self._gains[key][0] += max(0.0, self._gain(op, 0) - self._reads[value] * SHARES / NOISE**2)
            self._gains[key][1] += self._gain(op, 0)
            self._gains[key][2] += self._gain(op, 2)
        if self.kind(value).of != "planned":
            return
        gain = max(0.0, self._gain(op, 0) - self._reads[value])
        if effect is Effect.PRODUCT:
            on_shares = self.known.is_secret(value)
            symbol = Symbol("frac", self.key_of[value])
            self.noise[symbol] += (SHARES if on_shares else ROUNDED) * gain
        if value in self.known.donated:
            self._keep(value)

    def choices(self, key: Key, budget: float) -> tuple[list[Choice], list[float]]:
        """Ways to compute a function, and those that are tied to it, with the noise that each adds.

        They are those of the one with the widest result, which is like the others.

        Raises:
            PlanError: none is found within the bound on noise.
        """
        op = max(self.functions[key], key=lambda op: self.known.of[op.results[0]].least)
        number, gains = self.known.of[op.results[0]], Gains(*self._gains[key])
        floor = self.least(Symbol("frac", key))
        top = min(max(floor, least_fraction(number.bound, MOST)), MOST_FRAC, WIDEST - number.least)
        banned = {error for of, error in self.impossible if of == key}
        found = choices(
            op,
            number.least,
            range(min(floor, top), top + 1),
            max(floor, least_fraction(number.bound, FEWEST_OF_FEW)),
            gains,
            budget,
            self.known.seen(op.operands[0]),
            self.loose,
            banned,
        )
        if not found:
            raise PlanError(f"{key}: no terms of this function are exact enough by themselves")
        return found, [choice.spread(gains) for choice in found]

    def least(self, symbol: Symbol) -> int:
        """Fraction bits that a result has at least; of those that are tied, the largest says so."""
        results = (op.results[0] for op in self.instances[symbol.key])
        bound = max(self.known.of[result].bound for result in results if result in self.known.of)
        return max(self.floors.get(symbol, 0), least_fraction(bound, self.fewest(symbol.key)))

    def _raise_joined(self, op: ir.Operation) -> None:
        """What is added up has no more bits than the sum, so sums have as many as that has at least."""
        if self.known.effect(op) not in (Effect.LOCAL, Effect.SELECT) or op.results[0] not in self.known.of:
            return
        mine = self.frac_of(op.results[0])
        for operand in op.operands:
            other = self.frac_of(operand) if operand in self.known.of else None
            if mine is not None and other is not None and other != mine:
                self.floors[mine] = max(self.floors[mine], self.least(other))

    def number(self, key: Key) -> Number:
        """What is known of the result of an op that stands for those that are tied to it."""
        return self.known.of[self.instances[key][0].results[0]]

    def is_few(self, key: Key) -> bool:
        """Whether a function is of few elements."""
        return key not in self.functions or numel(self.functions[key][0].results[0]) <= FEW

    def fewest(self, key: Key) -> int:
        """Significant bits that the result of an op, and what it reads, have at least."""
        return FEWEST_OF_FEW if numel(self.instances[key][0].results[0]) <= FEW else FEWEST


def steps(op: ir.Operation) -> int:
    """Fraction bits with which a function's range has some arguments to tell apart."""
    low, high = names.get_float(op, names.LOW), names.get_float(op, names.HIGH)
    assert low is not None and high is not None
    return max(0, STEP_BITS - math.floor(math.log2(high - low)))
