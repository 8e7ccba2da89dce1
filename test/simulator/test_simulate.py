"""The simulator computes what the parties compute, and says where they would go wrong."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto_compiler.policy import load_policy

RNG = np.random.default_rng(9)
X = RNG.normal(size=(4, 6)).astype(np.float32)
W = (RNG.normal(size=(6, 3)) * 0.3).astype(np.float32)


def linear(x, w):
    y = jax.nn.relu(x @ w) * 0.37 + 1.5
    return jnp.where(y > 2.0, y * y, -y), y.sum(0)


@pytest.fixture(scope="module")
def cluster():
    with ditto.LocalCluster(timeout=60) as running:
        yield running


@pytest.mark.parametrize("rescale", ["engine", "explicit"])
@pytest.mark.parametrize("policy", ["uniform32", "uniform64", "uniform128", "ditto"])
def test_exact_mode_agrees_with_the_parties_within_its_bounds(cluster, policy, rescale):
    program = ditto.compile(linear, X, W, policy=dataclasses.replace(load_policy(policy), rescale=rescale))
    simulation = ditto.simulate(program, X, W)
    found = cluster.run(program, X, W)
    assert not simulation.overflows
    for private, simulated, bound in zip(found, simulation.outputs, simulation.error_bounds, strict=True):
        assert np.isfinite(bound).any()
        assert (np.abs(private.astype(np.float64) - simulated) <= bound + 1e-12).all()


def test_exact_mode_is_near_plaintext():
    program = ditto.compile(linear, X, W, policy="uniform64")
    for simulated, plain in zip(ditto.simulate(program, X, W).outputs, linear(X, W), strict=True):
        np.testing.assert_allclose(simulated, plain, atol=2**-13)


def test_a_value_that_just_fits_and_one_that_does_not():
    program = ditto.compile(lambda x: x + x, np.zeros(1, np.float32), policy="uniform32")
    limit = 2.0 ** (32 - 2 - 8)
    assert not ditto.simulate(program, np.float32([limit / 2 - 1])).overflows
    (overflow,) = ditto.simulate(program, np.float32([limit / 2 + 1])).overflows
    assert "stablehlo.add" in str(overflow) and "test_simulate.py" in str(overflow)


def test_fast_mode_rounds_to_the_grid_and_passes_gradients_through():
    program = ditto.compile(lambda x, w: x @ w, X, W, policy="uniform32")
    function = jax.jit(ditto.simulated(program))
    scaled = np.asarray(function(X, W), np.float64) * 2**8
    np.testing.assert_array_equal(scaled, np.round(scaled))
    gradient = jax.grad(lambda w: function(X, w).sum())(W)
    np.testing.assert_allclose(gradient, np.tile(X.sum(0)[:, None], (1, 3)), atol=0.02)


def test_training_through_the_fixed_point_function_reduces_the_loss():
    program = ditto.compile(lambda x, w: jnp.tanh(x @ w), X, W, policy="ditto")
    function, target = ditto.simulated(program), np.float32(0.5)

    def loss(w):
        return ((function(X, w) - target) ** 2).mean()

    w = jnp.asarray(W)
    before = loss(w)
    for _ in range(20):
        w = w - 0.3 * jax.grad(loss)(w)
    assert loss(w) < before / 2


def test_wrong_arguments_are_refused():
    program = ditto.compile(linear, X, W)
    with pytest.raises(ditto.InputError, match="expected shape"):
        ditto.simulate(program, X.T, W)
