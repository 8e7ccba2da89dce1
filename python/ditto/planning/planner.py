"""`ditto.plan`: the cheapest policy for a program within a bound on its error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ditto import tree
from ditto.calibrating import calibrate
from ditto.compile_traced import compile_traced
from ditto.compiled_program import Program
from ditto.frontend import Source, Traced, Visibility, positions, to_stablehlo
from ditto.planning.gains import measure
from ditto.planning.policies import planned_rules, policy_text
from ditto.planning.result import Measured, Plan, PlanningError, Point
from ditto.simulator import simulate
from ditto.simulator.overflow import Overflow
from ditto_compiler.calibration import Ranges
from ditto_compiler.cost.model import estimate, seconds_on
from ditto_compiler.diagnostics import CompileError, named
from ditto_compiler.ir import copy_module, entry_function, ir
from ditto_compiler.network import PRESETS as NETWORKS
from ditto_compiler.network import load_network
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.ditto_assign_rings import DittoAssignRings
from ditto_compiler.pipelines import precision_pipeline
from ditto_compiler.planning.modules import problem_of
from ditto_compiler.planning.problem import Decided, Objective, PlanError, Problem
from ditto_compiler.policy import Policy, load_policy, parse_policy
from ditto_compiler.rings.numbers import divisions_to_products
from ditto_compiler.xla import XlaFunction

Quality = Callable[[Any, Any], float]
"""Of private and of plaintext outputs: how good the former are."""

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

RUNS = 3
"""Simulated at least, with shares of their own each."""

GAIN_SAMPLES = 3
"""Samples of which gains are averaged."""

ENOUGH = 1 << 14
"""Outputs of which one run, or one sample, says enough."""

FRONT = tuple(2.0**step for step in (-3, -2, -1, 1, 2, 3))
"""Other errors for which the least cost is predicted, in parts of the one that was asked for."""


def plan(
    fn: Source,
    samples: Iterable[Sequence[Any]],
    *,
    error: float | None = None,
    rel_error: float | None = None,
    quality: Quality | None = None,
    least: float | None = None,
    max_bytes: float | None = None,
    objective: str = "bytes",
    network: str | None = None,
    policy: str | Path = "ditto",
    visibility: Visibility = "secret",
    static_argnums: int | Sequence[int] = (),
    donate_argnums: int | Sequence[int] = (),
    max_public_constant: int = 1024,
    tie: bool = True,
    loose: int = 64,
    seconds: float = 30.0,
    gap: float = 0.005,
    presets: Sequence[str] = (),
    progress: bool = False,
) -> Plan:
    """Chooses fraction bits, rings and functions' errors for the least cost within a bound on the error.

    Ranges and gains are measured on two thirds of the samples. What is returned was compiled, and simulated
    with random shares on the others, and kept the bound there.

    Args:
        fn: as for `ditto.compile`.
        samples: tuples of arguments, typical of what the program will see. The last third is held out; of one
            sample, it is the same.
        error: largest absolute difference of an output to plaintext. By default outputs differ as much as
            with `policy`, in the root mean square.
        rel_error: instead, as a part of the largest output.
        quality: instead, a function of the private and the plaintext outputs; with `least`, its least value.
        least: see `quality`.
        max_bytes: instead, what the parties may send together; then the error is as small as that allows.
        objective: what is to be small: "bytes", "rounds", or seconds on a network, "lan", "wan" or
            "BANDWIDTH,RTT".
        network: the same as `objective`, for a network.
        policy: preset or file that is the base of the plan's; one that runs beside the engine.
        visibility, static_argnums, donate_argnums, max_public_constant: as for `ditto.compile`.
        tie: decide the same for layers that are alike, which have equal ops and shapes, and scopes that
            differ in numbers only.
        loose: how many times as large as in the range that was measured a function's error may be in the
            margin around it.
        seconds: for each linear program, after which the best that was found is taken.
        gap: within which, relatively, of the least cost there is the answer may be.
        presets: other policies to measure on the same samples.
        progress: show what is being done.

    Raises:
        PlanningError: samples or bounds that do not do, or a bound that no plan keeps; says which op adds
        most. CompileError, TraceError, PolicyError: as for `ditto.compile`.
    """
    bounds = [bound for bound in (error, rel_error, quality, max_bytes) if bound is not None]
    if len(bounds) > 1:
        raise PlanningError("give one of error, rel_error, quality and max_bytes")
    for name, bound in (("error", error), ("rel_error", rel_error), ("max_bytes", max_bytes)):
        if bound is not None and not 0 < bound < math.inf:
            raise PlanningError(f"{name} must be a number above 0, got {bound!r}")
    if (quality is None) != (least is None):
        raise PlanningError("quality takes a function, and least the least value that it may have")
    wanted = Objective.parse(network or objective)
    batches = [tuple(sample) for sample in _listed(samples)]
    with _Bar(progress) as bar:
        search = _Search(
            fn,
            batches,
            wanted,
            policy,
            visibility,
            static_argnums,
            donate_argnums,
            max_public_constant,
            tie,
            loose,
            seconds,
            gap,
            bar,
        )
        if rel_error is not None:
            error = rel_error * search.largest
        if max_bytes is not None:
            found = search.within_bytes(max_bytes)
        elif quality is not None:
            assert least is not None
            found = search.within_quality(quality, least)
        else:
            found = search.like_base() if error is None else search.within(error)
        return search.finished(found, presets)


def _listed(samples: Any) -> list[Any]:
    if not isinstance(samples, Iterable):
        raise PlanningError(f"samples must be an iterable of tuples of arguments, got {samples!r}")
    found = list(samples)
    if not found:
        raise PlanningError("planning needs at least one sample, a tuple of arguments")
    for number, sample in enumerate(found):
        if not isinstance(sample, (tuple, list)):
            raise PlanningError(
                f"sample {number} must be a tuple of arguments, got a {type(sample).__name__}"
            )
    return found


class _Bar:
    """What is being done, for a person to see."""

    def __init__(self, shown: bool) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description:<46}"), BarColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown)
        self._task: TaskID | None = None

    def __enter__(self) -> _Bar:
        self._bars.start()
        self._task = self._bars.add_task("planning", total=ATTEMPTS + 3)
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, doing: str) -> None:
        assert self._task is not None
        self._bars.update(self._task, description=doing, advance=1)


@dataclass(frozen=True)
class _Candidate:
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


class _Search:
    """One program, its samples, and what there is to decide.

    Attributes:
        base: what the base policy was measured to be.
        largest: magnitude of the outputs.
    """

    def __init__(
        self,
        fn: Source,
        samples: Sequence[tuple[Any, ...]],
        objective: Objective,
        policy: str | Path,
        visibility: Visibility,
        static_argnums: int | Sequence[int],
        donate_argnums: int | Sequence[int],
        max_public_constant: int,
        tie: bool,
        loose: int,
        seconds: float,
        gap: float,
        bar: Callable[[str], None],
    ) -> None:
        self._policy = load_policy(policy)
        self._base_text = str(policy)
        if self._policy.beside != "shares":
            raise PlanningError(
                f"plans are for policies that run beside the engine, which '{self._policy.name}' does not: "
                'take "ditto", or one with beside = "shares"'
            )
        self._objective, self._seconds, self._gap, self._bar = objective, seconds, gap, bar
        self._limit = max_public_constant
        held_out = len(samples) // 3 or (1 if len(samples) > 1 else 0)
        training, self._held_out = samples[: len(samples) - held_out], samples[len(samples) - held_out :]
        if not held_out:
            self._held_out = training
        self.remarks = (
            [] if held_out else ["there is one sample, so none was held out: errors are of this one"]
        )
        self._asked = 0.0
        self._calibrate: Callable[[Policy], Ranges] = lambda other: calibrate(
            fn,
            training,
            policy=other,
            visibility=visibility,
            static_argnums=static_argnums,
            max_public_constant=max_public_constant,
        )
        bar("calibrating")
        self._ranges = self._calibrate(self._policy)
        examples = samples[0] if callable(fn) else ()
        self._traced = to_stablehlo(
            copy_module(fn) if isinstance(fn, ir.Module) else fn,
            examples,
            visibility=visibility,
            static_argnums=static_argnums,
            donate_argnums=donate_argnums,
        )
        self._static = positions(static_argnums, len(examples) if callable(fn) else 0)
        plain = XlaFunction(self._traced.module)
        self._inputs = [self._dynamic(sample) for sample in self._held_out]
        self._exact = [plain(*self._flat(inputs)) for inputs in self._inputs]
        self.largest = max(
            (float(np.abs(each).max()) for each in self._floats() if each.size and np.isfinite(each).all()),
            default=0.0,
        )
        bar("measuring the base policy")
        self.base = self._measured(self._compiled(self._policy))
        bar("measuring gains")
        self._problem, self._count = self._prepare(training, tie, loose)
        self._ratio = (
            max(3.0, min(12.0, self.base.error / self.base.deviation)) if self.base.deviation else 5.0
        )

    def _times(self, most: int) -> int:
        """How often something random is looked at: once, if there is much to see."""
        return 1 if sum(np.size(each) for each in self._exact[0]) >= ENOUGH else most

    def _floats(self) -> list[NDArray[Any]]:
        return [np.asarray(each) for outputs in self._exact for each in outputs if _is_float(each)]

    def _dynamic(self, sample: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(argument for index, argument in enumerate(sample) if index not in self._static)

    def _flat(self, arguments: Sequence[Any]) -> list[Any]:
        try:
            leaves = tree.flatten(self._traced.input_tree, arguments)
        except tree.TreeError as error:
            raise PlanningError(f"a sample does not fit the first: {error}") from None
        return [np.asarray(leaf) for leaf in leaves]

    def _copy(self) -> Traced:
        return replace(self._traced, module=copy_module(self._traced.module))

    def _compiled(self, policy: Policy, ranges: Ranges | None = None) -> Program:
        ranges = self._ranges if ranges is None else ranges
        return compile_traced(self._copy(), policy, max_public_constant=self._limit, ranges=ranges)

    def _prepare(self, training: Sequence[Sequence[Any]], tie: bool, loose: int) -> tuple[Problem, int]:
        passes = precision_pipeline(self._policy, max_public_constant=self._limit, ranges=self._ranges)
        before = next(index for index, one in enumerate(passes) if isinstance(one, DittoAssignRings))
        traced = self._copy()
        with named(traced.file):
            PassManager(passes[:before], verify_each=False).run(traced.module)
        entry = entry_function(traced.module)
        assert entry is not None
        divisions_to_products(entry)
        batches = [self._flat(self._dynamic(sample)) for sample in training[: self._times(GAIN_SAMPLES)]]
        count = measure(traced.module, batches)
        if not count:
            raise PlanningError(
                "nothing of this program's outputs depends on numbers; there is nothing to plan"
            )
        try:
            return problem_of(traced.module, self._objective, tie=tie, loose=loose), count
        except PlanError as error:
            raise PlanningError(str(error)) from None

    def _measured(self, program: Program, quality: Quality | None = None) -> Measured:
        """Simulated with random shares on what was held out."""
        worst, squares, count, least = 0.0, 0.0, 0, math.inf
        for number, (inputs, exact) in enumerate(zip(self._inputs, self._exact, strict=True)):
            for seed in range(-(-self._times(RUNS) // len(self._inputs))):
                found = simulate(program, *inputs, seed=RUNS * number + seed)
                outputs = jax.tree_util.tree_leaves(found.outputs)
                for mine, other in zip(outputs, exact, strict=True):
                    off = _difference(np.asarray(mine), other)
                    worst = max(worst, float(off.max(initial=0.0)))
                    squares, count = squares + float((off**2).sum()), count + off.size
                if any(isinstance(finding, Overflow) for finding in found.overflows):
                    worst = math.inf
                if quality is not None:
                    nested = tree.unflatten(program.output_tree, exact)
                    least = min(least, float(quality(found.outputs, nested)))
        cost = estimate(program).total
        return Measured(
            worst,
            math.sqrt(squares / count) if count else 0.0,
            None if quality is None else least,
            cost.bytes,
            cost.messages,
            cost.rounds,
            {name: seconds_on(cost, network) for name, network in self._networks().items()},
        )

    def _networks(self) -> dict[str, Any]:
        found = dict(NETWORKS)
        if self._objective.unit == "s":
            found[self._objective.name] = load_network(self._objective.name)
        return found

    # Looking for a bound on noise that keeps a bound on what is measured.

    def _candidate(self, deviation: float, quality: Quality | None = None) -> _Candidate:
        """The cheapest plan whose outputs are off by so much, as root mean square."""
        noise = deviation**2 * self._count
        self._bar(f"solving for a deviation of {deviation:.2g}")
        try:
            decided = self._problem.solve(noise, seconds=self._seconds, gap=self._gap)
        except PlanError as error:
            raise PlanningError(self._explained(str(error), noise)) from None
        text = self._text(decided, deviation)
        policy = parse_policy(text, f"{Path.cwd() / 'plan.toml'}")
        predicted = self._ratio * self._deviation(decided)
        measured = self._measured(self._compiled(policy), quality)
        self.remarks.append(
            f"for a deviation of {deviation:.3g}: predicted {self._deviation(decided):.3g} and "
            f"{decided.cost:.4g} {self._objective.unit}; measured {measured.deviation:.3g}, an error of "
            f"{measured.error:.3g}, {measured.bytes / 1e6:.4g} MB"
        )
        return _Candidate(decided, text, policy, measured, deviation, predicted)

    def _deviation(self, decided: Decided) -> float:
        return math.sqrt(decided.noise / self._count)

    def _explained(self, what: str, noise: float) -> str:
        """An error with what stands in the way, and what would do."""
        least = None
        for _ in range(LONGEST):
            try:
                least = self._problem.least_noise(noise, seconds=self._seconds)
                break
            except PlanError:
                noise *= 16
        if least is None:
            return what
        worst = max(least.decisions.items(), key=lambda entry: entry[1].noise)
        reach = self._ratio * self._deviation(least)
        return (
            f"{what}: the least error that rings of 64 bits, and words of 32 bits for large products, allow "
            f"is about {reach:.2g}, most of it ({worst[1].noise / least.noise:.0%}) from {worst[0]}; ask for "
            "at least that"
        )

    def _text(self, decided: Decided, deviation: float) -> str:
        rules = planned_rules(self._problem, decided)
        description = (
            f"Planned for a deviation of {deviation:.3g} and few {self._objective.name}, on top of "
            f"{self._policy.name}; calibrate with the same samples."
        )
        base = self._base_text
        base = str(Path(base).resolve()) if base.endswith(".toml") else base
        return policy_text("plan", base, description, {}, rules)

    def within(self, error: float) -> _Candidate:
        """The cheapest plan that keeps a largest error, or the base policy, if that is cheaper."""
        self._asked = error
        kept = self.base.error <= error
        try:
            found = self._keeping(error, "an error", self._ratio, lambda measured: measured.error)
        except PlanningError as problem:
            if kept:
                return self._base_stands(str(problem))
            raise
        return self._base_stands("nothing cheaper was found") if kept and self._is_dearer(found) else found

    def like_base(self) -> _Candidate:
        """The cheapest plan that was measured to err as the base policy does, as root mean square.

        The largest of many errors is a matter of chance; what they are in the mean is not.
        """
        bound = max(self.base.deviation, 1e-9 * self.largest)
        if not bound:
            return self._base_stands(
                f"{self._policy.name} is not off at all; give an error to be planned for"
            )
        try:
            found = self._keeping(bound, "a deviation", 1.0, lambda measured: measured.deviation)
        except PlanningError as error:
            return self._base_stands(str(error))
        return self._base_stands("nothing cheaper was found") if self._is_dearer(found) else found

    def _is_dearer(self, found: _Candidate) -> bool:
        return self._cost(found) > self._cost_of_base()

    def _base_stands(self, why: str) -> _Candidate:
        self.remarks.append(f"{why}; so the base policy stands as it is")
        base = self.base
        nothing = Decided({}, base.deviation**2 * self._count, self._cost_of_base(), 1.0)
        text = self._text(nothing, base.deviation)
        return _Candidate(nothing, text, parse_policy(text, "plan.toml"), base, base.deviation, base.error)

    def _cost_of_base(self) -> float:
        return self.base.cost(self._objective.name)

    def _keeping(
        self, bound: float, what: str, ratio: float, measured_as: Callable[[Measured], float]
    ) -> _Candidate:
        """The cheapest plan that was measured to keep a bound.

        `ratio` says how large `measured_as` is likely to be, in parts of the deviation that is predicted.
        """
        best: _Candidate | None = None
        low, high, target = 0.0, math.inf, bound / ratio
        for number in range(ATTEMPTS):
            try:
                found = self._candidate(target)
            except PlanningError:
                # What is predicted is a little too much at times; what is measured counts.
                if number >= PESSIMISM and high == math.inf:
                    raise
                target = target * 2.0 if high == math.inf else math.sqrt(target * high)
                continue
            measured = measured_as(found.measured)
            if measured <= bound and found.measured.error < math.inf:
                low = max(low, target)
                if best is None or self._cost(found) < self._cost(best):
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

    def _cost(self, found: _Candidate) -> float:
        return found.measured.cost(self._objective.name)

    def within_quality(self, quality: Quality, least: float) -> _Candidate:
        """The cheapest of a few plans that was measured to have a quality."""
        best: _Candidate | None = None

        def keeps(found: _Candidate) -> bool:
            nonlocal best
            reached = found.measured.quality
            assert reached is not None
            if found.measured.error == math.inf or not reached >= least:
                return False
            best = found if best is None or self._cost(found) < self._cost(best) else best
            return True

        last = self._bracketed(keeps, up_to=True, quality=quality)
        if best is None:
            raise PlanningError(
                f"no plan reached a quality of {least}; the last one had {last.measured.quality}. Ask for "
                "less"
            )
        return best

    def within_bytes(self, most: float) -> _Candidate:
        """Of a few plans that send no more, the one with the least error."""
        best: _Candidate | None = None

        def keeps(found: _Candidate) -> bool:
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
        self, keeps: Callable[[_Candidate], bool], *, up_to: bool, quality: Quality | None = None
    ) -> _Candidate:
        """Looks for the deviation up to which, or from which, plans keep what is asked; gives the last plan.

        Raises:
            PlanningError: nothing could be tried.
        """
        start = self.base.deviation if self.base.error < math.inf else 0.0
        # Of outputs that are not off at all, as classes are, numbers that decide them may be.
        deviation, low, high = start or FINE * (self.largest or 1.0), 0.0, math.inf
        last: _Candidate | None = None
        problem: PlanningError | None = None
        for _ in range(2 * ATTEMPTS):
            try:
                last = self._candidate(deviation, quality)
                is_low = keeps(last) is up_to
            except PlanningError as error:
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
            assert problem is not None
            raise problem
        return last

    def finished(self, found: _Candidate, presets: Sequence[str]) -> Plan:
        """The plan, with what others cost, and what other errors would."""
        others = {self._policy.name: self.base}
        for name in presets:
            self._bar(f"measuring {name}")
            other = load_policy(name)
            if other.name in others:
                continue
            try:
                others[other.name] = self._measured(self._compiled(other, self._calibrate(other)))
            except CompileError as error:
                self.remarks.append(f"{name} does not compile: {error}")
        front = []
        for factor in sorted((1.0, *FRONT)) if presets and found.bound else ():
            try:
                decided = self._problem.solve(
                    (factor * found.bound) ** 2 * self._count, seconds=self._seconds, gap=self._gap
                )
            except PlanError:
                continue
            front.append(Point(self._ratio * self._deviation(decided), decided.cost))
        rules = planned_rules(self._problem, found.decided)
        return Plan(
            policy=found.policy,
            ranges=self._ranges,
            text=found.text,
            objective=self._objective.name,
            asked=self._asked or self._ratio * found.bound,
            measured=found.measured,
            predicted_error=found.predicted,
            predicted_cost=found.decided.cost,
            gap=found.decided.gap,
            presets=others,
            front=tuple(front),
            rules=tuple(rules),
            remarks=tuple(self.remarks),
        )


def _is_float(array: Any) -> bool:
    return bool(jax.numpy.issubdtype(np.asarray(array).dtype, jax.numpy.floating))


def _difference(mine: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Absolute differences; of integers and booleans 1 where they differ, of equal infinities 0."""
    if not _is_float(other):
        return np.asarray(mine != other, np.float64)
    left, right = np.asarray(mine, np.float64), np.asarray(other, np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(left - right)
    return np.where(left == right, 0.0, np.where(np.isnan(off), math.inf, off))
