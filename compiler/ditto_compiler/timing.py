"""Wall times of a compilation, as `mlir-opt --mlir-timing` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

DISPLAYS = ("tree", "list")
"""In the order of work, with what each step consists of; or by time, one line for each name."""


@dataclass
class Timing:
    """How long a step took, in seconds, what it consists of included."""

    name: str
    seconds: float = 0.0
    parts: list[Timing] = field(default_factory=list)


def timing_report(steps: Sequence[Timing], total: float, display: str = "tree") -> str:
    """A table of wall times.

    Args:
        steps: in order.
        total: of all; what the steps do not account for is shown as `Rest`.
        display: one of `DISPLAYS`.
    """
    bar = f"===-{'-' * 73}-==="
    lines = [bar, "... Execution time report ...".center(len(bar)).rstrip(), bar]
    lines += [f"  Total Execution Time: {total:.4f} seconds", "", "  ----Wall Time----  ----Name----"]
    rest = Timing("Rest", max(0.0, total - sum(step.seconds for step in steps)))
    rows = _listed((*steps, rest)) if display == "list" else list(_nested((*steps, rest), ""))
    for name, seconds in (*rows, ("Total", total)):
        lines.append(f"  {seconds:9.4f} ({100 * seconds / total if total else 100:5.1f}%)  {name}")
    return "\n".join(lines)


def _nested(steps: Iterable[Timing], indent: str) -> Iterable[tuple[str, float]]:
    for step in steps:
        yield indent + step.name, step.seconds
        yield from _nested(step.parts, f"{indent}  ")


def _listed(steps: Iterable[Timing]) -> list[tuple[str, float]]:
    """Each name's own time, without that of its parts, most first."""
    times: dict[str, float] = {}

    def count(step: Timing) -> None:
        own = step.seconds - sum(part.seconds for part in step.parts)
        times[step.name] = times.get(step.name, 0.0) + own
        for part in step.parts:
            count(part)

    for step in steps:
        count(step)
    return sorted(times.items(), key=lambda row: -row[1])
