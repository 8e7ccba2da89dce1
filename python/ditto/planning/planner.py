"""`ditto.plan`: the cheapest policy for a program within a bound on its error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ditto.frontend import Source, Visibility
from ditto.planning.other_forms import other_forms
from ditto.planning.policies import Base
from ditto.planning.result import Measured, Plan, PlanningError
from ditto.planning.sampled import Quality, Sampled
from ditto.planning.searching import ATTEMPTS, Candidate, Search, Settings
from ditto.progress import bar
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.planning.objective import Objective


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
    forms: bool = False,
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
        forms: try other forms of functions than the base policy's as well, one after the other, and keep
            those that make plans cheaper; takes several times as long.
        seconds: for each linear program, after which the best that was found is taken.
        gap: within which, relatively, of the least cost there is the answer may be.
        presets: other policies to measure on the same samples.
        progress: show what is being done, on a terminal or in a notebook.

    Raises:
        PlanningError: samples or bounds that do not fit, or a bound that no plan keeps; says which op adds
            most.
        CompileError, TraceError, PolicyError: as for `ditto.compile`.
    """
    wanted = _Bound.of(error, rel_error, quality, least, max_bytes)
    target = Objective.parse(network or objective)
    base = Base(str(policy))
    if base.policy.beside != "shares":
        raise PlanningError(
            f"plans are for policies that run beside the engine, which '{base.policy.name}' does not: take "
            '"ditto", or one with beside = "shares"'
        )
    with bar(progress, ATTEMPTS + 3) as told:
        told("tracing")
        program = Sampled(
            fn,
            samples,
            visibility=visibility,
            static_argnums=static_argnums,
            donate_argnums=donate_argnums,
            max_public_constant=max_public_constant,
        )
        settings = Settings(target, tie, loose, seconds, gap, told)
        search = Search(program, base, settings)
        if not program.held_out:
            search.remarks.append("there is one sample, so none was held out: errors are of this one")
        if wanted.rel_error is not None:
            wanted = replace(wanted, error=wanted.rel_error * program.largest)
        asked = search.base
        wanted = replace(wanted, deviation=asked.deviation)
        found = wanted.solve(search)
        if forms:
            search, found = _with_forms(program, base, settings, wanted, search, found)
        return search.finished(found, asked, presets, wanted.error)


def _with_forms(
    program: Sampled, base: Base, settings: Settings, wanted: _Bound, search: Search, found: Candidate
) -> tuple[Search, Candidate]:
    """The best plan after each other form was tried, on top of those that were found to be better."""
    for form in other_forms(program, base.policy):
        said = f"{form.function} as {form.form} in {', '.join(form.scopes) or 'all scopes'}"
        other = Base(base.name, (*search.policies.forms, form))
        try:
            tried = Search(program, other, settings)
            if tried.cost(tried.base) >= search.cost(search.base):
                search.remarks.append(f"{said}: not cheaper")
                continue
            if not wanted.allows(tried.base):
                search.remarks.append(f"{said}: too far off")
                continue
            better = wanted.solve(tried)
        except (CompileError, PlanningError) as error:
            search.remarks.append(f"{said}: {error}")
            continue
        if wanted.is_better(tried, better.measured, found.measured):
            tried.remarks[:0] = [*search.remarks, f"{said}: taken"]
            search, found = tried, better
        else:
            search.remarks.append(f"{said}: its plan is not better")
    return search, found


@dataclass(frozen=True)
class _Bound:
    """What a plan has to keep: one of these, or else the deviation.

    Attributes:
        error: largest absolute difference.
        rel_error: the same, as a part of the largest output.
        quality: a function, of which the least value is `least`.
        least: see `quality`.
        max_bytes: that may be sent.
        deviation: as root mean square, of the base policy.
    """

    error: float | None
    rel_error: float | None
    quality: Quality | None
    least: float | None
    max_bytes: float | None
    deviation: float = 0.0

    @staticmethod
    def of(
        error: float | None,
        rel_error: float | None,
        quality: Quality | None,
        least: float | None,
        max_bytes: float | None,
    ) -> _Bound:
        """What was asked for, if it makes sense.

        Raises:
            PlanningError: it does not.
        """
        if sum(bound is not None for bound in (error, rel_error, quality, max_bytes)) > 1:
            raise PlanningError("give one of error, rel_error, quality and max_bytes")
        for name, bound in (("error", error), ("rel_error", rel_error), ("max_bytes", max_bytes)):
            if bound is not None and not 0 < bound < math.inf:
                raise PlanningError(f"{name} must be a number above 0, got {bound!r}")
        if (quality is None) != (least is None):
            raise PlanningError("quality takes a function, and least the least value that it may have")
        return _Bound(error, rel_error, quality, least, max_bytes)

    def solve(self, search: Search) -> Candidate:
        """The best plan that keeps it.

        Raises:
            PlanningError: none does.
        """
        if self.max_bytes is not None:
            return search.within_bytes(self.max_bytes)
        if self.quality is not None and self.least is not None:
            return search.within_quality(self.quality, self.least)
        return search.like(self.deviation) if self.error is None else search.within(self.error)

    def allows(self, measured: Measured) -> bool:
        """Whether plans may keep it on top of what was measured so: errors of forms stay."""
        if self.max_bytes is not None or self.quality is not None:
            return measured.error < math.inf
        if self.error is not None:
            return measured.error <= self.error
        return measured.deviation <= self.deviation

    def is_better(self, search: Search, one: Measured, other: Measured) -> bool:
        """Whether one plan that keeps it is better than another."""
        if self.max_bytes is not None:
            return one.error < other.error
        return search.cost(one) < search.cost(other)
