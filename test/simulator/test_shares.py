"""With a seed, the exact simulator is off as three parties are: as much, as often, and in the same places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.simulator import ring as rings

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (256, 64)).astype(np.float32)
W = (RNG.normal(size=(64, 64)) / 10).astype(np.float32)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "product": lambda x, w: x @ w,
    "square": lambda x, w: x * x,
    "two products": lambda x, w: (x @ w) @ w,
    "gelu": lambda x, w: jax.nn.gelu(x, approximate=False),
    "softmax": lambda x, w: jax.nn.softmax(x),
    # What is cut off a row's number is cut off all its copies alike.
    "copies": lambda x, w: (x @ w) * jnp.sum(x * x, axis=1, keepdims=True) ** 2,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[ditto.LocalCluster]:
    with ditto.LocalCluster() as running:
        yield running


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_are_as_large_as_the_parties(name: str, cluster: ditto.LocalCluster) -> None:
    function = FUNCTIONS[name]
    program = ditto.compile(function, X, W, ranges=ditto.calibrate(function, [(X, W)]))
    exact = np.asarray(jax.jit(function)(X, W), np.float64)
    run = [np.asarray(cluster.run(program, X, W)) - exact for _ in range(3)]
    simulated = [np.asarray(ditto.simulate(program, X, W, seed=seed).outputs) - exact for seed in range(3)]
    deviations = [np.sqrt(np.mean(np.square(each))) for each in (run, simulated)]
    assert deviations[1] == pytest.approx(deviations[0], rel=0.12)


def test_a_seed_gives_the_same_again_and_another_does_not() -> None:
    program = ditto.compile(
        FUNCTIONS["product"], X, W, ranges=ditto.calibrate(FUNCTIONS["product"], [(X, W)])
    )
    first, again, other = (ditto.simulate(program, X, W, seed=seed).outputs for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize("bits", [1, 2, 5, 20])
def test_truncation_on_shares_is_unbiased(bits: int) -> None:
    """E[y] = x / 2^t + 2^-(t+1), deviation half a place (docs/explanation/protocols.md, "The error")."""
    numbers = np.full(200_000, 12345 << bits >> 3, np.int64)
    lost = np.random.default_rng(1).integers(0, 1 << bits, (2, len(numbers))).sum(axis=0)
    off = rings.shift_right_on_shares(numbers, bits, lost) - numbers / 2.0**bits
    assert np.abs(off).max() < 1.5
    assert abs(off.mean() - 2.0 ** -(bits + 1)) < 0.01
    assert off.std() == pytest.approx(0.5, abs=0.08)
