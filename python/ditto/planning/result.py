"""What planning gives: a policy with its ranges, what it was measured to be, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from ditto.planning.policies import PlannedRule
from ditto_compiler.calibration import Ranges
from ditto_compiler.errors import DittoError
from ditto_compiler.files import as_path, write_whole
from ditto_compiler.policy import Policy
from ditto_compiler.showing import counted, format_bytes


class PlanningError(DittoError):
    """What cannot be planned: samples, bounds or policies that do not fit."""


@dataclass(frozen=True)
class Measured:
    """A program as it was measured in the exact simulator, with random shares, on held-out samples.

    Attributes:
        error: largest absolute difference of an output to plaintext.
        deviation: root mean square of these differences.
        quality: least of what the quality function said; None without one.
        bytes: that the parties send, together.
        messages: that they send.
        rounds: on the longest chain.
        seconds: estimated, by network.
    """

    error: float
    deviation: float
    quality: float | None
    bytes: float
    messages: float
    rounds: float
    seconds: Mapping[str, float]

    def cost(self, objective: str) -> float:
        """In the unit of an objective: `bytes`, `rounds`, or a network."""
        return {"bytes": self.bytes, "rounds": self.rounds, **self.seconds}[objective]


@dataclass(frozen=True)
class Point:
    """A place on the front of cost and error: the least cost for a predicted error.

    Attributes:
        error: predicted, as the largest difference.
        cost: predicted, in the objective's unit.
    """

    error: float
    cost: float


@dataclass(frozen=True, repr=False)
class Plan:
    """A policy that was chosen for a program.

    `ditto.compile(..., policy=plan)` compiles with it and its ranges.

    Attributes:
        policy: the same as in `text`.
        ranges: what was calibrated for it.
        text: the policy as TOML.
        objective: what was to be small: `bytes`, `rounds`, or a network.
        asked: largest error that was allowed.
        measured: what it is.
        predicted_error: that the noise model gave for it.
        predicted_cost: what the linear program said it costs, of all that it decides about.
        gap: by how much, relatively, a cheaper plan is possible at most, as far as that program goes.
        presets: other policies, measured on the same samples.
        front: least costs for other errors, as predicted, with what else was measured for the plan.
        rules: the policy's rules.
        remarks: what was tried, in order.
    """

    policy: Policy
    ranges: Ranges
    text: str
    objective: str
    asked: float
    measured: Measured
    predicted_error: float
    predicted_cost: float
    gap: float
    presets: Mapping[str, Measured] = field(default_factory=dict)
    front: tuple[Point, ...] = ()
    rules: tuple[PlannedRule, ...] = ()
    remarks: tuple[str, ...] = ()

    def save(self, path: str | Path) -> None:
        """Writes the policy file, whole or not at all; `ranges.save` writes what it needs besides.

        Raises:
            PlanningError: it cannot be written.
        """
        file = as_path(path, "a policy file", PlanningError)
        if file.suffix != ".toml":
            raise PlanningError(f"a policy file ends in .toml, got '{file}'")
        try:
            write_whole(file, self.text.encode())
        except OSError as error:
            raise PlanningError(f"cannot write '{path}': {error}") from None

    def __repr__(self) -> str:
        found = self.measured
        return (
            f"<Plan: {counted(len(self.rules), 'rule')}, error {found.error:.3g} "
            f"of {self.asked:.3g} asked for, {format_bytes(found.bytes)} in {found.rounds:.0f} rounds>"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        rows = [("plan", self.measured), *self.presets.items()]
        lines = [f"{'policy':<14} {'error':>9} {'MB':>8} {'rounds':>7} {'lan s':>7} {'wan s':>7}"]
        for name, measured in rows:
            lines.append(
                f"{name:<14} {measured.error:>9.2e} {measured.bytes / 1e6:>8.2f} {measured.rounds:>7.0f} "
                f"{measured.seconds['lan']:>7.2f} {measured.seconds['wan']:>7.2f}"
            )
        lines.append(
            f"asked for an error of {self.asked:.3g}; predicted {self.predicted_error:.3g}; within "
            f"{self.gap:.2%} of the least {self.objective}"
        )
        lines.append(
            f"what it decides about was predicted to cost {self.predicted_cost:.4g} "
            f"of {self.measured.cost(self.objective):.4g} ({self.objective})"
        )
        return "\n".join(lines)
