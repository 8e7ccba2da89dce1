"""`jax.random` inside of programs, against plaintext JAX, from three parties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import ditto

KEY = np.asarray(random.PRNGKey(3))
X = np.asarray(np.random.default_rng(0).normal(size=(4, 6)), np.float32)
W = np.asarray(np.random.default_rng(1).normal(size=(6, 3)), np.float32)

DRAWS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "uniform": (lambda key: random.uniform(key, (40,), minval=-2.0, maxval=3.0), 5e-5),
    "normal": (lambda key: random.normal(key, (40,)), 1e-3),
    "truncated_normal": (lambda key: random.truncated_normal(key, -1.0, 1.0, (9,)), 1e-3),
    "exponential": (lambda key: random.exponential(key, (9,)), 1e-3),
    "bernoulli": (lambda key: random.bernoulli(key, 0.3, (40,)), 0),
    "permutation": (lambda key: random.permutation(key, 10), 0),
    "randint": (lambda key: random.randint(key, (20,), -5, 100), 0),
    "split": (lambda key: random.normal(random.split(key)[1], (5,)), 1e-3),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_with_a_public_key(cluster: ditto.LocalCluster, name: str) -> None:
    draw, tolerance = DRAWS[name]
    program = ditto.compile(draw, KEY, visibility="public")
    np.testing.assert_allclose(
        np.asarray(cluster.run(program, KEY), float), np.asarray(draw(KEY), float), atol=tolerance, rtol=0
    )


def test_draws_with_a_constant_key(cluster: ditto.LocalCluster) -> None:
    """XLA draws them: what is left of them are constants."""

    def function(x: Any) -> Any:
        return [x.sum() + draw(random.PRNGKey(5)) for draw, _ in DRAWS.values()]

    program = ditto.compile(function, X)
    for ours, jaxs in zip(cluster.run(program, X), function(X), strict=True):
        np.testing.assert_allclose(np.asarray(ours, float), np.asarray(jaxs, float), atol=1e-4, rtol=0)


def dropped(x: Any, key: Any) -> Any:
    return jnp.where(random.bernoulli(key, 0.8, x.shape), x / 0.8, 0)


def step(w: Any, x: Any, key: Any) -> Any:
    def loss(w: Any) -> Any:
        return (dropped(jnp.tanh(x @ w), key) ** 2).mean()

    return w - 0.5 * jax.grad(loss)(w)


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
def test_a_training_step_with_dropout(cluster: ditto.LocalCluster, policy: str) -> None:
    program = ditto.compile(step, W, X, KEY, policy=policy, visibility=("secret", "secret", "public"))
    for seed in (3, 4):
        key = np.asarray(random.PRNGKey(seed))
        found = cluster.run(program, W, X, key)
        np.testing.assert_allclose(found, step(W, X, key), atol=2e-2, rtol=0)


def test_what_is_secret_is_permuted(cluster: ditto.LocalCluster) -> None:
    program = ditto.compile(
        lambda x, key: random.permutation(key, x), X, KEY, visibility=("secret", "public")
    )
    np.testing.assert_allclose(cluster.run(program, X, KEY), random.permutation(KEY, X), atol=1e-4)


def test_a_secret_key_is_refused() -> None:
    with pytest.raises(ditto.DittoError, match=r"random numbers of secret bits; make the key .* public"):
        ditto.compile(dropped, X, KEY)
