"""The exact domain against real runs among three parties: never further apart than it says."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import RandomProgram, random_programs

import ditto
from ditto.calibrating import calibrate

X = np.float32([[1.5, -2.25], [0.3, 2.7]])


def compiled(function, arguments, policy, rescale, *, calibrated=False):
    policy = dataclasses.replace(ditto.load_policy(policy), rescale=rescale)
    ranges = calibrate(function, [arguments], policy=policy) if calibrated else None
    return ditto.compile(function, *arguments, policy=policy, ranges=ranges)


def assert_within_bounds(cluster, program, arguments):
    simulation = ditto.simulate(program, *arguments)
    fast = ditto.simulate(program, *arguments, mode="fast").outputs
    found = cluster.run(program, *arguments)
    outputs = zip(found, simulation.outputs, simulation.error_bounds, fast, strict=True)
    for private, exact, bound, faked in outputs:
        numbers = exact.astype(np.float64)
        assert (np.abs(private - numbers) <= bound).all()
        # The fast domain rounds as the parties may, and computes in single precision.
        assert (np.abs(faked - numbers) <= bound + 3e-6 * (1 + np.abs(numbers))).all()
    return simulation


@settings(
    max_examples=24,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    random_programs(),
    st.sampled_from(["uniform32", "uniform64", "uniform128", "ditto"]),
    st.sampled_from(["engine", "explicit"]),
    st.booleans(),
)
def test_random_programs_stay_within_their_bounds(
    cluster, function: RandomProgram, policy: str, rescale: str, calibrated: bool
):
    program = compiled(function, function.arguments, policy, rescale, calibrated=calibrated)
    simulation = assert_within_bounds(cluster, program, function.arguments)
    assert not simulation.overflows


@pytest.mark.parametrize(
    ("function", "policy", "rescale", "ulps"),
    [
        (lambda x: x + x - 0.5, "uniform64", "engine", 0),
        (lambda x: x * x, "uniform64", "engine", 1.5),
        (lambda x: x @ x, "uniform64", "engine", 1.5),
        (lambda x: x * x + x * x, "uniform64", "engine", 3),
        (lambda x: x * x, "uniform64", "explicit", 0),
        (lambda x: (x > 1).astype(np.float32), "uniform64", "engine", 0),
        (lambda x: x.sum(0), "uniform64", "engine", 0),
        (lambda x: x * x * 0.75, "uniform64", "engine", 0.75 * 1.5 + 1.5),
    ],
)
def test_bounds_are_as_small_as_the_protocols_allow(cluster, function, policy, rescale, ulps):
    # In single precision, rounding of the result to its dtype would be a part of the bound.
    with jax.experimental.enable_x64():
        x = X.astype(np.float64)
        program = compiled(lambda x: (function(x),), (x,), policy, rescale)
        (bound,) = assert_within_bounds(cluster, program, (x,)).error_bounds
    assert bound.max() == pytest.approx(ulps * 2**-18, rel=1e-3)


def test_a_downcast_errs_by_less_than_two_units():
    policy = ditto.Policy(
        "product in ring 32",
        ditto.load_policy("uniform64").dtypes,
        (ditto.Rule("product", op=("stablehlo.dot_general",), ring=32, frac=10),),
        rescale="explicit",
    )
    program = ditto.compile(lambda x: (x * x) @ x, X, policy=policy)
    assert any(cast.op == "downcast" for _, cast in program.casts())
    bound = ditto.simulate(program, X).error_bounds
    assert 0 < bound.max() <= 2.0 * np.abs(X).sum(0).max() * 2**-10 * 1.01


def test_what_errors_may_decide_is_bounded_by_both_outcomes(cluster):
    """x * x is 2.25 to within 1.5 units, so whether it is larger is open; the results are 4 apart."""

    def function(x):
        return (np.float32(2.0) * (x * x > np.float32(2.25)).astype(np.float32) + x,)

    program = compiled(function, (X,), "uniform64", "engine")
    (bound,) = assert_within_bounds(cluster, program, (X,)).error_bounds
    assert bound[0, 0] >= 2.0 and bound[0, 1] < 1e-4


def inverses(x):
    return 1 / x, 1 / x + x, x


def test_ideal_functions_and_what_follows_have_no_bound():
    program = ditto.compile(inverses, X, policy="uniform64")
    quotient, after, beside = ditto.simulate(program, X, functions="ideal").error_bounds
    assert np.isinf(quotient).all() and np.isinf(after).all() and not beside.any()


def test_the_engine_s_functions_and_what_follows_have_one(cluster):
    program = ditto.compile(inverses, X, policy="uniform64")
    simulation = ditto.simulate(program, X)
    found = cluster.run(program, X)
    for private, exact, bound in zip(found, simulation.outputs, simulation.error_bounds, strict=True):
        assert (np.abs(private - exact.astype(np.float64)) <= bound).all()
    quotient, after, beside = simulation.error_bounds
    assert (quotient > 0).all() and (quotient < 1e-3).all() and (after >= quotient).all() and not beside.any()
