"""Forms on the real engine: what they cost, how exact they are in fixed point, and that ids stay secret."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit

import ditto
from ditto.models.minilm import one_hot
from ditto_compiler.forms.table import ENGINE_FORMS
from ditto_compiler.policy import FormRule, Policy, load_policy
from ditto_tools.forms_page import SITES, cost_of, measuring_policy


def inputs_of(function: str) -> list[np.ndarray]:
    """Inputs of a function's site that are right for all of its forms."""
    rng = np.random.default_rng(3)
    arrays = []
    for shape, dtype in SITES[function].shapes:
        if dtype == np.int32:
            arrays.append(rng.integers(0, 4096, shape).astype(np.int32))
        elif function.startswith("arg"):
            # No ties, also with 10 fraction bits.
            rows = np.tile(np.arange(shape[1], dtype=np.float32) / 16 - 4, (shape[0], 1))
            arrays.append(rng.permuted(rows, axis=1))
        elif function in ("division", "embedding", "adaptive_step"):
            arrays.append((np.round(rng.uniform(0.5, 4.0, shape) * 16) / 16).astype(np.float32))
        elif len(shape) == 1:
            arrays.append(np.linspace(-20.0, 20.0, *shape, dtype=np.float32))
        else:
            arrays.append(rng.normal(size=shape).astype(np.float32))
    return arrays


def exact(function: str, arrays: list[np.ndarray]) -> np.ndarray:
    if function == "gelu":
        wide = arrays[0].astype(np.float64)
        return np.asarray(wide * (1 + erf(wide / np.sqrt(2))) / 2)
    if function == "logistic":
        return np.asarray(expit(arrays[0].astype(np.float64)))
    return np.asarray(jax.jit(SITES[function].fn)(*arrays))


ROUNDING = {32: 2.0**-8, 64: 2.0**-13}
"""What fixed point adds to a form's error, with 10 and 18 fraction bits."""

DIVISION_ROUNDING = {32: 7.5 * 2.0**-10, 64: 7.5 * 2.0**-18}
"""1/y is cast with an error below 1.5 units of the last place, times x up to 4, and the product once more."""

CASES = [(function, name, ring) for function in SITES for name in ENGINE_FORMS[function] for ring in (32, 64)]


@pytest.mark.parametrize(("function", "name", "ring"), CASES)
def test_cost_and_error(cluster: ditto.LocalCluster, function: str, name: str, ring: int) -> None:
    """The table's bytes are those that the engine sends, and its errors hold in fixed point."""
    form = ENGINE_FORMS[function][name]
    cost = cost_of(function, ring, {function: name})
    if cost is None:
        assert (function, name, ring) == ("gelu", "puma", 32)
        return
    arrays = inputs_of(function)
    program = ditto.compile(SITES[function].fn, *arrays, policy=measuring_policy(ring, {function: name}))
    found = cluster.run(program, *arrays)
    assert cluster.stats is not None
    assert cluster.stats.bytes / SITES[function].elements == pytest.approx(cost.bytes, rel=1e-6)
    # With 10 fraction bits PUMA's exp, and powers up to the sixth, are rough.
    rough = ring == 32 and ("ring 64" in form.valid or (function.endswith("softmax") and name == "puma"))
    if form.max_error is None or rough:
        return
    error = np.abs(np.asarray(found, np.float64) - exact(function, arrays)).max()
    # The engine's own reciprocal and rsqrt are not exact either.
    engine = 2e-3 if function.endswith(("norm", "softmax")) or function == "division" else 0.0
    rounding = (DIVISION_ROUNDING if function == "division" else ROUNDING)[ring]
    assert error <= form.max_error + rounding + engine


def with_forms(base: str, **forms: str) -> Policy:
    policy = load_policy(base)
    return dataclasses.replace(policy, forms=(*policy.forms, FormRule("test", forms)))


def test_our_gelu_costs_less_than_a_third_of_pumas() -> None:
    ours, pumas = cost_of("gelu", 32, {"gelu": "quartic"}), cost_of("gelu", 64, {"gelu": "puma"})
    assert ours is not None and pumas is not None
    assert ours.bytes < pumas.bytes / 3 and ours.rounds < pumas.rounds


TABLE = (np.round(np.random.default_rng(3).normal(size=(100, 6)) * 64) / 64).astype(np.float32)
IDS = np.array([0, 1, 50, 63, 64, 99, 100, 127, 128, 2**20, -1, -101], np.int32)


@pytest.mark.parametrize("form", ENGINE_FORMS["embedding"])
@pytest.mark.parametrize("policy", ["uniform64", "ditto"])
def test_lookup_by_secret_ids(cluster: ditto.LocalCluster, form: str, policy: str) -> None:
    """The client's one-hot matrix and the one computed of shared ids give the same rows."""

    def lookup(table: Any, ids: Any) -> Any:
        return jnp.take(table, ids, axis=0, mode="clip")

    program = ditto.compile(lookup, TABLE, IDS, policy=with_forms(policy, embedding=form))
    assert all(program.values[entry.value].secret for entry in program.inputs)
    found = cluster.run(program, TABLE, IDS)
    inside = (IDS >= 0) & (IDS < 100)
    np.testing.assert_array_equal(found, TABLE[np.clip(IDS, 0, 99)])
    supplied = one_hot(IDS[inside], 100)
    program = ditto.compile(lambda table, hot: hot @ table, TABLE, supplied, policy=policy)
    np.testing.assert_allclose(cluster.run(program, TABLE, supplied), found[inside], atol=2**-9)


def test_what_is_sent_does_not_depend_on_the_ids(cluster: ditto.LocalCluster) -> None:
    program = ditto.compile(lambda table, ids: table[ids], TABLE, IDS, policy="ditto")
    sent = set()
    for ids in (IDS, np.zeros_like(IDS), np.full_like(IDS, 10**6)):
        cluster.run(program, TABLE, ids)
        assert cluster.stats is not None
        sent.add((cluster.stats.bytes, cluster.stats.messages))
    assert len(sent) == 1


@pytest.mark.parametrize("form", ["puma", "ditto", "narrow"])
@pytest.mark.parametrize("policy", ["uniform64", "ditto"])
def test_masks_survive_every_ring(cluster: ditto.LocalCluster, form: str, policy: str) -> None:
    """-3.4e38 saturates its encoding, and would wrap to 0 when cast."""
    scores = np.random.default_rng(5).normal(size=(4, 8)).astype(np.float32)
    mask = np.arange(8) < np.array([[1], [3], [5], [8]])

    def weights(scores: Any, mask: Any) -> Any:
        bias = jnp.where(mask, 0.0, jnp.finfo(jnp.float32).min)
        return jax.nn.softmax(scores * 1.0 + bias)

    program = ditto.compile(weights, scores, mask, policy=with_forms(policy, softmax=form))
    found = cluster.run(program, scores, mask)
    assert np.abs(found[~mask]).max() < 2**-8
    np.testing.assert_allclose(found, weights(scores, mask), atol=0.06 if form != "narrow" else 0.004)


CAUSAL = np.tril(np.ones((6, 6), bool))
HUGE = jnp.finfo(jnp.float32).min
BIAS = np.linspace(-1.0, 1.0, 6, dtype=np.float32)
MASKED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "selected": (lambda x: jnp.where(CAUSAL, x, -jnp.inf), CAUSAL),
    "selected as the other": (lambda x: jnp.where(~CAUSAL, HUGE, x), CAUSAL),
    "an added row": (lambda x: x + jnp.where(np.arange(6) < 4, BIAS, -1e9), np.arange(6) < 4),
    "an added matrix": (lambda x: x + jnp.where(CAUSAL, BIAS, HUGE), CAUSAL),
    "a table": (lambda x: x[0] + np.where(CAUSAL, BIAS, np.float32(-1e9)), CAUSAL),
}


@pytest.mark.parametrize("form", ["2quad", "2quad_oneshot"])
@pytest.mark.parametrize("name", MASKED)
def test_quadratic_softmax_hides_what_is_masked(cluster: ditto.LocalCluster, name: str, form: str) -> None:
    """It does not fall for small scores; what a mask adds to visible ones counts."""
    masked, mask = MASKED[name]
    x = np.random.default_rng(5).normal(size=(2, 6, 6)).astype(np.float32)

    def weights(x: Any) -> Any:
        return jax.nn.softmax(masked(x))

    scores = np.asarray(masked(x), np.float64)
    squares = np.where(mask, (scores + 5) ** 2, 0)
    expected = squares / (squares.sum(-1, keepdims=True) + 2**-10)
    policy = with_forms("ditto", softmax=form)
    for ranges in (ditto.calibrate(weights, [(x,)], policy=policy), None):
        program = ditto.compile(weights, x, policy=policy, ranges=ranges)
        np.testing.assert_allclose(cluster.run(program, x), expected, atol=2e-3)


@pytest.mark.parametrize("keys", [1, 2, 5])
def test_softmax_of_few_keys(cluster: ditto.LocalCluster, keys: int) -> None:
    """The sum of a single weight is compared with nothing."""
    x = np.random.default_rng(6).normal(size=(4, keys)).astype(np.float32)
    found = cluster.run(ditto.compile(jax.nn.softmax, x, policy="ditto"), x)
    np.testing.assert_allclose(found, jax.nn.softmax(x), atol=0.004)


def test_norm_of_rows_of_any_size(cluster: ditto.LocalCluster) -> None:
    """Variances from 2^-12 to 2^16, and zero."""

    def norm(x: Any) -> Any:
        return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-12)

    x = (np.random.default_rng(7).normal(size=(29, 64)) * 2.0 ** np.arange(-6.0, 8.5, 0.5)[:, None]).astype(
        np.float32
    )
    found = cluster.run(ditto.compile(norm, x, policy="ditto"), x)
    # Units of 2^-18 in 1/deviation count times the row, of up to 4 deviations; those in the row
    # itself, times 1/deviation.
    deviation = x.std(-1, keepdims=True)
    bound = 2.0**-18 * (4 * 2 * deviation + 4 / deviation) + 2.0**-11
    assert (np.abs(found - norm(x)) <= bound).all()
    constant = np.full((2, 64), 3.0, np.float32)
    program = ditto.compile(norm, constant, policy="ditto")
    np.testing.assert_allclose(cluster.run(program, constant), 0.0, atol=2e-2)


def test_forms_by_scope(cluster: ditto.LocalCluster) -> None:
    def fn(x: Any, y: Any) -> Any:
        with jax.named_scope("layer0"):
            first = jnp.tanh(x)
        with jax.named_scope("layer1"):
            return first, jnp.tanh(y)

    x = np.linspace(-6, 6, 64, dtype=np.float32)
    rules = (FormRule("first", {"tanh": "cubic"}), FormRule("second", {"tanh": "exact"}, ("*/layer1/*",)))
    policy = dataclasses.replace(load_policy("uniform64"), forms=rules)
    program = ditto.compile(fn, x, x, policy=policy)
    cubic, engine = (np.abs(y - np.tanh(x)).max() for y in cluster.run(program, x, x))
    assert 0.0095 < cubic < 0.011
    assert 0.002 < engine < 0.006


def test_argmax_among_others(cluster: ditto.LocalCluster) -> None:
    logits = np.random.default_rng(8).normal(size=(5, 33)).astype(np.float32)
    program = ditto.compile(lambda x: (jnp.argmax(x, -1), jnp.argmin(x, 0)), logits, policy="ditto")
    largest, smallest = cluster.run(program, logits)
    np.testing.assert_array_equal(largest, logits.argmax(-1))
    np.testing.assert_array_equal(smallest, logits.argmin(0))
