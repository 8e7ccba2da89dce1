"""StableHLO as it is written down by hand: each case simulated exactly, and a sample run by three parties.

Integers, booleans and floats that are only moved must be equal; others agree within a stated tolerance, and
the parties' with the simulator's within its bounds. What cannot run or does not fit is listed, and why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from batches import arguments_of, compiled, merged, split
from case_builders import BF16, F16, Case, is_float
from cases import CASES, FAMILIES, FINITE_SPECIALS

import ditto
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.ir import parse_module
from ditto_compiler.policy import Policy, load_policy
from ditto_compiler.xla import XlaFunction

POLICIES: dict[str, Policy] = {name: load_policy(name) for name in ("ditto", "uniform64")}

REJECTED: dict[str, str] = {
    r"next_after_.*": "no private implementation of it; a shared float has no bits",
    # Expansions of CHLO that hold NaN or infinity.
    r"(digamma|polygamma)_.*": "uses NaN, which cannot be shared",
    r"zeta_.*": "uses the constant inf",
    # Their expansion computes shapes.
    r"broadcast_(.*_row|select_f32_same)": "elements of type index cannot be secret-shared",
    r"power_u?i\d+_.*": "the engine's power of integers is not exact",
    r"reduce_precision_.*(e8m3|e5m2)": "coarser than any float",
    r"dynamic_slice_i32_of_scalar(_at_secret)?": "a slice of a scalar is the scalar",
    r"reduce_window_add_.*(padded|base_holes|with_everything)_from_2": "must start from the constant 0",
    r"(select_drops_constant|compare_.*_with)_nan": "uses NaN, which cannot be shared",
    r"select_drops_constant_(minus_)?infinity": "uses the constant -?inf",
    r"maximum_with_f32": "uses the constant",
    r"pad_with_minus_infinity_then_maximum": "uses the constant -inf",
    r"sort_after_infinity": "uses the constant inf",
}
"""Which cases are compile errors, and what these say."""

REJECTED_BY: dict[str, dict[str, str]] = {
    "ditto": {r"masked_exponential_bf16": r"its numbers reach .* do not fit 64 bits"},
    "uniform64": {},
}

DOES_NOT_FIT = r"value .* does not fit #ditto.fxp<\d+, \d+>"

FOUND: dict[str, str] = {
    r"reduce_\w+_from_(the_least|the_greatest|(minus_)?infinity|minus_1e30).*": rf"input 1: {DOES_NOT_FIT}",
    r"(asinh_f16|lgamma_.*|select_drops_log_of_negatives)": "stablehlo.log: .* out of its domain",
    r"bessel_i1e_.*": "stablehlo.divide: .* out of its domain",
    r"select_drops_(r?sqrt)_.*": "stablehlo.r?sqrt: .* out of its domain",
    r"select_drops_division_by_zero": rf"stablehlo.divide: .* out of its domain|{DOES_NOT_FIT}",
    r"convert_(ui64_to_f32|f64_to_i64)_large": DOES_NOT_FIT,
}
"""Which cases meet what does not fit or is not defined, if only where it is not chosen."""

FOUND_BY: dict[str, dict[str, str]] = {
    "ditto": {
        r"(co)?sine_b?f16": "out of its domain",
        r"convert_f(32|64)_to_u?i32_large": DOES_NOT_FIT,
    },
    "uniform64": {
        r"asinh_(bf16|f32|f64)": "stablehlo.log: .* out of its domain",
        r"convert_i64_to_f64_large": DOES_NOT_FIT,
    },
}

ROUGH: dict[str, dict[str, float]] = {
    "ditto": {"tanh": 3e-3, "half": 0.02},
    "uniform64": {"tanh": 3e-3},
}
"""Tolerances, relative to 1 + |expected|: of tanh, and of half-precision floats."""

TOLERANCE = 1e-3
"""Likewise of all else."""

STEEP = 0.09
"""Likewise, of acos in half precision: near 1 it is sqrt(2 (1 - x)), and a unit of 1 - x is 2^-8."""

COARSER = r"convert_.*_rounds|reduce_precision_.*"
"""Cases that round to 7 mantissa bits or more; fixed point keeps its own."""

OPEN = 0.02
"""Likewise, of what the parties find where the simulator states no bound, or one that is larger."""


def listed(case: Case, *tables: Mapping[str, str]) -> str | None:
    """What tables say of a case."""
    found = [text for table in tables for name, text in table.items() if re.fullmatch(name, case.name)]
    return found[0] if found else None


def rejection(case: Case, policy: str) -> str | None:
    return listed(case, REJECTED, REJECTED_BY[policy])


def finding(case: Case, policy: str) -> str | None:
    return listed(case, FOUND, FOUND_BY[policy])


def tolerance(case: Case, policy: str, expected: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How far a computed float may be from what is expected of it."""
    precision = float(ml_dtypes.finfo(expected.dtype).eps)
    size = np.abs(expected.astype(np.float64))
    if re.fullmatch(COARSER, case.name):
        return 2.0**-7 * (1 + size)
    if case.exact:
        return np.zeros(expected.shape)
    rough = TOLERANCE
    if "tanh" in case.op:
        rough = ROUGH[policy]["tanh"]
    if expected.dtype in (F16, BF16):
        rough = max(rough, ROUGH[policy].get("half", 0.0))
        if case.op == "chlo.acos":
            rough = max(rough, STEEP)
    return rough * (1 + size) + precision * size


def check(
    case: Case, policy: str, found: Sequence[np.ndarray[Any, Any]], slack: Sequence[np.ndarray[Any, Any]]
) -> None:
    """Compares outputs with what is expected; floats may be off by the tolerance and `slack`."""
    for number, (ours, expected, off) in enumerate(zip(found, case.expected, slack, strict=True)):
        where = f"{case.name}, output {number}"
        assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape), where
        if is_float(expected.dtype):
            distance = np.abs(ours.astype(np.float64) - expected.astype(np.float64))
            right = distance <= tolerance(case, policy, expected) + off
        else:
            right = ours == expected
        assert right.all(), f"{where}: {ours[~right][:4]} instead of {expected[~right][:4]}"


def zeros(case: Case) -> list[np.ndarray[Any, Any]]:
    return [np.zeros(value.shape) for value in case.expected]


ALL = (*CASES, *FINITE_SPECIALS)


def batches(policy: str, cases: Sequence[Case], size: int = 10) -> dict[str, Sequence[Case]]:
    """The cases that run and fit, in batches named after their first."""
    plain = [case for case in cases if rejection(case, policy) is None and finding(case, policy) is None]
    return {plain[i].name: plain[i : i + size] for i in range(0, len(plain), size)}


BATCHES = [
    pytest.param(policy, batch, id=f"{policy}-{name}")
    for policy in POLICIES
    # A part of them by the second policy.
    for name, batch in batches(policy, ALL if policy == "ditto" else ALL[::4]).items()
]


@pytest.mark.parametrize(("policy", "cases"), BATCHES)
def test_the_simulator_finds_what_stablehlo_promises(policy: str, cases: Sequence[Case]) -> None:
    program = compiled(cases, POLICIES[policy])
    simulation = ditto.simulate(program, *arguments_of(cases))
    assert not simulation.overflows, list(map(str, simulation.overflows))
    for case, found in zip(cases, split(cases, simulation.outputs), strict=True):
        check(case, policy, found, zeros(case))


@pytest.mark.parametrize(
    ("policy", "case"),
    [pytest.param(p, case, id=f"{p}-{case.name}") for p in POLICIES for case in ALL if rejection(case, p)],
)
def test_what_cannot_run_is_a_compile_error(policy: str, case: Case) -> None:
    with pytest.raises(CompileError, match=rejection(case, policy)):
        compiled([case], POLICIES[policy])


@pytest.mark.parametrize(
    ("policy", "case"),
    [pytest.param(p, case, id=f"{p}-{case.name}") for p in POLICIES for case in ALL if finding(case, p)],
)
def test_what_does_not_fit_is_found(policy: str, case: Case) -> None:
    simulation = ditto.simulate(compiled([case], POLICIES[policy]), *case.arguments)
    assert any(re.search(str(finding(case, policy)), str(found)) for found in simulation.overflows)
    (outputs,), (bounds,) = (split([case], v) for v in (simulation.outputs, simulation.error_bounds))
    for number, bound in enumerate(bounds):
        # Where nothing is known of the parties' result, nothing is promised of the simulator's.
        outputs[number] = np.where(np.isinf(bound), case.expected[number], outputs[number])
    check(case, policy, outputs, zeros(case))


def kind(case: Case) -> tuple[str, str, bool]:
    """What a case is about: an op, a class of element types, and whether there are any elements."""
    values = (*case.arguments, *case.expected)
    dtype, full = values[0].dtype, all(value.size for value in values)
    if is_float(dtype):
        return case.op, "half" if dtype.itemsize == 2 else "float", full
    return case.op, dtype.kind, full


def modest(case: Case) -> int:
    """How far a case is from having some ten elements: fewer say little, and more take long."""
    return abs(sum(value.size for value in case.arguments) - 10)


RUNNING = sorted((case for batch in batches("ditto", ALL).values() for case in batch), key=modest)

SAMPLE: Sequence[Case] = tuple({kind(case): case for case in reversed(RUNNING)}.values())
"""A case of each kind."""


@pytest.mark.parametrize("cases", [pytest.param(b, id=n) for n, b in batches("ditto", SAMPLE).items()])
def test_three_parties_find_it_too(cluster: ditto.LocalCluster, cases: Sequence[Case]) -> None:
    program = compiled(cases, POLICIES["ditto"])
    simulation = ditto.simulate(program, *arguments_of(cases))
    every = (cluster.run(program, *arguments_of(cases)), simulation.outputs, simulation.error_bounds)
    by_case = (split(cases, values) for values in every)
    for case, found, simulated, bounds in zip(cases, *by_case, strict=True):
        sizes = [OPEN * (1 + np.abs(value.astype(np.float64))) for value in case.expected]
        check(case, "ditto", found, list(map(np.minimum, bounds, sizes)))
        for ours, theirs, bound in zip(simulated, found, bounds, strict=True):
            assert (np.abs(ours.astype(np.float64) - theirs.astype(np.float64)) <= bound).all(), case.name


TRUSTED = [case for case in CASES if "xla" in case.references]


@pytest.mark.parametrize(
    "cases", [pytest.param(TRUSTED[i : i + 40], id=TRUSTED[i].name) for i in range(0, len(TRUSTED), 40)]
)
def test_xla_finds_what_is_expected(cases: Sequence[Case]) -> None:
    found = split(cases, XlaFunction(parse_module(merged(cases)))(*arguments_of(cases)))
    for case, outputs in zip(cases, found, strict=True):
        for ours, expected in zip(outputs, case.expected, strict=True):
            is_exact = case.exact or not is_float(expected.dtype)
            # Some expansions are of some hundred ops.
            off = 0.0 if is_exact else 32 * float(ml_dtypes.finfo(expected.dtype).eps)
            theirs, wanted = ours.astype(np.float64), expected.astype(np.float64)
            np.testing.assert_allclose(theirs, wanted, rtol=off, atol=off, err_msg=case.name)


def test_names_are_unique() -> None:
    names = [case.name for case in ALL]
    assert len(set(names)) == len(names) and all(FAMILIES.values())
