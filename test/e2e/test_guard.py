"""Guarded runs, among three parties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.runtime.caller.inputs import GuardError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(8, 16)).astype(np.float32)
W = (RNG.normal(size=(16, 24)) / 4).astype(np.float32)
V = (RNG.normal(size=(24, 4)) / 5).astype(np.float32)
# Each element is one that was seen, and their sums are far beyond what was.
ALIGNED = np.where(W[:, :1] > 0, X.max(), X.min()).T * np.ones_like(X)


def model(x: Any, w: Any, v: Any) -> Any:
    y = jax.nn.gelu(x @ w) @ v
    return jax.nn.softmax(y), y.max()


@pytest.fixture(scope="module", params=["ditto", "uniform64", "puma"])
def guarded(request: pytest.FixtureRequest) -> ditto.Program:
    ranges = ditto.calibrate(model, [(X, W, V)], policy=request.param)
    return ditto.compile(model, X, W, V, policy=request.param, ranges=ranges, guard=True)


def test_a_run_within_its_ranges_is_answered(cluster: ditto.LocalCluster, guarded: ditto.Program) -> None:
    weights, largest = cluster.run(guarded, X, W, V)
    expected, most = model(X, W, V)
    np.testing.assert_allclose(weights, expected, atol=2e-2)
    np.testing.assert_allclose(largest, most, atol=4e-2)
    assert not ditto.simulate(guarded, X, W, V).overflows


def test_inputs_a_little_more_extreme_than_the_samples_pass(
    cluster: ditto.LocalCluster, guarded: ditto.Program
) -> None:
    x = np.float32(1.03) * X
    _, largest = cluster.run(guarded, x, W, V)
    np.testing.assert_allclose(largest, model(x, W, V)[1], atol=5e-2)


def test_a_value_out_of_its_range_is_an_error(cluster: ditto.LocalCluster, guarded: ditto.Program) -> None:
    """The parties go on: the next run is answered."""
    with pytest.raises(GuardError, match=r"a value left the range.*stablehlo\.dot_general in \[.*Calibrate"):
        cluster.run(guarded, ALIGNED, W, V)
    found = [str(finding) for finding in ditto.simulate(guarded, ALIGNED, W, V).overflows]
    assert any("stablehlo.dot_general" in text and "as calibrated" in text for text in found)
    cluster.run(guarded, X, W, V)


def test_one_element_is_enough(cluster: ditto.LocalCluster, guarded: ditto.Program) -> None:
    x = X.copy()
    x[-1] = ALIGNED[0]
    with pytest.raises(GuardError, match="a value left the range"):
        cluster.run(guarded, x, W, V)


def test_a_value_that_wraps_around_is_noticed(cluster: ditto.LocalCluster) -> None:
    """Each input is in its range, their product is not, and does not fit ring 32."""
    x, y = np.float32([3.0, 2.0]), np.float32([2.0, 900.0])

    def product(x: Any, y: Any) -> Any:
        return x * y

    policy = ditto.load_policy("uniform32")
    samples = [(x, np.float32([2.0, 2.0])), (np.float32([0.1, 0.1]), y)]
    program = ditto.compile(
        product, x, y, policy=policy, ranges=ditto.calibrate(product, samples, policy=policy), guard=True
    )
    assert program.guard is not None and program.guard.assumptions[0].endswith("certain")
    np.testing.assert_allclose(cluster.run(program, *samples[0]), x * 2, atol=2**-6)
    with pytest.raises(GuardError, match="a value left the range"):
        cluster.run(program, np.float32([3.0, 3.0]), np.float32([900.0, 900.0]))


def test_an_input_out_of_its_range_is_not_sent(cluster: ditto.LocalCluster, guarded: ditto.Program) -> None:
    message = r"input 0: -?[0-9.]+ is outside of \[.*calibrate with samples like it"
    with pytest.raises(GuardError, match=message):
        cluster.run(guarded, 3 * X, W, V)
    with pytest.raises(GuardError, match="input 1"):
        cluster.share(guarded, 1, 3 * W)
    with pytest.raises(GuardError, match=message):
        ditto.simulate(guarded, 3 * X, W, V)


@pytest.mark.parametrize("number", [2.0**24, -1e9, np.iinfo(np.int32).max])
def test_a_huge_input_is_no_exception(cluster: ditto.LocalCluster, number: float) -> None:
    x, ids = np.float32([1.0, -2.0]), np.array([0, 9], np.int32)

    def scaled(x: Any, ids: Any) -> Any:
        return x * 0.5, ids + 1

    program = ditto.compile(
        scaled, x, ids, policy="uniform64", ranges=ditto.calibrate(scaled, [(x, ids)]), guard=True
    )
    with pytest.raises(GuardError, match="input 0"):
        cluster.run(program, np.float32([1.0, number]), ids)
    # An integer has no calibrated range to leave.
    large = np.array([0, int(number)], np.int32)
    np.testing.assert_array_equal(cluster.run(program, x, large)[1], scaled(x, large)[1])


def test_shared_weights_and_kept_results(cluster: ditto.LocalCluster, guarded: ditto.Program) -> None:
    shared = cluster.share(guarded, 1, W)
    weights, largest = cluster.run(guarded, X, shared, V, keep=(True, False))
    assert isinstance(weights, ditto.SharedArray)
    np.testing.assert_allclose(largest, model(X, W, V)[1], atol=4e-2)
    with pytest.raises(GuardError, match="a value left"):
        cluster.run(guarded, ALIGNED, shared, V, keep=True)
    cluster.forget((weights, shared))


def test_masks_are_no_numbers_that_leave_a_range(cluster: ditto.LocalCluster) -> None:
    mask = np.tril(np.ones((8, 8), np.bool_))

    def attention(x: Any, mask: Any) -> Any:
        return jax.nn.softmax(jnp.where(mask, x @ x.T, jnp.finfo(x.dtype).min)) @ x

    ranges = ditto.calibrate(attention, [(X, mask)])
    program = ditto.compile(attention, X, mask, ranges=ranges, guard=True)
    np.testing.assert_allclose(cluster.run(program, X, mask), attention(X, mask), atol=3e-2)
    assert not ditto.simulate(program, X, mask).overflows
    unguarded = ditto.compile(attention, X, mask, ranges=ranges)
    assert not ditto.simulate(unguarded, X, mask).overflows


def test_simulation_finds_what_calibration_did_not_see() -> None:
    """Without a guard, too: beyond the margin of the compiler."""
    ranges = ditto.calibrate(model, [(X / 8, W, V)])
    program = ditto.compile(model, X, W, V, ranges=ranges)
    assert not ditto.simulate(program, X / 8, W, V).overflows
    assert any("as calibrated" in str(finding) for finding in ditto.simulate(program, X, W, V).overflows)


def test_a_guarded_program_in_a_file(
    cluster: ditto.LocalCluster, guarded: ditto.Program, tmp_path: Path
) -> None:
    guarded.save(tmp_path / "p.ditto")
    loaded = ditto.Program.load(tmp_path / "p.ditto")
    assert loaded == guarded
    with pytest.raises(GuardError):
        cluster.run(loaded, ALIGNED, W, V)


def test_guards_of_a_program_that_assumes_nothing(cluster: ditto.LocalCluster) -> None:
    program = ditto.compile(jnp.tanh, X, guard=True)
    assert program.guard is not None and program.guard.assumptions == ()
    np.testing.assert_allclose(cluster.run(program, X), np.tanh(X), atol=1e-2)


def test_the_report_shows_what_guards_cost(guarded: ditto.Program) -> None:
    assert any(value.scope == "guard" for value in guarded.values)
