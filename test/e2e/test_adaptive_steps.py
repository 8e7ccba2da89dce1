"""Optimizers that divide by the root of a square: small gradients are still numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ditto

GRADIENTS = np.float32([0, 1e-5, -1e-4, 3e-3, -0.3, 5, -1000])

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: optax.adam(1.0),
    "adam, large eps": lambda: optax.adam(1.0, eps=1e-3),
    "amsgrad": lambda: optax.amsgrad(1.0),
    "rmsprop": lambda: optax.rmsprop(1.0),
    "adabelief": lambda: optax.adabelief(1.0),
}


@pytest.mark.parametrize("policy", ["ditto", "ditto-engine"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_first_steps(cluster: ditto.LocalCluster, name: str, policy: str) -> None:
    """Without calibration, on gradients from 1e-5 to 1e3: steps of up to 1, or 3 for RMSProp."""
    optimizer = OPTIMIZERS[name]()
    zeros = np.zeros_like(GRADIENTS)

    def step(gradients: Any) -> Any:
        return optimizer.update(gradients, optimizer.init(zeros), zeros)[0]

    program = ditto.compile(step, GRADIENTS, policy=policy)
    expected = np.asarray(jax.jit(step)(GRADIENTS))
    np.testing.assert_allclose(cluster.run(program, GRADIENTS), expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("policy", ["ditto", "ditto-engine"])
def test_what_is_below_the_least_gradient_gives_a_bounded_step(
    cluster: ditto.LocalCluster, policy: str
) -> None:
    optimizer, gradients = optax.adam(1.0), np.float32([1e-6, -1e-7, 1e-9, 0])

    def step(gradients: Any) -> Any:
        return optimizer.update(gradients, optimizer.init(gradients), gradients)[0]

    found = cluster.run(ditto.compile(step, gradients, policy=policy), gradients)
    assert np.abs(found).max() <= 1.01


@pytest.mark.parametrize("policy", ["ditto", "ditto-engine"])
def test_training(cluster: ditto.LocalCluster, policy: str) -> None:
    """The state of one step is the next one's argument: its counts and its least squares arrive."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 6)).astype(np.float32)
    y = np.stack([x[:, 0] * x[:, 1], x[:, 2]], 1)
    weights = {name: rng.normal(size=shape).astype(np.float32) / 2 for name, shape in SHAPES.items()}
    optimizer = optax.adam(1e-2)

    def loss(weights: Any, x: Any, y: Any) -> Any:
        return jnp.mean((jax.nn.relu(x @ weights["up"]) @ weights["down"] - y) ** 2)

    def step(weights: Any, state: Any, x: Any, y: Any) -> Any:
        updates, state = optimizer.update(jax.grad(loss)(weights, x, y), state, weights)
        return optax.apply_updates(weights, updates), state

    state = optimizer.init(weights)
    program = ditto.compile(step, weights, state, x, y, policy=policy)
    private, plain = (weights, state), (weights, state)
    for _ in range(3):
        private = cluster.run(program, *private, x, y)
        plain = jax.jit(step)(*plain, x, y)
    # Weights move by 0.03. The sign of a gradient that is nearly 0 may differ.
    for name in SHAPES:
        difference = np.abs(np.asarray(private[0][name]) - np.asarray(plain[0][name]))
        assert difference.max() <= 0.061 and np.median(difference) < 2e-3


SHAPES = {"up": (6, 8), "down": (8, 2)}


@pytest.mark.parametrize(("policy", "warns"), [("uniform64", True), ("puma", True), ("uniform128", False)])
def test_presets_without_the_form_warn(policy: str, warns: bool) -> None:
    def step(x: Any, v: Any) -> Any:
        return x / (jnp.sqrt(v) + 1e-8)

    x = np.ones(3, np.float32)
    if warns:
        with pytest.warns(ditto.DittoWarning, match="'wide' of adaptive_step, or ring 128"):
            ditto.compile(step, x, x, policy=policy)
    else:
        program = ditto.compile(step, x, x, policy=policy)
        assert not any("warning" in str(remark) for remark in program.remarks)
