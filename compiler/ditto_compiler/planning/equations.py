"""The choice of rings, fraction bits and functions as a mixed-integer linear program."""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ditto_compiler.beside.functions import MOST_FRAC, terms_for
from ditto_compiler.beside.placement import Effect
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.executor.instruction import WIDEST
from ditto_compiler.ir import defining_op, encoding_of, ir, numel
from ditto_compiler.ops.scales import dyadic_bits, is_constant
from ditto_compiler.planning.functions import Choice, least_fraction
from ditto_compiler.planning.keys import Key
from ditto_compiler.planning.linear import Infeasible, Linear, LinearProgram, NothingFound, Solution
from ditto_compiler.planning.problem import MOST, Decided, Decision, PlanError, Problem, Symbol, steps
from ditto_compiler.protocols.comparison_batches import comparison_rounds
from ditto_compiler.rings.numbers import factors, multiplications

Amount = tuple[dict[Symbol, float], float]
"""A linear expression, and a constant."""

TINY = 2.0**-20
"""Parts of the bound on noise that are not counted; the solver's numbers are not that exact."""

ROUNDS: Mapping[Effect, int] = {Effect.FUNCTION: 2, Effect.NUMBER: 2}
"""Of ops that take as many whatever their operands are."""


def solve(problem: Problem, noise: float, *, seconds: float = 60.0, gap: float = 0.002) -> Decided:
    """The cheapest decisions that add no more than `noise`, the sum of mean squares over all outputs.

    Args:
        problem: what there is to decide.
        noise: the bound.
        seconds: after which the best that was found is taken.
        gap: within which, relatively, of the best there is the answer may be.

    Raises:
        PlanError: nothing keeps the bound, or nothing was found in time.
    """
    end = time.monotonic() + seconds
    while True:
        equations = Equations(problem, noise)
        try:
            solution = equations.program.solve(seconds=max(5.0, end - time.monotonic()), gap=gap)
        except Infeasible:
            raise PlanError("nothing keeps the bound on noise") from None
        except NothingFound as error:
            raise PlanError(str(error)) from None
        if not equations.impossible(solution):
            return equations.decided(solution)


def least_noise(problem: Problem, unit: float, *, seconds: float = 60.0) -> Decided:
    """What adds least, whatever it costs; `unit` is some noise that is not much less.

    Raises:
        PlanError: nothing was found in time.
    """
    equations = Equations(problem, unit, least=True)
    try:
        return equations.decided(equations.program.solve(seconds=seconds, gap=0.02))
    except (Infeasible, NothingFound) as error:
        raise PlanError(str(error)) from None


class Equations:
    """A problem with a bound, as a linear program."""

    def __init__(self, problem: Problem, noise: float, *, least: bool = False) -> None:
        self._problem = problem
        self._known = problem.known
        self._objective = problem.objective
        self._noise = noise
        self._least = least
        self.program = LinearProgram()
        self._variables: dict[Symbol, int] = {}
        self._choices: dict[Key, list[Choice]] = {}
        self._selected: dict[Key, list[int]] = {}
        self._widened: dict[ir.Value, int] = {}
        self._wide: dict[Key, int] = {}
        self._ready: dict[ir.Value, int] = {}
        self._added: dict[int, float] = {}
        """What each variable adds to the noise, in parts of the bound."""
        self._costs: defaultdict[int, float] = defaultdict(float)
        self._fixed_cost = 0.0
        self._penalties: defaultdict[int, float] = defaultdict(float)
        """What is to be avoided though it costs nothing of what is counted."""
        for key in problem.functions:
            self._select(key)
        for op in problem.ops:
            self._add(op)
        if self._objective.round:
            self._add_rounds()
        elif self._objective.widening:
            for value in self._widened:
                wide = self._wide_of(value)
                if wide is not None:
                    self._penalties[wide] += self._objective.widening
        if least:
            self.program.cost(self._added)
        else:
            self.program.constrain(self._added, high=1.0)
            self.program.cost(self._costs)
            self.program.cost(self._penalties)

    def _select(self, key: Key) -> None:
        """One of the choices of a function: exactly one variable of them is 1."""
        self._choices[key], spreads = self._problem.choices(key, self._noise)
        self._selected[key] = made = [self.program.variable(0, 1, integer=True) for _ in spreads]
        self.program.constrain(dict.fromkeys(made, 1.0), 1.0, 1.0)
        for variable, spread in zip(made, spreads, strict=True):
            self._added[variable] = spread / self._noise

    def _variable(self, symbol: Symbol) -> int:
        if symbol not in self._variables:
            low, high = self._domain(symbol)
            self._variables[symbol] = variable = self.program.variable(low, high, integer=True)
            weight = self._problem.noise.get(symbol, 0.0) / self._noise
            if weight:
                self._weigh(variable, weight, low, high, exact=self._is_exact(symbol, high))
            if symbol.what == "frac" and symbol.key in self._selected:
                terms = {one: float(choice.frac) for one, choice in self._options(symbol.key)}
                self.program.constrain({variable: -1.0, **terms}, 0.0, 0.0)
        return self._variables[symbol]

    def _options(self, key: Key) -> Iterator[tuple[int, Choice]]:
        return zip(self._selected[key], self._choices[key], strict=True)

    def _weigh(self, variable: int, weight: float, low: int, high: int, *, exact: bool) -> None:
        """Adds weight * 4^-variable to the noise: convex, so right at integers as the highest of its chords.

        What is `exact` with `high` bits adds nothing there, which is below all chords before.
        """
        added = [weight * 4.0**-bits for bits in range(low, high + 1)]
        if exact:
            added[-1] = 0.0
        spread = self.program.variable(added[-1] if added[-1] > TINY else 0.0, math.inf)
        for bits, (here, after) in enumerate(itertools.pairwise(added), low):
            if here < TINY:
                break
            # spread >= here + (after - here) (variable - bits)
            self.program.constrain({spread: 1.0, variable: here - after}, low=here + (here - after) * bits)
        self._added[spread] = 1.0

    def _domain(self, symbol: Symbol) -> tuple[int, int]:
        """Where an optimum has a symbol: with fewer bits it adds too much alone."""
        if symbol.what == "frac" and symbol.key in self._choices:
            fracs = [choice.frac for choice in self._choices[symbol.key]]
            return min(fracs), max(fracs)
        values = self._values(symbol)
        bounds = [self._known.of[value].bound for value in values]
        if symbol.what == "spare":
            few = self._problem.is_few(symbol.key)
            return 0, max(0, min(WIDEST - max(self._known.of[v].least for v in values), 40)) if few else 0
        # Where little is known of magnitudes, what is usual is more.
        usual = max(self._known.of[value].frac for value in values)
        high = min(MOST_FRAC, max(usual, *(least_fraction(bound, MOST) for bound in bounds)))
        high = min(high, *(WIDEST - self._known.of[value].least for value in values))
        if symbol.what == "frac":
            low = self._problem.least(symbol)
        else:
            low = least_fraction(max(bounds), self._problem.fewest(symbol.key))
            kinds = [self._problem.kind(value) for value in values]
            limits = [kind.frac for kind in kinds if kind.of != "planned"]
            high = min([high, *limits])
            # Functions have no more bits than make a difference.
            chosen = [self._choices.get(self._problem.key_of[kind.root], ()) for kind in kinds if kind.root]
            low = min([low, *(max(choice.frac for choice in each) for each in chosen if each)])
            if symbol.key in self._choices:
                # Terms read as many bits as make a difference to them, if their argument has those.
                least = max(steps(op) for op in self._problem.instances[symbol.key])
                least = min(least, *(choice.read for choice in self._choices[symbol.key]))
                low = max(self._problem.arguments[symbol.key], least)
                high = max(low, high)
        floor = self._problem.floors.get(symbol, 0)
        low, high = min(max(low, floor), max(high, floor)), max(high, floor)
        weight = self._problem.noise.get(symbol, 0.0) / self._noise
        if weight and not self._least:
            low = max(low, min(high, math.ceil(math.log2(weight) / 2)))
        return min(low, high), high

    def _is_exact(self, symbol: Symbol, high: int) -> bool:
        """Whether reading constants with so many bits drops none of theirs."""
        values = self._values(symbol) if symbol.what == "read" else []
        return bool(values) and all(is_constant(v) and dyadic_bits(v, WIDEST) <= high for v in values)

    def _values(self, symbol: Symbol) -> list[ir.Value]:
        """The values that a symbol is of."""
        if symbol.what == "read":
            return self._problem.readers[symbol]
        results = (op.results[0] for op in self._problem.instances[symbol.key])
        return [result for result in results if result in self._known.of]

    # Amounts of bits: linear expressions of symbols.

    def _row(self, amount: Amount, factor: float = 1.0) -> tuple[dict[int, float], float]:
        symbols, constant = amount
        terms: dict[int, float] = defaultdict(float)
        for symbol, times in symbols.items():
            terms[self._variable(symbol)] += factor * times
        return dict(terms), factor * constant

    def _at_most(self, smaller: Amount, larger: Amount) -> None:
        """Asks for smaller <= larger."""
        terms, constant = self._row(larger)
        less, taken = self._row(smaller, -1.0)
        self.program.constrain(_sum(terms, less), low=-constant - taken)

    def _charge(self, elements: float, amount: Amount) -> None:
        """So many elements of so many bits are sent."""
        terms, constant = self._row(amount, elements / 8 * self._objective.byte)
        for variable, factor in terms.items():
            self._costs[variable] += factor
        self._fixed_cost += constant

    def _frac(self, value: ir.Value) -> Amount:
        symbol = self._problem.frac_of(value)
        return ({symbol: 1.0}, 0.0) if symbol is not None else ({}, float(self._problem.kind(value).frac))

    def _made(self, value: ir.Value) -> Amount:
        """Integer bits of the ring that a value is made in."""
        op, number = defining_op(value), self._known.of[value]
        if self._problem.kind(value).of == "planned" and op is not None:
            return {Symbol("spare", self._problem.key_of[value]): 1.0}, float(number.least)
        if op is not None and self._known.effect(op) is None:
            return {}, float(number.home.ring - number.home.frac)
        return {}, float(number.least)

    def _need(self, value: ir.Value, bits: Amount) -> None:
        """Has a value widened, if it is made in a ring with fewer integer bits than these."""
        op = defining_op(value)
        free = op is None or self._problem.kind(value).of == "free" or not self._known.is_secret(value)
        if free or (op is not None and self._known.effect(op) is None):
            return
        if value not in self._widened:
            self._widened[value] = variable = self.program.variable(0.0, float(WIDEST))
            sent = 4 * numel(value) / 8 * self._objective.byte
            self._costs[variable] += sent
            made, frac = self._row(self._made(value)), self._row(self._frac(value))
            self.program.constrain(_sum({variable: 1.0}, made[0], frac[0]), high=WIDEST - made[1] - frac[1])
        made_terms, made_bits = self._row(self._made(value))
        less, taken = self._row(bits, -1.0)
        self.program.constrain(_sum(made_terms, {self._widened[value]: 1.0}, less), low=-made_bits - taken)

    # What ops ask for.

    def _add(self, op: ir.Operation) -> None:
        effect = self._known.effect(op)
        value = op.results[0]
        if effect is None:
            for operand, scale in self._engine_operands(op):
                self._need(operand, ({}, float(scale.ring - scale.frac)))
        elif effect is Effect.LESS:
            number = self._known.of[op.operands[0]]
            thresholds = ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS])
            largest = max(abs(t) for t in thresholds) * 2.0**-number.home.frac
            self._need(op.operands[0], ({}, float(self._known.comparable(number, largest))))
        elif value not in self._known.of or is_constant(value):
            return
        elif effect is Effect.PRODUCT:
            self._add_product(op)
        elif effect is Effect.FUNCTION:
            self._add_function(op)
        elif effect in (Effect.LOCAL, Effect.SELECT):
            self._add_local(op, effect)

    def _engine_operands(self, op: ir.Operation) -> Iterator[tuple[ir.Value, Fxp]]:
        scale = self._known.home(op)
        for value in op.operands:
            if scale is not None and value in self._known.of:
                yield value, scale if scale.ring <= WIDEST else self._known.of[value].home

    def _add_product(self, op: ir.Operation) -> None:
        value = op.results[0]
        left, right = factors(op)
        reads: list[Amount] = []
        for place, operand in enumerate((left, right)):
            kind = self._problem.kind(operand)
            if left == right and place == 1:
                reads.append(reads[0])
            elif kind.of == "fixed" and kind.frac == 0:
                reads.append(({}, 0.0))
            else:
                reads.append(({self._problem.read(op, place): 1.0}, 0.0))
                if kind.of == "planned":
                    self._at_most(reads[place], self._frac(operand))
        made = self._made(value)
        if self._problem.kind(value).of == "planned":
            self._at_most(self._frac(value), _add(*reads))
        large = multiplications(op) >= self._known.limits.large and self._fits_words(op, reads, made)
        self._at_most(_add(made, *reads), ({}, 32.0 if large else float(WIDEST)))
        self._need(left, _add(made, reads[1]))
        self._need(right, _add(made, reads[0]))
        if self._known.is_secret(left) and self._known.is_secret(right):
            self._charge(3 * numel(value), _add(made, self._frac(value)))

    def _fits_words(self, op: ir.Operation, reads: Sequence[Amount], made: Amount) -> bool:
        """Whether a product's ring can be had in words of 32 bits."""
        least = made[1] + sum(
            constant + sum(self._domain(symbol)[0] for symbol in symbols) for symbols, constant in reads
        )
        return least <= 32

    def _add_function(self, op: ir.Operation) -> None:
        value, key = op.results[0], self._problem.key_of[op.results[0]]
        argument = op.operands[0]
        read: Amount = {Symbol("read", key, 0): 1.0}, 0.0
        if self._problem.kind(argument).of == "planned":
            self._at_most(read, self._frac(argument))
        variable = self._variable(Symbol("read", key, 0))
        terms = {one: float(choice.read) for one, choice in self._options(key)}
        self.program.constrain({**terms, variable: -1.0}, low=0.0)
        self._variable(Symbol("frac", key))
        # The argument's ring has one turn for each place of the range, whatever the choice.
        made = self._made(argument)
        if not is_constant(argument) and self._known.is_secret(argument):
            self._need_choice(argument, key, made)
        for one, choice in self._options(key):
            sent = numel(value) * choice.bits / 8 * self._objective.byte
            self._costs[one] += sent
        spare = self._variable(Symbol("spare", key))
        wide = {one: float(choice.word) for one, choice in self._options(key)}
        self.program.constrain({**wide, spare: 1.0}, high=float(WIDEST))
        words = min(choice.words for choice in self._choices[key])
        self._costs[spare] += numel(value) * words / 8 * self._objective.byte

    def _need_choice(self, argument: ir.Value, key: Key, made: Amount) -> None:
        self._need(argument, ({}, 0.0))
        if argument not in self._widened:
            return
        made_terms, made_bits = self._row(made)
        terms = {one: -float(choice.whole) for one, choice in self._options(key)}
        self.program.constrain(_sum(made_terms, {self._widened[argument]: 1.0}, terms), low=-made_bits)

    def _add_local(self, op: ir.Operation, effect: Effect) -> None:
        value = op.results[0]
        made = self._made(value)
        for operand in dict.fromkeys(op.operands):
            if operand not in self._known.of:
                continue
            self._need(operand, made)
            mine, other = self._problem.frac_of(value), self._problem.frac_of(operand)
            if mine is not None and other is not None and mine != other:
                self._at_most(self._frac(operand), self._frac(value))
        if effect is Effect.SELECT and self._known.is_secret(op.operands[0]):
            self._charge(4 * numel(value), _add(made, self._frac(value)))

    def _add_rounds(self) -> None:
        """When each value is ready, in rounds, and that the last one costs as many."""
        end = self.program.variable(0.0, math.inf)
        self._costs[end] = self._objective.round
        for op in self._problem.ops:
            effect = self._known.effect(op)
            secret = [v for v in op.operands if self._known.is_secret(v)]
            if not secret:
                continue
            ready = self.program.variable(0.0, math.inf)
            self.program.constrain({end: 1.0, ready: -1.0}, low=0.0)
            takes = self._rounds(op, effect)
            for operand in secret:
                terms = {ready: 1.0}
                if operand in self._ready:
                    terms[self._ready[operand]] = -1.0
                wide = self._wide_of(operand)
                if wide is not None and effect in (
                    Effect.PRODUCT,
                    Effect.FUNCTION,
                    Effect.LOCAL,
                    Effect.SELECT,
                ):
                    terms[wide] = -2.0
                self.program.constrain(terms, low=float(takes))
            for result in op.results:
                self._ready[result] = ready

    def _rounds(self, op: ir.Operation, effect: Effect | None) -> int:
        if effect is Effect.PRODUCT:
            return 1 if all(map(self._known.is_secret, factors(op))) else 0
        if effect is Effect.SELECT:
            return 2 if self._known.is_secret(op.operands[0]) else 0
        if effect is Effect.LESS:
            encoding = encoding_of(op.operands[0])
            return comparison_rounds(encoding.ring) if encoding is not None else 0
        return ROUNDS.get(effect, 0) if effect is not None else 0

    def _wide_of(self, value: ir.Value) -> int | None:
        """Whether a value is widened: 1, or 0."""
        if value not in self._widened:
            return None
        key = self._problem.key_of[value]
        if key not in self._wide:
            self._wide[key] = self.program.variable(0, 1, integer=True)
        self.program.constrain({self._widened[value]: -1.0, self._wide[key]: float(WIDEST)}, low=0.0)
        return self._wide[key]

    # What comes of it.

    def decided(self, solution: Solution) -> Decided:
        """The decisions that a solution stands for."""
        chosen: dict[Key, Decision] = {}
        for op, own in zip(self._problem.ops, self._problem.keys, strict=True):
            decision = self._decision(self._problem.key_of[op.results[0]], op, solution)
            if decision is not None:
                chosen[own] = decision
        # Not what the solver's variables say, which may be anything up to the bound.
        noise = sum(self._noise_of(symbol, solution) for symbol in self._variables)
        noise += sum(self._noise_of_choice(key, solution) for key in self._selected)
        cost = sum(float(solution.values[one]) * each for one, each in self._costs.items()) + self._fixed_cost
        return Decided(chosen, noise, cost, solution.gap)

    def impossible(self, solution: Solution) -> bool:
        """Whether functions do not reach their errors with the arguments that a solution gives them.

        Then the problem knows: of errors that are never reached, and of arguments that need more bits.
        """
        found = False
        for key, ops in self._problem.functions.items():
            choice = self._chosen(key, solution)
            spare = solution.whole(self._variables[Symbol("spare", key)])
            for op in ops:
                result = Fxp(self._known.of[op.results[0]].least + spare + choice.frac, choice.frac)
                core, argument = self._known.seen(op.operands[0]), self._problem.frac_of(op.operands[0])
                held = self._known.of[op.operands[0]].frac
                most = held if argument is None else self._domain(argument)[1]
                frac = min(
                    choice.read, held if argument is None else solution.whole(self._variables[argument])
                )
                made = terms_for(op, choice.error, frac, result, core, self._problem.loose)
                if isinstance(made, str):
                    found = True
                    if frac < min(choice.read, most):
                        self._problem.arguments[key] = max(self._problem.arguments[key], frac + 1)
                    else:
                        self._problem.impossible.add((key, choice.error))
        return found

    def _chosen(self, key: Key, solution: Solution) -> Choice:
        return self._choices[key][self._index(key, solution)]

    def _index(self, key: Key, solution: Solution) -> int:
        made = self._selected[key]
        return max(range(len(made)), key=lambda index: float(solution.values[made[index]]))

    def _noise_of(self, symbol: Symbol, solution: Solution) -> float:
        """What so many bits add to all outputs together."""
        weight = self._problem.noise.get(symbol, 0.0)
        bits = solution.whole(self._variables[symbol]) if symbol in self._variables else 0
        return weight * 4.0**-bits if weight and not self._is_exact(symbol, bits) else 0.0

    def _noise_of_choice(self, key: Key, solution: Solution) -> float:
        return self._added[self._selected[key][self._index(key, solution)]] * self._noise

    def _decision(self, key: Key, op: ir.Operation, solution: Solution) -> Decision | None:
        effect, value = self._known.effect(op), op.results[0]
        if value not in self._known.of or effect is None:
            return None

        def whole(symbol: Symbol) -> int:
            return solution.whole(self._variables[symbol]) if symbol in self._variables else 0

        spare, frac = whole(Symbol("spare", key)), Symbol("frac", key)
        own = (Symbol("read", key, 0), Symbol("read", key, 1))
        symbols = (frac, *(symbol for symbol in own if symbol not in self._problem.read_as))
        noise = sum(self._noise_of(symbol, solution) for symbol in symbols)
        if effect is Effect.FUNCTION:
            choice = self._chosen(key, solution)
            noise += self._noise_of_choice(key, solution)
            return Decision(key, choice.frac, spare, None, choice.error, noise)
        if effect is Effect.PRODUCT:
            reads = whole(self._problem.read(op, 0)), whole(self._problem.read(op, 1))
            bits = whole(frac) if self._problem.kind(value).of == "planned" else None
            return Decision(key, bits, spare, reads, None, noise)
        return Decision(key, None, spare, None, None, 0.0) if spare else None


def _sum(*terms: Linear) -> dict[int, float]:
    total: defaultdict[int, float] = defaultdict(float)
    for each in terms:
        for variable, factor in each.items():
            total[variable] += factor
    return dict(total)


def _add(*amounts: Amount) -> Amount:
    symbols: defaultdict[Symbol, float] = defaultdict(float)
    for each, _ in amounts:
        for symbol, factor in each.items():
            symbols[symbol] += factor
    return dict(symbols), sum(constant for _, constant in amounts)
