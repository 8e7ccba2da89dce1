"""A plan as one HTML page: the front of cost and error, and what was decided where."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from ditto.planning.policies import PlannedRule
from ditto.planning.result import Plan, PlanningError
from ditto_compiler.files import as_path, write_whole

WIDTH, HEIGHT, EDGE = 520, 300, 48

PANELS = (("bytes", "MB", 1e-6), ("lan", "seconds, lan", 1.0), ("wan", "seconds, wan", 1.0))


def page(plan: Plan, path: str | Path) -> None:
    """Writes the page, whole or not at all; it loads nothing from elsewhere.

    Raises:
        PlanningError: it cannot be written.
    """
    try:
        write_whole(as_path(path, "an HTML file", PlanningError), text(plan).encode())
    except OSError as error:
        raise PlanningError(f"cannot write '{path}': {error}") from None


def text(plan: Plan) -> str:
    """The page."""
    css = resources.files("ditto_compiler.report").joinpath("page.css").read_text()
    panels = "".join(_panel(plan, *about) for about in PANELS)
    rows = "".join(_row([rule.op, ", ".join(rule.scopes), *_decided(rule)], numbers=3) for rule in plan.rules)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Plan</title>',
            f"<style>{css}\nsvg text {{ font: 11px system-ui; fill: currentColor }}</style></head><body>",
            f"<header><h1>Plan</h1><p>{escape(plan.objective)}; asked for {plan.asked:.3g}, measured "
            f"{plan.measured.error:.3g} as the largest error and {plan.measured.deviation:.3g} in the root "
            f"mean square, on held-out samples; within {plan.gap:.2%} of the least</p></header>",
            f"<section><h2>Cost and error</h2>{panels}</section>",
            f"<section><h2>Fraction bits by scope</h2>{_bars(plan)}</section>",
            "<section><h2>Decisions</h2><table><tr><th>op</th><th>scopes</th><th>fraction bits</th>"
            f"<th>factors</th><th>noise</th></tr>{rows}</table></section>",
            f"<section><h2>Policy</h2><pre>{escape(plan.text)}</pre></section>",
            "</body></html>",
        ]
    )


def _decided(rule: PlannedRule) -> list[str]:
    decision = rule.decision
    factors = "" if decision.factors is None else f"{decision.factors[0]}, {decision.factors[1]}"
    return ["" if decision.frac is None else str(decision.frac), factors, f"{100 * rule.noise:.2g} %"]


def _row(cells: Sequence[str], numbers: int) -> str:
    marked = [f'<td class="num">{escape(cell)}</td>' for cell in cells[-numbers:]]
    return (
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells[:-numbers]) + "".join(marked) + "</tr>"
    )


def _panel(plan: Plan, key: str, title: str, unit: float) -> str:
    """Error against one cost, both on logarithmic axes: the plan, other policies, and the predicted front."""
    places: list[tuple[str, float, float]] = [("plan", plan.measured.error, plan.measured.cost(key) * unit)]
    places += [(name, each.error, each.cost(key) * unit) for name, each in plan.presets.items()]
    places = [place for place in places if 0 < place[1] < math.inf and place[2] > 0]
    front = [(point.error, point.cost * unit) for point in plan.front] if plan.objective == key else []
    errors = [error for _, error, _ in places] + [error for error, _ in front]
    costs = [cost for _, _, cost in places] + [cost for _, cost in front]
    if not errors:
        return ""
    x, y = _scale(errors, EDGE, WIDTH - 20), _scale(costs, HEIGHT - EDGE, 20)
    parts = [f'<text x="{EDGE}" y="12">{escape(title)}</text>']
    parts.append(f'<text x="{WIDTH - 20}" y="{HEIGHT - 8}" text-anchor="end">largest error</text>')
    line = " ".join(f"{x(error):.1f},{y(cost):.1f}" for error, cost in sorted(front))
    if line:
        parts.append(f'<polyline points="{line}" fill="none" stroke="var(--products)" stroke-width="2"/>')
    for name, error, cost in places:
        parts.append(
            f'<circle cx="{x(error):.1f}" cy="{y(cost):.1f}" r="4" fill="var(--functions)"/>'
            f'<text x="{x(error) + 6:.1f}" y="{y(cost) - 6:.1f}">{escape(name)} '
            f"({error:.2g}, {cost:.3g})</text>"
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    return _Scale(math.log(min(values)), math.log(max(values)), start, end)


class _Scale:
    """From numbers to places, by their logarithms."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span, self._start, self._end = low, (high - low) or 1.0, start, end

    def __call__(self, value: float) -> float:
        part = (math.log(value) - self._low) / self._span
        return self._start + (0.05 + 0.9 * part) * (self._end - self._start)


def _bars(plan: Plan) -> str:
    """For each scope, the fraction bits of what is computed there: one bar for each rule."""
    by_scope: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for rule in plan.rules:
        if rule.decision.frac is not None:
            by_scope[", ".join(rule.scopes) or "outside of scopes"].append((rule.op, rule.decision.frac))
    rows, at = [], 16
    for scope, bars in by_scope.items():
        rows.append(f'<text x="0" y="{at}">{escape(scope)}</text>')
        for op, bits in bars:
            at += 16
            rows.append(
                f'<rect x="230" y="{at - 10}" width="{12 * bits}" height="12" fill="var(--products)"/>'
                f'<text x="16" y="{at}">{escape(op)}</text><text x="{234 + 12 * bits}" y="{at}">{bits}</text>'
            )
        at += 22
    return f'<svg viewBox="0 0 640 {at}" role="img" aria-label="fraction bits">{"".join(rows)}</svg>'
