"""Plans of small programs are the best of all that can be decided, by trying everything."""

from __future__ import annotations

import itertools
import math

import pytest

from ditto_compiler.ir import parse_module
from ditto_compiler.planning.equations import solve
from ditto_compiler.planning.modules import problem_of
from ditto_compiler.planning.objective import Objective
from ditto_compiler.planning.problem import Decided

COUNT = 4096
"""Elements of each tensor; of few, each would keep more bits."""

SHARES, ROUNDED = 1 / 4, 1 / 12
"""Variances of truncation on shares and of rounding inputs (docs/explanation/protocols.md, "The error")."""


def chain(gains: tuple[tuple[float, float, float], tuple[float, float, float]]) -> str:
    """(x y) z: two products by element, of numbers up to 3, 1, 2, 3 and 5."""
    first, second = (", ".join(f"{gain:.17e}" for gain in each) for each in gains)
    tensor = f"tensor<{COUNT}xf32, #ditto.fxp<64, 18>>"
    return f"""
module attributes {{ditto.stage = "cast"}} {{
  func.func @main(%x: {tensor} {{ditto.range = array<f64: -3.0, 3.0>}},
                  %y: {tensor} {{ditto.range = array<f64: -1.0, 1.0>}},
                  %z: {tensor} {{ditto.range = array<f64: -2.0, 2.0>}}) -> {tensor} {{
    %0 = stablehlo.multiply %x, %y
      {{ditto.range = array<f64: -3.0, 3.0>, ditto.gain = array<f64: {first}>}} : {tensor}
    %1 = stablehlo.multiply %0, %z
      {{ditto.range = array<f64: -5.0, 5.0>, ditto.gain = array<f64: {second}>}} : {tensor}
    return %1 : {tensor}
  }}
}}
"""


def planned(text: str, noise: float) -> Decided:
    problem = problem_of(parse_module(text), Objective("bytes", "bytes", 1.0, 0.0))
    return solve(problem, noise, gap=1e-9)


def best(gains: tuple[tuple[float, float, float], tuple[float, float, float]], noise: float) -> float:
    """The least bytes of all choices of fraction bits and of integer bits to spare, each counted alone."""
    (p_result, p_x, p_y), (q_result, q_p, q_z) = gains
    # Integer bits: the magnitude, a sign, one for widening and one to spare.
    p_least, q_least = 2 + 3, 3 + 3
    kept = max(0.0, p_result - q_p)
    least = math.inf
    # Five significant bits at least.
    for x, y, z in itertools.product(range(3, 13), range(5, 13), range(4, 13)):
        inputs = ROUNDED * (p_x * 4.0**-x + p_y * 4.0**-y + q_z * 4.0**-z)
        if inputs > noise:
            continue
        for p, q in itertools.product(range(3, 13), range(2, 13)):
            if p > x + y:
                continue
            for read in range(3, p + 1):
                if q > read + z:
                    continue
                added = SHARES * (kept * 4.0**-p + q_p * 4.0**-read + q_result * 4.0**-q)
                if inputs + added > noise:
                    continue
                for spare in range(0, 12):
                    if p_least + spare + x + y > 64 or q_least + read + z > 64:
                        continue
                    widened = max(0, q_least + z - p_least - spare)
                    sent = 3 * (p_least + spare + p) + 3 * (q_least + q) + 4 * widened
                    least = min(least, sent * COUNT / 8)
    return least


@pytest.mark.parametrize("noise", [1e-1, 1e-2, 3e-3])
@pytest.mark.parametrize(
    "gains",
    [
        ((256.0, 64.0, 576.0), (64.0, 256.0, 576.0)),
        ((256.0, 64.0, 576.0), (64.0, 16.0, 9.0)),
        ((1.0, 1.0, 1.0), (64.0, 1.0, 100.0)),
        ((900.0, 9.0, 3.0), (1.0, 500.0, 0.0)),
    ],
)
def test_the_plan_is_the_best_of_all(
    gains: tuple[tuple[float, float, float], tuple[float, float, float]], noise: float
) -> None:
    decided = planned(chain(gains), noise)
    assert decided.noise <= noise * (1 + 1e-6)
    assert decided.cost == pytest.approx(best(gains, noise), rel=1e-6)


def test_less_noise_costs_more() -> None:
    gains = (256.0, 64.0, 576.0), (64.0, 256.0, 576.0)
    costs = [planned(chain(gains), noise).cost for noise in (1.0, 1e-1, 1e-2, 1e-3, 1e-4)]
    assert costs == sorted(costs) and costs[0] < costs[-1]


def test_the_same_problem_has_the_same_plan() -> None:
    text = chain(((256.0, 64.0, 576.0), (64.0, 256.0, 576.0)))
    assert planned(text, 1e-2) == planned(text, 1e-2)
