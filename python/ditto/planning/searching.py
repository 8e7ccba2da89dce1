"""Looking for the cheapest plan within a bound: solving, compiling, measuring, and solving again."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditto.planning.gains import measure
from ditto.planning.policies import Base, planned_rules, policy_text
from ditto.planning.result import Measured, Plan, PlanningError, Point
from ditto.planning.sampled import Quality, Sampled
from ditto_compiler.calibration import Ranges
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.ir import entry_function
from ditto_compiler.network import PRESETS as NETWORKS
from ditto_compiler.network import load_network
from ditto_compiler.passes.ditto_assign_rings import DittoAssignRings
from ditto_compiler.pipelines import precision_pipeline
from ditto_compiler.planning.equations import least_noise, solve
from ditto_compiler.planning.modules import problem_of
from ditto_compiler.planning.objective import Objective
from ditto_compiler.planning.problem import Decided, PlanError, Problem
from ditto_compiler.policy import Policy, load_policy, parse_policy
from ditto_compiler.rings.numbers import divisions_to_products

ATTEMPTS = 6
"""How often a bound is adjusted to what was measured."""

CLOSE = 0.97
"""The part of an allowed error that is used at least, if a few attempts find how."""

LONGEST = 12
"""How often a bound on noise is raised sixteenfold to find one that can be kept."""

PESSIMISM = 2
"""How often a bound that nothing is predicted to keep is doubled, to see what is measured."""

STEP, NARROW = 4.0, 1.2
"""How much further a bound on the deviation is looked for, and how well it is known in the end."""

FINE = 2.0**-20
"""Of the largest output: a deviation that nobody minds."""

CLOSER = 1.01
"""How much further apart bounds have to be to be worth another attempt."""

GAIN_SAMPLES = 3
"""Samples of which gains are averaged."""

FRONT = tuple(2.0**step for step in (-3, -2, -1, 1, 2, 3))
"""Other errors for which the least cost is predicted, in parts of the one that was asked for."""


@dataclass(frozen=True)
class Settings:
    """How plans are looked for; see `ditto.plan`."""

    objective: Objective
    tie: bool
    loose: int
    seconds: float
    gap: float
    report: Callable[[str], None]
    """Told what is being done."""


@dataclass(frozen=True)
class Candidate:
    """A plan that was compiled and measured.

    Attributes:
        decided: what the linear program decided.
        text: of the policy file.
        policy: the same, read.
        measured: on what was held out.
        bound: on the deviation, that it was solved for.
        predicted: error, before it was measured.
    """

    decided: Decided
    text: str
    policy: Policy
    measured: Measured
    bound: float
    predicted: float


class Search:
    """Plans on top of one policy.

    Attributes:
        base: what the policy was measured to be.
        policies: what plans stand on.
        remarks: what was tried, in order.

    What it does raises PlanningError if there is nothing to plan, or no plan keeps what is asked for.
    """

    def __init__(self, program: Sampled, base: Base, settings: Settings) -> None:
        self._program, self.policies, self._settings = program, base, settings
        self._objective = settings.objective
        self._policy = base.policy
        self.remarks: list[str] = []
        settings.report("calibrating")
        self._ranges = program.calibrate(self._policy)
        settings.report("measuring the base policy")
        self._networks = dict(NETWORKS)
        if self._objective.unit == "s":
            self._networks[self._objective.name] = load_network(self._objective.name)
        self.base = self._measured(self._policy, self._ranges)
        self._rest = 0.0
        """Of a plan's cost, what nothing is decided about; known when one was measured."""
        self._measurements: dict[tuple[Any, ...], Measured] = {}
        """By what was decided: other bounds on noise may come to the same."""
        self._ratio = (
            max(3.0, min(12.0, self.base.error / self.base.deviation)) if self.base.deviation else 5.0
        )

    def _measured(self, policy: Policy, ranges: Ranges, quality: Quality | None = None) -> Measured:
        return self._program.measured(self._program.compiled(policy, ranges), self._networks, quality)

    @property
    def _problem(self) -> Problem:
        """What there is to decide."""
        return self._prepared[0]

    @property
    def _count(self) -> int:
        """Outputs, over which noise is summed up."""
        return self._prepared[1]

    @functools.cached_property
    def _prepared(self) -> tuple[Problem, int]:
        self._settings.report("measuring gains")
        program = self._program
        passes = precision_pipeline(
            self._policy, max_public_constant=program.max_public_constant, ranges=self._ranges
        )
        module = program.before(DittoAssignRings, passes)
        entry = entry_function(module)
        assert entry is not None
        divisions_to_products(entry)
        count = measure(module, program.training(GAIN_SAMPLES))
        if not count:
            raise PlanningError(
                "nothing of this program's outputs depends on numbers; there is nothing to plan"
            )
        try:
            tie, loose = self._settings.tie, self._settings.loose
            return problem_of(module, self._objective, tie=tie, loose=loose), count
        except PlanError as error:
            raise PlanningError(str(error)) from None

    # Looking for a bound on noise that keeps a bound on what is measured.

    def _candidate(self, deviation: float, quality: Quality | None = None) -> Candidate:
        """The cheapest plan whose outputs are off by so much, as root mean square.

        Raises:
            PlanError: nothing is predicted to be.
        """
        self._settings.report(f"solving for a deviation of {deviation:.2g}")
        decided = self._solved(deviation)
        text, policy = self._written(decided, deviation)
        predicted = self._ratio * self._deviation(decided)
        same = tuple(decision._replace(noise=0.0) for decision in decided.decisions.values())
        if same not in self._measurements:
            self._measurements[same] = self._measured(policy, self._ranges, quality)
        measured = self._measurements[same]
        self._rest = self.cost(measured) - decided.cost
        self.remarks.append(
            f"for a deviation of {deviation:.3g}: predicted {self._deviation(decided):.3g} and "
            f"{decided.cost:.4g} {self._objective.unit}; measured {measured.deviation:.3g}, an error of "
            f"{measured.error:.3g}, {measured.bytes / 1e6:.4g} MB"
        )
        return Candidate(decided, text, policy, measured, deviation, predicted)

    def _solved(self, deviation: float) -> Decided:
        noise = deviation**2 * self._count
        return solve(self._problem, noise, seconds=self._settings.seconds, gap=self._settings.gap)

    def _deviation(self, decided: Decided) -> float:
        return math.sqrt(decided.noise / self._count)

    def _explained(self, problem: PlanError, deviation: float) -> PlanningError:
        """An error with what stands in the way, and what would do."""
        least, noise = None, deviation**2 * self._count
        for _ in range(LONGEST):
            try:
                least = least_noise(self._problem, noise, seconds=self._settings.seconds)
                break
            except PlanError:
                noise *= 16
        if least is None:
            return PlanningError(str(problem))
        worst = max(least.decisions.items(), key=lambda entry: entry[1].noise)
        reach = self._ratio * self._deviation(least)
        return PlanningError(
            f"{problem}: the least error that rings of 64 bits, and words of 32 bits for large products, "
            f"allow is about {reach:.2g}, most of it ({worst[1].noise / least.noise:.0%}) from {worst[0]}; "
            "ask for at least that"
        )

    def _written(self, decided: Decided, deviation: float) -> tuple[str, Policy]:
        """The policy that stands for decisions, as text and read."""
        rules = planned_rules(self._problem, decided)
        description = (
            f"Planned for a deviation of {deviation:.3g} and few {self._objective.name}, on top of "
            f"{self._policy.name}; calibrate with the same samples."
        )
        text = policy_text("plan", self.policies, description, rules)
        return text, parse_policy(text, str(Path.cwd() / "plan.toml"))

    def within(self, error: float) -> Candidate:
        """The cheapest plan that keeps a largest error, or the base policy, if that is cheaper."""
        return self._within(error, "an error", self._ratio, lambda measured: measured.error)

    def like(self, deviation: float) -> Candidate:
        """The cheapest plan that was measured to err so much as root mean square, or the base policy.

        The largest of many errors is a matter of chance; what they are in the mean is not.
        """
        bound = max(deviation, 1e-9 * self._program.largest)
        return self._within(bound, "a deviation", 1.0, lambda measured: measured.deviation)

    def _within(
        self, bound: float, what: str, ratio: float, measured_as: Callable[[Measured], float]
    ) -> Candidate:
        kept = measured_as(self.base) <= bound
        if not bound:
            return self._base_stands(f"{self._policy.name} is not off at all; give an error to plan for")
        try:
            found = self._keeping(bound, what, ratio, measured_as)
        except PlanningError as problem:
            if kept:
                return self._base_stands(str(problem))
            raise
        costlier = self.cost(found.measured) > self.cost(self.base)
        return self._base_stands("nothing cheaper was found") if kept and costlier else found

    def _base_stands(self, why: str) -> Candidate:
        self.remarks.append(f"{why}; so the base policy stands as it is")
        base = self.base
        nothing = Decided({}, base.deviation**2 * self._count, self.cost(base), 1.0)
        return Candidate(nothing, *self._written(nothing, base.deviation), base, base.deviation, base.error)

    def _keeping(
        self, bound: float, what: str, ratio: float, measured_as: Callable[[Measured], float]
    ) -> Candidate:
        """The cheapest plan that was measured to keep a bound.

        `ratio` says how large `measured_as` is likely to be, in parts of the deviation that is predicted.
        """
        best: Candidate | None = None
        low, high, target = 0.0, math.inf, bound / ratio
        attempts = 0
        for number in range(2 * ATTEMPTS):
            if attempts == ATTEMPTS:
                break
            try:
                found = self._candidate(target)
                attempts += 1
            except PlanError as problem:
                # What is predicted is a little too much at times; what is measured counts.
                if number >= PESSIMISM and high == math.inf:
                    raise self._explained(problem, target) from None
                target = target * 2.0 if high == math.inf else math.sqrt(target * high)
                continue
            measured = measured_as(found.measured)
            if measured <= bound and found.measured.error < math.inf:
                low = max(low, target)
                if best is None or self.cost(found.measured) < self.cost(best.measured):
                    best = found
            else:
                high = min(high, target)
            predicted = self._deviation(found.decided)
            if 0 < found.measured.error < math.inf and predicted:
                self._ratio = found.measured.error / predicted
            # What is not used is not asked for again.
            idle = measured <= bound and predicted < target / 2
            if idle or (best is found and measured >= CLOSE * bound) or high < CLOSER * low:
                break
            scaled = target * min(4.0, max(0.25, bound / measured if measured else 4.0))
            # A little less than what was just too much, and what is known to be too little or too much not
            # again.
            scaled *= 1.0 if measured <= bound else 0.98
            between = math.sqrt(low * high) if low and high < math.inf else scaled
            target = scaled if CLOSER * low < scaled < high / CLOSER else between
        if best is None:
            raise PlanningError(
                f"no plan kept {what} of {bound:.3g} on the held-out samples; the last one had "
                f"{measured:.3g}. Ask for more, or calibrate on more samples"
            )
        return best

    def cost(self, measured: Measured) -> float:
        """What is to be small."""
        return measured.cost(self._objective.name)

    def within_quality(self, quality: Quality, least: float) -> Candidate:
        """The cheapest of a few plans that was measured to have a quality."""
        best: Candidate | None = None

        def keeps(found: Candidate) -> bool:
            nonlocal best
            reached = found.measured.quality
            assert reached is not None
            if found.measured.error == math.inf or not reached >= least:
                return False
            best = found if best is None or self.cost(found.measured) < self.cost(best.measured) else best
            return True

        last = self._bracketed(keeps, up_to=True, quality=quality)
        if best is None:
            raise PlanningError(
                f"no plan reached a quality of {least}; the last one had {last.measured.quality}. Ask for "
                "less"
            )
        return best

    def within_bytes(self, most: float) -> Candidate:
        """Of a few plans that send no more, the one with the least error."""
        best: Candidate | None = None

        def keeps(found: Candidate) -> bool:
            nonlocal best
            if found.measured.bytes > most:
                return False
            best = found if best is None or found.measured.error < best.measured.error else best
            return True

        last = self._bracketed(keeps, up_to=False)
        if best is None:
            raise PlanningError(
                f"no plan sends {most:.4g} bytes or less; the last one sends {last.measured.bytes:.4g}"
            )
        return best

    def _bracketed(
        self, keeps: Callable[[Candidate], bool], *, up_to: bool, quality: Quality | None = None
    ) -> Candidate:
        """Looks for the deviation up to which, or from which, plans keep what is asked; gives the last plan.

        Raises:
            PlanningError: nothing could be tried.
        """
        start = self.base.deviation if self.base.error < math.inf else 0.0
        # Of outputs that are not off at all, as classes are, numbers that decide them may be.
        deviation, low, high = start or FINE * (self._program.largest or 1.0), 0.0, math.inf
        last: Candidate | None = None
        for _ in range(2 * ATTEMPTS):
            try:
                last = self._candidate(deviation, quality)
                is_low = keeps(last) is up_to
            except PlanError as error:
                # Nothing is as exact as that.
                problem, is_low = error, True
            low, high = (deviation, high) if is_low else (low, deviation)
            idle = is_low and last is not None and self._deviation(last.decided) < deviation / 2
            if idle or (low and high / low < NARROW):
                break
            deviation = deviation * STEP if high == math.inf else high / STEP
            if low and high < math.inf:
                deviation = math.sqrt(low * high)
        if last is None:
            raise self._explained(problem, deviation)
        return last

    def finished(self, found: Candidate, base: Measured, presets: Sequence[str], asked: float | None) -> Plan:
        """The plan, with what its base and other policies cost, and what other errors would."""
        others = {self._policy.name: base}
        for name in presets:
            self._settings.report(f"measuring {name}")
            other = load_policy(name)
            if other.name in others:
                continue
            try:
                others[other.name] = self._measured(other, self._program.calibrate(other))
            except CompileError as error:
                self.remarks.append(f"{name} does not compile: {error}")
        front = []
        if presets and found.bound:
            front.append(Point(self._ratio * self._deviation(found.decided), self.cost(found.measured)))
            for factor in FRONT:
                try:
                    decided = self._solved(factor * found.bound)
                except PlanError:
                    continue
                front.append(Point(self._ratio * self._deviation(decided), decided.cost + self._rest))
        rules = planned_rules(self._problem, found.decided)
        return Plan(
            policy=found.policy,
            ranges=self._ranges,
            text=found.text,
            objective=self._objective.name,
            asked=self._ratio * found.bound if asked is None else asked,
            measured=found.measured,
            predicted_error=found.predicted,
            predicted_cost=found.decided.cost,
            gap=found.decided.gap,
            presets=others,
            front=tuple(sorted(front, key=lambda point: point.error)),
            rules=tuple(rules),
            remarks=tuple(self.remarks),
        )
